package retry

import (
	"fmt"
	"iter"
	"slices"
	"time"
)

// Constant gives d for ever. It panics if d is negative.
func Constant(d time.Duration) iter.Seq[time.Duration] {
	notNegative("Constant", "d", d)
	return func(yield func(time.Duration) bool) {
		for yield(d) {
		}
	}
}

// Of gives the listed durations in order, once. With no arguments it is empty.
// The list is copied. Of panics if one of the durations is negative.
func Of(list ...time.Duration) iter.Seq[time.Duration] {
	for i, d := range list {
		notNegative("Of", fmt.Sprintf("list[%d]", i), d)
	}
	return slices.Values(slices.Clone(list))
}

// Times gives the first n values of seq, or all of them if there are fewer.
// It asks seq for no value beyond the last it gives. With n = 0 it is empty.
// Times panics if n is negative or seq is nil.
func Times(n int, seq iter.Seq[time.Duration]) iter.Seq[time.Duration] {
	if n < 0 {
		panic(fmt.Sprintf("retry: Times: n must not be negative, got %d", n))
	}
	notNil("Times", seq)
	return func(yield func(time.Duration) bool) {
		if n == 0 {
			return
		}
		given := 0
		for d := range seq {
			if !yield(d) {
				return
			}
			if given++; given == n {
				return
			}
		}
	}
}

// Nth gives value n of seq, counted from 1, for callers that keep the number of
// the attempt and not the sequence itself. It reports false if seq is shorter.
// The cost grows with n. Nth panics if n is below 1 or seq is nil.
func Nth(seq iter.Seq[time.Duration], n int) (time.Duration, bool) {
	if n < 1 {
		panic(fmt.Sprintf("retry: Nth: n must be at least 1, got %d", n))
	}
	notNil("Nth", seq)
	for d := range seq {
		if n--; n == 0 {
			return d, true
		}
	}
	return 0, false
}
