package retry_test

import (
	"iter"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spooljobs/spool/retry"
)

// first collects at most n values.
func first(n int, seq iter.Seq[time.Duration]) []time.Duration {
	return slices.Collect(retry.Times(n, seq))
}

// seconds reads a list of seconds as durations.
func seconds(list ...float64) []time.Duration {
	var out []time.Duration
	for _, s := range list {
		out = append(out, time.Duration(math.Round(s*1e9)))
	}
	return out
}

func same(t *testing.T, got, want []time.Duration) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// RC-2, H01: the ten default values, twice from the same sequence (RC-1: the
// first attempt too is preceded by a delay, here zero).
func TestDoublingDefaults(t *testing.T) {
	t.Parallel()
	seq := retry.Doubling()
	want := seconds(0, .01, .02, .04, .08, .16, .32, .64, 1.28, 2.56)
	for range 2 {
		got := slices.Collect(seq)
		same(t, got, want)
		var sum time.Duration
		for _, d := range got {
			sum += d
		}
		if sum != 5110*time.Millisecond {
			t.Errorf("the waits sum to %v, want 5.11s", sum)
		}
	}
}

// RC-2, H01: the parameters.
func TestDoublingParameters(t *testing.T) {
	t.Parallel()
	plus := func(d time.Duration) time.Duration { return d + 3*time.Second }
	times := func(d time.Duration) time.Duration { return d * 3 }
	for _, tc := range []struct {
		name string
		opts []retry.Option
		want []time.Duration
	}{
		{"not now, one result, first 7", []retry.Option{retry.Now(false), retry.Results(1), retry.Init(7 * time.Second)}, seconds(7)},
		{"now, one result: the zero counts", []retry.Option{retry.Results(1)}, seconds(0)},
		{"x3 from 1, ceiling 10", []retry.Option{retry.Now(false), retry.Results(5), retry.Init(time.Second), retry.Inc(times), retry.Ceiling(10 * time.Second)}, seconds(1, 3, 9, 10, 10)},
		{"+3 from 2", []retry.Option{retry.Now(false), retry.Results(3), retry.Init(2 * time.Second), retry.Inc(plus)}, seconds(2, 5, 8)},
		{"first above ceiling", []retry.Option{retry.Results(3), retry.Init(time.Hour), retry.Ceiling(time.Second)}, seconds(0, 1, 1)},
		{"later option wins", []retry.Option{retry.Results(9), retry.Results(2)}, seconds(0, .01)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			same(t, slices.Collect(retry.Doubling(tc.opts...)), tc.want)
		})
	}
}

// RC-2, H01: of twenty values the 15th is 81.92 s, the 16th and later 120 s.
func TestDoublingReachesCeiling(t *testing.T) {
	t.Parallel()
	got := slices.Collect(retry.Doubling(retry.Results(20)))
	if len(got) != 20 {
		t.Fatalf("%d values, want 20", len(got))
	}
	same(t, got[14:], seconds(81.92, 120, 120, 120, 120, 120))
}

// RC-2: an increment that overflows or shrinks gives the ceiling, and is not
// asked for anything at the ceiling.
func TestDoublingOverflow(t *testing.T) {
	t.Parallel()
	same(t, first(3, retry.Doubling(retry.Now(false), retry.Init(math.MaxInt64/2+1), retry.Ceiling(retry.NoCeiling))),
		[]time.Duration{math.MaxInt64/2 + 1, math.MaxInt64, math.MaxInt64})
	inc := func(d time.Duration) time.Duration {
		if d >= 10 {
			t.Errorf("inc(%v) was asked for at the ceiling", d)
		}
		return -1
	}
	same(t, slices.Collect(retry.Doubling(retry.Now(false), retry.Results(4), retry.Init(1), retry.Ceiling(10), retry.Inc(inc))),
		[]time.Duration{1, 10, 10, 10})
}

