package spool_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/future"
	"github.com/spooljobs/spool/retry"
)

// becomeOther hands its answer on to the job it is given.
var becomeOther = spool.NewTask[*spool.Job[int], int]("become.other", spool.Knows("test.known", errKnown))

// becomeShapes runs a test with the jobs that answer in the queue of those that are answered for, and in another one.
func becomeShapes(t *testing.T, test func(t *testing.T, s *server, c *spool.Client, w *spool.Worker, far []spool.Option)) {
	callbackShapes(t, func(t *testing.T, s *server, c *spool.Client, w *spool.Worker, far []spool.Option) {
		becomeOther.Handle(w, func(_ context.Context, j *spool.Job[int]) (int, error) { return spool.Become(j) })
		test(t, s, c, w, far)
	})
}

// PT-11, B13: a job answers with another one, which is new, due later, at work, ended, failed, cancelled, expired, or
// held by its own callbacks. It stays active until that has ended, and then ends as that did.
func TestBecome(t *testing.T) {
	t.Parallel()
	becomeShapes(t, func(t *testing.T, s *server, c *spool.Client, w *spool.Worker, far []spool.Option) {
		ctx, book := within(t), newCallbackBook()
		book.handle(w)
		declared := spool.NewTask[string, int]("become.declared", spool.Knows("test.known", errKnown))
		declared.Handle(w, func(_ context.Context, what string) (int, error) { return 0, fmt.Errorf("%s: %w", what, errKnown) })
		work(t, w)
		with := func(opts ...spool.Option) []spool.Option { return append(opts, far...) }
		ended := must(times.Put(ctx, c, [2]int{3, 4}, far...))(t)
		must(ended.Wait(ctx))(t)
		failed := must(declared.Put(ctx, c, "before", far...))(t)
		_, _ = failed.Wait(ctx)
		cancelled := must(times.Put(ctx, c, [2]int{1, 2}, with(spool.Delay(time.Hour))...))(t)
		if err := cancelled.Cancel(ctx, errors.New("no need")); err != nil {
			t.Fatal(err)
		}
		flow := must(spool.First(breaks.With("a", far...), times.With([2]int{6, 7}, far...)).Put(ctx, c))(t)
		for name, one := range map[string]struct {
			inner *spool.Job[int]
			want  int
			is    error
			text  string
		}{
			"new":          {must(times.Put(ctx, c, [2]int{6, 7}, far...))(t), 42, nil, ""},
			"due":          {must(times.Put(ctx, c, [2]int{2, 7}, with(spool.Delay(100*time.Millisecond))...))(t), 14, nil, ""},
			"ended":        {ended, 12, nil, ""},
			"ended, again": {ended, 12, nil, ""},
			"failed":       {failed, 0, errKnown, "before: a known error"},
			"fails":        {must(declared.Put(ctx, c, "after", with(spool.Delay(50*time.Millisecond))...))(t), 0, errKnown, "after: a known error"},
			"cancelled":    {cancelled, 0, spool.ErrCancelled, ""},
			"expires":      {must(double.Put(ctx, c, 1, with(spool.BeginBy(50*time.Millisecond))...))(t), 0, spool.ErrExpired, ""},
			"unknown": {times.Job(c, func() string {
				if len(far) > 0 {
					return "far/nobody"
				}
				return "nobody"
			}()), 0, spool.ErrUnknown, ""},
			"a flow": {flow, 42, nil, ""},
		} {
			outer := must(becomeOther.Put(ctx, c, one.inner))(t)
			after := must(spool.OnDone(ctx, c, outer, callbackTold.With(name, far...)))(t)
			got, err := outer.Wait(ctx)
			switch {
			case one.is == nil && (err != nil || got != one.want):
				t.Errorf("%s: %d, %v", name, got, err)
			case one.is != nil && (!errors.Is(err, one.is) || one.text != "" && err.Error() != one.text):
				t.Errorf("%s: %d, %v", name, got, err)
			}
			if got, err := after.Wait(ctx); err != nil || (got == -1) != (one.is != nil) {
				t.Errorf("%s, callback: %d, %v", name, got, err)
			}
			if told := book.of(name); len(told) != 1 || told[0].JobID != outer.ID() || told[0].Value != one.want {
				t.Errorf("%s: the callback was told %+v", name, told)
			}
		}
	})
}

// The slot is free: with one, a job answers with another one that needs it, and that with a third.
func TestBecomeFreesTheSlot(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		ctx, c := within(t), s.client(t)
		down := spool.NewTask[int, int]("become.down")
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 1, ReactorSlots: 1}))
		down.Handle(w, func(ctx context.Context, n int) (int, error) {
			if n == 0 {
				return 42, nil
			}
			opts := []spool.Option{spool.OnReactor()}[n%2:] // its only slot, too
			j, err := spool.Await(ctx, func(ctx context.Context) (*spool.Job[int], error) {
				return down.Put(ctx, spool.Running(ctx).Client(), n-1, opts...)
			})
			if err != nil {
				return 0, err
			}
			return spool.Become(j)
		})
		work(t, w)
		if got := must(must(down.Put(ctx, c, 9))(t).Wait(ctx))(t); got != 42 {
			t.Errorf("got %d", got)
		}
	})
}

// B13, the other half: what is settled later, by another goroutine, the handler waits for.
func TestJobAnswersWithAFuture(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		ctx, c, book := within(t), s.client(t), newCallbackBook()
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		book.handle(w)
		promise := future.NewPromise[int](ctx)
		later := spool.NewTask[None, int]("become.later")
		began := make(chan struct{})
		later.Handle(w, func(ctx context.Context, _ None) (int, error) {
			close(began)
			return promise.Future().Wait(ctx)
		})
		work(t, w)
		j := must(later.Put(ctx, c, None{}))(t)
		a := must(spool.OnDone(ctx, c, j, callbackTold.With("after")))(t)
		recv(t, "it begins", began)
		if info := must(c.Queue("default").Get(ctx, j.ID()))(t); info.State != spool.StateActive {
			t.Errorf("%+v", info)
		}
		go func() { _ = promise.Settle(42, nil) }()
		if got := must(j.Wait(ctx))(t); got != 42 {
			t.Errorf("got %d", got)
		}
		if got := must(a.Wait(ctx))(t); got != 1042 || len(book.of("after")) != 1 {
			t.Errorf("the callback: %d, %v", got, book.of("after"))
		}
	})
}

// Mistakes are final failures of the job that makes them, whatever its retries.
func TestBecomeMistakes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		ctx, c := within(t), s.client(t)
		there := (&server{s.name, s.addr, s.prefix + "-there"}).client(t)
		foreign := must(times.Put(ctx, there, [2]int{1, 2}))(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		var runs atomic.Int64
		bad := spool.NewTask[int, int]("become.bad", spool.Retry(3, retry.Constant(time.Millisecond)))
		bad.Handle(w, func(_ context.Context, n int) (int, error) {
			runs.Add(1)
			return spool.Become([]*spool.Job[int]{nil, {}, foreign}[n])
		})
		work(t, w)
		for n, want := range []string{"must come from", "must come from", "another store"} {
			_, err := must(bad.Put(ctx, c, n))(t).Wait(ctx)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%d: %v", n, err)
			}
		}
		if runs.Load() != 3 {
			t.Errorf("ran %d times", runs.Load())
		}
		if n := must(there.Queue("default").Counts(ctx))(t); n.Ready != 1 {
			t.Errorf("there: %+v", n)
		}
	})
}
