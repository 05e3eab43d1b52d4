package spool_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/spooljobs/spool"
)

var (
	callbackPlain = spool.NewTask[int, None]("callback.plain")
	callbackHeld  = spool.NewReaction[None, None, int]("callback.held")
)

// A job with callbacks has a deadline like any other: only what has parts has begun when these do.
func TestCallbacksLeaveTheDeadline(t *testing.T) {
	for name, opts := range map[string][]spool.Option{
		"ready": {spool.BeginBy(time.Millisecond)},
		"due":   {spool.BeginBy(time.Millisecond), spool.Delay(20 * time.Millisecond)},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, s *server) {
				c := s.client(t)
				ctx := within(t)
				j := must(times.With([2]int{1, 2}, opts...).OnSuccess(multiply.With(2)).Put(ctx, c))(t)
				ended := make(chan error, 1)
				go func() {
					_, err := j.Wait(ctx)
					ended <- err
				}()
				// Of tasks that it does not know a worker sees to the deadlines.
				work(t, spool.NewWorker(c, fast(spool.WorkerConfig{})))
				if err := recv(t, "the job ends", ended); !errors.Is(err, spool.ErrExpired) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

// There is no retry after the deadline.
func TestCallbacksLeaveTheDeadlineOfARetry(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		breaks.Handle(w, func(_ context.Context, why string) (int, error) {
			return 0, spool.RetryAfter(time.Hour, errors.New(why))
		})
		rescue.Handle(w, func(_ context.Context, p spool.Outcome[int], with int) (int, error) { return with, nil })
		work(t, w)
		j := must(breaks.With("no", spool.BeginBy(time.Minute)).OnFailure(rescue.With(7, spool.ID("saved"))).Put(ctx, c))(t)
		if _, err := j.Wait(ctx); err == nil || err.Error() != "no" {
			t.Errorf("got %v", err)
		}
		if got := must(rescue.Job(c, "saved").Wait(ctx))(t); got != 7 {
			t.Errorf("got %d", got)
		}
	})
}

// While it is held by a callback, a job without a result says what it was, and its id bears what it bore.
func TestCallbackHoldsAPlainSuccess(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		gate, began := make(chan struct{}), make(chan struct{}, 1)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		callbackPlain.Handle(w, func(context.Context, int) (None, error) { return None{}, nil })
		callbackHeld.Handle(w, func(ctx context.Context, p spool.Outcome[None], _ None) (int, error) {
			began <- struct{}{}
			<-gate
			return 1, p.Err
		})
		j := must(callbackPlain.Put(ctx, c, 1, spool.ID("mine")))(t)
		a := must(spool.OnDone(ctx, c, j, callbackHeld.With(None{})))(t)
		work(t, w)
		recv(t, "the callback begins", began)
		info := must(c.Queue("default").Get(ctx, j.ID()))(t)
		if info.State != spool.StateCallbacks || info.Outcome != "succeeded" || info.Task != callbackPlain.Name() {
			t.Errorf("%+v", info)
		}
		if _, err := callbackPlain.Put(ctx, c, 1, spool.ID("mine")); err != nil {
			t.Errorf("the same again: %v", err)
		}
		if _, err := callbackPlain.Put(ctx, c, 2, spool.ID("mine")); !errors.Is(err, spool.ErrIDTaken) {
			t.Errorf("another one: %v", err)
		}
		close(gate)
		if got := must(a.Wait(ctx))(t); got != 1 {
			t.Errorf("got %d", got)
		}
	})
}

// An id of the user's may look like anything, with one of Spool's own behind a comma, and yet be followed from another queue.
func TestCallbackOfAnOddID(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{Queues: []string{"default", "far"}}))
		flowHandlers(w)
		for _, id := range []string{"a,0190aaaabbbb7ccc8dddeeeeffff0000", ",", ",,", "+,-", ">d!-,-,x"} {
			j := must(times.Put(ctx, c, [2]int{1, 2}, spool.ID(id)))(t)
			var a *spool.Job[int]
			if err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) (err error) {
				a, err = spool.OnDone(ctx, tx, j, multiply.With(2))
				return err
			}, spool.TxConfig{Queue: "far"}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the callback is delivered", func() bool {
				_, err := c.Queue("default").Get(ctx, a.ID())
				return err == nil
			})
		}
		if n := must(c.Queue("default").Counts(ctx))(t); n.Waiting != 5 {
			t.Errorf("%+v", n)
		}
		work(t, w)
		eventually(t, "all have ended", func() bool { return must(c.Queue("default").Counts(ctx))(t).Succeeded == 10 })
	})
}
