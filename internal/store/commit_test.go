package store

import (
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/spooljobs/spool/internal/redistest"
)

// stale is a transaction whose first read no longer holds.
func (b *bed) stale(t *testing.T, name string) *deal {
	t.Helper()
	d := b.deal().read(t, "GET", b.mine("stale"))
	d.Reads[0].Mark = "$other"
	return d.write("SET", b.mine(name), "x")
}

// good is one that takes effect.
func (b *bed) good(t *testing.T, name string) *deal {
	t.Helper()
	return b.deal().read(t, "GET", b.mine("n")).check("type", b.mine(name), "string").write("SET", b.mine(name), "x")
}

// Of many transactions in a call each stands for itself: those that fail leave no trace, keep their jobs and are named,
// those beside them take effect and end theirs.
func TestCommitBesideOthers(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		ctx := t.Context()
		b.put(t, job(own("mine")))
		b.rdb.SAdd(ctx, b.mine("set"), "x")
		h := b.engine(t)
		h.claim(t, 1)
		b.put(t, job(), job(), job(), job(), job(), job(), job(), job(), job())
		c := h.claim(t, 9)
		gone := keep(c[5], Succeeded, hour)
		gone.Token++
		before := b.dump(t)
		answer := h.commits(t,
			with(plain(c[0]), b.good(t, "g0")),
			with(plain(c[1]), b.stale(t, "b1").put(job(own("b1"))).send("far", job())),
			with(keep(c[2], Succeeded, hour), b.good(t, "g2")),
			with(keep(c[3], Succeeded, hour), b.good(t, "b3").check("int", b.mine("set"), "1").put(job(own("b3"))).send("far", job())),
			with(retry(c[4], hour), b.good(t, "b4").put(job(own("b4")), job(own("mine"), task("other"))).send("far", job())),
			with(gone, b.good(t, "b5").put(job(own("b5"))).send("far", job())),
			with(keep(c[6], Failed, hour), b.good(t, "g6").put(job(own("g6")), job(own("mine"))).send("far", job())),
			with(point(c[7], "bad"), b.stale(t, "b7")),
			keep(c[8], Succeeded, hour))
		same(t, "lost", answer.Lost, []int{5})
		same(t, "refused", answer.Refused, map[int]*Refusal{1: refusedFor(RefusedConflict, 0), 3: refusedFor(RefusedCheck, 1), 4: refusedFor(RefusedPut, 1),
			7: refusedFor(RefusedConflict, 0)})
		for _, name := range []string{"g0", "g2", "g6", "b1", "b3", "b4", "b5", "b7"} {
			if wrote := b.get(t, name) == "x"; wrote != (name[0] == 'g') {
				t.Errorf("%s: written: %v", name, wrote)
			}
		}
		for i, set := range []string{"", "active", "done", "active", "active", "active", "done", "active", "done"} {
			b.expect(t, c[i].ID, set)
		}
		for _, i := range []int{1, 3, 4, 5, 7} {
			if score := b.score(t, "active", c[i].ID); score != float64(c[i].Token) {
				t.Errorf("job %d is held under %f", i, score)
			}
		}
		for _, id := range []string{"b1", "b3", "b4", "b5"} {
			b.expect(t, id, "")
		}
		b.expect(t, "g6", "ready:thread")
		if n := len(b.outgoing(t)); n != 1 {
			t.Errorf("%d in the outbox", n)
		}
		for _, key := range []string{"history", "checkpoints"} {
			same(t, key, b.dump(t)[b.Key(key)], before[b.Key(key)])
		}
		// Their runs go on: the same verdicts, with transactions that hold, end them.
		answer = h.commits(t, with(plain(c[1]), b.good(t, "b1")), with(keep(c[3], Succeeded, hour), b.good(t, "b3")),
			with(retry(c[4], hour), b.good(t, "b4")), with(keep(c[7], Succeeded, hour), b.good(t, "b7")))
		if answer.Lost != nil || answer.Refused != nil {
			t.Errorf("lost %v, refused %v", answer.Lost, answer.Refused)
		}
		b.expect(t, c[4].ID, "due:thread")
	})
}

