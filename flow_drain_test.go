package spool_test

import (
	"testing"

	"github.com/spooljobs/spool"
)

// Drain sees a flow through: its graph, what its parts bring, and what crosses queues.
func TestDrainRunsFlows(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		ctx, c := within(t), s.client(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{Queues: []string{"default", "far"}}))
		flowHandlers(w)
		flow := spool.Then(spool.Serial(times.With([2]int{1, 2}), times.With([2]int{2, 2}, spool.In("far"))), sum.With(1))
		j := must(flow.OnDone(multiply.With(2, spool.In("far"))).Put(ctx, c))(t)
		if n := must(w.Drain(ctx))(t); n != 5 {
			t.Errorf("%d jobs ran, not two parts, what gathers them, the sum and its callback", n)
		}
		if got := must(j.Wait(ctx))(t); got != 7 {
			t.Error(got)
		}
		if counts := must(c.Queue("default").Counts(ctx))(t); counts.Pending()+counts.Active+counts.Adopting+counts.Callbacks > 0 {
			t.Errorf("%+v", counts)
		}
		if n := must(w.Drain(ctx))(t); n != 0 {
			t.Errorf("%d more jobs ran", n)
		}
	})
}
