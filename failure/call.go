package failure

import "time"

// patience is how long the methods of errors and arguments may take together,
// for one failure.
const patience = 500 * time.Millisecond

// Placeholders for what a method should have said. They are short enough not to
// be cut.
const (
	panicked = "[printing panicked]"
	exited   = "[printing exited]"
	tooSlow  = "[printing too slow]"
)

// calls runs methods that belong to the user. They may panic, end their
// goroutine, or wait for a lock that the failed handler still holds; so each
// runs on a goroutine of its own. The goroutine is waited for, but no longer than
// patience: past that it is left behind, since Go has no way to end it, and the
// methods still to come are not called.
type calls struct {
	timer *time.Timer
	spent bool
}

func newCalls() *calls { return &calls{timer: time.NewTimer(patience)} }

func (c *calls) stop() { c.timer.Stop() }

// call returns what fn returns, or the placeholder that says why it did not.
// The result travels in the channel: an fn left behind can write to nothing that
// is still in use.
func call[T any](c *calls, fn func() T) (_ T, placeholder string) {
	type result struct {
		value  T
		reason string
	}
	var zero T
	if c.spent {
		return zero, tooSlow
	}
	done := make(chan result, 1)
	go func() {
		r := result{reason: exited}
		defer func() {
			if recover() != nil {
				r = result{reason: panicked}
			}
			done <- r
		}()
		r = result{value: fn()}
	}()
	select {
	case r := <-done:
		return r.value, r.reason
	case <-c.timer.C:
		c.spent = true
		return zero, tooSlow
	}
}
