package spool_test

import (
	"context"
	"sync"
	"testing"

	"github.com/spooljobs/spool"
)

var (
	callbackVictim = spool.NewTask[int, int]("callback.victim", spool.Interruptions(0))
	callbackGate   = spool.NewTask[string, int]("callback.gate")
	callbackTold   = spool.NewReaction[int, string, int]("callback.told")
)

// callbackBook is what callbacks note of what they are told, and the gates of jobs that wait.
type callbackBook struct {
	mu    sync.Mutex // guards all
	told  map[string][]spool.Outcome[int]
	gates map[string]*callbackPass
}

// callbackPass is where a job waits, once it has begun.
type callbackPass struct{ began, opened chan struct{} }

func newCallbackBook() *callbackBook {
	return &callbackBook{told: map[string][]spool.Outcome[int]{}, gates: map[string]*callbackPass{}}
}

func (b *callbackBook) gate(name string) *callbackPass {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gates[name] == nil {
		b.gates[name] = &callbackPass{make(chan struct{}), make(chan struct{})}
	}
	return b.gates[name]
}

// of is what one callback was told, each time it ran.
func (b *callbackBook) of(label string) []spool.Outcome[int] {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]spool.Outcome[int](nil), b.told[label]...)
}

// runs is how many times callbacks ran, by label.
func (b *callbackBook) runs() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := map[string]int{}
	for label, told := range b.told {
		n[label] = len(told)
	}
	return n
}

// handle knows the tasks of the book: a callback's result is what it was told + 1000, or -1 for a failure.
func (b *callbackBook) handle(w *spool.Worker) {
	callbackGate.Handle(w, func(ctx context.Context, name string) (int, error) {
		g := b.gate(name)
		close(g.began)
		select {
		case <-g.opened:
			return 12, nil
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	})
	callbackTold.Handle(w, func(_ context.Context, p spool.Outcome[int], label string) (int, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.told[label] = append(b.told[label], p)
		if p.Err != nil {
			return -1, nil
		}
		return p.Value + 1000, nil
	})
}

// callbackShapes runs a test with callbacks in their job's queue, and in another one; its worker has not been started.
func callbackShapes(t *testing.T, test func(t *testing.T, s *server, c *spool.Client, w *spool.Worker, far []spool.Option)) {
	each(t, func(t *testing.T, s *server) {
		for name, far := range map[string][]spool.Option{"one": nil, "two": {spool.In("far")}} {
			t.Run(name, func(t *testing.T) {
				on(t, &server{s.name, s.addr, s.prefix}, func(t *testing.T, s *server) {
					c := s.client(t)
					w := spool.NewWorker(c, fast(spool.WorkerConfig{Queues: []string{"default", "far"}, ThreadSlots: 4}))
					flowHandlers(w)
					test(t, s, c, w, far)
				})
			})
		}
	})
}
