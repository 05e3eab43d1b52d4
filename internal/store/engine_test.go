package store

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"
)

func TestRegisterGivesRisingNumbersAndTheSameOneAgain(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		first, second := b.engine(t), b.engine(t)
		if second.Number <= first.Number {
			t.Errorf("number %d after %d", second.Number, first.Number)
		}
		again, err := b.Register(t.Context(), first.UUID, hour, nil)
		if err != nil || again.Number != first.Number {
			t.Errorf("again: %+v, %v", again, err)
		}
		if err := b.Leave(t.Context(), second.Engine); err != nil {
			t.Fatal(err)
		}
		if third := b.engine(t); third.Number <= second.Number {
			t.Errorf("a number was given twice: %d", third.Number)
		}
	})
}

// A registration whose answer was lost for so long that the engine was declared dead is repeated under the same uuid.
func TestRegisterAgainWhileTheFormerRegistrationDies(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		first := b.engine(t)
		b.kill(t, first)
		again, err := b.Register(t.Context(), first.UUID, hour, []byte{0x80})
		if err != nil || again.Number == first.Number {
			t.Fatalf("%+v, %v", again, err)
		}
		if problems, err := Check(t.Context(), b.rdb, b.prefix); err != nil || problems != nil {
			t.Errorf("%v, %v", problems, err)
		}
		b.sweep(t, first)
		third, err := b.Register(t.Context(), first.UUID, hour, nil)
		if err != nil || third.Number != again.Number {
			t.Errorf("%+v, %v", third, err)
		}
	})
}

func TestBeatRenewsAndNeverCreates(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		b.put(t, job(), job())
		h := b.engine(t)
		h.claim(t, 2)
		b.rewind(t, "engines", h.name, 1)
		for range 2 {
			pulse, err := b.Beat(t.Context(), h.Engine, hour, 0)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "held", pulse.Held, 2)
			if score := b.rdb.ZScore(t.Context(), b.Key("engines"), h.name).Val(); int64(score) < pulse.Now+hour {
				t.Errorf("it counts as dead from %v on", score)
			}
		}
	})
}

// Only who may judge declares others dead, ten a beat; never itself.
func TestBeatDeclaresTheSilentDead(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		h := b.engine(t)
		for range 12 {
			silent := b.engine(t)
			b.rewind(t, "engines", silent.name, 1)
		}
		b.rewind(t, "engines", h.name, 1)
		var got []int
		for _, judge := range []int64{0, forEver, forEver} {
			pulse, err := b.Beat(t.Context(), h.Engine, hour, judge)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, int(b.rdb.ZCard(t.Context(), b.Key("dying")).Val()))
			if len(pulse.Dying) > 10 || slices.Contains(pulse.Dying, h.name) {
				t.Errorf("dying: %v", pulse.Dying)
			}
		}
		same(t, "dying after each beat", got, []int{0, 10, 12})
	})
}

// The right to judge ends at a moment of the server's clock: one that has jumped past it makes nobody dead.
func TestJudgingEndsAtItsMoment(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		h, silent := b.engine(t), b.engine(t)
		b.rewind(t, "engines", silent.name, 1)
		now := b.count(t).Now
		for _, c := range []struct{ until, dying int64 }{{now - 1, 0}, {now + hour, 1}} {
			if _, err := b.Beat(t.Context(), h.Engine, hour, c.until); err != nil {
				t.Fatal(err)
			}
			same(t, "dying", b.rdb.ZCard(t.Context(), b.Key("dying")).Val(), c.dying)
		}
	})
}

// A marker that died with who took it is set again by a beat, if there is work.
func TestBeatSetsAMarkerOnlyWhereThereIsWork(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		ctx := t.Context()
		h := b.engine(t)
		beat := func() (markers [2]int64) {
			t.Helper()
			b.rdb.Del(ctx, b.Key("wake:thread"), b.Key("wake:reactor"))
			for range 2 {
				if _, err := b.Beat(ctx, h.Engine, hour, 0); err != nil {
					t.Fatal(err)
				}
			}
			return [2]int64{b.rdb.LLen(ctx, b.Key("wake:thread")).Val(), b.rdb.LLen(ctx, b.Key("wake:reactor")).Val()}
		}
		same(t, "idle", beat(), [2]int64{})
		due := b.put(t, job(later(hour)), job(reactor))
		same(t, "one ready", beat(), [2]int64{0, 1})
		b.rewind(t, "due:thread", due[0], 1)
		same(t, "and one due", beat(), [2]int64{1, 1})
		h.call(t, Advance{Thread: 5, Reactor: 5})
		same(t, "all claimed", beat(), [2]int64{})
		b.kill(t, h)
		b.sweep(t, h)
		b.interrupt(t, 1)
		h = b.engine(t)
		same(t, "a suspect", beat(), [2]int64{1, 1})
	})
}

