package spool_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/spooljobs/spool"
)

// In a transaction the other job is put, and becomes the answer, in one step: after a conflict only that of the last
// attempt is there. One that is put to a transaction which fails is not there, and does not answer.
func TestBecomeInATransaction(t *testing.T) {
	t.Parallel()
	becomeShapes(t, func(t *testing.T, s *server, c *spool.Client, w *spool.Worker, far []spool.Option) {
		ctx, book, rdb := within(t), newCallbackBook(), s.raw(t)
		book.handle(w)
		outer := spool.NewTask[string, int]("become.tx")
		var runs, inner atomic.Int64
		part := spool.NewTask[int, int]("become.part")
		part.Handle(w, func(_ context.Context, n int) (int, error) { inner.Add(1); return n, nil })
		outer.HandleTx(w, func(ctx context.Context, tx *spool.Tx, how string) (int, error) {
			runs.Add(1)
			if _, err := addTo(ctx, tx, credits{s.mine("n"), 1}); err != nil {
				return 0, err
			}
			if tx.Attempts() == 1 && how == "conflict" {
				if err := rdb.Set(ctx, s.mine("n"), must(rdb.Get(ctx, s.mine("other")).Result())(t), 0).Err(); err != nil {
					return 0, err
				}
			}
			j, err := part.Put(ctx, tx, tx.Attempts()*10, far...)
			if err != nil {
				return 0, err
			}
			if how == "fail" {
				return 0, errors.New("not wanted")
			}
			return spool.Become(j)
		})
		if err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			return spool.NewRef[int64](s.mine("other")).Store(ctx, tx, 100)
		}); err != nil {
			t.Fatal(err)
		}
		stop := work(t, w)
		j := must(outer.Put(ctx, c, "conflict"))(t)
		a := must(spool.OnDone(ctx, c, j, callbackTold.With("a", far...)))(t)
		if got := must(j.Wait(ctx))(t); got != 20 || runs.Load() != 2 || inner.Load() != 1 {
			t.Errorf("got %d after %d runs, and %d of the inner one", got, runs.Load(), inner.Load())
		}
		if got := must(a.Wait(ctx))(t); got != 1020 || len(book.of("a")) != 1 {
			t.Errorf("the callback: %d", got)
		}
		if _, err := must(outer.Put(ctx, c, "fail"))(t).Wait(ctx); err == nil || err.Error() != "not wanted" {
			t.Errorf("got %v", err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if inner.Load() != 1 {
			t.Errorf("the inner one ran %d times", inner.Load())
		}
		if err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			if n, err := spool.NewRef[int64](s.mine("n")).Load(ctx, tx); err != nil || n != 101 {
				t.Errorf("stored: %d, %v", n, err)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
}