// A repeat is given the kept answer and changes nothing; an older number is stale, an engine that has left is gone.
func TestCommitAgain(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		b.put(t, job(), job(), job(), job())
		b.rdb.SAdd(t.Context(), b.mine("set"), "x")
		h := b.engine(t)
		c := h.claim(t, 4)
		gone := plain(c[0])
		gone.Token++
		broken := b.deal().write("INCR", b.mine("count")).write("INCR", b.mine("set"))
		a := Advance{Verdicts: []Verdict{with(gone, b.good(t, "a")), with(plain(c[1]), b.deal().write("INCR", b.mine("count")).put(job()).send("far", job())),
			with(keep(c[2], Succeeded, hour), b.stale(t, "b")), with(keep(c[3], Succeeded, hour), broken)}}
		h.n++
		first, err := h.commit(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		if len(first.Lost) != 1 || len(first.Refused) != 2 || first.Refused[3].Word != RefusedBroken || first.Refused[3].Index != 1 {
			t.Fatalf("%+v", first)
		}
		b.expect(t, c[3].ID, "active")
		before := b.dump(t)
		for range 2 {
			again, err := h.commit(t.Context(), a)
			if err != nil || !again.Again {
				t.Fatal(again, err)
			}
			same(t, "lost", again.Lost, first.Lost)
			same(t, "refused", again.Refused, first.Refused)
		}
		// Nor does it change anything if what was wrong no longer is.
		b.rdb.Set(t.Context(), b.mine("stale"), "other", 0)
		before[b.mine("stale")] = b.dump(t)[b.mine("stale")]
		if again, err := h.commit(t.Context(), a); err != nil || len(again.Refused) != 2 {
			t.Error(again, err)
		}
		b.unchanged(t, before)
		same(t, "the count", b.get(t, "count"), "2")
		h.n--
		if _, err := h.commit(t.Context(), a); !errors.Is(err, ErrStale) {
			t.Errorf("an older number: %v", err)
		}
		h.n += 2
		b.kill(t, h)
		before = b.dump(t)
		if _, err := h.commit(t.Context(), a); !errors.Is(err, ErrGone) {
			t.Errorf("an engine that is gone: %v", err)
		}
		b.unchanged(t, before)
		b.sweep(t, h)
	})
}

// A job that was cancelled, taken over or has ended is not written for any more.
func TestCommitLost(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		b.put(t, job(), job(), job())
		h := b.engine(t)
		c := h.claim(t, 3)
		if word, err := b.Cancel(t.Context(), "other", 1, UnpackID(c[0].ID), []byte{0x80}, hour); word != ChangeDone {
			t.Fatal(word, err)
		}
		h.commits(t, with(plain(c[1]), b.good(t, "first")))
		h.tell(t, back(c[2]))
		other := h.claim(t, 1)[0]
		if other.ID != c[2].ID || other.Token == c[2].Token {
			t.Fatal("it is to run again under another token")
		}
		before := b.dump(t)
		answer := h.commits(t, with(plain(c[0]), b.good(t, "a").put(job())), with(plain(c[1]), b.good(t, "b")), with(plain(c[2]), b.good(t, "c")))
		same(t, "lost", answer.Lost, []int{0, 1, 2})
		if answer.Refused != nil {
			t.Errorf("refused %v", answer.Refused)
		}
		after := b.dump(t)
		for _, name := range []string{"calls", "leaving", "meta"} { // the call, the handler that has returned, how many were lost
			delete(before, b.Key(name))
			delete(after, b.Key(name))
		}
		same(t, "the keyspace has changed", after, before)
		b.expect(t, c[0].ID, "done")
		if n := b.rdb.ZCard(t.Context(), b.Key("leaving")).Val(); n != 0 {
			t.Errorf("%d handlers of cancelled jobs", n)
		}
		if h.commits(t, with(plain(other), b.good(t, "c"))).Lost != nil || b.get(t, "c") != "x" {
			t.Error("the run that owns it cannot commit")
		}
	})
}

