package spool_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
)

// callbackRuns waits for the results of two callbacks that were put with a job.
func callbackRuns(t *testing.T, ctx context.Context, c *spool.Client) {
	t.Helper()
	for id, want := range map[string]int{"bad": 7, "done": 8} {
		eventually(t, id+" is stored", func() bool {
			_, err := c.Queue("default").Get(ctx, id)
			return err == nil
		})
		if got, err := rescue.Job(c, id).Wait(ctx); err != nil || got != want {
			t.Errorf("%s: %d, %v", id, got, err)
		}
	}
}

func callbackPair(p spool.Partial[int], far []spool.Option) spool.Partial[int] {
	return p.OnFailure(rescue.With(7, append([]spool.Option{spool.ID("bad")}, far...)...)).OnDone(rescue.With(8, spool.ID("done")))
}

// Callbacks that were put with a job follow it also if it ends before its graph is taken apart: here while it is due.
func TestCallbacksOfAJobCancelledWhileDue(t *testing.T) {
	shapes(t, func(t *testing.T, s *server, c *spool.Client, far []spool.Option) {
		ctx := within(t)
		j := must(callbackPair(times.With([2]int{1, 2}, spool.Delay(time.Hour)), far).Put(ctx, c))(t)
		if err := j.Cancel(ctx); err != nil {
			t.Fatal(err)
		}
		callbackRuns(t, ctx, c)
	})
}

// Here by its deadline, which nobody was there to keep.
func TestCallbacksOfAJobExpiredWhileDue(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		ctx := within(t)
		c := s.client(t)
		j := must(callbackPair(times.With([2]int{1, 2}, spool.Delay(time.Millisecond), spool.BeginBy(time.Millisecond)), nil).Put(ctx, c))(t)
		time.Sleep(20 * time.Millisecond) // both moments pass
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		flowHandlers(w)
		work(t, w)
		if _, err := j.Wait(ctx); !errors.Is(err, spool.ErrExpired) {
			t.Errorf("got %v", err)
		}
		callbackRuns(t, ctx, c)
	})
}

// Here because it follows a branch that is not taken: what follows it follows all the same.
func TestCallbacksOfACallbackThatIsNotTaken(t *testing.T) {
	shapes(t, func(t *testing.T, s *server, c *spool.Client, far []spool.Option) {
		ctx := within(t)
		j := must(times.Put(ctx, c, [2]int{2, 2}))(t)
		a := must(spool.OnFailure(ctx, c, j, rescue.With(1, far...).OnDone(multiply.With(10, spool.ID("next")))))(t)
		if got := must(a.Wait(ctx))(t); got != 4 {
			t.Errorf("got %d", got)
		}
		eventually(t, "what follows is stored", func() bool {
			_, err := c.Queue("default").Get(ctx, "next")
			return err == nil
		})
		if got := must(multiply.Job(c, "next").Wait(ctx))(t); got != 40 {
			t.Errorf("got %d", got)
		}
	})
}

// Here in the moment between the put and resume.
func TestCallbacksOfAJobCancelledAtOnce(t *testing.T) {
	realServer(t, func(t *testing.T, s *server) {
		ctx := within(t)
		p, verb, release := s.proxied(t), s.verbs(t), make(chan struct{})
		p.OnRequest(func(cmd []string) redistest.Action {
			if verb(cmd) == "resume" {
				return redistest.Hold(release)
			}
			return redistest.Pass()
		})
		c, d := s.clientAt(t, p.Addr()), s.client(t)
		j := must(callbackPair(times.With([2]int{1, 2}), nil).Put(ctx, c))(t)
		if err := times.Job(d, j.ID()).Cancel(ctx); err != nil {
			t.Fatal(err)
		}
		close(release)
		w := spool.NewWorker(d, fast(spool.WorkerConfig{}))
		flowHandlers(w)
		work(t, w)
		callbackRuns(t, ctx, d)
	})
}
