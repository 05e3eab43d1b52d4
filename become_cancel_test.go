package spool_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/spooljobs/spool"
)

// While it waits for another one a job is active, has no slot, and can be cancelled, which leaves the other one alone; a
// cancelled one that answered for it ends it.
func TestBecomeAndCancel(t *testing.T) {
	t.Parallel()
	becomeShapes(t, func(t *testing.T, s *server, c *spool.Client, w *spool.Worker, far []spool.Option) {
		ctx, q, book := within(t), c.Queue("default"), newCallbackBook()
		book.handle(w)
		work(t, w)
		inner := must(callbackGate.Put(ctx, c, "inner", far...))(t)
		recv(t, "the inner one begins", book.gate("inner").began)
		one := must(becomeOther.Put(ctx, c, inner))(t)
		two := must(becomeOther.Put(ctx, c, inner))(t)
		told := must(spool.OnFailure(ctx, c, one, callbackTold.With("told")))(t)
		bad := must(becomeOther.Put(ctx, c, inner))(t)
		eventually(t, "all have handed on", func() bool { return must(q.Counts(ctx))(t).Adopting == 3 })
		if info := must(q.Get(ctx, one.ID()))(t); info.State != spool.StateActive {
			t.Errorf("%+v", info)
		}
		for what, err := range map[string]error{"pull": q.Pull(ctx, one.ID()), "edit": q.Edit(ctx, one.ID(), inner)} {
			if !errors.Is(err, spool.ErrBadState) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := q.Fail(ctx, bad.ID(), errors.New("not wanted")); err != nil {
			t.Errorf("fail: %v", err)
		}
		if _, err := bad.Wait(ctx); err == nil || err.Error() != "not wanted" {
			t.Errorf("failed from outside: %v", err)
		}
		if err := one.Forget(ctx); !errors.Is(err, spool.ErrIncomplete) {
			t.Errorf("forget: %v", err)
		}
		if err := one.Cancel(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := one.Wait(ctx); !errors.Is(err, spool.ErrCancelled) {
			t.Errorf("got %v", err)
		}
		if got := must(told.Wait(ctx))(t); got != -1 {
			t.Errorf("told %d", got)
		}
		close(book.gate("inner").opened)
		if got := must(inner.Wait(ctx))(t); got != 12 {
			t.Errorf("the inner one: %d", got)
		}
		if got := must(two.Wait(ctx))(t); got != 12 {
			t.Errorf("the other outer one: %d", got)
		}
		again := must(callbackGate.Put(ctx, c, "again", far...))(t)
		three := must(becomeOther.Put(ctx, c, again))(t)
		recv(t, "the inner one begins", book.gate("again").began)
		eventually(t, "it has handed on", func() bool { return must(q.Counts(ctx))(t).Adopting == 1 })
		if err := again.Cancel(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := three.Wait(ctx); !errors.Is(err, spool.ErrCancelled) {
			t.Errorf("got %v", err)
		}
		if told := book.of("told"); len(told) != 1 || !errors.Is(told[0].Err, spool.ErrCancelled) {
			t.Errorf("told %+v", told)
		}
	})
}

// A callback that another queue runs answers with a job of a third one: cancelled while it waits, it ends at home, its job
// is released, and the one that would have answered goes on; so it does after a failure from outside.
func TestBecomeOfACallbackAndItsEnd(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		ctx, c, book := within(t), s.client(t), newCallbackBook()
		w := spool.NewWorker(c, fast(spool.WorkerConfig{Queues: []string{"default", "far", "third"}, ThreadSlots: 4}))
		flowHandlers(w)
		book.handle(w)
		hands := spool.NewReaction[int, *spool.Job[int], int]("become.hands")
		hands.Handle(w, func(_ context.Context, _ spool.Outcome[int], j *spool.Job[int]) (int, error) { return spool.Become(j) })
		work(t, w)
		inner := must(callbackGate.Put(ctx, c, "third", spool.In("third")))(t)
		for what, end := range map[string]func(a *spool.Job[int]) error{
			"cancelled": func(a *spool.Job[int]) error { return a.Cancel(ctx) },
			"failed":    func(a *spool.Job[int]) error { return c.Queue("far").Fail(ctx, a.ID(), errors.New("not wanted")) },
		} {
			j := must(times.Put(ctx, c, [2]int{3, 4}, spool.Delay(20*time.Millisecond)))(t)
			a := must(spool.OnDone(ctx, c, j, hands.With(inner, spool.In("far"))))(t)
			told := must(spool.OnFailure(ctx, c, a, callbackTold.With(what, spool.In("third"))))(t)
			eventually(t, "it has handed on", func() bool { return must(c.Queue("far").Counts(ctx))(t).Adopting == 1 })
			if info := must(c.Queue("default").Get(ctx, j.ID()))(t); info.State != spool.StateCallbacks {
				t.Errorf("%s: %+v", what, info)
			}
			if err := end(a); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if _, err := a.Wait(ctx); errors.Is(err, spool.ErrCancelled) != (what == "cancelled") || err == nil {
				t.Errorf("%s: %v", what, err)
			}
			if got := must(told.Wait(ctx))(t); got != -1 {
				t.Errorf("%s: told %d", what, got)
			}
			eventually(t, "the job is completed", func() bool {
				return must(c.Queue("default").Get(ctx, j.ID()))(t).State == spool.StateCompleted
			})
		}
		close(book.gate("third").opened)
		if got := must(inner.Wait(ctx))(t); got != 12 {
			t.Errorf("the inner one: %d", got)
		}
	})
}
