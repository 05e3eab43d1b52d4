package future_test

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Twisted's DeferredLock and DeferredSemaphore need no type here: a channel with a capacity holds as many tokens, those who
// wait for one are served in the order in which they came, and a context gives the wait up. With a capacity of 1 it is a
// lock.
func Example_semaphore() {
	tokens := make(chan struct{}, 2)
	acquire := func(ctx context.Context) error {
		select {
		case tokens <- struct{}{}:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	release := func() { <-tokens }

	ctx := context.Background()
	fmt.Println(acquire(ctx), acquire(ctx))
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	fmt.Println(errors.Is(acquire(short), context.DeadlineExceeded))
	release()
	fmt.Println(acquire(ctx))
	// Output:
	// <nil> <nil>
	// true
	// <nil>
}
