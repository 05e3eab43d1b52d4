package spool_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/spooljobs/spool"
)

// Mistakes are told before Redis is asked, and nothing is stored.
func TestCallbackMistakes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		ctx, c := within(t), s.client(t)
		j := must(times.Put(ctx, c, [2]int{3, 4}))(t)
		good := rescue.With(1)
		var zero spool.Reaction[int, int, int]
		put := times.With([2]int{1, 2}, spool.Delay(time.Hour))
		must(put.Put(ctx, c))(t)
		add := func(ctx context.Context, to spool.To, j *spool.Job[int], a spool.After[int, int]) error {
			var errs []error
			for _, fn := range []func(context.Context, spool.To, *spool.Job[int], spool.After[int, int]) (*spool.Job[int], error){
				spool.OnSuccess[int, int], spool.OnFailure[int, int], spool.OnDone[int, int],
			} {
				got, err := fn(ctx, to, j, a)
				if err == nil || got != nil {
					t.Errorf("got %v, %v", got, err)
				}
				errs = append(errs, err)
			}
			return errors.Join(errs...)
		}
		partial := func(p spool.Partial[int]) error {
			_, err := p.Put(ctx, c)
			return err
		}
		field := func(what string, err error) {
			t.Helper()
			var f *spool.FieldError
			if !errors.As(err, &f) {
				t.Errorf("%s: %v", what, err)
			}
		}
		field("no context", add(nil, c, j, good))
		field("nowhere to put it", add(ctx, nil, j, good))
		field("no job", add(ctx, c, nil, good))
		field("an empty job", add(ctx, c, &spool.Job[int]{}, good))
		field("no callback", add(ctx, c, j, spool.After[int, int]{}))
		field("a callback of no reaction", add(ctx, c, j, zero.With(1)))
		field("a bad id", add(ctx, c, j, rescue.With(1, spool.ID("a/b"))))
		field("a bad queue", add(ctx, c, j, rescue.With(1, spool.In("{x}"))))
		field("a mistaken option", add(ctx, c, j, rescue.With(1, spool.Priority(5000))))
		field("a nil follower", partial(times.With([2]int{1, 2}).OnDone(nil)))
		field("a zero follower", partial(times.With([2]int{1, 2}).OnSuccess(spool.After[int, int]{})))
		field("a follower with a mistake", partial(times.With([2]int{1, 2}).OnSuccess(rescue.With(1, spool.Priority(5000)))))
		field("a mistake two deep", partial(times.With([2]int{1, 2}).OnSuccess(good.OnDone(rescue.With(1, spool.Priority(5000))))))
		field("of no task", partial(spool.Partial[int]{}.OnDone(good)))
		field("put before", partial(put.OnDone(good)))
		field("an After put before", func() error {
			a := rescue.With(2)
			must(spool.OnDone(ctx, c, j, a))(t)
			_, err := times.With([2]int{1, 2}).OnDone(a.OnDone(good)).Put(ctx, c)
			return err
		}())
		if err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			field("by way of another outbox", add(ctx, tx.Via("there", c), j, good))
			return nil
		}); err != nil {
			t.Error(err)
		}
		if n := must(c.Queue("default").Counts(ctx))(t); n.Pending() != 3 {
			t.Errorf("%+v", n)
		}
	})
}

