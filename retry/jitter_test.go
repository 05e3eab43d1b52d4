package retry_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/spooljobs/spool/retry"
)

// DZ-4: three retries, uniform in [0, d] for d = 1, 2, 4 s. The source decides.
func TestJitterFullSpansZeroToD(t *testing.T) {
	t.Parallel()
	base := retry.Times(3, retry.Exponential(time.Second, time.Minute))
	for _, tc := range []struct {
		random float64
		want   []time.Duration
	}{
		{0, seconds(1, 2, 4)},
		{.5, seconds(.5, 1, 2)},
		{1, seconds(0, 0, 0)},
	} {
		same(t, slices.Collect(retry.JitterFrom(base, retry.Full, func() float64 { return tc.random })), tc.want)
	}
	same(t, slices.Collect(retry.JitterFrom(base, .25, func() float64 { return 1 })), seconds(.75, 1.5, 3))
	same(t, slices.Collect(retry.Jitter(base, 0)), seconds(1, 2, 4))
}

// DZ-4: the values are spread evenly, not merely inside the range.
func TestJitterIsUniform(t *testing.T) {
	t.Parallel()
	const n, cells = 20_000, 10
	random := rand.New(rand.NewPCG(1, 2))
	var hits [cells]int
	for d := range retry.JitterFrom(retry.Times(n, retry.Constant(time.Second)), retry.Full, random.Float64) {
		hits[min(int(d*cells/time.Second), cells-1)]++
	}
	for i, got := range hits {
		if got < n/cells*9/10 || got > n/cells*11/10 {
			t.Errorf("cell %d has %d of %d values", i, got, n)
		}
	}
}

// Ranging again draws again.
func TestJitterIsFresh(t *testing.T) {
	t.Parallel()
	seq := retry.Jitter(retry.Times(20, retry.Constant(time.Hour)), retry.Full)
	if a, b := slices.Collect(seq), slices.Collect(seq); slices.Equal(a, b) {
		t.Errorf("two rangings gave the same %v", a)
	}
}

// A bad source cannot push a value out of [0, d].
func TestJitterBadSource(t *testing.T) {
	t.Parallel()
	for _, r := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -3, 7, math.MaxFloat64} {
		for d := range retry.JitterFrom(retry.Of(0, 1, time.Second, math.MaxInt64), .5, func() float64 { return r }) {
			if d < 0 {
				t.Errorf("source %v gives %v", r, d)
			}
		}
	}
}
