package retry

import (
	"iter"
	"time"
)

// cursor walks a sequence value by value, over the time that a call takes, and
// repeats the last value when the sequence ends. Without a sequence it has no
// value.
//
// iter.Pull would do the walking, but it keeps a goroutine until someone stops
// it, and a call can be abandoned in many places. A sequence keeps no state, so
// the cursor ranges again instead, skips what it has given and reads a stretch
// ahead. Stretches grow as the walk does: one value at a time, n values would
// cost n*n/2. They stop growing so that a call that is run again for days does
// not keep more and more.
type cursor struct {
	seq   iter.Seq[time.Duration]
	given int             // values, repeated ones not counted
	ahead []time.Duration // read and not given
	ended bool            // there is nothing beyond ahead
	last  time.Duration
}

const (
	firstStretch   = 16
	longestStretch = 1024
)

// next gives the next value. It reports false if there is none, and none to
// repeat.
func (c *cursor) next() (time.Duration, bool) {
	if len(c.ahead) == 0 && !c.ended && c.seq != nil {
		c.read()
	}
	if len(c.ahead) > 0 {
		c.last, c.ahead = c.ahead[0], c.ahead[1:]
		c.given++
	}
	return c.last, c.given > 0
}

// read fills ahead.
func (c *cursor) read() {
	size := min(max(firstStretch, c.given), longestStretch)
	skip := c.given
	for d := range c.seq {
		if skip > 0 {
			skip--
			continue
		}
		c.ahead = append(c.ahead, max(d, 0))
		if len(c.ahead) == size {
			return
		}
	}
	c.ended = true
}
