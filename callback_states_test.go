package spool_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/spooljobs/spool"
)

// A callback's own state, result and callbacks are its own: a failure callback that returns a value goes on as a success,
// while the job stays a failure; one that fails goes on as a failure. An empty branch passes the outcome on, also through
// several. CB-3, CB-4, B11.
func TestCallbacksOfCallbacks(t *testing.T) {
	t.Parallel()
	callbackShapes(t, func(t *testing.T, s *server, c *spool.Client, w *spool.Worker, far []spool.Option) {
		ctx, book := within(t), newCallbackBook()
		book.handle(w)
		worse := spool.NewReaction[int, string, int]("callback.worse", spool.Knows("test.known", errKnown))
		worse.Handle(w, func(_ context.Context, p spool.Outcome[int], what string) (int, error) {
			return 0, fmt.Errorf("%s: %w", what, errKnown)
		})
		work(t, w)
		no := must(breaks.Put(ctx, c, "no"))(t)
		saved := must(spool.OnFailure(ctx, c, no, rescue.With(0, far...)))(t)
		twice := must(spool.OnSuccess(ctx, c, saved, callbackTold.With("saved")))(t)
		never := must(spool.OnFailure(ctx, c, saved, callbackTold.With("never", far...)))(t)
		if got := must(saved.Wait(ctx))(t); got != 0 {
			t.Errorf("saved: %d", got)
		}
		if got := must(twice.Wait(ctx))(t); got != 1000 {
			t.Errorf("after it: %d", got)
		}
		if got, err := never.Wait(ctx); err != nil || got != 0 {
			t.Errorf("an empty branch: %d, %v", got, err)
		}
		if _, err := no.Wait(ctx); err == nil || err.Error() != "no" {
			t.Errorf("the job itself: %v", err)
		}
		yes := must(times.Put(ctx, c, [2]int{5, 3}))(t)
		bad := must(spool.OnSuccess(ctx, c, yes, worse.With("worse", far...)))(t)
		through := must(spool.OnSuccess(ctx, c, bad, multiply.With(2)))(t)
		again := must(spool.OnSuccess(ctx, c, through, multiply.With(3, far...)))(t)
		heard := must(spool.OnFailure(ctx, c, again, callbackTold.With("heard")))(t)
		if got := must(heard.Wait(ctx))(t); got != -1 {
			t.Errorf("heard: %d", got)
		}
		for _, j := range []*spool.Job[int]{bad, worse.Job(c, through.String()), worse.Job(c, again.String())} {
			if _, err := j.Wait(ctx); !errors.Is(err, errKnown) || err.Error() != "worse: a known error" {
				t.Errorf("%s: %v", j, err)
			}
		}
		if told := book.of("heard"); len(told) != 1 || told[0].JobID != again.ID() {
			t.Errorf("told %+v, want %s", told, again.ID())
		}
		if got := must(yes.Wait(ctx))(t); got != 15 {
			t.Errorf("the job itself: %d", got)
		}
	})
}

// B10: a job and its callback, looked at before, while each runs, and after. The answer is there when the job has ended,
// not when its callbacks have.
func TestStatesOfAJobWithCallbacks(t *testing.T) {
	t.Parallel()
	callbackShapes(t, func(t *testing.T, s *server, c *spool.Client, w *spool.Worker, far []spool.Option) {
		ctx, q, book := within(t), c.Queue("default"), newCallbackBook()
		book.handle(w)
		began, let := make(chan struct{}), make(chan struct{})
		held := spool.NewReaction[int, int, int]("callback.states")
		held.Handle(w, func(_ context.Context, p spool.Outcome[int], n int) (int, error) {
			close(began)
			<-let
			return p.Value + n, p.Err
		})
		j := must(callbackGate.Put(ctx, c, "states"))(t)
		a := must(spool.OnDone(ctx, c, j, held.With(30, far...)))(t)
		state := func(what string, id string, want spool.State) *spool.JobInfo {
			t.Helper()
			info := must(q.Get(ctx, id))(t)
			if info.State != want {
				t.Errorf("%s is %s, not %s", what, info.State, want)
			}
			return info
		}
		state("the job, put", j.ID(), spool.StatePending)
		state("its callback", a.ID(), spool.StatePending)
		if n := must(q.Counts(ctx))(t); n.Waiting != 1 {
			t.Errorf("%+v", n)
		}
		work(t, w)
		recv(t, "the job begins", book.gate("states").began)
		if info := state("the job at work", j.ID(), spool.StateActive); info.Outcome != "" {
			t.Errorf("%+v", info)
		}
		close(book.gate("states").opened)
		if got := must(j.Wait(ctx))(t); got != 12 {
			t.Errorf("got %d", got)
		}
		recv(t, "the callback begins", began)
		var result int
		info := state("the job while its callback runs", j.ID(), spool.StateCallbacks)
		if ok, err := info.Result(&result); !ok || err != nil || result != 12 || info.Outcome != "succeeded" {
			t.Errorf("%v, %v, %+v", ok, err, info)
		}
		state("the callback", a.ID(), spool.StateActive)
		if n := must(q.Counts(ctx))(t); n.Callbacks != 1 {
			t.Errorf("%+v", n)
		}
		if got := must(j.Wait(ctx))(t); got != 12 {
			t.Errorf("asked again: %d", got)
		}
		close(let)
		if got := must(a.Wait(ctx))(t); got != 42 {
			t.Errorf("the callback: %d", got)
		}
		state("the job in the end", j.ID(), spool.StateCompleted)
		state("the callback in the end", a.ID(), spool.StateCompleted)
		if n := must(q.Counts(ctx))(t); n.Callbacks+n.Waiting+n.Adopting != 0 {
			t.Errorf("%+v", n)
		}
	})
}
