package spool_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/spooljobs/spool"
)

// The outcome of a job is not taken or forgotten while callbacks need it; after that it is. CB-8.
func TestTakeWhileCallbacksRun(t *testing.T) {
	t.Parallel()
	callbackShapes(t, func(t *testing.T, s *server, c *spool.Client, w *spool.Worker, far []spool.Option) {
		ctx, q := within(t), c.Queue("default")
		began, let := make(chan struct{}), make(chan struct{})
		slow := spool.NewReaction[int, int, int]("callback.slow")
		slow.Handle(w, func(_ context.Context, p spool.Outcome[int], n int) (int, error) {
			close(began)
			<-let
			return p.Value + n, p.Err
		})
		j := must(times.Put(ctx, c, [2]int{3, 4}))(t)
		a := must(spool.OnDone(ctx, c, j, slow.With(1, far...)))(t)
		work(t, w)
		recv(t, "the callback begins", began)
		take := func() (out spool.Outcome[int], err error) {
			err = c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) (err error) {
				out, err = j.Take(ctx, tx)
				return err
			})
			return out, err
		}
		if _, err := take(); !errors.Is(err, spool.ErrIncomplete) {
			t.Errorf("taken: %v", err)
		}
		if err := j.Forget(ctx); !errors.Is(err, spool.ErrIncomplete) {
			t.Errorf("forgotten: %v", err)
		}
		close(let)
		if got := must(a.Wait(ctx))(t); got != 13 {
			t.Errorf("got %d", got)
		}
		eventually(t, "it is completed", func() bool { return must(q.Get(ctx, j.ID()))(t).State == spool.StateCompleted })
		if out, err := take(); err != nil || out.Value != 12 {
			t.Errorf("%+v, %v", out, err)
		}
		if _, err := q.Get(ctx, j.ID()); !errors.Is(err, spool.ErrUnknown) {
			t.Errorf("after it was taken: %v", err)
		}
	})
}