// RC-3: any list will do, and an empty one is empty, not the default.
func TestOf(t *testing.T) {
	t.Parallel()
	list := seconds(3, 0, 1)
	seq := retry.Of(list...)
	list[0] = time.Hour
	same(t, slices.Collect(seq), seconds(3, 0, 1))
	same(t, slices.Collect(seq), seconds(3, 0, 1))
	if got := slices.Collect(retry.Of()); len(got) != 0 {
		t.Errorf("Of() gives %v, want nothing", got)
	}
}

// TW-19: 5, 10 ... 55, 60, 60, and 4/2/21, where a step that would pass the
// ceiling is clipped. RP-2 and RP-10 use 5/5/60, RP-3 0/1/60.
func TestLinear(t *testing.T) {
	t.Parallel()
	const s = time.Second
	same(t, first(14, retry.Linear(5*s, 5*s, 60*s)), seconds(5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 60, 60))
	same(t, first(11, retry.Linear(4*s, 2*s, 21*s)), seconds(4, 6, 8, 10, 12, 14, 16, 18, 20, 21, 21))
	got := first(63, retry.Linear(0, s, 60*s))
	same(t, got[:3], seconds(0, 1, 2))
	same(t, got[58:], seconds(58, 59, 60, 60, 60))
	same(t, first(2, retry.Linear(9*s, s, 3*s)), seconds(3, 3))
	same(t, first(2, retry.Linear(s, 0, 3*s)), seconds(1, 1))
	same(t, first(3, retry.Linear(1, math.MaxInt64, retry.NoCeiling)), []time.Duration{1, math.MaxInt64, math.MaxInt64})
}

func TestExponential(t *testing.T) {
	t.Parallel()
	const s = time.Second
	same(t, first(5, retry.Exponential(s, 10*s)), seconds(1, 2, 4, 8, 10))
	same(t, first(5, retry.ExponentialBy(s, 3, 10*s)), seconds(1, 3, 9, 10, 10))
	same(t, first(3, retry.ExponentialBy(s, 1, 10*s)), seconds(1, 1, 1))
	same(t, first(2, retry.Exponential(9*s, s)), seconds(1, 1))
	same(t, first(2, retry.Exponential(s, 0)), seconds(0, 0))
	// Small values must not be rounded to a standstill.
	same(t, first(6, retry.ExponentialBy(1, 1.2, 100)), []time.Duration{1, 1, 1, 2, 2, 2})
	if d, _ := retry.Nth(retry.Exponential(1, retry.NoCeiling), 63); d != 1<<62 {
		t.Errorf("the 63rd double of 1ns is %d, want 2^62", d)
	}
	if d, _ := retry.Nth(retry.Exponential(1, retry.NoCeiling), 1000); d != retry.NoCeiling {
		t.Errorf("the 1000th double of 1ns is %d, want the ceiling", d)
	}
}

func TestConstantTimesNth(t *testing.T) {
	t.Parallel()
	same(t, first(3, retry.Constant(time.Second)), seconds(1, 1, 1))
	if got := first(0, retry.Constant(1)); len(got) != 0 {
		t.Errorf("Times(0) gives %v", got)
	}
	same(t, first(5, retry.Of(1, 2)), []time.Duration{1, 2})
	for n, want := range map[int]time.Duration{1: 5, 2: 7, 3: 0} {
		if got, ok := retry.Nth(retry.Of(5, 7), n); got != want || ok != (want != 0) {
			t.Errorf("Nth(%d) = %v, %v", n, got, ok)
		}
	}
}

// Times must not draw a value it will not give: a source may have effects.
func TestTimesAsksForNoMore(t *testing.T) {
	t.Parallel()
	asked := 0
	source := func(yield func(time.Duration) bool) {
		for asked++; yield(1); asked++ {
		}
	}
	first(3, source)
	if asked != 3 {
		t.Errorf("asked %d times for 3 values", asked)
	}
}

