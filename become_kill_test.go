package spool_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
)

var (
	heirOuter = spool.NewTask[string, int]("heir.outer")
	heirInner = spool.NewTask[string, int]("heir.inner")
	heirAfter = spool.NewReaction[int, string, int]("heir.after")
)

// childHeir runs jobs that answer with others. It says what begins; those and callbacks last until it is killed.
func childHeir() error {
	ctx, c, rdb, err := childClient()
	if err != nil {
		return err
	}
	defer c.Close()
	defer rdb.Close()
	w := spool.NewWorker(c, fast(spool.WorkerConfig{Queues: []string{"default", "far"}, ThreadSlots: 4}))
	stay := func(ctx context.Context, what string) (int, error) {
		fmt.Println(what)
		<-ctx.Done()
		return 0, context.Cause(ctx)
	}
	heirOuter.HandleTx(w, func(ctx context.Context, tx *spool.Tx, queue string) (int, error) {
		j, err := heirInner.Put(ctx, tx, "inner", spool.In(queue))
		if err != nil {
			return 0, err
		}
		return spool.Become(j)
	})
	heirInner.Handle(w, stay)
	heirAfter.Handle(w, func(ctx context.Context, p spool.Outcome[int], what string) (int, error) { return stay(ctx, what) })
	times.Handle(w, func(_ context.Context, a [2]int) (int, error) { return a[0] * a[1], nil })
	return w.Run(ctx)
}

// The process is killed that has handed a job's answer on, while the other job runs in it, and beside it one with a callback;
// and a process that has ended a job, while its callback runs in it. Others finish all, once, and what follows is told once.
func TestBecomeAndCallbacksSurviveTheKill(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		for _, queue := range []string{"default", "far"} {
			ctx, c := within(t), s.client(t)
			outer := must(heirOuter.With(queue).OnDone(rescue.With(1, spool.ID("with"+queue))).Put(ctx, c))(t)
			after := must(spool.OnSuccess(ctx, c, outer, rescue.With(2, spool.In(queue))))(t)
			parent := must(heirInner.Put(ctx, c, "parent"))(t)
			follows := must(spool.OnDone(ctx, c, parent, rescue.With(3, spool.In(queue))))(t)
			p := s.spawn(t, "heir", s.addr)
			if one, two := p.line(t), p.line(t); one == two {
				t.Fatal(one)
			}
			p.kill()
			held := must(times.Put(ctx, c, [2]int{3, 4}))(t)
			last := must(spool.OnDone(ctx, c, held, heirAfter.With("after", spool.In(queue))))(t)
			eventually(t, "the outer one waits", func() bool { return must(c.Queue("default").Counts(ctx))(t).Adopting >= 1 })
			p = s.spawn(t, "heir", s.addr)
			for p.line(t) != "after" {
			}
			p.kill()
			ran := newTally()
			w := spool.NewWorker(c, fast(spool.WorkerConfig{Queues: []string{"default", "far"}, ThreadSlots: 2}))
			heirInner.Handle(w, func(_ context.Context, what string) (int, error) { ran.note(what); return 42, nil })
			times.Handle(w, func(_ context.Context, a [2]int) (int, error) { return a[0] * a[1], nil })
			heirAfter.Handle(w, func(_ context.Context, p spool.Outcome[int], _ string) (int, error) {
				ran.note("after")
				return p.Value, p.Err
			})
			rescue.Handle(w, func(_ context.Context, p spool.Outcome[int], n int) (int, error) {
				ran.note(fmt.Sprint("follower ", n))
				return p.Value + n, p.Err
			})
			stop := work(t, w)
			if got := must(outer.Wait(ctx))(t); got != 42 {
				t.Errorf("%s: %d", queue, got)
			}
			if got := must(follows.Wait(ctx))(t); got != 45 {
				t.Errorf("%s: of the interrupted job: %d", queue, got)
			}
			if got := must(after.Wait(ctx))(t); got != 44 {
				t.Errorf("%s: the callback: %d", queue, got)
			}
			if got := must(rescue.Job(c, "with"+queue).Wait(ctx))(t); got != 43 {
				t.Errorf("%s: the callback put with it: %d", queue, got)
			}
			if got := must(last.Wait(ctx))(t); got != 12 {
				t.Errorf("%s: the interrupted callback: %d", queue, got)
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
			for what, n := range ran.runs {
				if n != 1 {
					t.Errorf("%s: %s ran %d times", queue, what, n)
				}
			}
			if len(ran.runs) != 6 {
				t.Errorf("%s: ran %v", queue, ran.runs)
			}
		}
	})
}

// Requests and replies are lost of every call that moves callbacks and answers about: all run once, and end as they
// should.
func TestCallbacksAndAnswersThroughLosses(t *testing.T) {
	t.Parallel()
	for what, action := range map[string]redistest.Action{"request": redistest.CutBefore(), "reply": redistest.DropReply()} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			realServer(t, func(t *testing.T, s *server) {
				ctx, book := within(t), newCallbackBook()
				p := s.proxied(t)
				c := s.clientAt(t, p.Addr())
				w := spool.NewWorker(c, fast(spool.WorkerConfig{Queues: []string{"default", "far"}, ThreadSlots: 4}))
				book.handle(w)
				times.Handle(w, func(_ context.Context, a [2]int) (int, error) {
					time.Sleep(time.Millisecond) // so that calls are many
					return a[0] * a[1], nil
				})
				becomeOther.Handle(w, func(_ context.Context, j *spool.Job[int]) (int, error) { return spool.Become(j) })
				work(t, w)
				lost := lose(t, s, p, action, 25, "schedule", "advance", "commit", "transact", "deliver", "delivered", "outgoing", "resume", "inputs", "adopt")
				n := 0
				var all []*spool.Job[int]
				for ; n < 200 && !(lost.over() && n > 20); n++ {
					var far []spool.Option
					if n%2 == 0 {
						far = []spool.Option{spool.In("far")}
					}
					j := must(times.With([2]int{3, 4}).OnDone(callbackTold.With(fmt.Sprint("with ", n), far...)).Put(ctx, c))(t)
					outer := must(becomeOther.Put(ctx, c, j, far...))(t)
					all = append(all, must(spool.OnSuccess(ctx, c, outer, callbackTold.With(fmt.Sprint("after ", n))))(t))
				}
				for i, a := range all {
					if got := must(a.Wait(ctx))(t); got != 1012 {
						t.Errorf("%d: %d", i, got)
					}
				}
				eventually(t, "all have run", func() bool { return len(book.runs()) == 2*n })
				for label, runs := range book.runs() {
					if runs != 1 {
						t.Errorf("%s: ran %d times", label, runs)
					}
				}
			})
		})
	}
}
