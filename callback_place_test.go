package spool_test

import (
	"testing"
	"time"

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

// A flow that ends before it was taken apart, and with it a flow in it that another queue was to take apart: the callbacks
// of that one's parts run where they say, also if that is where the first one lies.
func TestCallbackInAFlowThatNeverCameToItsQueue(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		ctx, c := within(t), s.client(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{Queues: []string{"default", "far"}, ThreadSlots: 2}))
		flowHandlers(w)
		work(t, w)
		inner := spool.Parallel(times.With([2]int{2, 2}).OnFailure(rescue.With(7, spool.In("far"))))
		j := must(spool.Parallel(inner).With(spool.In("far"), spool.Delay(time.Hour)).Put(ctx, c))(t)
		if err := j.Cancel(ctx); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the callback has run, and nothing waits", func() bool {
			left := 0
			for _, name := range []string{"default", "far"} {
				n := must(c.Queue(name).Counts(ctx))(t)
				left += n.Pending() + n.Active + n.Adopting + n.Callbacks
			}
			return left == 0 && must(c.Queue("far").Counts(ctx))(t).Succeeded == 1
		})
	})
}
