package spool_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
)

const callbackMany = 1200 // more than two calls work off

func callbackCrowd(far []spool.Option) []spool.Follower[int] {
	list := make([]spool.Follower[int], callbackMany)
	for i := range list {
		list[i] = callbackTold.With(fmt.Sprint(i), far...)
	}
	return list
}

func callbackAllOnce(t *testing.T, book *callbackBook, many int) {
	t.Helper()
	n := book.runs()
	for label, runs := range n {
		if runs != 1 {
			t.Errorf("callback %s ran %d times", label, runs)
		}
	}
	if len(n) != many {
		t.Errorf("%d callbacks ran", len(n))
	}
}

// A job may have more callbacks than one call works off.
func TestManyCallbacksOfAJob(t *testing.T) {
	t.Parallel()
	callbackShapes(t, func(t *testing.T, s *server, c *spool.Client, w *spool.Worker, far []spool.Option) {
		many := callbackMany
		if s.name == "embedded" {
			many = 20 // there a call is slow
		}
		ctx, book := within(t), newCallbackBook()
		book.handle(w)
		j := must(times.With([2]int{3, 4}).OnDone(callbackCrowd(far)[:many]...).Put(ctx, c))(t)
		work(t, w)
		if got := must(j.Wait(ctx))(t); got != 12 {
			t.Errorf("got %d", got)
		}
		eventually(t, "all have ended", func() bool {
			return must(c.Queue("default").Get(ctx, j.ID()))(t).State == spool.StateCompleted
		})
		callbackAllOnce(t, book, many)
	})
}

// The same where whoever ends the job does not go on: a worker's beat sees to what is left.
func TestManyCallbacksResumedByOthers(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		ctx, book := within(t), newCallbackBook()
		p, verb, dead := s.proxied(t), s.verbs(t), make(chan struct{})
		t.Cleanup(func() { close(dead) })
		p.OnRequest(func(cmd []string) redistest.Action {
			if verb(cmd) == "resume" {
				return redistest.Hold(dead)
			}
			return redistest.Pass()
		})
		c, d := s.client(t), s.clientAt(t, p.Addr())
		j := must(times.With([2]int{3, 4}, spool.Delay(time.Hour)).Put(ctx, c))(t)
		err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			for i := range callbackMany {
				if _, err := spool.OnDone(ctx, tx, j, callbackTold.With(fmt.Sprint(i))); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := must(c.Queue("default").Counts(ctx))(t); n.Waiting != callbackMany {
			t.Errorf("%+v", n)
		}
		if err := d.Queue("default").Fail(ctx, j.ID(), errors.New("not wanted")); err != nil {
			t.Fatal(err)
		}
		if n := must(c.Queue("default").Counts(ctx))(t); n.Waiting != callbackMany-500 || n.Callbacks != 1 {
			t.Errorf("%+v", n)
		}
		late := must(spool.OnFailure(ctx, c, j, rescue.With(7)))(t) // while others are yet to be told
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 8}))
		book.handle(w)
		rescue.Handle(w, func(_ context.Context, p spool.Outcome[int], with int) (int, error) { return with, nil })
		work(t, w)
		if got := must(late.Wait(ctx))(t); got != 7 {
			t.Errorf("late: %d", got)
		}
		eventually(t, "all have ended", func() bool {
			return must(c.Queue("default").Get(ctx, j.ID()))(t).State == spool.StateCompleted
		})
		callbackAllOnce(t, book, callbackMany)
	})
}

// Callbacks of callbacks, fifty deep: given with the job, added to handles one after another while they run, and a
// branch that is not taken, by which the outcome comes through in one go.
func TestCallbacksFiftyDeep(t *testing.T) {
	t.Parallel()
	shapes(t, func(t *testing.T, s *server, c *spool.Client, far []spool.Option) {
		deep := 50
		if s.name == "embedded" {
			deep = 10 // there a call is slow
		}
		ctx := within(t)
		a, want := multiply.With(3, spool.ID("last")), 3
		for i := range deep - 1 {
			by := 1
			if i%10 == 0 {
				by, want = 2, want*2
			}
			if i%2 == 0 {
				a = multiply.With(by, far...).OnSuccess(a)
			} else {
				a = multiply.With(by).OnDone(a)
			}
		}
		must(times.With([2]int{1, 1}).OnDone(a).Put(ctx, c))(t)
		eventually(t, "the last is stored", func() bool {
			_, err := c.Queue("default").Get(ctx, "last")
			return err == nil
		})
		if got := must(multiply.Job(c, "last").Wait(ctx))(t); got != want {
			t.Errorf("got %d, not %d", got, want)
		}
		j := must(times.Put(ctx, c, [2]int{1, 1}))(t)
		for range deep {
			j = must(spool.OnSuccess(ctx, c, j, multiply.With(1, far...)))(t)
		}
		for range deep {
			j = must(spool.OnFailure(ctx, c, j, multiply.With(0, far...)))(t)
		}
		if got := must(j.Wait(ctx))(t); got != 1 {
			t.Errorf("got %d", got)
		}
	})
}

// A callback is run ahead of other work, though that was there before and its own job has just ended.
func TestCallbackGoesAheadOfABacklog(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		const backlog = 1000
		ctx, c, book := within(t), s.client(t), newCallbackBook()
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		var ran, at atomic.Int64
		double.Handle(w, func(_ context.Context, n int) (int, error) { ran.Add(1); return n, nil })
		rescue.Handle(w, func(context.Context, spool.Outcome[int], int) (int, error) { at.Store(ran.Load()); return 1, nil })
		book.handle(w)
		j := must(callbackGate.Put(ctx, c, "first"))(t)
		stop := work(t, w)
		recv(t, "it begins", book.gate("first").began)
		ps := make([]spool.Partial[int], backlog)
		for i := range ps {
			ps[i] = double.With(i)
		}
		must(spool.PutMany(ctx, c, ps))(t)
		a := must(spool.OnDone(ctx, c, j, rescue.With(1)))(t)
		close(book.gate("first").opened)
		must(a.Wait(ctx))(t)
		if err := stop(); err != nil {
			t.Error(err)
		}
		// What the worker has fetched already it runs first.
		if n := at.Load(); n > backlog/10 {
			t.Errorf("%d jobs ran before it", n)
		}
	})
}
