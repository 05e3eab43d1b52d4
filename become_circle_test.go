package spool_test

import (
	"context"
	"errors"
	"testing"

	"github.com/spooljobs/spool"
)

// Jobs in two queues, or three, that are each to answer for the next: whoever closes the circle breaks it, and all of
// them fail. PT-11.
func TestBecomeInACircleOfQueues(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		ctx, c := within(t), s.client(t)
		queues := []string{"default", "far", "away"}
		w := spool.NewWorker(c, fast(spool.WorkerConfig{Queues: queues, ThreadSlots: 4}))
		lets := map[string]chan struct{}{"2": make(chan struct{}), "3": make(chan struct{})}
		round := spool.NewTask[*spool.Job[int], int]("become.round")
		round.Handle(w, func(ctx context.Context, next *spool.Job[int]) (int, error) {
			<-lets[next.ID()[1:]] // until all of its round are there
			return spool.Become(next)
		})
		work(t, w)
		for _, n := range []int{2, 3} {
			ps := make([]*spool.Job[int], n)
			for i := range ps {
				next := round.Job(c, queues[(i+1)%n]+"/"+string(rune('a'+(i+1)%n))+string(rune('0'+n)))
				ps[i] = must(round.Put(ctx, c, next, spool.In(queues[i]), spool.ID(string(rune('a'+i))+string(rune('0'+n)))))(t)
			}
			close(lets[string(rune('0'+n))])
			for i, p := range ps {
				if _, err := p.Wait(ctx); !errors.Is(err, spool.ErrEndless) {
					t.Errorf("job %d of %d: %v", i, n, err)
				}
			}
		}
	})
}
