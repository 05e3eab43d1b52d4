package retry_test

import (
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/spooljobs/spool/retry"
)

// TW-22: whatever the order of the causes, each is answered as if it were alone.
// The zero Policy answers as Common does.
func TestCausesAreCountedApart(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		zero, common := retry.Policy{}.Begin(), retry.Common().Begin()
		conflicts, disconnects, troubles, retries := 0, 0, 0, 0
		for range 60 {
			var r report
			var wait time.Duration
			var again bool
			switch random.IntN(8) {
			case 0:
				r = conflict
				conflicts++
				again = conflicts < 5
			case 1:
				r = trouble
				troubles++
			default:
				r = disconnect
				disconnects++
				wait, again = min(time.Duration(disconnects)*5*time.Second, time.Minute), true
			}
			if again {
				retries++
			}
			for name, c := range map[string]*retry.Count{"zero": zero, "Common": common} {
				if w, a := r(c); w != wait || a != again {
					t.Fatalf("%s: got %v, %v, want %v, %v after %d conflicts, %d disconnects, %d troubles",
						name, w, a, wait, again, conflicts, disconnects, troubles)
				}
				if c.Conflicts() != conflicts || c.Disconnects() != disconnects || c.Troubles() != troubles || c.Attempts() != retries+1 {
					t.Fatalf("%s: reads %d, %d, %d, %d, want %d, %d, %d, %d", name, c.Conflicts(), c.Disconnects(), c.Troubles(), c.Attempts(),
						conflicts, disconnects, troubles, retries+1)
				}
			}
		}
	}
}

// One Policy, many calls at once: none sees what another has used.
func TestConcurrentBegin(t *testing.T) {
	t.Parallel()
	p := retry.Patient()
	p.Disconnects = retry.Of(1, 2, 3)
	p.Trouble = retry.Linear(0, time.Second, time.Minute)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				c := p.Begin()
				for i := range 3 {
					if wait, again := c.Conflict(); !again || wait > time.Second<<i {
						t.Errorf("conflict %d: %v, %v", i+1, wait, again)
					}
				}
				if _, again := c.Conflict(); again {
					t.Error("the fourth conflict is run again")
				}
				for i := range 70 {
					if wait, _ := c.Disconnect(); wait != time.Duration(min(i+1, 3)) {
						t.Errorf("disconnect %d: %v", i+1, wait)
					}
					if wait, _ := c.Trouble(); wait != time.Duration(min(i, 60))*time.Second {
						t.Errorf("trouble %d: %v", i+1, wait)
					}
				}
			}
		})
	}
	wg.Wait()
}

// The last value repeats, a wait below zero is none, and a sequence without
// values runs nothing again: in every place that takes a sequence.
func TestSequencesOfAPolicy(t *testing.T) {
	t.Parallel()
	below := slices.Values([]time.Duration{-1, 5, -7})
	once := func(yield func(time.Duration) bool) { yield(9) }
	for name, p := range map[string]struct {
		with func(iter.Seq[time.Duration]) retry.Policy
		r    report
	}{
		"ConflictWaits": {func(seq iter.Seq[time.Duration]) retry.Policy {
			return retry.Policy{Conflicts: retry.Unlimited, ConflictWaits: seq}
		}, conflict},
		"Disconnects": {func(seq iter.Seq[time.Duration]) retry.Policy { return retry.Policy{Disconnects: seq} }, disconnect},
		"Trouble":     {func(seq iter.Seq[time.Duration]) retry.Policy { return retry.Policy{Trouble: seq} }, trouble},
	} {
		t.Run(name, func(t *testing.T) {
			same(t, yes(t, p.with(retry.Of(1, 3, 2)).Begin(), 6, p.r), []time.Duration{1, 3, 2, 2, 2, 2})
			same(t, yes(t, p.with(once).Begin(), 40, p.r), repeat(40, 9))
			same(t, yes(t, p.with(below).Begin(), 5, p.r), []time.Duration{0, 5, 0, 0, 0})
			c := p.with(retry.Of()).Begin()
			no(t, c, p.r)
			no(t, c, p.r)
			same(t, yes(t, p.with(retry.Doubling()).Begin(), 12, p.r), seconds(0, .01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 2.56, 2.56))
		})
	}
}

