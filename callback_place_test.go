package spool_test

import (
	"testing"

	"github.com/spooljobs/spool"
)

// A callback that names no queue runs in that of its job, and its own callbacks where they say: also in that very queue, and
// in the one that it would have run in by itself.
func TestCallbackOfACallbackNamesItsQueue(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		ctx, c := within(t), s.client(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{Queues: []string{"default", "far", "third"}, ThreadSlots: 2}))
		flowHandlers(w)
		work(t, w)
		for _, queue := range []string{"far", "default", "third"} {
			j := must(times.Put(ctx, c, [2]int{2, 2}, spool.In("far")))(t)
			last := multiply.With(5, spool.In(queue))
			if _, err := spool.OnDone(ctx, c, j, multiply.With(3).OnDone(last)); err != nil {
				t.Fatal(err)
			}
			// It follows the callback, and is told of by a job of its own.
			seen := must(spool.OnDone(ctx, c, j, multiply.With(1)))(t)
			must(seen.Wait(ctx))(t)
			eventually(t, "nothing waits in any queue", func() bool {
				for _, name := range []string{"default", "far", "third"} {
					n := must(c.Queue(name).Counts(ctx))(t)
					if n.Pending()+n.Active+n.Adopting+n.Callbacks > 0 {
						return false
					}
				}
				return true
			})
			if n := must(c.Queue(queue).Counts(ctx))(t); n.Succeeded == 0 {
				t.Errorf("nothing ran in %s", queue)
			}
		}
	})
}