// In a call the second transaction sees what the first has written and put.
func TestCommitsInOrder(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		b.put(t, job(), job(), job(), job(), job())
		b.rdb.Set(t.Context(), b.mine("n"), "1", 0)
		b.rdb.Set(t.Context(), b.mine("full"), highest, 0)
		h := b.engine(t)
		c := h.claim(t, 5)
		read := b.deal().read(t, "GET", b.mine("n"))
		after := b.deal().read(t, "GET", b.mine("n")).write("SET", b.mine("seen"), "2")
		after.Reads[0].Mark = "$2"
		answer := h.commits(t,
			with(plain(c[0]), b.deal().read(t, "GET", b.mine("n")).write("INCR", b.mine("n")).write("DECR", b.mine("full")).put(job(own("mine")))),
			with(plain(c[1]), read.write("SET", b.mine("x"), "x")),
			with(plain(c[2]), after),
			with(plain(c[3]), b.deal().check("int", b.mine("full"), "1").write("INCR", b.mine("full")).put(job(own("mine")))),
			with(plain(c[4]), b.deal().check("int", b.mine("full"), "1").write("INCR", b.mine("full"))))
		same(t, "refused", answer.Refused, map[int]*Refusal{1: refusedFor(RefusedConflict, 0), 4: refusedFor(RefusedCheck, 0)})
		same(t, "seen", b.get(t, "seen"), "2")
		same(t, "full", b.get(t, "full"), highest)
		b.expect(t, "mine", "ready:thread")
		answer = h.commits(t, with(plain(c[1]), b.deal().put(job(own("new")))), with(plain(c[4]), b.deal().put(job(own("new"), task("other")))))
		same(t, "two jobs of one id", answer.Refused, map[int]*Refusal{1: refusedFor(RefusedPut, 0)})
	})
}

// A hundred transactions travel in one call, and each is answered for itself.
func TestCommitAHundred(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		const n = 100
		items := make([]Item, n)
		for i := range items {
			items[i] = job()
		}
		b.put(t, items...)
		h := b.engine(t)
		c := h.claim(t, n)
		verdicts, want := make([]Verdict, n), map[int]*Refusal{}
		for i := range verdicts {
			name := fmt.Sprint("k", i)
			d := b.deal()
			if i%7 == 3 {
				d, want[i] = b.stale(t, name), refusedFor(RefusedConflict, 0)
			}
			d.read(t, "HGETALL", b.mine("h")).write("INCR", b.mine("count")).write("SET", b.mine(name), "x").put(job())
			verdicts[i] = with(plain(c[i]), d)
			if i >= n/2 {
				verdicts[i] = with(keep(c[i], Succeeded, hour), d)
			}
		}
		size := 0
		for i := range verdicts {
			size += verdicts[i].Fields()
		}
		if size > AdvanceArguments {
			t.Fatalf("%d arguments", size)
		}
		answer := h.commits(t, verdicts...)
		same(t, "refused", answer.Refused, want)
		same(t, "count", b.get(t, "count"), strconv.Itoa(n-len(want)))
		if held, err := b.Owned(t.Context(), h.Engine, 0); err != nil || len(held) != len(want) {
			t.Errorf("%d are held, %v", len(held), err)
		}
		if ready := b.rdb.ZCard(t.Context(), b.Key("ready:thread")).Val() - 1; ready != int64(n-len(want)) {
			t.Errorf("%d are ready", ready)
		}
	})
}

// What a transaction puts can be claimed by the call that commits it, and stands behind what waited.
func TestCommitAndClaim(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		b.put(t, job())
		h := b.engine(t)
		c := h.claim(t, 1)[0]
		waiting, mine, react, later := job(), job(own("mine")), job(reactor), job(later(hour))
		b.put(t, waiting)
		h.n++
		answer, err := h.commit(t.Context(), Advance{Thread: 5, Verdicts: []Verdict{with(plain(c), b.deal().put(mine, react, later))}})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "claimed", ids(answer.Claims), []string{waiting.ID, "mine"})
		if answer.More != [2]bool{false, true} || answer.NextDue[0] == 0 {
			t.Errorf("more: %v, next due: %v", answer.More, answer.NextDue)
		}
		if n := b.rdb.LLen(t.Context(), b.Key("wake:reactor")).Val(); n != 1 {
			t.Errorf("%d markers", n)
		}
		for i, claim := range answer.Claims {
			if claim.Token != h.Token(h.n) || claim.Fence != answer.Claims[0].Fence+int64(i) {
				t.Errorf("%+v", claim)
			}
		}
	})
}

