package store

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/spooljobs/spool/internal/redistest"
	"github.com/spooljobs/spool/internal/txn"
	"github.com/spooljobs/spool/lua"
)

// A number answers the same however often it is asked, and does nothing again, whatever became of the transaction.
func TestTransactAgain(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		b.put(t, job(own("mine")))
		b.seed(t, "text")
		conflict := b.deal().read(t, "GET", b.mine("n")).write("INCR", b.mine("count")).put(job())
		conflict.Reads[0].Mark = "-"
		broken := b.deal().write("INCR", b.mine("count")).write("INCR", b.mine("n")).write("INCR", b.mine("count")).put(job()).send("far", job())
		for want, d := range map[string]*deal{
			"":            b.deal().write("INCR", b.mine("count")).put(job(), job(later(hour))).send("far", job(later(hour))),
			"conflict":    conflict,
			"refused":     b.deal().check("int", b.mine("n"), "1").write("INCR", b.mine("count")),
			"taken":       b.deal().put(job(own("mine"), task("other"))).write("INCR", b.mine("count")),
			RefusedBroken: broken,
		} {
			first := b.transact(t, d)
			if (first == nil) != (want == "") || first != nil && (first.Word != want || first.Index < 0) {
				t.Fatalf("%+v, want %q", first, want)
			}
			before := b.dump(t)
			for range 2 {
				again, err := b.Transact(t.Context(), b.line, b.n, d.tx())
				if err != nil {
					t.Fatal(err)
				}
				same(t, "again", again, first)
				applied, settled, err := b.Settle(t.Context(), b.line, b.n)
				if !applied || err != nil {
					t.Errorf("settled: %v, %v", applied, err)
				}
				same(t, "settled", settled, first)
			}
			b.unchanged(t, before)
		}
		same(t, "writes", b.get(t, "count"), "2") // one of the first, one of the broken
		if outs := b.outgoing(t); len(outs) != 1 {
			t.Errorf("%d in the outbox", len(outs))
		}
		if _, err := b.Transact(t.Context(), b.line, b.n-1, conflict.tx()); !errors.Is(err, ErrStale) {
			t.Errorf("an older number: %v", err)
		}
		if _, _, err := b.Settle(t.Context(), b.line, b.n-1); !errors.Is(err, ErrStale) {
			t.Errorf("asking about an older number: %v", err)
		}
	})
}

// A write that fails after all breaks the transaction: those before it stand, nothing comes after it, and that is said.
func TestBroken(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		b.rdb.SAdd(t.Context(), b.mine("set"), "x")
		d := b.deal().write("SET", b.mine("a"), "1").write("INCR", b.mine("set")).write("SET", b.mine("b"), "1").put(job()).send("far", job())
		refusal := b.transact(t, d)
		if refusal == nil || refusal.Word != RefusedBroken || refusal.Index != 1 || !strings.HasPrefix(refusal.Reason, "WRONGTYPE") {
			t.Errorf("%+v", refusal)
		}
		if b.get(t, "a") != "1" || b.get(t, "b") != "" || len(b.outgoing(t)) != 0 || b.rdb.HLen(t.Context(), b.Key("jobs")).Val() != 0 {
			t.Error("what was before it stands, what was behind it does not")
		}
	})
}

// Whoever has lost an answer asks. If nothing was applied, the number is closed: the transaction that arrives late has no
// effect, nor has the one that was sent while its keys are still as they were.
func TestSettleClosesTheNumber(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		d := b.deal().read(t, "GET", b.mine("n")).write("INCR", b.mine("n")).put(job()).send("far", job())
		conn := b.conn(t)
		if changed, err := b.Look(t.Context(), conn, d.tx()); changed != -1 || err != nil {
			t.Fatal(changed, err)
		}
		for range 2 {
			if applied, refusal, err := b.Settle(t.Context(), "other", 3); applied || refusal != nil || err != nil {
				t.Fatal(applied, refusal, err)
			}
		}
		before := b.dump(t)
		for _, send := range []func() (*Refusal, error){
			func() (*Refusal, error) { return b.TransactWatched(t.Context(), conn, "other", 3, d.tx()) },
			func() (*Refusal, error) { return b.Transact(t.Context(), "other", 3, d.tx()) },
		} {
			if refusal, err := send(); err != nil || refusal == nil {
				t.Errorf("a late transaction is told %v, %v", refusal, err)
			}
		}
		for _, send := range []func() (*Refusal, error){
			func() (*Refusal, error) { return b.TransactWatched(t.Context(), conn, "other", 2, d.tx()) },
			func() (*Refusal, error) { return b.Transact(t.Context(), "other", 2, d.tx()) },
		} {
			if _, err := send(); !errors.Is(err, ErrStale) {
				t.Errorf("a later one: %v", err)
			}
		}
		b.unchanged(t, before)
		if refusal, err := b.Transact(t.Context(), "other", 4, d.tx()); refusal != nil || err != nil || b.get(t, "n") != "1" {
			t.Errorf("the next number: %+v, %v", refusal, err)
		}
	})
}