// The waits before a limit are the sequence's, and the limit holds beyond its
// end. NoDisconnects wins over Disconnects.
func TestLimitAndWaits(t *testing.T) {
	t.Parallel()
	c := retry.Policy{Conflicts: 6, ConflictWaits: retry.Of(7, 8)}.Begin()
	same(t, yes(t, c, 5, conflict), []time.Duration{7, 8, 8, 8, 8})
	no(t, c, conflict)
	no(t, retry.Policy{Conflicts: 1, ConflictWaits: retry.Of(7)}.Begin(), conflict)
	same(t, yes(t, retry.Policy{ConflictWaits: retry.Constant(7)}.Begin(), 4, conflict), repeat(4, 7))

	p := retry.Common()
	p.NoDisconnects = true
	no(t, p.Begin(), disconnect)
}

// A long walk gives every value once and in order, wherever the sequence ends
// between two readings, and does not range over it again for each value.
func TestLongWalk(t *testing.T) {
	t.Parallel()
	for _, end := range []int{1, 15, 16, 17, 31, 32, 33, 2047, 2048, 2049, 10_000} {
		yielded := 0
		seq := func(yield func(time.Duration) bool) {
			for i := range end {
				yielded++
				if !yield(time.Duration(i)) {
					return
				}
			}
		}
		c := retry.Policy{Trouble: seq}.Begin()
		for i := range end + 100 {
			if wait, again := c.Trouble(); !again || wait != time.Duration(min(i, end-1)) {
				t.Fatalf("end %d: value %d is %v, %v", end, i, wait, again)
			}
		}
		if yielded > 6*end+16 {
			t.Errorf("end %d: the sequence was asked for %d values", end, yielded)
		}
	}
}

// A sequence that breaks the rule and can be ranged over only once is at its
// end when it gives no more.
func TestSpentSequence(t *testing.T) {
	t.Parallel()
	next := time.Duration(0)
	c := retry.Policy{Trouble: func(yield func(time.Duration) bool) {
		for next < 20 && yield(next) {
			next++
		}
	}}.Begin()
	got := yes(t, c, 40, trouble)
	same(t, got[:16], first(16, retry.Linear(0, 1, 100)))
	same(t, got[16:], repeat(24, 15))
}

// Fuzzed policies keep to what their fields say.
func FuzzConflicts(f *testing.F) {
	f.Add(0, int64(5), uint16(9), uint16(20))
	f.Add(-1, int64(-5), uint16(0), uint16(3))
	f.Add(100, int64(1), uint16(40), uint16(120))
	f.Fuzz(func(t *testing.T, limit int, step int64, end, reports uint16) {
		p := retry.Policy{Conflicts: limit, ConflictWaits: func(yield func(time.Duration) bool) {
			for i := range int64(end) {
				if !yield(time.Duration(step * i)) {
					return
				}
			}
		}}
		if p.Check() != nil {
			if limit >= -1 {
				t.Errorf("%d is refused", limit)
			}
			return
		}
		if limit == 0 {
			limit = 5
		}
		c := p.Begin()
		for i := range int64(reports) {
			wait, again := c.Conflict()
			if want := end > 0 && (limit == -1 || i+1 < int64(limit)); again != want {
				t.Fatalf("conflict %d: %v, want %v", i+1, again, want)
			}
			if want := max(time.Duration(step*min(i, int64(end)-1)), 0); again && wait != want {
				t.Fatalf("conflict %d: wait %v, want %v", i+1, wait, want)
			}
		}
	})
}