func TestBeatNames20Kinds(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		var items []Item
		for i := range 25 {
			items = append(items, job(task(fmt.Sprintf("t%02d", i))), job(task(fmt.Sprintf("t%02d", i))))
		}
		b.put(t, items...)
		h := b.engine(t)
		var verdicts []Verdict
		for _, c := range h.claim(t, 100) {
			verdicts = append(verdicts, park(c))
		}
		h.tell(t, verdicts...)
		pulse, err := b.Beat(t.Context(), h.Engine, hour, 0)
		if err != nil || len(pulse.Parked) != 20 || len(slices.Compact(pulse.Parked)) != 20 {
			t.Errorf("%v, %v", pulse.Parked, err)
		}
	})
}

func TestLeaveWithAndWithoutJobs(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		put := b.put(t, job(), job())
		empty, busy := b.engine(t), b.engine(t)
		busy.claim(t, 1)
		b.rdb.Del(t.Context(), b.Key("wake:thread"))
		for _, h := range []*hand{empty, busy} {
			if err := b.Leave(t.Context(), h.Engine); err != nil {
				t.Fatal(err)
			}
		}
		same(t, "dying", b.rdb.ZRange(t.Context(), b.Key("dying"), 0, -1).Val(), []string{busy.name})
		same(t, "a marker it may have taken is set again", b.rdb.LLen(t.Context(), b.Key("wake:thread")).Val(), int64(1))
		b.sweep(t, busy)
		b.expect(t, put[0], "ready:thread")
	})
}

// First interruption: back to its rank. From the second on: a suspect. More than allowed: aborted.
func TestSweepCountsInterruptions(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		put := b.put(t, job(allowed('0')), job(allowed('2')), job(allowed(InterruptedForEver)))
		want := [][]string{{"done", "ready:thread", "ready:thread"}, {"done", "suspect:thread", "suspect:thread"}, {"done", "done", "suspect:thread"}}
		for _, states := range want {
			h := b.engine(t)
			for more := true; more; {
				more = len(h.claim(t, 10)) > 0
			}
			b.kill(t, h)
			b.sweep(t, h)
			for i, state := range states {
				b.expect(t, put[i], state)
			}
		}
		sight, err := b.Show(t.Context(), UnpackID(put[1]))
		if err != nil {
			t.Fatal(err)
		}
		if o, err := DecodeOutcome(sight.Outcome); err != nil || o.Kind != Aborted || o.Interruptions != 3 || o.Attempts != 0 {
			t.Errorf("outcome %+v, %v", o, err)
		}
		n := b.count(t).Meta
		same(t, "counters", []int64{n["interrupted"], n["aborted"]}, []int64{7, 2})
	})
}

func TestSweepIsSlicedAndStandsRepeats(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		items := make([]Item, 120)
		for i := range items {
			items[i] = job()
		}
		put := b.put(t, items...)
		b.put(t, job(args(blob(1<<20))), job(args(blob(1<<20))))
		h := b.engine(t)
		h.claim(t, 120)
		for h.claim(t, 5) != nil {
		}
		b.kill(t, h)
		var moved []int
		for more := true; more; {
			n, again, err := b.Sweep(t.Context(), h.name, hour)
			if err != nil {
				t.Fatal(err)
			}
			moved, more = append(moved, n), again
		}
		same(t, "moved by each call", moved, []int{100, 20, 1, 1, 0})
		same(t, "order", ids(b.engine(t).claim(t, 120))[:120], idsOf(put))
	})
}

func idsOf(stored []string) []string {
	found := make([]string, len(stored))
	for i, id := range stored {
		found[i] = UnpackID(id)
	}
	return found
}

// A dead engine's range ends where the next one's begins.
func TestSweepLeavesNeighboursAlone(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		put := b.put(t, job(), job(), job())
		before, dead, after := b.engine(t), b.engine(t), b.engine(t)
		before.n, dead.n, after.n = 1<<24-2, 1<<24-2, 1<<24-1 // the last token of the range, and 0 of the next
		for _, h := range []*hand{before, dead, after} {
			h.claim(t, 1)
		}
		held, err := b.Owned(t.Context(), after.Engine, 0)
		if err != nil || len(held) != 1 || held[0].Token != after.Number<<claimBits {
			t.Fatalf("held %+v, %v", held, err)
		}
		b.kill(t, dead)
		b.sweep(t, dead)
		for i, state := range []string{"active", "ready:thread", "active"} {
			b.expect(t, put[i], state)
		}
	})
}

