package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestVerdictsMoveJobs(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		items := make([]Item, 10)
		for i := range items {
			items[i] = job()
		}
		put := b.put(t, items...)
		h := b.engine(t)
		c := h.claim(t, 10)
		for _, id := range put {
			b.expect(t, id, "active")
		}
		broken := of(c[9], VerdictBreak)
		broken.Why = "why"
		unread := of(c[7], VerdictBack)
		unread.Head = ""
		answer := h.tell(t, plain(c[0]), keep(c[1], Succeeded, hour), keep(c[2], Failed, hour), keep(c[3], Cancelled, hour),
			keep(c[4], Succeeded, 0), retry(c[5], hour), retry(c[6], 0), unread, park(c[8]), broken)
		if answer.Lost != nil {
			t.Errorf("lost %v", answer.Lost)
		}
		for i, set := range []string{"", "done", "done", "done", "", "due:thread", "ready:thread", "ready:thread", "parked", "quarantine"} {
			b.expect(t, put[i], set)
		}
		sight, _ := b.Show(t.Context(), UnpackID(put[9]))
		same(t, "fault", sight.Fault, "why")
		meta := b.count(t).Meta
		for name, want := range map[string]int64{"succeeded": 3, "failed": 1, "cancelled": 1, "retried": 2, "lost": 0, "expired": 0} {
			if meta[name] != want {
				t.Errorf("%s: %d, want %d", name, meta[name], want)
			}
		}
	})
}

// A repeat changes nothing: it is told so, with the places that were lost, and adopts what the call claimed.
func TestAdvanceRepeated(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		b.put(t, job(), job(), job(), job())
		h := b.engine(t)
		c := h.claim(t, 2)
		gone := plain(c[0])
		gone.Token--
		call := Advance{Thread: 5, Verdicts: []Verdict{gone, plain(c[1])}}
		first := h.call(t, call)
		same(t, "lost", first.Lost, []int{0})
		before := b.dump(t)
		again, err := h.send(t.Context(), call)
		if err != nil || !again.Again {
			t.Fatalf("%+v, %v", again, err)
		}
		same(t, "lost again", again.Lost, []int{0})
		b.unchanged(t, before)
		adopted, more, err := b.Adopt(t.Context(), h.Engine, h.n, 0)
		if err != nil || !more {
			t.Fatal(more, err)
		}
		same(t, "adopted", ids(adopted), ids(first.Claims))
		for i := range adopted {
			if adopted[i].Record != first.Claims[i].Record || adopted[i].Token != first.Claims[i].Token {
				t.Errorf("adopted %+v", adopted[i])
			}
			if adopted[i].Fence <= first.Claims[len(adopted)-1].Fence {
				t.Errorf("an adopted claim bears an older fence")
			}
		}
		rest, more, err := b.Adopt(t.Context(), h.Engine, h.n, len(adopted))
		if len(rest) != 0 || more || err != nil {
			t.Errorf("then %v, %v, %v", ids(rest), more, err)
		}
		h.n--
		if _, err := h.send(t.Context(), Advance{}); !errors.Is(err, ErrStale) {
			t.Errorf("an older call: %v", err)
		}
	})
}

func TestGoneEnginesAreRefusedEverything(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		b.put(t, job(), job())
		left, dead := b.engine(t), b.engine(t)
		c := dead.claim(t, 1)
		if err := b.Leave(t.Context(), left.Engine); err != nil {
			t.Fatal(err)
		}
		b.kill(t, dead)
		before := b.dump(t)
		for _, h := range []*hand{left, dead, {&Engine{Number: 1 << 20, UUID: "u", name: "1048576:u"}, b, 0}} {
			h.n++
			ctx := t.Context()
			_, err := h.send(ctx, Advance{Thread: 5, Verdicts: []Verdict{plain(c[0])}})
			_, _, adopting := b.Adopt(ctx, h.Engine, h.n, 0)
			_, beating := b.Beat(ctx, h.Engine, hour, forEver)
			_, owning := b.Owned(ctx, h.Engine, 0)
			for _, err := range []error{err, adopting, beating, owning, b.Leave(ctx, h.Engine)} {
				if !errors.Is(err, ErrGone) {
					t.Errorf("got %v", err)
				}
			}
		}
		b.unchanged(t, before)
		if _, _, err := b.Sweep(t.Context(), left.name, hour); !errors.Is(err, ErrGone) {
			t.Errorf("sweeping who has left: %v", err)
		}
	})
}

