package retry_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spooljobs/spool/retry"
)

// report is one of the three methods of a Count.
type report func(*retry.Count) (time.Duration, bool)

var (
	conflict   report = (*retry.Count).Conflict
	disconnect report = (*retry.Count).Disconnect
	trouble    report = (*retry.Count).Trouble
)

// yes reports n times, wants to hear yes each time, and gives the waits.
func yes(t *testing.T, c *retry.Count, n int, r report) []time.Duration {
	t.Helper()
	var waits []time.Duration
	for i := range n {
		wait, again := r(c)
		if !again {
			t.Fatalf("report %d of %d: no, want yes", i+1, n)
		}
		waits = append(waits, wait)
	}
	return waits
}

// no reports once and wants to hear no.
func no(t *testing.T, c *retry.Count, r report) {
	t.Helper()
	if wait, again := r(c); again || wait != 0 {
		t.Errorf("got %v, %v, want a no without a wait", wait, again)
	}
}

// repeat gives n times d.
func repeat(n int, d time.Duration) []time.Duration {
	return slices.Repeat([]time.Duration{d}, n)
}

// fiveToSixty gives the first n of the waits 5, 10 ... 60, 60 s, n being at
// least 11.
func fiveToSixty(n int) []time.Duration {
	return append(seconds(5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55), repeat(n-11, time.Minute)...)
}

// C05, RP-2, DZ-5: a report means the same from the function and from the
// commit, so both are one method.
func TestCommonByItself(t *testing.T) {
	t.Parallel()
	c := retry.Common().Begin()
	same(t, yes(t, c, 4, conflict), repeat(4, 0))
	no(t, c, conflict)
	no(t, c, conflict) // at commit, with the same data

	c = retry.Common().Begin() // fresh data, at commit
	same(t, yes(t, c, 4, conflict), repeat(4, 0))
	no(t, c, conflict)

	c = retry.Common().Begin()
	same(t, yes(t, c, 50, disconnect), fiveToSixty(50))
	same(t, yes(t, c, 1, disconnect), seconds(60)) // at commit
	no(t, c, trouble)
}

// C08, RP-3.
func TestForever(t *testing.T) {
	t.Parallel()
	c := retry.Forever().Begin()
	same(t, yes(t, c, 50, conflict), repeat(50, 0))
	same(t, yes(t, c, 50, disconnect), fiveToSixty(50))
	odd := yes(t, c, 50, trouble)
	for i, wait := range odd {
		if wait != time.Duration(i)*time.Second {
			t.Errorf("wait %d is %v, want %ds", i+1, wait, i)
		}
	}
	odd = append(odd, yes(t, c, 3000, trouble)...)
	same(t, odd[57:60], seconds(57, 58, 59))
	same(t, odd[60:], repeat(2990, time.Minute)) // the 61st and all later
}

// C08, RP-4: the body is entered once.
func TestNever(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]report{"conflict": conflict, "disconnect": disconnect, "trouble": trouble} {
		t.Run(name, func(t *testing.T) {
			c := retry.Never().Begin()
			no(t, c, r)
			no(t, c, r)
			if got := c.Attempts(); got != 1 {
				t.Errorf("%d attempts, want 1", got)
			}
		})
	}
}

// A04, TW-12 to TW-17: five attempts, ten, and 51 of which the last succeeds.
func TestLimits(t *testing.T) {
	t.Parallel()
	if got := retry.Common().Conflicts; got != 5 {
		t.Errorf("the default reads %d, want 5", got)
	}
	for _, limit := range []int{1, 2, 5, 10} {
		c := retry.Policy{Conflicts: limit}.Begin()
		same(t, yes(t, c, limit-1, conflict), first(limit-1, retry.Constant(0)))
		no(t, c, conflict)
		if c.Attempts() != limit || c.Conflicts() != limit {
			t.Errorf("%d attempts, %d conflicts, want %d", c.Attempts(), c.Conflicts(), limit)
		}
	}
	c := retry.Policy{Conflicts: retry.Unlimited}.Begin()
	same(t, yes(t, c, 50, conflict), repeat(50, 0))
	if c.Attempts() != 51 || c.Conflicts() != 50 {
		t.Errorf("%d attempts, %d conflicts, want 51 and 50", c.Attempts(), c.Conflicts())
	}
}

