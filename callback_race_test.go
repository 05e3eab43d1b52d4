package spool_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/spooljobs/spool"
)

// CB-6: callbacks are added in the instant in which their job ends: by a client, by a transaction, and by the commit of
// another job. Each runs exactly once, whichever comes first.
func TestCallbackAddedInTheInstantOfTheEnd(t *testing.T) {
	t.Parallel()
	callbackShapes(t, func(t *testing.T, s *server, c *spool.Client, _ *spool.Worker, far []spool.Option) {
		const lanes = 4
		races := 100
		if len(far) > 0 {
			races = 20
		}
		if s.name == "embedded" {
			races = 3 // there a call is slow
		}
		ctx, ran := within(t), newTally()
		var mu sync.Mutex
		gates := map[int]chan struct{}{}
		gate := func(n int) chan struct{} {
			mu.Lock()
			defer mu.Unlock()
			if gates[n] == nil {
				gates[n] = make(chan struct{})
			}
			return gates[n]
		}
		type order struct {
			N   int
			Job *spool.Job[int]
		}
		ends := spool.NewTask[int, int]("race.ends")
		adds := spool.NewTask[order, string]("race.adds")
		runs := spool.NewReaction[int, string, int]("race.runs")
		w := spool.NewWorker(c, fast(spool.WorkerConfig{Queues: []string{"default", "far"}, ThreadSlots: 3 * lanes}))
		ends.Handle(w, func(_ context.Context, n int) (int, error) {
			<-gate(n)
			return n, nil
		})
		adds.HandleTx(w, func(ctx context.Context, tx *spool.Tx, o order) (string, error) {
			<-gate(o.N)
			a, err := spool.OnSuccess(ctx, tx, o.Job, runs.With(fmt.Sprint(o.N, " by a job"), far...))
			return a.ID(), err
		})
		runs.Handle(w, func(_ context.Context, p spool.Outcome[int], label string) (int, error) {
			ran.note(label)
			return p.Value, p.Err
		})
		work(t, w)
		d := s.client(t)
		var all sync.WaitGroup
		for lane := range lanes {
			all.Go(func() {
				for race := range races {
					n := lane*races + race
					j, err := ends.Put(ctx, c, n)
					if err != nil {
						t.Error(err)
						return
					}
					adder, err := adds.Put(ctx, c, order{n, j})
					if err != nil {
						t.Error(err)
						return
					}
					var adding sync.WaitGroup
					wait := func(a *spool.Job[int], err error) {
						if err == nil {
							_, err = a.Wait(ctx)
						}
						if err != nil {
							t.Errorf("race %d: %v", n, err)
						}
					}
					adding.Go(func() {
						<-gate(n)
						for range race * 7 % 40 { // as late as chance will have it, and a little later
							runtime.Gosched()
						}
						wait(spool.OnDone(ctx, c, j, runs.With(fmt.Sprint(n, " by a client"), far...)))
					})
					adding.Go(func() {
						<-gate(n)
						var a *spool.Job[int]
						err := d.Transact(ctx, func(ctx context.Context, tx *spool.Tx) (err error) {
							a, err = spool.OnSuccess(ctx, tx, j, runs.With(fmt.Sprint(n, " by a transaction"), far...))
							return err
						})
						wait(a, err)
					})
					adding.Go(func() {
						id, err := adder.Wait(ctx)
						wait(runs.Job(c, id), err)
					})
					close(gate(n))
					adding.Wait()
				}
			})
		}
		all.Wait()
		ran.mu.Lock()
		defer ran.mu.Unlock()
		for label, n := range ran.runs {
			if n != 1 {
				t.Errorf("%s: ran %d times", label, n)
			}
		}
		if len(ran.runs) != 3*lanes*races {
			t.Errorf("%d callbacks ran, not %d", len(ran.runs), 3*lanes*races)
		}
	})
}