// The same After twice is one job, whether it is added at once, after the end, by others or to a transaction; other
// arguments under its id are refused.
func TestSameCallbackTwice(t *testing.T) {
	t.Parallel()
	callbackShapes(t, func(t *testing.T, s *server, c *spool.Client, w *spool.Worker, far []spool.Option) {
		ctx, book := within(t), newCallbackBook()
		book.handle(w)
		for name, a := range map[string]spool.After[int, int]{
			"drawn": callbackTold.With("drawn", far...),
			"own":   callbackTold.With("own", append([]spool.Option{spool.ID("mine")}, far...)...),
		} {
			j := must(times.Put(ctx, c, [2]int{3, 4}))(t)
			first := must(spool.OnDone(ctx, c, j, a))(t)
			again := func(when string) {
				t.Helper()
				if got := must(spool.OnDone(ctx, c, j, a))(t); got.ID() != first.ID() {
					t.Errorf("%s, %s: %s and %s", name, when, first, got)
				}
				if err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
					_, err := spool.OnDone(ctx, tx, j, a)
					return err
				}); err != nil {
					t.Errorf("%s, %s: %v", name, when, err)
				}
			}
			again("at once")
			if name == "own" {
				_, err := spool.OnDone(ctx, c, j, callbackTold.With("other", append([]spool.Option{spool.ID("mine")}, far...)...))
				if !errors.Is(err, spool.ErrIDTaken) {
					t.Errorf("other arguments: %v", err)
				}
			}
			stop := work(t, w)
			must(first.Wait(ctx))(t)
			eventually(t, "it has ended at home", func() bool {
				return must(c.Queue("default").Get(ctx, first.ID()))(t).State == spool.StateCompleted
			})
			again("after the end")
			if err := stop(); err != nil {
				t.Error(err)
			}
			if n := len(book.of(name)); n != 1 {
				t.Errorf("%s: ran %d times", name, n)
			}
			w = spool.NewWorker(c, fast(spool.WorkerConfig{Queues: []string{"default", "far"}}))
			flowHandlers(w)
			book.handle(w)
		}
	})
}

// Of a job that is not known, or has left nothing, there are no callbacks: ErrUnknown, and nothing is stored. One that
// has not ended can be followed whatever it leaves.
func TestCallbackOfAJobThatLeavesNothing(t *testing.T) {
	t.Parallel()
	callbackShapes(t, func(t *testing.T, s *server, c *spool.Client, w *spool.Worker, far []spool.Option) {
		ctx, q := within(t), c.Queue("default")
		callbackPlain.Handle(w, func(context.Context, int) (None, error) { return None{}, nil })
		after := spool.NewReaction[None, int, int]("callback.plain.after")
		after.Handle(w, func(_ context.Context, p spool.Outcome[None], n int) (int, error) { return n, p.Err })
		unknown := func(what string, add func(to spool.To) error) {
			t.Helper()
			before := must(q.Counts(ctx))(t)
			if err := add(c); !errors.Is(err, spool.ErrUnknown) {
				t.Errorf("%s: %v", what, err)
			}
			beside := double.With(1, spool.ID("beside"))
			err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
				if _, err := beside.Put(ctx, tx); err != nil {
					return err
				}
				return add(tx)
			})
			if !errors.Is(err, spool.ErrUnknown) {
				t.Errorf("%s, in a transaction: %v", what, err)
			}
			if n := must(q.Counts(ctx))(t); n != before {
				t.Errorf("%s: %+v, before it %+v", what, n, before)
			}
		}
		unknown("never put", func(to spool.To) error {
			_, err := spool.OnDone(ctx, to, times.Job(c, "nobody"), rescue.With(1, far...))
			return err
		})
		before := must(callbackPlain.Put(ctx, c, 1))(t)
		kept := must(callbackPlain.Put(ctx, c, 2, spool.Keep(time.Hour)))(t)
		bare := must(callbackPlain.Put(ctx, c, 3))(t)
		a := must(spool.OnSuccess(ctx, c, before, after.With(7, far...)))(t)
		work(t, w)
		must(kept.Wait(ctx))(t)
		b := must(spool.OnSuccess(ctx, c, kept, after.With(8, far...)))(t)
		for i, one := range []*spool.Job[int]{a, b} {
			if got := must(one.Wait(ctx))(t); got != 7+i {
				t.Errorf("got %d", got)
			}
		}
		eventually(t, "the others have ended and left nothing", func() bool {
			_, one := q.Get(ctx, bare.ID())
			_, two := q.Get(ctx, before.ID())
			return errors.Is(one, spool.ErrUnknown) && errors.Is(two, spool.ErrUnknown)
		})
		unknown("left nothing", func(to spool.To) error {
			_, err := spool.OnDone(ctx, to, bare, after.With(1, far...))
			return err
		})
		j := must(times.Put(ctx, c, [2]int{1, 2}))(t)
		must(j.Wait(ctx))(t)
		if err := j.Forget(ctx); err != nil {
			t.Fatal(err)
		}
		unknown("forgotten", func(to spool.To) error {
			_, err := spool.OnDone(ctx, to, j, rescue.With(1, far...))
			return err
		})
	})
}
