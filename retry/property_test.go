package retry_test

import (
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/spooljobs/spool/retry"
)

// Properties of the growing sequences, for any arguments:
//
//  1. the first value is first, clipped to the ceiling;
//  2. values never fall;
//  3. none is negative and none passes the ceiling;
//  4. once at the ceiling they stay there;
//  5. ranging again gives the same values.
func checkGrowth(t *testing.T, seq iter.Seq[time.Duration], begin, ceiling time.Duration) {
	t.Helper()
	got := first(200, seq)
	if len(got) != 200 {
		t.Fatalf("%d values, want no end", len(got))
	}
	if got[0] != min(begin, ceiling) {
		t.Errorf("starts with %d, want %d", got[0], min(begin, ceiling))
	}
	if !slices.IsSorted(got) {
		t.Errorf("values fall: %v", got)
	}
	if got[0] < 0 || got[199] > ceiling {
		t.Errorf("outside [0, %d]: %v", ceiling, got)
	}
	if i := slices.Index(got, ceiling); i >= 0 && got[199] != ceiling {
		t.Errorf("leaves the ceiling: %v", got[i:])
	}
	if again := first(200, seq); !slices.Equal(got, again) {
		t.Errorf("second ranging differs: %v, %v", got, again)
	}
}

func FuzzGrowth(f *testing.F) {
	f.Add(int64(5), int64(5), int64(60), 2.0)
	f.Add(int64(math.MaxInt64), int64(math.MaxInt64), int64(math.MaxInt64), math.MaxFloat64)
	f.Add(int64(1), int64(math.MaxInt64-1), int64(math.MaxInt64), math.Nextafter(1, 2))
	f.Add(int64(1)<<53+1, int64(1), int64(1)<<53+3, 1.0000001)
	f.Fuzz(func(t *testing.T, begin, step, ceiling int64, factor float64) {
		begin, step, ceiling = begin&math.MaxInt64, step&math.MaxInt64, ceiling&math.MaxInt64
		b, s, c := time.Duration(begin), time.Duration(step), time.Duration(ceiling)
		checkGrowth(t, retry.Linear(b, s, c), b, c)
		checkGrowth(t, retry.Doubling(retry.Now(false), retry.Results(200), retry.Init(b), retry.Ceiling(c)), b, c)
		if begin > 0 {
			checkGrowth(t, retry.Exponential(b, c), b, c)
			if factor >= 1 && !math.IsInf(factor, 0) {
				checkGrowth(t, retry.ExponentialBy(b, factor, c), b, c)
			}
		}
	})
}

// The same properties for arguments of every magnitude, and Jitter within
// [d - fraction*d, d] of its source.
func TestGrowthProperties(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	pick := func() time.Duration { return time.Duration(r.Uint64() >> (1 + r.IntN(63))) }
	for range 300 {
		begin, step, ceiling := pick(), pick(), pick()
		checkGrowth(t, retry.Linear(begin, step, ceiling), begin, ceiling)
		begin = max(begin, 1)
		seq := retry.ExponentialBy(begin, 1+r.ExpFloat64(), ceiling)
		checkGrowth(t, seq, begin, ceiling)

		fraction := r.Float64()
		exact := first(50, seq)
		for i, d := range first(50, retry.Jitter(seq, fraction)) {
			low := float64(exact[i])*(1-fraction) - 1
			if d > exact[i] || float64(d) < low*(1-1e-12) {
				t.Errorf("jitter %v of %d gives %d", fraction, exact[i], d)
			}
		}
		if t.Failed() {
			t.Fatalf("begin %d, step %d, ceiling %d", begin, step, ceiling)
		}
	}
}
