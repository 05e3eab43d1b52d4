package future

import (
	"context"
	"errors"
)

// Then returns the future of what fn makes of the value of f. If f settles with an
// error, fn is not called and the error is passed on. A panic of fn becomes a
// PanicError.
//
// fn runs synchronously: if f has settled, at once and in the caller's goroutine, so
// that Then returns a settled future; if not, in the goroutine that settles f, in the
// order of the calls of Then and OnSettle. So fn should be quick. For what takes long
// let it return a future of Go, and use Flatten.
//
// Cancelling the new future cancels f, for all who wait for f. It settles when f has,
// and fn is not called then even if f comes to a value: the error is
// context.Canceled.
func Then[T, U any](f *Future[T], fn func(T) (U, error)) *Future[U] {
	next := newFuture[U](f.cancelWith)
	f.OnSettle(func(value T, err error) {
		next.settleBy(func() (U, error) {
			var none U
			switch {
			case err != nil:
				return none, err
			case next.wasCancelled():
				return none, context.Canceled
			}
			return fn(value)
		})
	})
	return next
}

// Flatten returns the future of the value of the future that outer settles with: it
// settles when the inner one does. If outer settles with an error, or with a nil
// future, that is an error of the new one.
//
// Cancelling the new future cancels outer, and the inner one too as soon as there is
// one, for all who wait for them. It settles when they have.
func Flatten[T any](outer *Future[*Future[T]]) *Future[T] {
	var none T
	flat := newFuture[T](func(err error) {
		outer.cancelWith(err)
		if inner := outer.Value(); inner != nil {
			inner.cancelWith(err)
		}
	})
	outer.OnSettle(func(inner *Future[T], err error) {
		switch {
		case err != nil:
			flat.settle(none, err)
			return
		case inner == nil:
			flat.settle(none, errors.New("future: Flatten: the inner future is nil"))
			return
		case flat.wasCancelled():
			// It was cancelled while there was no inner future to be told. If that
			// happens just now, either this is seen here or inner is seen above.
			inner.Cancel()
		}
		inner.OnSettle(func(value T, err error) { flat.settle(value, err) })
	})
	return flat
}