// A look sees changes, EXEC those that come after it; that a key was touched is no change yet.
func TestTransactWatched(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		ctx := t.Context()
		b.rdb.Set(ctx, b.mine("a"), "1", 0)
		conn := b.conn(t)
		d := b.deal().read(t, "GET", b.mine("a")).read(t, "SMEMBERS", b.mine("s")).write("INCR", b.mine("n")).put(job())
		n := uint64(0)
		try := func(between func()) (refusal *Refusal, changed int, err error) {
			t.Helper()
			n++
			if changed, err = b.Look(ctx, conn, d.tx()); err != nil || changed >= 0 {
				return nil, changed, err
			}
			if between != nil {
				between()
			}
			refusal, err = b.TransactWatched(ctx, conn, "other", n, d.tx())
			return refusal, -1, err
		}
		if refusal, changed, err := try(nil); refusal != nil || changed != -1 || err != nil {
			t.Fatal(refusal, changed, err)
		}
		same(t, "n", b.get(t, "n"), "1")
		before := b.dump(t)
		for name, between := range map[string]func(){
			"changed":               func() { b.rdb.Set(ctx, b.mine("a"), "2", 0) },
			"set to the same":       func() { b.rdb.Set(ctx, b.mine("a"), "1", 0) },
			"an absent one created": func() { b.rdb.SAdd(ctx, b.mine("s"), "x") },
			"created and removed":   func() { b.rdb.SAdd(ctx, b.mine("s"), "x"); b.rdb.Del(ctx, b.mine("s")) },
		} {
			if refusal, _, err := try(between); !errors.Is(err, ErrTouched) {
				t.Errorf("%s: %+v, %v", name, refusal, err)
			}
			b.rdb.Set(ctx, b.mine("a"), "1", 0)
			b.rdb.Del(ctx, b.mine("s"))
			b.unchanged(t, before)
		}
		// A script that has left the cache is loaded; the watches are gone with that EXEC, so it is looked at again.
		if refusal, _, err := try(func() { b.rdb.ScriptFlush(ctx) }); !errors.Is(err, ErrTouched) {
			t.Errorf("with the scripts gone: %+v, %v", refusal, err)
		}
		b.unchanged(t, before)
		if refusal, changed, err := try(nil); refusal != nil || changed != -1 || err != nil {
			t.Fatal(refusal, changed, err)
		}
		same(t, "n", b.get(t, "n"), "2")
		// A key nobody watches may be written.
		if refusal, _, err := try(func() { b.rdb.Set(ctx, b.mine("z"), "1", 0) }); refusal != nil || err != nil {
			t.Errorf("with another key written: %+v, %v", refusal, err)
		}
		b.rdb.SAdd(ctx, b.mine("s"), "x")
		if _, changed, err := try(nil); changed != 1 || err != nil {
			t.Errorf("a look at what has changed: %d, %v", changed, err)
		}
		// Its watches have ended with it: what the connection does next is its own.
		b.rdb.SAdd(ctx, b.mine("s"), "y")
		bare := b.deal().write("INCR", b.mine("n"))
		if refusal, err := b.TransactWatched(ctx, conn, "bare", 1, bare.tx()); refusal != nil || err != nil {
			t.Errorf("without reads: %+v, %v", refusal, err)
		}
		same(t, "n", b.get(t, "n"), "4")
	})
}

// Checks and ids are asked in a watched transaction, too.
func TestTransactWatchedIsJudged(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		b.put(t, job(own("mine")))
		b.seed(t, "text")
		conn := b.conn(t)
		for i, c := range []struct {
			want *Refusal
			d    *deal
		}{
			{refusedFor(RefusedCheck, 1), b.deal().check("type", b.mine("n"), "string").check("int", b.mine("n"), "1")},
			{refusedFor(RefusedPut, 0), b.deal().put(job(own("mine"), task("other")), job())},
		} {
			c.d.read(t, "GET", b.mine("n")).write("SET", b.mine("a"), "x")
			if changed, err := b.Look(t.Context(), conn, c.d.tx()); changed != -1 || err != nil {
				t.Fatal(changed, err)
			}
			before := b.dump(t)
			refusal, err := b.TransactWatched(t.Context(), conn, "other", uint64(i+1), c.d.tx())
			if err != nil {
				t.Fatal(err)
			}
			same(t, "the refusal", refusal, c.want)
			b.unchangedButLines(t, before)
		}
	})
}

