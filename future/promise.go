package future

import (
	"context"
	"errors"
	"sync"
)

// Errors of Settle and Forward.
var (
	// ErrSettled: the promise has settled before, or its future was cancelled.
	// The outcome that came first stays.
	ErrSettled = errors.New("future: settled already")
	// ErrOwned: the promise was given to Forward, and only the future it was
	// linked to settles it.
	ErrOwned = errors.New("future: the promise belongs to another future")
)

// Promise is the side of a future that settles it. It has one owner: who made it,
// or, after Forward, the future that is forwarded to it. Any number of goroutines
// may use it at once.
type Promise[T any] struct {
	future *Future[T]

	mu        sync.Mutex
	owned     bool // by the source of a Forward
	cancelled bool
	hooks     []func() // to call when it is cancelled, in order, not under mu
}

// NewPromise makes a promise and its future. If ctx ends before it has settled,
// the future is cancelled, and its error is that of the context; if ctx has ended
// already, this has happened when NewPromise returns.
//
// A promise needs no closing. One that is dropped without being settled leaves its
// future pending until ctx ends.
func NewPromise[T any](ctx context.Context) *Promise[T] {
	p := &Promise[T]{}
	p.future = newFuture[T](p.cancel)
	if err := ctx.Err(); err != nil {
		p.future.cancelWith(err)
		return p
	}
	stop := context.AfterFunc(ctx, func() { p.future.cancelWith(ctx.Err()) })
	p.future.watch(func() { stop() })
	return p
}

// Future returns the promise's future, always the same.
func (p *Promise[T]) Future() *Future[T] { return p.future }

// Settle settles the future: with err if that is not nil, with value otherwise. The
// functions given to OnSettle, Then and the like are called before it returns.
//
// It returns ErrOwned if the promise was given to Forward, and ErrSettled if there
// is an outcome already, be it from an earlier call or a cancellation. The future is
// not changed then, and there is no need to do anything about the error.
func (p *Promise[T]) Settle(value T, err error) error {
	p.mu.Lock()
	owned := p.owned
	p.mu.Unlock()
	switch {
	case owned:
		return ErrOwned
	case !p.future.settle(value, err):
		return ErrSettled
	}
	return nil
}

// OnCancel has fn called once if the future is cancelled before it has settled, by
// Cancel or by the end of its context. It is called in the goroutine that cancels,
// in the order of the calls of OnCancel, and before the future settles: fn may
// settle it with an outcome of its own. If the future was cancelled already, fn is
// called at once. If it settles otherwise, fn is never called.
func (p *Promise[T]) OnCancel(fn func()) {
	p.mu.Lock()
	if !p.cancelled {
		p.hooks = append(p.hooks, fn)
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	fn()
}

// cancel is what the future calls, once.
func (p *Promise[T]) cancel(err error) {
	p.mu.Lock()
	p.cancelled = true
	hooks := p.hooks
	p.hooks = nil
	p.mu.Unlock()
	// Deferred, so that a hook that panics leaves no one waiting.
	defer func() {
		var none T
		p.future.settle(none, err)
	}()
	callAll(hooks)
}
