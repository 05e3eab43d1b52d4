package future

import (
	"context"
	"sync"
)

// Future is an outcome that may not be there yet: a value or an error. It settles
// once and does not change afterwards. Any number of goroutines may use it at
// once.
//
// A Future is made by Go, NewPromise, Then, Flatten, Settled and others. The zero
// Future never settles.
type Future[T any] struct {
	done  chan struct{} // closed when it has settled
	value T             // value and err are written before done is closed
	err   error         // and never after

	mu        sync.Mutex
	cancelled bool        // Cancel came before it settled
	cancel    func(error) // tells who makes the value; nil once settled
	watchers  []func()    // to call when it settles, in order, not under mu
}

// newFuture makes a pending future. cancel is called once at most, not under mu,
// and with the error that it should end in.
func newFuture[T any](cancel func(error)) *Future[T] {
	return &Future[T]{done: make(chan struct{}), cancel: cancel}
}

// Settled returns a future that has settled already: with err if that is not nil,
// with value otherwise.
func Settled[T any](value T, err error) *Future[T] {
	f := newFuture[T](nil)
	f.settle(value, err)
	return f
}

// Wait waits for the outcome and returns it. Many may wait, and one may wait
// again. If ctx ends first, Wait returns its error, and the future is not
// affected: it is not cancelled. If both has happened, the outcome is returned.
func (f *Future[T]) Wait(ctx context.Context) (T, error) {
	select {
	case <-f.done:
	case <-ctx.Done():
		if !f.isSettled() {
			var none T
			return none, ctx.Err()
		}
	}
	return f.value, f.err
}

// Done returns a channel that is closed when the future settles.
func (f *Future[T]) Done() <-chan struct{} { return f.done }

// Value returns the value. It is the zero value before the future has settled,
// and if it settled with an error.
func (f *Future[T]) Value() T {
	if !f.isSettled() {
		var none T
		return none
	}
	return f.value
}

// Err returns the error. It is nil before the future has settled, and if it
// settled with a value.
func (f *Future[T]) Err() error {
	if !f.isSettled() {
		return nil
	}
	return f.err
}

// Cancel says that the outcome is not wanted any more. It does not wait. What
// happens depends on where the future comes from, see the package's description:
// a promise settles at once with context.Canceled, the function of Go has its
// context ended and decides itself, Then and Flatten pass it on.
//
// It has no effect on a future that has settled, or that was cancelled before.
// Cancelling is for all who wait; who only wants to wait no longer ends the
// context of Wait.
func (f *Future[T]) Cancel() { f.cancelWith(context.Canceled) }

func (f *Future[T]) cancelWith(err error) {
	f.mu.Lock()
	if f.cancelled || f.cancel == nil {
		f.mu.Unlock()
		return
	}
	f.cancelled = true
	cancel := f.cancel
	f.mu.Unlock()
	cancel(err)
}

// OnSettle has fn called once with the outcome. If the future has settled, fn is
// called at once and in the caller's goroutine: it has returned when OnSettle
// returns. If not, it is called in the goroutine that settles the future, after
// those given to OnSettle, Then and the like before. So fn should be quick.
//
// fn should not panic. If it does, the others are still called, and the panic
// goes to whoever settles the future; in a goroutine of Go it ends the program.
func (f *Future[T]) OnSettle(fn func(value T, err error)) {
	f.watch(func() { fn(f.value, f.err) })
}

func (f *Future[T]) watch(fn func()) {
	f.mu.Lock()
	if !f.isSettled() {
		f.watchers = append(f.watchers, fn)
		f.mu.Unlock()
		return
	}
	f.mu.Unlock()
	fn()
}

// settle reports false if the future has settled before.
func (f *Future[T]) settle(value T, err error) bool {
	f.mu.Lock()
	if f.isSettled() {
		f.mu.Unlock()
		return false
	}
	if f.err = err; err == nil {
		f.value = value
	}
	watchers := f.watchers
	f.watchers, f.cancel = nil, nil // let go of what they hold
	close(f.done)
	f.mu.Unlock()
	callAll(watchers)
	return true
}

// callAll calls them in order, the later ones also if one of them panics or calls
// runtime.Goexit.
func callAll(fns []func()) {
	next := 0
	defer func() {
		if next < len(fns) { // one did not return
			callAll(fns[next:])
		}
	}()
	for next < len(fns) {
		fn := fns[next]
		next++
		fn()
	}
}

func (f *Future[T]) isSettled() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// wasCancelled reports whether Cancel came before the outcome.
func (f *Future[T]) wasCancelled() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cancelled
}