// An engine holds one suspect at a time, and a suspect stays one, in whichever way it comes back (c7).
func TestSuspectStaysOneWhenItComesBack(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		put := b.put(t, job(), job(), job())
		h := b.engine(t)
		h.claim(t, 3)
		b.kill(t, h)
		b.sweep(t, h)
		h = b.engine(t)
		h.claim(t, 3)
		b.kill(t, h)
		b.sweep(t, h)
		for _, id := range put {
			b.expect(t, id, "suspect:thread")
		}
		h = b.engine(t)
		first := h.claim(t, 9)
		same(t, "claimed", len(first), 1)
		same(t, "none while one is held", len(h.call(t, Advance{Thread: 9}).Claims), 0)
		second := b.engine(t).claim(t, 9)
		same(t, "another engine has its own", len(second), 1)
		b.rdb.Del(t.Context(), b.Key("wake:thread"))
		h.tell(t, back(first[0]))
		b.expect(t, first[0].ID, "suspect:thread")
		same(t, "a marker", b.rdb.LLen(t.Context(), b.Key("wake:thread")).Val(), int64(1))
		first = h.claim(t, 9)
		h.tell(t, retry(first[0], 0))
		b.expect(t, first[0].ID, "suspect:thread")
		first = h.claim(t, 9)
		h.tell(t, retry(first[0], hour))
		b.expect(t, first[0].ID, "due:thread")
		b.rewind(t, "due:thread", first[0].ID, 1)
		h.tell(t)
		b.expect(t, first[0].ID, "suspect:thread")
	})
}

// One for both lanes together.
func TestSuspectsOfBothLanes(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		put := b.put(t, job(), job(reactor))
		for range 2 {
			h := b.engine(t)
			for range 2 {
				h.call(t, Advance{Thread: 5, Reactor: 5, Suspect: true})
				h.call(t, Advance{Thread: 5, Reactor: 5, Suspect: true})
			}
			b.kill(t, h)
			b.sweep(t, h)
		}
		b.expect(t, put[0], "suspect:thread")
		b.expect(t, put[1], "suspect:reactor")
		h := b.engine(t)
		same(t, "claims", len(h.call(t, Advance{Thread: 5, Reactor: 5, Suspect: true}).Claims), 1)
	})
}

func TestOwnedPages(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		items := make([]Item, CallItems)
		for i := range items {
			items[i] = job()
		}
		b.put(t, items...)
		b.put(t, job(own("x")))
		h := b.engine(t)
		h.claim(t, CallItems)
		h.claim(t, CallItems)
		first, err := b.Owned(t.Context(), h.Engine, 0)
		if err != nil {
			t.Fatal(err)
		}
		rest, err := b.Owned(t.Context(), h.Engine, len(first))
		if err != nil || len(first) != CallItems {
			t.Fatalf("%d and %d, %v", len(first), len(rest), err)
		}
		same(t, "rest", rest, []Held{{"x", h.Token(2)}})
	})
}

// 100 jobs a page, and by bytes.
func TestAdoptPages(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		var items []Item
		for i := range 130 {
			size := 10
			if i < 3 {
				size = 400_000
			}
			items = append(items, job(args(blob(size)), own(fmt.Sprintf("%03d", i))))
		}
		for _, it := range items {
			b.put(t, it)
		}
		h := b.engine(t)
		// One call could not have claimed as much: the token is made the same by hand.
		for len(h.claim(t, 200)) > 0 {
		}
		for _, id := range b.rdb.ZRange(t.Context(), b.Key("active"), 0, -2).Val() {
			b.rewind(t, "active", id, h.Token(1))
		}
		var pages []int
		var got []string
		for more := true; more && len(got) < 200; {
			page, again, err := b.Adopt(t.Context(), h.Engine, 1, len(got))
			if err != nil {
				t.Fatal(err)
			}
			more = again
			pages, got = append(pages, len(page)), append(got, ids(page)...)
		}
		same(t, "pages", pages, []int{2, 100, 28, 0})
		slices.Sort(got)
		same(t, "all of them", len(slices.Compact(got)), 130)
	})
}

func TestTokensAreExactAndApart(t *testing.T) {
	seen := make(map[int64]bool)
	for _, number := range []int64{1, 2, 1 << 10, 1<<29 - 1} {
		e := newEngine(number, uuid.NewString())
		for _, n := range []uint64{0, 1, 1<<24 - 1} {
			token := e.Token(n)
			if seen[token] || token>>claimBits != number || token >= 1<<53 || int64(float64(token)) != token {
				t.Errorf("engine %d, call %d: token %d", number, n, token)
			}
			seen[token] = true
		}
		if e.Token(1<<24+7) != e.Token(7) {
			t.Error("call numbers do not wrap")
		}
	}
}