// Reads by the thousand are looked at by pages, and the one that has changed is found in any.
func TestLookAtManyReads(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		conn := b.conn(t)
		d := b.deal().write("SET", b.mine("a"), "x")
		const reads = 2500
		for i := range reads {
			args := []string{"HGET", b.mine("h"), string(rune('A' + i))}
			d.Reads = append(d.Reads, txn.Read{Args: args, Keys: args[1:2], Mark: "-"})
		}
		d.Keys = append(d.Keys, b.mine("h"))
		if changed, err := b.Look(t.Context(), conn, d.tx()); changed != -1 || err != nil {
			t.Fatal(changed, err)
		}
		if refusal, err := b.TransactWatched(t.Context(), conn, "other", 1, d.tx()); refusal != nil || err != nil {
			t.Fatal(refusal, err)
		}
		for _, i := range []int{0, 1, 1199, 1200, reads - 1} {
			field := string(rune('A' + i))
			b.rdb.HSet(t.Context(), b.mine("h"), field, "")
			if changed, err := b.Look(t.Context(), conn, d.tx()); changed != i || err != nil {
				t.Errorf("read %d has changed, found %d, %v", i, changed, err)
			}
			b.rdb.HDel(t.Context(), b.mine("h"), field)
		}
	})
}

// The jobs of a transaction are put as schedule puts them.
func TestTransactPuts(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		ctx := t.Context()
		known, ended := job(own("known")), job(own("ended"))
		b.put(t, known, ended)
		h := b.engine(t)
		for _, c := range h.claim(t, 2) {
			if c.ID == "ended" {
				h.tell(t, keep(c, Succeeded, hour))
			} else {
				h.tell(t, back(c))
			}
		}
		drawn, fresh, due, limited := job(), job(own("fresh"), reactor), job(later(hour), reactor), job(own("limited"), later(hour), beginBy(5))
		d := b.deal().put(drawn, fresh, due, limited, known, ended)
		b.does(t, d)
		b.expect(t, PackID(drawn.ID), "ready:thread")
		b.expect(t, "fresh", "ready:reactor")
		b.expect(t, PackID(due.ID), "due:reactor")
		b.expect(t, "limited", "due:thread")
		b.expect(t, "known", "ready:thread")
		b.expect(t, "ended", "done")
		if limit, start := b.score(t, "deadlines", "limited"), b.score(t, "due:thread", "limited"); limit != start+5 {
			t.Errorf("a deadline at %f of a job due at %f", limit, start)
		}
		for _, lane := range []string{"wake:thread", "wake:reactor"} {
			if n := b.rdb.LLen(ctx, b.Key(lane)).Val(); n != 1 {
				t.Errorf("%s: %d markers", lane, n)
			}
		}
		// They stand in the order in which they were put, behind what was there.
		more := []Item{job(), job(), job()}
		b.does(t, b.deal().put(more...))
		var want []string
		for _, it := range append([]Item{known, drawn}, more...) {
			want = append(want, it.ID)
		}
		same(t, "the order", ids(h.claim(t, 10)), want)
		// All or none.
		refusal := b.transact(t, b.deal().put(job(own("another")), job(own("ended"), task("other"))))
		same(t, "an id that is taken", refusal, refusedFor(RefusedPut, 1))
		b.expect(t, "another", "")
	})
}