// A callback that waits can be ended from outside: it is not run, what follows it is told, and its job does not notice.
// It cannot be pulled, nor can its job; a job can be edited, and its callback hears of what it does then. PT-12.
func TestCallbackChangedWhileItWaits(t *testing.T) {
	t.Parallel()
	callbackShapes(t, func(t *testing.T, s *server, c *spool.Client, w *spool.Worker, far []spool.Option) {
		ctx, q, book := within(t), c.Queue("default"), newCallbackBook()
		book.handle(w)
		j := must(times.Put(ctx, c, [2]int{3, 4}))(t)
		add := func(label string) (a, after *spool.Job[int]) {
			a = must(spool.OnDone(ctx, c, j, callbackTold.With(label, far...)))(t)
			return a, must(spool.OnFailure(ctx, c, a, callbackTold.With("after "+label, far...)))(t)
		}
		failed, afterFailed := add("failed")
		cancelled, afterCancelled := add("cancelled")
		stays, afterStays := add("stays")
		for what, err := range map[string]error{
			"pulling the callback": q.Pull(ctx, stays.ID()),
			"pulling its job":      q.Pull(ctx, j.ID()),
		} {
			if !errors.Is(err, spool.ErrBadState) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := q.Fail(ctx, failed.ID(), errors.New("not wanted")); err != nil {
			t.Fatal(err)
		}
		if err := q.Fail(ctx, failed.ID(), errors.New("again")); !errors.Is(err, spool.ErrBadState) {
			t.Errorf("failed again: %v", err)
		}
		if err := cancelled.Cancel(ctx, errors.New("no need")); err != nil {
			t.Fatal(err)
		}
		if err := q.Edit(ctx, j.ID(), [2]int{5, 6}); err != nil {
			t.Fatal(err)
		}
		work(t, w)
		if got := must(j.Wait(ctx))(t); got != 30 {
			t.Errorf("the job: %d", got)
		}
		if got := must(stays.Wait(ctx))(t); got != 1030 {
			t.Errorf("its callback: %d", got)
		}
		if got := must(afterStays.Wait(ctx))(t); got != 1030 {
			t.Errorf("an empty branch: %d", got)
		}
		if _, err := failed.Wait(ctx); err == nil || err.Error() != "not wanted" {
			t.Errorf("failed: %v", err)
		}
		if _, err := cancelled.Wait(ctx); !errors.Is(err, spool.ErrCancelled) {
			t.Errorf("cancelled: %v", err)
		}
		for _, a := range []*spool.Job[int]{afterFailed, afterCancelled} {
			if got := must(a.Wait(ctx))(t); got != -1 {
				t.Errorf("what follows: %d", got)
			}
		}
		n := book.runs()
		if n["failed"]+n["cancelled"]+n["after stays"] != 0 || n["stays"] != 1 || n["after failed"] != 1 || n["after cancelled"] != 1 {
			t.Errorf("ran: %v", n)
		}
		if told := book.of("after cancelled"); len(told) == 1 && !errors.Is(told[0].Err, spool.ErrCancelled) {
			t.Errorf("told %v", told)
		}
		eventually(t, "the job is completed", func() bool { return must(q.Get(ctx, j.ID()))(t).State == spool.StateCompleted })
	})
}

// A callback is edited while it waits, and goes on waiting; ended, or sent, it is not.
func TestCallbackEditedWhileItWaits(t *testing.T) {
	t.Parallel()
	callbackShapes(t, func(t *testing.T, s *server, c *spool.Client, w *spool.Worker, far []spool.Option) {
		ctx, q := within(t), c.Queue("default")
		j := must(times.Put(ctx, c, [2]int{3, 4}))(t)
		a := must(spool.OnDone(ctx, c, j, multiply.With(2, far...)))(t)
		if err := q.Edit(ctx, a.ID(), 5); err != nil {
			t.Fatal(err)
		}
		if n := must(q.Counts(ctx))(t); n.Waiting != 1 {
			t.Errorf("%+v", n)
		}
		work(t, w)
		if got := must(a.Wait(ctx))(t); got != 60 {
			t.Errorf("got %d", got)
		}
		if err := q.Edit(ctx, a.ID(), 6); !errors.Is(err, spool.ErrBadState) {
			t.Errorf("after its end: %v", err)
		}
	})
}

// A callback is cancelled while it runs, also where another queue runs it: its job is released, what follows it is told.
func TestCallbackCancelledAtWork(t *testing.T) {
	t.Parallel()
	callbackShapes(t, func(t *testing.T, s *server, c *spool.Client, w *spool.Worker, far []spool.Option) {
		ctx, q, book := within(t), c.Queue("default"), newCallbackBook()
		book.handle(w)
		began := make(chan struct{})
		stuck := spool.NewReaction[int, int, int]("callback.stuck")
		stuck.Handle(w, func(ctx context.Context, p spool.Outcome[int], n int) (int, error) {
			close(began)
			<-ctx.Done()
			return 0, context.Cause(ctx)
		})
		work(t, w)
		j := must(times.Put(ctx, c, [2]int{3, 4}))(t)
		a := must(spool.OnDone(ctx, c, j, stuck.With(1, far...)))(t)
		told := must(spool.OnFailure(ctx, c, a, callbackTold.With("told", far...)))(t)
		recv(t, "the callback begins", began)
		if err := j.Cancel(ctx); !errors.Is(err, spool.ErrBadState) {
			t.Errorf("cancelling the job: %v", err)
		}
		if err := a.Cancel(ctx, errors.New("no need")); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Wait(ctx); !errors.Is(err, spool.ErrCancelled) {
			t.Errorf("got %v", err)
		}
		if got := must(told.Wait(ctx))(t); got != -1 {
			t.Errorf("told: %d", got)
		}
		eventually(t, "the job is completed", func() bool { return must(q.Get(ctx, j.ID()))(t).State == spool.StateCompleted })
		if err := a.Cancel(ctx); !errors.Is(err, spool.ErrBadState) {
			t.Errorf("cancelled again: %v", err)
		}
		allLeft(t, s)
	})
}

// An outcome that is not to be kept is there until the callbacks have ended, and gone then.
func TestShortOutcomeLastsUntilItsCallbacksHaveEnded(t *testing.T) {
	t.Parallel()
	callbackShapes(t, func(t *testing.T, s *server, c *spool.Client, w *spool.Worker, far []spool.Option) {
		ctx, q, book := within(t), c.Queue("default"), newCallbackBook()
		began, let := make(chan struct{}), make(chan struct{})
		slow := spool.NewReaction[int, int, int]("callback.slow")
		slow.Handle(w, func(_ context.Context, p spool.Outcome[int], n int) (int, error) {
			close(began)
			<-let
			return p.Value + n, p.Err
		})
		book.handle(w)
		j := must(times.Put(ctx, c, [2]int{3, 4}, spool.Keep(0)))(t)
		a := must(spool.OnDone(ctx, c, j, slow.With(1, far...)))(t)
		work(t, w)
		recv(t, "the callback begins", began)
		time.Sleep(120 * time.Millisecond) // beats go by, which tidy
		b := must(spool.OnDone(ctx, c, j, callbackTold.With("late", far...)))(t)
		if got := must(b.Wait(ctx))(t); got != 1012 {
			t.Errorf("late: %d", got)
		}
		close(let)
		if got := must(a.Wait(ctx))(t); got != 13 {
			t.Errorf("got %d", got)
		}
		eventually(t, "the outcome has gone", func() bool {
			_, err := q.Get(ctx, j.ID())
			return errors.Is(err, spool.ErrUnknown)
		})
	})
}

// A callback that was sent to another queue is ended there: at home it is not, and so does the answer say.
func TestCallbackFailedInItsQueue(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		ctx, c := within(t), s.client(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{Queues: []string{"default", "far"}}))
		flowHandlers(w)
		work(t, w)
		j := must(times.Put(ctx, c, [2]int{3, 4}))(t)
		a := must(spool.OnDone(ctx, c, j, multiply.With(2, spool.In("far"), spool.Delay(time.Hour))))(t)
		told := must(spool.OnFailure(ctx, c, a, rescue.With(7)))(t)
		eventually(t, "it has arrived", func() bool { return must(c.Queue("far").Counts(ctx))(t).Due == 1 })
		if err := c.Queue("default").Fail(ctx, a.ID(), errors.New("here")); !errors.Is(err, spool.ErrBadState) {
			t.Errorf("at home: %v", err)
		}
		if info := must(c.Queue("default").Get(ctx, a.ID()))(t); info.Outcome != "" {
			t.Errorf("%+v", info)
		}
		if err := c.Queue("far").Fail(ctx, a.ID(), errors.New("there")); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Wait(ctx); err == nil || err.Error() != "there" {
			t.Errorf("got %v", err)
		}
		if got := must(told.Wait(ctx))(t); got != 7 {
			t.Errorf("told: %d", got)
		}
	})
}
