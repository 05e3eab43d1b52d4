package future

import (
	"context"
	"errors"
)

// ErrGoexit is the error of a function that neither returned nor panicked, but
// called runtime.Goexit, as testing.T.FailNow does.
var ErrGoexit = errors.New("future: the function called runtime.Goexit")

// Go runs fn in a goroutine and returns the future of what it returns. It always
// returns a future and never panics, whatever fn is or does: a panic of fn becomes a
// PanicError.
//
// The context of fn ends when ctx does, when the future is cancelled, and when fn
// has returned. The future settles when fn has returned, not before, so fn should
// obey its context. If ctx has ended already, fn is not called, and the future has
// settled with the context's error.
func Go[T any](ctx context.Context, fn func(context.Context) (T, error)) *Future[T] {
	var none T
	if ctx == nil {
		return Settled(none, errors.New("future: Go: ctx must not be nil"))
	}
	if err := ctx.Err(); err != nil {
		return Settled(none, err)
	}
	ctx, stop := context.WithCancel(ctx)
	f := newFuture[T](func(error) { stop() })
	go f.settleBy(func() (T, error) {
		defer stop()
		return fn(ctx)
	})
	return f
}

// settleBy calls fn and settles f, however fn ends.
func (f *Future[T]) settleBy(fn func() (T, error)) {
	var value T
	err := ErrGoexit // until fn returns or panics
	defer func() { f.settle(value, err) }()
	defer func() {
		if v := recover(); v != nil {
			err = newPanicError(v)
		}
	}()
	value, err = fn()
}