// A point keeps the job, and stores where to go on; the end of the job, however it comes about, takes that away.
func TestCheckpoints(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		ctx := t.Context()
		cursor := func(id string) string { return b.rdb.HGet(ctx, b.Key("checkpoints"), id).Val() }
		b.put(t, job())
		h := b.engine(t)
		c := h.claim(t, 1)[0]
		for _, p := range []struct{ cursor, want string }{{"1", "1"}, {"", "1"}, {"2\x00\xff", "2\x00\xff"}} {
			if answer := h.commits(t, with(point(c, p.cursor), b.deal().write("INCR", b.mine("n")))); answer.Lost != nil || answer.Refused != nil {
				t.Fatalf("%+v", answer)
			}
			b.expect(t, c.ID, "active")
			same(t, "the cursor", cursor(c.ID), p.want)
		}
		h.commits(t, with(point(c, "3"), b.stale(t, "x")))
		same(t, "the cursor after a conflict", cursor(c.ID), "2\x00\xff")
		same(t, "n", b.get(t, "n"), "3")
		// It is there for the next attempt, whoever makes it.
		h.tell(t, retry(c, 0))
		c = h.claim(t, 1)[0]
		h.tell(t, back(c))
		c = h.claim(t, 1)[0]
		h.tell(t, park(c))
		c = h.call(t, Advance{Thread: 1, Kinds: []string{"t/work"}}).Claims[0]
		b.kill(t, h)
		b.sweep(t, h)
		same(t, "the cursor of the next attempt", cursor(c.ID), "2\x00\xff")

		h = b.engine(t)
		c = h.claim(t, 1)[0]
		h.commits(t, with(plain(c), b.good(t, "a")))
		same(t, "the cursor of one that ended", cursor(c.ID), "")

		ends := map[string]func(c Claim){
			"plain":   func(c Claim) { h.tell(t, plain(c)) },
			"kept":    func(c Claim) { h.tell(t, keep(c, Failed, hour)) },
			"commit":  func(c Claim) { h.commits(t, with(keep(c, Succeeded, 0), b.good(t, "z"))) },
			"cancel":  func(c Claim) { b.outside(t, b.Cancel, c) },
			"fail":    func(c Claim) { h.tell(t, back(c)); b.outside(t, b.Fail, c) },
			"expired": func(c Claim) { h.tell(t, back(c)); b.rewind(t, "deadlines", c.ID, 1); h.tell(t) },
			"pull": func(c Claim) {
				h.tell(t, back(c))
				b.n++
				if word, err := b.Pull(ctx, b.line, b.n, UnpackID(c.ID)); word != ChangeDone {
					t.Error(word, err)
				}
			},
			"aborted": func(c Claim) {
				h.tell(t, back(c))
				dead := b.engine(t)
				dead.claim(t, 1)
				b.kill(t, dead)
				b.sweep(t, dead)
			},
		}
		for name, end := range ends {
			b.put(t, job(beginBy(hour), allowed('0')))
			c := h.claim(t, 1)[0]
			h.commits(t, with(point(c, name), b.deal()))
			same(t, name, cursor(c.ID), name)
			end(c)
			same(t, name+": the cursor", cursor(c.ID), "")
			if state := b.state(t, c.ID); state != "" && state != "done" {
				t.Errorf("%s: it is in %s", name, state)
			}
		}
	})
}