// One engine may hold a job twice in its life. Only the run that owns it counts, even if both speak in one call (c2).
func TestOldRunOfTheSameEngineLosesInTheSameCall(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		b.put(t, job())
		h := b.engine(t)
		old := h.claim(t, 1)[0]
		h.tell(t, back(old))
		fresh := h.claim(t, 1)[0]
		if fresh.Token <= old.Token || fresh.Fence <= old.Fence {
			t.Errorf("token %d after %d, fence %d after %d", fresh.Token, old.Token, fresh.Fence, old.Fence)
		}
		answer := h.tell(t, plain(old), keep(old, Failed, hour), retry(old, 0), keep(fresh, Succeeded, hour))
		same(t, "lost", answer.Lost, []int{0, 1, 2})
		sight, err := b.Show(t.Context(), UnpackID(fresh.ID))
		if err != nil {
			t.Fatal(err)
		}
		if o, err := DecodeOutcome(sight.Outcome); err != nil || o.Kind != Succeeded {
			t.Errorf("outcome %+v, %v", o, err)
		}
		same(t, "lost counted", b.count(t).Meta["lost"], int64(3))
		h.call(t, Advance{Refused: 4})
		same(t, "refused counted", b.count(t).Meta["lost"], int64(7))
	})
}

func TestPriorityThenOrderOfBecomingReady(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		low, first, high, second, top := job(priority(1000)), job(), job(priority(-5)), job(), job(priority(-1000))
		b.put(t, low, first)
		b.put(t, high, second, top)
		h := b.engine(t)
		same(t, "order", ids(h.claim(t, 10)), []string{top.ID, high.ID, first.ID, second.ID, low.ID})
	})
}

// What comes back stands before what has never run, within its priority (e2).
func TestRetriesAndGivenBackComeFirst(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		a, c, d := job(), job(), job()
		b.put(t, a, c, d)
		h := b.engine(t)
		claims := h.claim(t, 3)
		urgent, fresh := job(priority(-1)), job()
		b.put(t, fresh, urgent)
		h.tell(t, back(claims[2]), retry(claims[0], 0), retry(claims[1], hour))
		// The one that waits comes due after another that has never run.
		late := job(later(hour))
		lateID := b.put(t, late)[0]
		now := b.count(t).Now
		b.rewind(t, "due:thread", lateID, now-100)
		b.rewind(t, "due:thread", claims[1].ID, now-50)
		same(t, "order", ids(h.claim(t, 10)), []string{urgent.ID, d.ID, a.ID, c.ID, fresh.ID, late.ID})
	})
}

func TestPromotionInOrderOfDueTime(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		items := []Item{job(later(hour)), job(later(hour)), job(later(hour)), job(later(hour), priority(-1)), job(later(hour))}
		put := b.put(t, items...)
		now := b.count(t).Now
		for i, ago := range []int64{10, 40, 20, 1} {
			b.rewind(t, "due:thread", put[i], now-ago)
		}
		h := b.engine(t)
		answer := h.call(t, Advance{Thread: 10})
		same(t, "order", ids(answer.Claims), []string{items[3].ID, items[1].ID, items[2].ID, items[0].ID})
		if next := answer.NextDue[0]; next < now+hour/2 || next > now+2*hour {
			t.Errorf("next due %d, now %d", next, now)
		}
		if answer.NextDue[1] != 0 || answer.More != [2]bool{} {
			t.Errorf("%+v", answer)
		}
	})
}

