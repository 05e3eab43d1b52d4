package retry

import "time"

// Count is what one call has used of its Policy. After an attempt that failed,
// the caller reports the cause and is told whether to run it again, and how
// long to wait before.
//
// The causes are counted apart. None resets another, and none is reset by an
// attempt that gets further than the one before.
//
// Only the cause reported decides: a Count does not remember that it said no to
// another. Waiting, and ending when a context does, is up to the caller.
//
// A Count is for one goroutine at a time. It holds nothing that must be
// released. The zero Count runs nothing again; use Policy.Begin.
type Count struct {
	limit   int // of conflicts
	retries int // answers that said again

	conflicts, disconnects, troubles             int
	afterConflict, afterDisconnect, afterTrouble cursor
}

// Begin starts counting for one call. Each call of Begin starts afresh. It
// panics if Check reports an error.
func (p Policy) Begin() *Count {
	if err := p.Check(); err != nil {
		panic(err.Error())
	}
	c := &Count{limit: p.Conflicts}
	if c.limit == 0 {
		c.limit = commonConflicts
	}
	switch {
	case p.ConflictWaits == nil:
		c.afterConflict.seq = atOnce
	case c.limit == Unlimited:
		c.afterConflict.seq = p.ConflictWaits
	default:
		// The cursor reads ahead. It need not read what cannot be used.
		c.afterConflict.seq = Times(c.limit-1, p.ConflictWaits)
	}
	switch {
	case p.NoDisconnects:
	case p.Disconnects == nil:
		c.afterDisconnect.seq = Common().Disconnects
	default:
		c.afterDisconnect.seq = p.Disconnects
	}
	c.afterTrouble.seq = p.Trouble
	return c
}

// atOnce is a single zero. As the last value it repeats.
func atOnce(yield func(time.Duration) bool) { yield(0) }

// Conflict counts a conflict, of the function or of the commit. It reports
// whether to run again, and after which wait. Once it has said no it goes on
// saying so; the wait is zero then.
func (c *Count) Conflict() (wait time.Duration, again bool) {
	c.conflicts++
	if c.limit != Unlimited && c.conflicts >= c.limit {
		return 0, false
	}
	return c.answer(&c.afterConflict)
}

// Disconnect counts a disconnect, wherever it happened, and answers as Conflict
// does.
func (c *Count) Disconnect() (wait time.Duration, again bool) {
	c.disconnects++
	return c.answer(&c.afterDisconnect)
}

// Trouble counts an error of the commit that is neither a conflict nor a
// disconnect, and answers as Conflict does. It is not for errors of the
// function: those are never run again.
func (c *Count) Trouble() (wait time.Duration, again bool) {
	c.troubles++
	return c.answer(&c.afterTrouble)
}

func (c *Count) answer(waits *cursor) (wait time.Duration, again bool) {
	wait, again = waits.next()
	if again {
		c.retries++
	}
	return wait, again
}

// Attempts is the number of the attempt that is under way, or waited for, or
// was the last: one more than the answers that said to run again.
func (c *Count) Attempts() int { return 1 + c.retries }

// Conflicts is how many conflicts were counted, one that ended the call
// included.
func (c *Count) Conflicts() int { return c.conflicts }

// Disconnects is how many disconnects were counted.
func (c *Count) Disconnects() int { return c.disconnects }

// Troubles is how many other errors of the commit were counted.
func (c *Count) Troubles() int { return c.troubles }
