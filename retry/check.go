package retry

import (
	"fmt"
	"iter"
	"time"
)

// notNegative panics if the argument arg of the function name is below zero.
func notNegative(name, arg string, d time.Duration) {
	if d < 0 {
		panic(fmt.Sprintf("retry: %s: %s must not be negative, got %v", name, arg, d))
	}
}

// notNil panics if the argument seq of the function name is nil.
func notNil(name string, seq iter.Seq[time.Duration]) {
	if seq == nil {
		panic(fmt.Sprintf("retry: %s: seq must not be nil", name))
	}
}
