package future

import (
	"context"
	"slices"
)

// All runs all functions at once, each in a goroutine, and returns their values in the
// order of the functions. It is for functions that are one matter: when one fails, or
// panics, the contexts of the others are cancelled, and its error is returned as it is,
// without values. All returns when all functions have returned, so no goroutine is left.
//
// If ctx ends, so do the contexts of the functions. If it has ended before, no function
// is called and its error is returned. Without functions there are no values and no
// error.
func All[T any](ctx context.Context, fns ...func(context.Context) (T, error)) ([]T, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	together, stop := context.WithCancel(ctx)
	defer stop()
	running, ended := start(together, fns)
	var failure error
	for range running {
		if err := (<-ended).Err(); failure == nil && err != nil {
			failure = err
			stop()
		}
	}
	if failure != nil {
		return nil, failure
	}
	values := make([]T, len(running))
	for i, f := range running {
		values[i] = f.Value()
	}
	return values, nil
}

// start starts all functions before it returns. The channel gives their futures as they
// settle.
func start[T any](ctx context.Context, fns []func(context.Context) (T, error)) ([]*Future[T], <-chan *Future[T]) {
	running := make([]*Future[T], len(fns))
	ended := make(chan *Future[T], len(fns)) // with room for all: no one waits to say it
	for i, fn := range slices.Clone(fns) {
		f := Go(ctx, fn)
		f.OnSettle(func(T, error) { ended <- f })
		running[i] = f
	}
	return running, ended
}