func TestParkedJobsAreClaimedByKind(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		// a0 and a-b begin like a; ids may hold anything but slashes.
		plainA, a0, ab, light := job(task("a")), job(task("a0")), job(task("a-b")), job(task("a"), reactor)
		named := job(task("a"), own("a:0~\"%"))
		b.put(t, plainA, a0, ab, light, named)
		h := b.engine(t)
		var verdicts []Verdict
		for _, c := range h.call(t, Advance{Thread: 9, Reactor: 9}).Claims {
			verdicts = append(verdicts, park(c))
		}
		h.tell(t, verdicts...)
		pulse, err := b.Beat(t.Context(), h.Engine, hour, 0)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "kinds", pulse.Parked, []string{"r/a", "t/a-b", "t/a", "t/a0"})
		if got := h.claim(t, 9); len(got) != 0 {
			t.Errorf("claimed %v without knowing a kind", ids(got))
		}
		got := h.call(t, Advance{Thread: 9, Reactor: 9, Kinds: []string{"t/a", "t/nobody"}}).Claims
		same(t, "of kind t/a", len(got), 2)
		for _, c := range got {
			if TaskOf(c.Record) != "a" || c.Record[1] != 't' {
				t.Errorf("claimed %q", c.Record)
			}
		}
		same(t, "room bounds parked ones, too", len(h.call(t, Advance{Thread: 1, Kinds: []string{"t/a-b", "t/a0", "r/a"}}).Claims), 1)
		same(t, "the rest", b.count(t).Sets["parked"], 2)
	})
}

func TestFenceRisesWithEveryClaim(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		last := int64(0)
		engines := []*hand{b.engine(t), b.engine(t)}
		// The counter is ahead of the clock: the clock went back.
		b.rdb.HSet(t.Context(), b.Key("meta"), "fence", "4000000000000000")
		for i := range 6 {
			b.put(t, job(), job())
			h := engines[i%2]
			for _, c := range h.claim(t, 2) {
				if c.Fence <= last {
					t.Errorf("fence %d after %d", c.Fence, last)
				}
				last = c.Fence
			}
		}
	})
}

// 500 verdicts of the largest kind pass in calls cut as the courier cuts them, and 500 claims in one (j2).
func TestCallsAreBoundedByItems(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		items := make([]Item, CallItems)
		for i := range items {
			items[i] = job()
		}
		b.put(t, items...)
		b.put(t, job())
		h := b.engine(t)
		answer := h.call(t, Advance{Thread: CallItems})
		if len(answer.Claims) != CallItems || !answer.More[0] {
			t.Fatalf("%d claims, more %v", len(answer.Claims), answer.More)
		}
		var verdicts []Verdict
		for _, c := range answer.Claims {
			verdicts = append(verdicts, retry(c, hour))
		}
		calls := 0
		for len(verdicts) > 0 {
			n, arguments := 0, 0
			for n < len(verdicts) && arguments+verdicts[n].Fields() <= AdvanceArguments {
				arguments += verdicts[n].Fields()
				n++
			}
			kinds := make([]string, 20)
			for i := range kinds {
				kinds[i] = fmt.Sprintf("t/kind%d", i)
			}
			h.call(t, Advance{Verdicts: verdicts[:n], Kinds: kinds})
			if total := 3 + len(b.keys["advance"]) + 12 + len(kinds) + arguments; total > callArguments {
				t.Errorf("a call of %d arguments", total)
			}
			verdicts = verdicts[n:]
			calls++
		}
		if calls != 2 {
			t.Errorf("%d calls", calls)
		}
		same(t, "due", b.count(t).Sets["due:thread"], CallItems)
		// All come due at once: one call promotes 500 and claims 500.
		for _, z := range b.rdb.ZRange(t.Context(), b.Key("due:thread"), 0, -2).Val() {
			b.rewind(t, "due:thread", z, 1)
		}
		same(t, "claims", len(h.call(t, Advance{Thread: CallItems}).Claims), CallItems)
	})
}

