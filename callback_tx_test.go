package spool_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/spooljobs/spool"
)

// A job and its callbacks are put to one transaction, whatever queues they are of: all are there if it commits, and none
// if it does not.
func TestCallbackPutWithItsJobInATransaction(t *testing.T) {
	t.Parallel()
	callbackShapes(t, func(t *testing.T, s *server, c *spool.Client, w *spool.Worker, far []spool.Option) {
		ctx, book := within(t), newCallbackBook()
		book.handle(w)
		counts := func() [2]spool.Counts {
			return [2]spool.Counts{must(c.Queue("default").Counts(ctx))(t), must(c.Queue("far").Counts(ctx))(t)}
		}
		for _, lives := range []string{"default", "far"} {
			for _, end := range []error{errKnown, nil} {
				before := counts()
				label := lives
				if end != nil {
					label = "never"
				}
				var j, a, b, x *spool.Job[int]
				err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
					j = must(times.With([2]int{3, 4}).OnDone(callbackTold.With(label+" with", far...)).Put(ctx, tx))(t)
					a = must(spool.OnSuccess(ctx, tx, j, callbackTold.With(label+" added", far...)))(t)
					b = must(spool.OnDone(ctx, tx, a, callbackTold.With(label+" to it")))(t)
					x = must(spool.OnFailure(ctx, tx, b, callbackTold.With(label+" branch", far...)))(t)
					return end
				}, spool.TxConfig{Queue: lives})
				if !errors.Is(err, end) {
					t.Fatal(err)
				}
				if end != nil {
					if got := counts(); got != before {
						t.Errorf("after nothing was put: %+v, before %+v", got, before)
					}
					continue
				}
				stop := work(t, w)
				if got := must(j.Wait(ctx))(t); got != 12 {
					t.Errorf("got %d", got)
				}
				if got := must(a.Wait(ctx))(t); got != 1012 {
					t.Errorf("the callback: %d", got)
				}
				for _, one := range []*spool.Job[int]{b, x} {
					if got := must(one.Wait(ctx))(t); got != 2012 {
						t.Errorf("what follows: %d", got)
					}
				}
				eventually(t, "all have run", func() bool { return len(book.of(label+" with")) == 1 })
				if err := stop(); err != nil {
					t.Error(err)
				}
				n := book.runs()
				if n[label+" with"] != 1 || n[label+" added"] != 1 || n[label+" to it"] != 1 || n[label+" branch"] != 0 {
					t.Errorf("%v", n)
				}
				w = spool.NewWorker(c, fast(spool.WorkerConfig{Queues: []string{"default", "far"}}))
				flowHandlers(w)
				book.handle(w)
			}
		}
		for label := range book.runs() {
			if label[:5] == "never" {
				t.Errorf("%q ran", label)
			}
		}
	})
}

// A callback in a transaction that conflicts runs again, on fresh reads, and is told the same; what it writes takes
// effect once, with its end.
func TestCallbackInATransaction(t *testing.T) {
	t.Parallel()
	callbackShapes(t, func(t *testing.T, s *server, c *spool.Client, w *spool.Worker, far []spool.Option) {
		ctx, key := within(t), s.mine("sum")
		adds := spool.NewReaction[int, string, int]("callback.adds", spool.Knows("test.known", errKnown))
		var tries atomic.Int64
		rdb := s.raw(t)
		adds.HandleTx(w, func(ctx context.Context, tx *spool.Tx, p spool.Outcome[int], key string) (int, error) {
			n, err := addTo(ctx, tx, credits{key, int64(p.Value)})
			if err != nil {
				return 0, err
			}
			if key == s.mine("broken") {
				return 0, errKnown
			}
			// Somebody else changes what was read, more often than an ordinary job would bear.
			if try := tries.Add(1); try <= 12 {
				err = rdb.Set(ctx, key, must(rdb.Get(ctx, s.mine([]string{"even", "odd"}[try%2])).Result())(t), 0).Err()
			}
			return int(n), err
		})
		// What an encoded number looks like.
		if err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			return errors.Join(spool.NewRef[int64](s.mine("odd")).Store(ctx, tx, 300), spool.NewRef[int64](s.mine("even")).Store(ctx, tx, 100))
		}); err != nil {
			t.Fatal(err)
		}
		stop := work(t, w)
		j := must(times.Put(ctx, c, [2]int{3, 4}))(t)
		a := must(spool.OnSuccess(ctx, c, j, adds.With(key, far...)))(t)
		b := must(spool.OnSuccess(ctx, c, a, multiply.With(2, far...)))(t)
		if got := must(a.Wait(ctx))(t); got != 112 || tries.Load() != 13 {
			t.Errorf("got %d after %d tries", got, tries.Load())
		}
		if got := must(b.Wait(ctx))(t); got != 224 {
			t.Errorf("what follows: %d", got)
		}
		bad := must(spool.OnSuccess(ctx, c, j, adds.With(s.mine("broken"), far...)))(t)
		if _, err := bad.Wait(ctx); !errors.Is(err, errKnown) {
			t.Errorf("got %v", err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			if n, err := spool.NewRef[int64](key).Load(ctx, tx); err != nil || n != 112 {
				t.Errorf("stored: %d, %v", n, err)
			}
			if n, err := spool.NewRef[int64](s.mine("broken")).Load(ctx, tx); !errors.Is(err, spool.ErrNotFound) {
				t.Errorf("of the broken one: %d, %v", n, err)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
}

// A job in a transaction puts callbacks to another one and to those: if its commit conflicts nothing of that is there but
// what its last attempt put.
func TestCallbacksPutByAJobThatConflicts(t *testing.T) {
	t.Parallel()
	callbackShapes(t, func(t *testing.T, s *server, c *spool.Client, w *spool.Worker, far []spool.Option) {
		ctx, book := within(t), newCallbackBook()
		book.handle(w)
		other := must(times.Put(ctx, c, [2]int{3, 4}))(t)
		puts := spool.NewTask[*spool.Job[int], string]("callback.puts")
		rdb := s.raw(t)
		puts.HandleTx(w, func(ctx context.Context, tx *spool.Tx, j *spool.Job[int]) (string, error) {
			if _, err := addTo(ctx, tx, credits{s.mine("n"), 1}); err != nil {
				return "", err
			}
			label := "first"
			if tx.Attempts() > 1 {
				label = "second"
			} else if err := rdb.Set(ctx, s.mine("n"), must(rdb.Get(ctx, s.mine("other")).Result())(t), 0).Err(); err != nil {
				return "", err
			}
			a, err := spool.OnSuccess(ctx, tx, j, callbackTold.With(label, far...))
			if err != nil {
				return "", err
			}
			b, err := spool.OnSuccess(ctx, tx, a, callbackTold.With(label+" next", far...))
			return b.ID(), err
		})
		if err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			return spool.NewRef[int64](s.mine("other")).Store(ctx, tx, 100)
		}); err != nil {
			t.Fatal(err)
		}
		work(t, w)
		id := must(must(puts.Put(ctx, c, other))(t).Wait(ctx))(t)
		if got := must(callbackTold.Job(c, id).Wait(ctx))(t); got != 2012 {
			t.Errorf("got %d", got)
		}
		n := book.runs()
		if len(n) != 2 || n["second"] != 1 || n["second next"] != 1 {
			t.Errorf("ran: %v", n)
		}
	})
}
