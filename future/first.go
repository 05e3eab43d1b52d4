package future

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// ErrNoFunctions is the error of First without functions.
var ErrNoFunctions = errors.New("future: First: there are no functions")

// AllFailedError is the error of First if no function succeeded.
type AllFailedError struct {
	Failures []error // one for each function, in the order in which they were given
}

// Error lists the failures in order.
func (e *AllFailedError) Error() string {
	list := make([]string, len(e.Failures))
	for i, err := range e.Failures {
		list[i] = err.Error()
	}
	return fmt.Sprintf("future: First: all %d failed: %s", len(list), strings.Join(list, "; "))
}

// Unwrap returns the failures, so that errors.Is and errors.As look into each.
func (e *AllFailedError) Unwrap() []error { return e.Failures }

// First runs all functions at once, each in a goroutine, and returns the value of the
// one that succeeds first. Then the contexts of the others are cancelled. First
// returns when all have returned: no goroutine is left, and a function that does not
// obey its context makes the others wait.
//
// One that fails, or panics, does not end the race. If all fail, the error is an
// AllFailedError. If one succeeds, errors of others and later values are dropped; a
// function whose value must be closed should look at its context before it returns
// one.
//
// If ctx ends, so do the contexts of the functions; if none succeeds nevertheless, the
// error is that of the context, around the AllFailedError. If ctx has ended before, no
// function is called. Without functions the error is ErrNoFunctions.
//
// The functions are looked at once, at the beginning: the list may be changed while
// they run, and be used again.
func First[T any](ctx context.Context, fns ...func(context.Context) (T, error)) (T, error) {
	var none T
	if len(fns) == 0 {
		return none, ErrNoFunctions
	}
	if err := ctx.Err(); err != nil {
		return none, err
	}
	racing, stop := context.WithCancel(ctx)
	defer stop()
	running, ended := start(racing, fns)
	var winner *Future[T]
	for range running {
		if f := <-ended; winner == nil && f.Err() == nil {
			winner = f
			stop()
		}
	}
	if winner != nil {
		return winner.Value(), nil
	}
	failed := &AllFailedError{make([]error, len(running))}
	for i, f := range running {
		failed.Failures[i] = f.Err()
	}
	if err := ctx.Err(); err != nil {
		return none, fmt.Errorf("%w: %w", err, failed)
	}
	return none, failed
}
