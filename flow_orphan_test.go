package spool_test

import (
	"testing"
	"time"

	"github.com/spooljobs/spool"
)

// The client that has put a flow is gone before the flow was taken apart: the worker that is woken does it, and not only its
// next beat.
func TestFlowOfAClientThatIsGone(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		ctx, c := within(t), s.client(t)
		w := spool.NewWorker(c, spool.WorkerConfig{ThreadSlots: 2}) // beats every 5 s
		flowHandlers(w)
		work(t, w)
		must(must(times.Put(ctx, c, [2]int{1, 1}))(t).Wait(ctx))(t)
		for range 5 {
			other := s.client(t)
			spool.Reticent(other)
			began := time.Now()
			j := must(spool.Parallel(times.With([2]int{1, 2}), times.With([2]int{2, 2})).Put(ctx, other))(t)
			mine := spool.NewTask[spool.None, []spool.Outcome[int]]("flow.mine").Job(c, j.ID())
			if all, err := mine.Wait(ctx); err != nil || len(all) != 2 {
				t.Fatal(all, err)
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("it took %v", took)
			}
		}
	})
}
