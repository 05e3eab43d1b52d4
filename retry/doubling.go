package retry

import (
	"fmt"
	"iter"
	"time"
)

// Option changes one setting of Doubling.
type Option func(*doubling)

type doubling struct {
	results int
	init    time.Duration
	ceiling time.Duration
	now     bool
	inc     func(time.Duration) time.Duration
}

// Doubling gives a limited number of delays, the first of them zero, the others
// growing. Without options these are the ten values 0, 10 ms, 20 ms, 40 ms ...
// 2.56 s, together 5.11 s. The defaults are those of RetryingCall, a helper for
// Twisted.
func Doubling(opts ...Option) iter.Seq[time.Duration] {
	c := doubling{
		results: 10,
		init:    10 * time.Millisecond,
		ceiling: 2 * time.Minute,
		now:     true,
		inc:     func(d time.Duration) time.Duration { return d + d },
	}
	for _, o := range opts {
		o(&c)
	}
	return Times(c.results, c.all)
}

// all is the sequence without its end.
func (c doubling) all(yield func(time.Duration) bool) {
	if c.now && !yield(0) {
		return
	}
	for d := min(c.init, c.ceiling); yield(d); {
		if d == c.ceiling {
			continue
		}
		next := c.inc(d)
		// Smaller than before can only be an overflow, as inc must not shrink.
		if next < d || next > c.ceiling {
			next = c.ceiling
		}
		d = next
	}
}

// Results sets how many values there are, a leading zero included.
// Defaults to 10. It panics if n is not above zero.
func Results(n int) Option {
	if n <= 0 {
		panic(fmt.Sprintf("retry: Results: n must be above zero, got %d", n))
	}
	return func(c *doubling) { c.results = n }
}

// Init sets the first value after the leading zero. Defaults to 10 ms.
// It panics if d is negative.
func Init(d time.Duration) Option {
	notNegative("Init", "d", d)
	return func(c *doubling) { c.init = d }
}

// Ceiling sets the longest value. Defaults to 2 minutes.
// It panics if d is negative.
func Ceiling(d time.Duration) Option {
	notNegative("Ceiling", "d", d)
	return func(c *doubling) { c.ceiling = d }
}

// Now says whether the sequence starts with a zero, which counts as one of the
// results. Defaults to true.
func Now(yes bool) Option {
	return func(c *doubling) { c.now = yes }
}

// Inc sets how a value follows from the one before. Defaults to doubling.
// It is called only with values below the ceiling, and from every goroutine
// that ranges, so it should depend on its argument alone. A result below the
// argument is taken for an overflow and becomes the ceiling.
// Inc panics if next is nil.
func Inc(next func(time.Duration) time.Duration) Option {
	if next == nil {
		panic("retry: Inc: next must not be nil")
	}
	return func(c *doubling) { c.inc = next }
}
