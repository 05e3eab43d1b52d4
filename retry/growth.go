package retry

import (
	"fmt"
	"iter"
	"math"
	"time"
)

// NoCeiling is the ceiling of a sequence that should have none. It is the
// longest duration there is, about 292 years.
const NoCeiling time.Duration = math.MaxInt64

// Linear gives first, first+step, first+2*step and so on, each clipped to
// ceiling, for ever: 4, 2 and 21 give 4, 6, ... 20, 21, 21.
// It panics if an argument is negative.
func Linear(first, step, ceiling time.Duration) iter.Seq[time.Duration] {
	notNegative("Linear", "first", first)
	notNegative("Linear", "step", step)
	notNegative("Linear", "ceiling", ceiling)
	return func(yield func(time.Duration) bool) {
		for d := min(first, ceiling); yield(d); {
			// The room left is compared, not the sum: the sum may overflow.
			if step < ceiling-d {
				d += step
			} else {
				d = ceiling
			}
		}
	}
}

// Exponential gives first and then always the double, each clipped to ceiling,
// for ever. It panics if first is not above zero or ceiling is negative.
func Exponential(first, ceiling time.Duration) iter.Seq[time.Duration] {
	return exponential("Exponential", first, 2, ceiling)
}

// ExponentialBy gives first, first*factor, first*factor*factor and so on, each
// rounded to a nanosecond and clipped to ceiling, for ever. Values are exact up
// to 104 days for whole factors; longer ones have the precision of a float64.
//
// It panics if first is not above zero (zero would stay zero), if factor is
// below 1 or not finite, or if ceiling is negative.
func ExponentialBy(first time.Duration, factor float64, ceiling time.Duration) iter.Seq[time.Duration] {
	return exponential("ExponentialBy", first, factor, ceiling)
}

func exponential(name string, first time.Duration, factor float64, ceiling time.Duration) iter.Seq[time.Duration] {
	if first <= 0 {
		panic(fmt.Sprintf("retry: %s: first must be above zero, got %v", name, first))
	}
	if !(factor >= 1) || math.IsInf(factor, 1) { // written so that NaN fails too
		panic(fmt.Sprintf("retry: %s: factor must be finite and at least 1, got %v", name, factor))
	}
	notNegative(name, "ceiling", ceiling)
	if factor == 1 {
		return Constant(min(first, ceiling))
	}
	return func(yield func(time.Duration) bool) {
		// The growing value is a float: as a whole number of nanoseconds, 1 ns
		// times 1.2 would round back to 1 ns and never grow.
		exact := float64(first)
		for d := min(first, ceiling); yield(d); {
			if d == ceiling {
				continue
			}
			exact *= factor
			// Comparing before converting: a float beyond the int64 range has
			// no defined conversion.
			if exact >= float64(ceiling) {
				d = ceiling
			} else {
				d = min(max(d, time.Duration(math.Round(exact))), ceiling)
			}
		}
	}
}