// Full memory refuses as a whole what adds, watched or not. What only removes or reads goes on, and so does the question
// whether something took effect.
func TestTransactWithFullMemory(t *testing.T) {
	server := redistest.Start(t)
	on(t, server.Addr(), func(t *testing.T, b *bed) {
		ctx := t.Context()
		b.rdb.Set(ctx, b.mine("a"), "1", 0)
		b.rdb.SAdd(ctx, b.mine("s"), "x", "y")
		conn := b.conn(t)
		adding := map[string]*deal{
			"a write": b.deal().read(t, "GET", b.mine("a")).write("DEL", b.mine("s")).write("SET", b.mine("a"), "2"),
			"a put":   b.deal().read(t, "GET", b.mine("a")).write("DEL", b.mine("s")).put(job()),
			"a job":   b.deal().read(t, "GET", b.mine("a")).write("DEL", b.mine("s")).send("far", job(later(hour))),
		}
		removing := b.deal().read(t, "GET", b.mine("a")).write("SREM", b.mine("s"), "x").write("PERSIST", b.mine("a"))
		watched := b.deal().read(t, "GET", b.mine("a")).write("SREM", b.mine("s"), "y").write("DEL", b.mine("z"))
		b.fill(t)
		before := b.dump(t)
		n := uint64(0)
		for name, d := range adding {
			n++
			if refusal, err := b.Transact(ctx, "other", n, d.tx()); !errors.Is(err, ErrFull) {
				t.Errorf("%s: %+v, %v", name, refusal, err)
			}
			if changed, err := b.Look(ctx, conn, d.tx()); changed != -1 || err != nil {
				t.Fatal(changed, err)
			}
			if refusal, err := b.TransactWatched(ctx, conn, "other", n, d.tx()); !errors.Is(err, ErrFull) {
				t.Errorf("%s, watched: %+v, %v", name, refusal, err)
			}
			b.unchanged(t, before)
		}
		if applied, _, err := b.Settle(ctx, "other", n); applied || err != nil {
			t.Errorf("asked: %v, %v", applied, err)
		}
		if refusal, err := b.Transact(ctx, "other", n+1, removing.tx()); refusal != nil || err != nil {
			t.Errorf("removing: %+v, %v", refusal, err)
		}
		if changed, err := b.Look(ctx, conn, watched.tx()); changed != -1 || err != nil {
			t.Fatal(changed, err)
		}
		if refusal, err := b.TransactWatched(ctx, conn, "other", n+2, watched.tx()); refusal != nil || err != nil {
			t.Errorf("removing, watched: %+v, %v", refusal, err)
		}
		if left := b.rdb.SCard(ctx, b.mine("s")).Val(); left != 0 {
			t.Errorf("%d are left", left)
		}
		b.empty(t)
		for name, d := range adding {
			n++
			if refusal, err := b.Transact(ctx, "other", n+2, d.tx()); name != "a write" && (refusal != nil || err != nil) {
				t.Errorf("%s with memory free again: %+v, %v", name, refusal, err)
			}
			b.rdb.Set(ctx, b.mine("a"), "1", 0)
		}
	})
}

// conn is a connection of its own, to a server that has the scripts.
func (b *bed) conn(t *testing.T) *redis.Conn {
	t.Helper()
	scripts, err := lua.Load(redistest.StrictLua)
	if err != nil {
		t.Fatal(err)
	}
	conn := b.rdb.Conn()
	t.Cleanup(func() { conn.Close() })
	for _, verb := range []string{"transact", "commit"} {
		if err := conn.ScriptLoad(t.Context(), scripts[verb].Source).Err(); err != nil {
			t.Fatal(err)
		}
	}
	return conn
}

// fill makes the server full, empty ends that.
func (b *bed) fill(t *testing.T)  { b.memory(t, "1") }
func (b *bed) empty(t *testing.T) { b.memory(t, "0") }

func (b *bed) memory(t *testing.T, limit string) {
	t.Helper()
	if err := b.rdb.ConfigSet(t.Context(), "maxmemory", limit).Err(); err != nil {
		t.Fatal(err)
	}
}

// A server that refuses MULTI may run by itself what was to be queued: whether it did is asked. The connection is as good
// as before.
func TestMultiIsRefused(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			talk(conn)
		}
	}()
	defer func() { listener.Close(); <-served }()
	rdb := redis.NewClient(&redis.Options{Addr: listener.Addr().String(), Protocol: 2, MaxRetries: -1, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}})
	defer rdb.Close()
	b := &bed{rdb: rdb, prefix: "p"}
	b = b.sub(t, "q")
	conn := rdb.Conn()
	defer conn.Close()
	for n := range 3 {
		_, err := b.TransactWatched(t.Context(), conn, "other", uint64(n+1), b.deal().write("INCR", b.mine("n")).tx())
		if !MaybeExecuted(err) || !errors.Is(err, ErrAway) {
			t.Errorf("%v", err)
		}
		if pong, err := conn.Ping(t.Context()).Result(); pong != "PONG" || err != nil {
			t.Errorf("%q, %v", pong, err)
		}
	}
}

// talk answers PING, and that it is busy to everything else.
func talk(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		var words, length int
		if _, err := fmt.Fscanf(in, "*%d\r\n", &words); err != nil {
			return
		}
		name := ""
		for i := range words {
			if _, err := fmt.Fscanf(in, "$%d\r\n", &length); err != nil {
				return
			}
			word := make([]byte, length+2)
			if _, err := io.ReadFull(in, word); err != nil {
				return
			}
			if i == 0 {
				name = strings.ToUpper(string(word[:length]))
			}
		}
		answer := "-BUSY Redis is busy running a script.\r\n"
		if name == "PING" {
			answer = "+PONG\r\n"
		}
		if _, err := io.WriteString(conn, answer); err != nil {
			return
		}
	}
}
