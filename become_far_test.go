package spool_test

import (
	"context"
	"testing"

	"github.com/spooljobs/spool"
)

// A transaction puts a job into another queue and lets it answer: both go by the outbox in the same millisecond, and the
// job arrives first. ST-6, PT-11.
func TestBecomeAJobOfTheSameTransaction(t *testing.T) {
	shapes(t, func(t *testing.T, s *server, c *spool.Client, far []spool.Option) {
		ctx := within(t)
		outer := spool.NewTask[int, int]("become.outer")
		w := spool.NewWorker(c, fast(spool.WorkerConfig{Queues: []string{"third"}}))
		outer.HandleTx(w, func(ctx context.Context, tx *spool.Tx, n int) (int, error) {
			inner, err := times.Put(ctx, tx, [2]int{n, 2}, far...)
			if err != nil {
				return 0, err
			}
			return spool.Become(inner)
		})
		work(t, w)
		jobs := make([]*spool.Job[int], 20)
		for i := range jobs {
			jobs[i] = must(outer.Put(ctx, c, i, spool.In("third")))(t)
		}
		for i, j := range jobs {
			if got := must(j.Wait(ctx))(t); got != 2*i {
				t.Errorf("got %d", got)
			}
		}
	})
}
