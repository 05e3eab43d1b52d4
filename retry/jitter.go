package retry

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"time"
)

// Full is the fraction for which Jitter spreads a value d over all of [0, d].
const Full = 1.0

// Jitter shortens every value d of seq by a random part: what it gives is
// uniform in [d - fraction*d, d]. It never lengthens, so a ceiling stays one.
// Each ranging draws afresh. Jitter panics if seq is nil or fraction is outside
// [0, 1].
func Jitter(seq iter.Seq[time.Duration], fraction float64) iter.Seq[time.Duration] {
	return jitter("Jitter", seq, fraction, rand.Float64)
}

// JitterFrom is Jitter with its own source of random numbers in [0, 1), one
// call for each value. The sequence is as safe for concurrent use as random is:
// the Float64 method of a rand.Rand is not. JitterFrom panics if random is nil.
func JitterFrom(seq iter.Seq[time.Duration], fraction float64, random func() float64) iter.Seq[time.Duration] {
	if random == nil {
		panic("retry: JitterFrom: random must not be nil")
	}
	return jitter("JitterFrom", seq, fraction, random)
}

func jitter(name string, seq iter.Seq[time.Duration], fraction float64, random func() float64) iter.Seq[time.Duration] {
	notNil(name, seq)
	if !(fraction >= 0 && fraction <= 1) { // written so that NaN fails too
		panic(fmt.Sprintf("retry: %s: fraction must be in [0, 1], got %v", name, fraction))
	}
	return func(yield func(time.Duration) bool) {
		for d := range seq {
			cut := time.Duration(min(random(), 1) * fraction * float64(d))
			// float64(d) may round up, and random is foreign code: clamp.
			if !yield(d - min(max(cut, 0), d)) {
				return
			}
		}
	}
}