// With full memory commits that add are refused as a whole, also beside others; those that only remove go on.
func TestCommitWithFullMemory(t *testing.T) {
	server := redistest.Start(t)
	on(t, server.Addr(), func(t *testing.T, b *bed) {
		ctx := t.Context()
		b.rdb.SAdd(ctx, b.mine("s"), "a", "b", "c")
		b.put(t, job(), job(), job(), job(), job())
		h := b.engine(t)
		c := h.claim(t, 4)
		conn := b.conn(t)
		removes := func(member string) *deal {
			return b.deal().read(t, "EXISTS", b.mine("s")).write("SREM", b.mine("s"), member)
		}
		adding := Advance{Thread: 1, Verdicts: []Verdict{with(plain(c[0]), removes("a")), with(keep(c[1], Succeeded, hour), b.good(t, "x"))}}
		lean := Advance{Thread: 1, Verdicts: []Verdict{with(plain(c[0]), removes("a")), with(point(c[2], "7"), b.deal()), keep(c[1], Succeeded, hour)}}
		alone := Advance{Verdicts: []Verdict{with(keep(c[3], Succeeded, hour), removes("b"))}}
		b.fill(t)
		before := b.dump(t)
		h.n++
		if _, err := h.commit(ctx, adding); !errors.Is(err, ErrFull) {
			t.Errorf("adding: %v", err)
		}
		b.unchanged(t, before)
		if answer, err := h.commit(ctx, lean); err != nil || answer.Again || len(answer.Claims) != 1 || answer.Lost != nil || answer.Refused != nil {
			t.Errorf("removing: %+v, %v", answer, err)
		}
		h.n++
		alone.Engine, alone.Number, alone.Expired = h.Engine, h.n, hour
		if changed, err := b.Look(ctx, conn, alone.Verdicts[0].Tx); changed != -1 || err != nil {
			t.Fatal(changed, err)
		}
		if answer, err := b.CommitWatched(ctx, conn, &alone); err != nil || answer.Refused != nil || answer.Lost != nil {
			t.Errorf("removing, watched: %+v, %v", answer, err)
		}
		same(t, "left", b.rdb.SMembers(ctx, b.mine("s")).Val(), []string{"c"})
		for i, set := range []string{"", "done", "active", "done"} {
			b.expect(t, c[i].ID, set)
		}
		same(t, "the cursor", b.rdb.HGet(ctx, b.Key("checkpoints"), c[2].ID).Val(), "7")
		if word, err := b.Cancel(ctx, "other", 1, UnpackID(c[2].ID), []byte{0x80}, hour); word != ChangeDone {
			t.Errorf("cancelling: %s, %v", word, err)
		}
		h.tell(t)
		b.empty(t)
	})
}

// The watched commit of a run is refused where the other would be, and ErrTouched is not an answer to its number.
func TestCommitWatched(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		ctx := t.Context()
		b.put(t, job(), job(), job())
		conn := b.conn(t)
		h := b.engine(t)
		c := h.claim(t, 3)
		send := func(v Verdict, between func()) (*Advanced, error) {
			t.Helper()
			if changed, err := b.Look(ctx, conn, v.Tx); changed != -1 || err != nil {
				t.Fatal(changed, err)
			}
			if between != nil {
				between()
			}
			return b.CommitWatched(ctx, conn, &Advance{Engine: h.Engine, Number: h.n, Expired: hour, Verdicts: []Verdict{v}})
		}
		first := with(plain(c[0]), b.deal().read(t, "GET", b.mine("n")).write("INCR", b.mine("m")))
		h.n++
		before := b.dump(t)
		touch := func() { b.rdb.Set(ctx, b.mine("n"), "x", 0); b.rdb.Del(ctx, b.mine("n")) }
		for name, between := range map[string]func(){"touched": touch, "no script": func() { b.rdb.ScriptFlush(ctx) }} {
			if _, err := send(first, between); !errors.Is(err, ErrTouched) {
				t.Errorf("%s: %v", name, err)
			}
			b.unchanged(t, before)
		}
		if answer, err := send(first, nil); err != nil || answer.Again || answer.Refused != nil {
			t.Fatalf("%+v, %v", answer, err)
		}
		b.expect(t, c[0].ID, "")
		if answer, err := send(with(plain(c[0]), b.deal().write("INCR", b.mine("m"))), nil); err != nil || !answer.Again {
			t.Errorf("%+v, %v", answer, err)
		}
		same(t, "m", b.get(t, "m"), "1")
		h.n++
		b.seed(t, "text")
		answer, err := send(with(plain(c[1]), b.deal().check("int", b.mine("n"), "1").write("INCR", b.mine("n"))), nil)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "refused", answer.Refused, map[int]*Refusal{0: refusedFor(RefusedCheck, 0)})
		h.n++
		taken := with(plain(c[2]), b.deal().write("SET", b.mine("n"), "1"))
		answer, err = send(taken, func() { b.outside(t, b.Cancel, c[2]) })
		if err != nil {
			t.Fatal(err)
		}
		same(t, "lost", answer.Lost, []int{0})
		same(t, "n", b.get(t, "n"), "text")
	})
}