func TestPlain500(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		items := make([]Item, CallItems)
		for i := range items {
			items[i] = job(reactor)
		}
		b.put(t, items...)
		h := b.engine(t)
		var verdicts []Verdict
		for _, c := range h.call(t, Advance{Reactor: CallItems}).Claims {
			verdicts = append(verdicts, plain(c))
		}
		h.tell(t, verdicts...)
		n := b.count(t)
		same(t, "left", []int64{int64(n.Sets["active"] + n.Sets["done"]), n.Meta["succeeded"]}, []int64{0, CallItems})
		same(t, "records", b.rdb.HLen(t.Context(), b.Key("jobs")).Val(), int64(0))
	})
}

// A call claims what fits its bytes, and one job at least (j1).
func TestClaimsAreBoundedByBytes(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		const mib = 1 << 20
		for _, size := range []int{mib + 1000, mib / 2, mib / 3, mib / 3, mib / 3, 2 * mib} {
			b.put(t, job(args(blob(size))))
		}
		h := b.engine(t)
		var got []int
		for {
			answer := h.call(t, Advance{Thread: 10})
			got = append(got, len(answer.Claims))
			if !answer.More[0] {
				break
			}
		}
		same(t, "claims of each call", got, []int{1, 2, 2, 1})
	})
}

// The bytes of a call are those of all it claims: parked jobs, a suspect, and ready ones of both lanes.
func TestBytesAreSharedByAllThatIsClaimed(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		large := args(blob(1 << 20))
		b.put(t, job(large, task("other")))
		h := b.engine(t)
		h.tell(t, park(h.claim(t, 1)[0]))
		b.put(t, job(large))
		b.put(t, job(large, reactor))
		var got []int
		for range 4 {
			got = append(got, len(h.call(t, Advance{Thread: 9, Reactor: 9, Suspect: true, Kinds: []string{"t/other"}}).Claims))
		}
		same(t, "claims of each call", got, []int{1, 1, 1, 0})
	})
}

// Broken jobs are set aside, and everything around them goes on.
func TestBrokenRecordsAreSetAside(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		items := make([]Item, 10)
		for i := range items {
			items[i] = job()
		}
		put := b.put(t, items...)
		jobs := b.Key("jobs")
		ctx := t.Context()
		good := string(items[0].Record)
		b.rdb.HDel(ctx, jobs, put[1])
		b.rdb.HSet(ctx, jobs, put[2], "", put[3], good[:13], put[4], "2"+good[1:], put[5], "1x"+good[2:], put[6], "1t?"+good[3:],
			put[7], good[:7]+"12.4"+good[11:], put[8], good[:11]+"0x1"+good[14:])
		h := b.engine(t)
		same(t, "claims", ids(h.claim(t, 10)), []string{items[0].ID, items[9].ID})
		for _, id := range put[1:9] {
			b.expect(t, id, "quarantine")
		}
		faults := b.rdb.HGetAll(ctx, b.Key("faults")).Val()
		if len(faults) != 8 || !strings.Contains(faults[put[1]], "missing") || !strings.Contains(faults[put[5]], "header") {
			t.Errorf("faults %q", faults)
		}
	})
}

// The same in a dead engine's hand, when given back, and when due.
func TestBrokenRecordsAreSetAsideEverywhere(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		ctx := t.Context()
		put := b.put(t, job(), job(), job(), job(), job(later(hour)), job(later(hour)))
		b.rewind(t, "due:thread", put[4], 1)
		b.rewind(t, "due:thread", put[5], 1)
		h, dead := b.engine(t), b.engine(t)
		b.rdb.HSet(ctx, b.Key("jobs"), put[4], "1x")
		dead.claim(t, 2)
		mine := h.claim(t, 2)
		b.rdb.HSet(ctx, b.Key("jobs"), put[0], "1x", mine[0].ID, "")
		b.rdb.HDel(ctx, b.Key("jobs"), put[1])
		verdict := back(mine[0])
		verdict.Head = ""
		h.tell(t, plain(mine[1]), verdict)
		b.kill(t, dead)
		b.sweep(t, dead)
		for _, id := range []string{put[0], put[1], mine[0].ID, put[4]} {
			b.expect(t, id, "quarantine")
		}
		same(t, "the sound one", ids(h.claim(t, 5)), []string{UnpackID(put[5])})
	})
}
