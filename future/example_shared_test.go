package future_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/spooljobs/spool/future"
)

// shared makes one call of those that are equal and come while it runs. Its value or error
// goes to all; the next one is made anew. As the future is shared, no one should Cancel it:
// who does not want to wait any longer ends the context of Wait.
type shared struct {
	fetch func(ctx context.Context, key string) (string, error)

	mu      sync.Mutex
	running map[string]*future.Future[string]
}

func (s *shared) get(ctx context.Context, key string) *future.Future[string] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, there := s.running[key]; there {
		return f
	}
	ctx = context.WithoutCancel(ctx) // it is not for the first caller alone
	f := future.Go(ctx, func(ctx context.Context) (string, error) {
		defer s.forget(key)
		return s.fetch(ctx, key)
	})
	s.running[key] = f
	return f
}

func (s *shared) forget(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, key)
}

// A map of futures shares one call among equal callers, as golang.org/x/sync/singleflight
// does. (DeferredPooler.)
func Example_sharedCall() {
	ctx := context.Background()
	answers := make(chan string)
	s := &shared{
		running: map[string]*future.Future[string]{},
		fetch: func(_ context.Context, key string) (string, error) {
			return key + " is " + <-answers, nil
		},
	}
	one, two := s.get(ctx, "rain"), s.get(ctx, "rain")
	answers <- "likely"
	fmt.Println(one.Wait(ctx))
	fmt.Println(two.Wait(ctx))

	again := s.get(ctx, "rain")
	answers <- "over"
	fmt.Println(again.Wait(ctx))
	// Output:
	// rain is likely <nil>
	// rain is likely <nil>
	// rain is over <nil>
}