// A07, TW-18, TW-19: thirty disconnects, although the conflict limit is 5.
func TestThirtyDisconnects(t *testing.T) {
	t.Parallel()
	c := retry.Common().Begin()
	got := yes(t, c, 30, disconnect)
	same(t, got, append(seconds(5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55), repeat(19, time.Minute)...))
	var sum time.Duration
	for _, d := range got {
		sum += d
	}
	if sum != 1470*time.Second {
		t.Errorf("the waits sum to %v, want 1470s", sum)
	}

	c = retry.Policy{Disconnects: retry.Linear(4*time.Second, 2*time.Second, 21*time.Second)}.Begin()
	same(t, yes(t, c, 30, disconnect), append(seconds(4, 6, 8, 10, 12, 14, 16, 18, 20), repeat(21, 21*time.Second)...))
}

// RP-10: the utility loops are policies too.
func TestUtilityLoops(t *testing.T) {
	t.Parallel()
	five := retry.Policy{NoDisconnects: true}.Begin()
	yes(t, five, 4, conflict)
	no(t, five, conflict)
	no(t, five, disconnect)
	no(t, five, trouble)

	neverFail := retry.Forever()
	neverFail.Trouble = neverFail.Disconnects
	c := neverFail.Begin()
	same(t, yes(t, c, 40, trouble), fiveToSixty(40))
	same(t, yes(t, c, 40, disconnect), fiveToSixty(40))
	same(t, yes(t, c, 40, conflict), repeat(40, 0))
}

// DZ-4, D03: three retries within 1, 2 and 4 s. The waits are the source's
// numbers in order, and none is drawn in vain.
func TestPatient(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		script []float64 // JitterFrom shortens by these
		want   []time.Duration
	}{
		{[]float64{0, 0, 0}, seconds(1, 2, 4)},
		{[]float64{1, 1, 1}, seconds(0, 0, 0)},
		{[]float64{.5, .5, .5}, seconds(.5, 1, 2)},
		{[]float64{0, .5, .25}, seconds(1, 1, 3)},
		{[]float64{math.Inf(1), math.Inf(-1), 7}, seconds(0, 2, 0)}, // a bad source stays in bounds
	} {
		left := tc.script
		c := retry.PatientFrom(func() float64 {
			r := left[0]
			left = left[1:]
			return r
		}).Begin()
		same(t, yes(t, c, 3, conflict), tc.want)
		no(t, c, conflict)
		if c.Attempts() != 4 || len(left) != 0 {
			t.Errorf("%d attempts, %d numbers left, want 4 and none", c.Attempts(), len(left))
		}
		same(t, yes(t, c, 30, disconnect), fiveToSixty(30))
		no(t, c, trouble)
	}

	more := retry.PatientFrom(func() float64 { return 0 })
	more.Conflicts = 9
	same(t, yes(t, more.Begin(), 8, conflict), seconds(1, 2, 4, 8, 16, 32, 60, 60))
}

// DZ-4: the default source draws afresh for every call, inside the bounds.
func TestPatientDrawsAfresh(t *testing.T) {
	t.Parallel()
	p := retry.Patient()
	seen := map[time.Duration]bool{}
	for range 100 {
		for i, wait := range yes(t, p.Begin(), 3, conflict) {
			if top := time.Second << i; wait < 0 || wait > top {
				t.Errorf("wait %d is %v, beyond %v", i+1, wait, top)
			}
			seen[wait] = true
		}
	}
	if len(seen) < 290 {
		t.Errorf("only %d different waits of 300", len(seen))
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, good := range []retry.Policy{{}, {Conflicts: 1}, {Conflicts: math.MaxInt}, retry.Common(), retry.Forever(), retry.Never(), retry.Patient()} {
		if err := good.Check(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	for _, n := range []int{-2, math.MinInt} {
		bad := retry.Policy{Conflicts: n}
		err := bad.Check()
		if err == nil || !strings.HasPrefix(err.Error(), "retry: Policy: Conflicts must be ") {
			t.Fatalf("Conflicts %d: %v, want an error that names the field", n, err)
		}
		func() {
			defer func() {
				if got := recover(); got != err.Error() {
					t.Errorf("Begin panics with %v, want %q", got, err)
				}
			}()
			bad.Begin()
		}()
	}
	// An endless sequence, or one that counts its draws, is left alone.
	asked := retry.Policy{ConflictWaits: func(func(time.Duration) bool) { t.Error("Check or Begin ranged") }}
	if err := asked.Check(); err != nil {
		t.Error(err)
	}
	asked.Begin()
}