// Whoever leaves the loop early must be able to: a constructor that goes on
// after yield said false panics the program.
func TestBreak(t *testing.T) {
	t.Parallel()
	for name, seq := range everySequence() {
		for stop := range 4 {
			n := 0
			for range seq {
				if n == stop {
					break
				}
				n++
			}
			if n != stop {
				t.Errorf("%s: left after %d values, want %d", name, n, stop)
			}
		}
	}
}

// Sequences hold no state: many goroutines see the same values.
func TestConcurrentRanging(t *testing.T) {
	t.Parallel()
	for name, seq := range everySequence() {
		want := first(50, seq)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if got := first(50, seq); name != "Jitter" && !slices.Equal(got, want) {
					t.Errorf("%s: got %v, want %v", name, got, want)
				}
			})
		}
		wg.Wait()
	}
}

func everySequence() map[string]iter.Seq[time.Duration] {
	return map[string]iter.Seq[time.Duration]{
		"Constant":      retry.Constant(5),
		"Of":            retry.Of(5, 4, 3, 2, 1),
		"Times":         retry.Times(5, retry.Constant(1)),
		"Linear":        retry.Linear(0, 3, 20),
		"Exponential":   retry.Exponential(1, 100),
		"ExponentialBy": retry.ExponentialBy(10, 1.5, 100),
		"Doubling":      retry.Doubling(),
		"Jitter":        retry.Jitter(retry.Linear(0, 3, 20), retry.Full),
	}
}

// Every senseless argument panics, and the message names it.
func TestRefusals(t *testing.T) {
	t.Parallel()
	ok := retry.Constant(1)
	for want, call := range map[string]func(){
		"Constant: d":             func() { retry.Constant(-1) },
		"Of: list[1]":             func() { retry.Of(0, -1) },
		"Times: n":                func() { retry.Times(-1, ok) },
		"Times: seq":              func() { retry.Times(1, nil) },
		"Nth: n":                  func() { retry.Nth(ok, 0) },
		"Nth: seq":                func() { retry.Nth(nil, 1) },
		"Linear: first":           func() { retry.Linear(-1, 0, 0) },
		"Linear: step":            func() { retry.Linear(0, -1, 0) },
		"Linear: ceiling":         func() { retry.Linear(0, 0, -1) },
		"Exponential: first":      func() { retry.Exponential(0, 1) },
		"Exponential: ceiling":    func() { retry.Exponential(1, -1) },
		"ExponentialBy: first":    func() { retry.ExponentialBy(-1, 2, 1) },
		"ExponentialBy: factor":   func() { retry.ExponentialBy(1, math.NaN(), 1) },
		"ExponentialBy: factor m": func() { retry.ExponentialBy(1, math.Inf(1), 1) },
		"ExponentialBy: factor mu": func() {
			retry.ExponentialBy(1, .999, 1)
		},
		"Results: n":           func() { retry.Results(0) },
		"Init: d":              func() { retry.Init(-1) },
		"Ceiling: d":           func() { retry.Ceiling(-1) },
		"Inc: next":            func() { retry.Inc(nil) },
		"Jitter: seq":          func() { retry.Jitter(nil, 1) },
		"Jitter: fraction":     func() { retry.Jitter(ok, math.NaN()) },
		"Jitter: fraction m":   func() { retry.Jitter(ok, 1.01) },
		"JitterFrom: fraction": func() { retry.JitterFrom(ok, -.01, func() float64 { return 0 }) },
		"JitterFrom: random":   func() { retry.JitterFrom(ok, 1, nil) },
		"PatientFrom: random":  func() { retry.PatientFrom(nil) },
	} {
		t.Run(want, func(t *testing.T) {
			defer func() {
				msg, _ := recover().(string)
				if !strings.HasPrefix(msg, "retry: "+want) {
					t.Errorf("panic says %q, want it to start with %q", msg, "retry: "+want)
				}
			}()
			call()
		})
	}
}
