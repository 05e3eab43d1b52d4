package retry

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// ErrNoAttempt is the error of Do if the sequence of waits was empty.
var ErrNoAttempt = errors.New("retry: there are no waits, and so no attempt")

// Do calls fn until it succeeds, and returns its value. Each attempt, the first too, is
// preceded by the next of the waits, so there are as many attempts as waits; one of zero
// or less is no wait. If waits is nil they are those of Doubling: ten attempts within
// 5.11 s.
//
// Do also returns the failures of all attempts that failed, in order, whether or not one
// succeeded in the end. If none did, there is no value and the error is one of these:
//
//   - Out of waits, the first failure, wrapped with the number of attempts. It tends to
//     say more than the last: what follows is often a consequence.
//   - When test returns an error, that error as it is. Do gives test each failure and
//     goes on if it returns nil. It may keep a state, as a method value does: one is used
//     by one call of Do at a time. If test is nil, everything is tried again.
//   - When ctx ends, during a wait or an attempt, the context's error, with the first
//     failure wrapped beside it. No further attempt is made; one that succeeds
//     nevertheless is a success.
//   - ErrNoAttempt if there were no waits at all.
//
// fn and test run in the caller's goroutine, and their panics go to the caller. Do keeps
// nothing from one call to the next. (RetryingCall, by Terry Jones.)
func Do[T any](ctx context.Context, waits iter.Seq[time.Duration], fn func(context.Context) (T, error), test func(error) error) (value T, failures []error, err error) {
	var none T
	if waits == nil {
		waits = Doubling()
	}
	for wait := range waits {
		if err := pause(ctx, wait); err != nil {
			return none, failures, stopped(err, failures)
		}
		value, err := fn(ctx)
		if err == nil {
			return value, failures, nil
		}
		failures = append(failures, err)
		if err := ctx.Err(); err != nil {
			return none, failures, stopped(err, failures)
		}
		if test != nil {
			if err := test(err); err != nil {
				return none, failures, err
			}
		}
	}
	if len(failures) == 0 {
		return none, nil, ErrNoAttempt
	}
	return none, failures, fmt.Errorf("retry: gave up after attempt %d; the first failure: %w", len(failures), failures[0])
}

// stopped is the error when the context ended.
func stopped(err error, failures []error) error {
	if len(failures) == 0 {
		return fmt.Errorf("retry: %w", err)
	}
	return fmt.Errorf("retry: %w after attempt %d; the first failure: %w", err, len(failures), failures[0])
}

// pause waits for d, or until ctx ends, and returns the context's error if it has.
func pause(ctx context.Context, d time.Duration) error {
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}
