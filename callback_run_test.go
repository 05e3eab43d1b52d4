package spool_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/retry"
)

// A callback never runs inside the call that adds it, nor in a process that only puts: it is stored, and a worker that
// knows its task runs it. One that nobody here knows is parked, and run when somebody does. CB-1, CB-7.
func TestCallbackIsRunByAWorkerThatKnowsIt(t *testing.T) {
	t.Parallel()
	callbackShapes(t, func(t *testing.T, s *server, c *spool.Client, w *spool.Worker, far []spool.Option) {
		ctx, q, book := within(t), c.Queue("default"), newCallbackBook()
		stop := work(t, w)
		j := must(times.Put(ctx, c, [2]int{3, 4}))(t)
		must(j.Wait(ctx))(t)
		a := must(spool.OnDone(ctx, c, j, callbackTold.With("unknown here", far...)))(t)
		home := c.Queue("default")
		if len(far) > 0 {
			home = c.Queue("far")
		}
		eventually(t, "it is parked", func() bool {
			n := must(home.Counts(ctx))(t)
			return n.Parked == 1
		})
		if info := must(home.Get(ctx, a.ID()))(t); info.State != spool.StatePending {
			t.Errorf("%+v", info)
		}
		if n := must(q.Counts(ctx))(t); n.Succeeded != 1 {
			t.Errorf("%+v", n)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		other := spool.NewWorker(s.client(t), fast(spool.WorkerConfig{Queues: []string{"default", "far"}}))
		book.handle(other)
		work(t, other)
		if got := must(a.Wait(ctx))(t); got != 1012 {
			t.Errorf("got %d", got)
		}
	})
}

// A job can add callbacks to itself while it runs.
func TestJobAddsACallbackToItself(t *testing.T) {
	t.Parallel()
	callbackShapes(t, func(t *testing.T, s *server, c *spool.Client, w *spool.Worker, far []spool.Option) {
		ctx := within(t)
		type pair struct{ Plain, Tx string }
		own := spool.NewTask[None, pair]("callback.own")
		other := spool.NewTask[None, pair]("callback.own2")
		after := spool.NewReaction[pair, None, string]("callback.own.after")
		own.Handle(w, func(ctx context.Context, _ None) (pair, error) {
			run := spool.Running(ctx)
			a, err := spool.OnDone(ctx, run.Client(), own.Job(run.Client(), run.ID()), after.With(None{}, far...))
			return pair{Plain: a.ID()}, err
		})
		other.HandleTx(w, func(ctx context.Context, tx *spool.Tx, _ None) (pair, error) {
			run := spool.Running(ctx)
			a, err := spool.OnDone(ctx, tx, other.Job(run.Client(), run.ID()), after.With(None{}, far...))
			return pair{Tx: a.ID()}, err
		})
		after.Handle(w, func(_ context.Context, p spool.Outcome[pair], _ None) (string, error) {
			return p.Value.Plain + p.Value.Tx, p.Err
		})
		work(t, w)
		for _, task := range []spool.Task[None, pair]{own, other} {
			told := must(must(task.Put(ctx, c, None{}))(t).Wait(ctx))(t)
			id := told.Plain + told.Tx
			if got := must(after.Job(c, id).Wait(ctx))(t); got != id {
				t.Errorf("%s: got %q, not %q", task.Name(), got, id)
			}
		}
	})
}

// Callbacks are retried as they say. CB-10.
func TestCallbackIsRetried(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		ctx, c := within(t), s.client(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		flowHandlers(w)
		again := spool.NewReaction[int, int, int]("callback.again", spool.Retry(3, retry.Constant(time.Millisecond)))
		var tries atomic.Int64
		again.Handle(w, func(ctx context.Context, p spool.Outcome[int], n int) (int, error) {
			if tries.Add(1) <= int64(n) {
				return 0, errors.New("not yet")
			}
			return p.Value + spool.Running(ctx).Attempt(), p.Err
		})
		work(t, w)
		j := must(times.Put(ctx, c, [2]int{3, 4}))(t)
		a := must(spool.OnDone(ctx, c, j, again.With(2)))(t)
		if got := must(a.Wait(ctx))(t); got != 15 {
			t.Errorf("got %d", got)
		}
		tries.Store(0)
		d := must(spool.OnDone(ctx, c, j, again.With(100)))(t)
		if _, err := d.Wait(ctx); err == nil || err.Error() != "not yet" || tries.Load() != 4 {
			t.Errorf("%v, after %d tries", err, tries.Load())
		}
	})
}

// Callbacks are interrupted for ever: here once more than an ordinary job bears. CB-10.
func TestCallbackIsInterruptedForEver(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		ctx, c, rdb := within(t), s.client(t), s.raw(t)
		q := c.Queue("default")
		j := must(times.Put(ctx, c, [2]int{3, 4}))(t)
		// It sweeps and runs nothing.
		work(t, spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: -1, ReactorSlots: -1})))
		eventually(t, "it has registered", func() bool { return must(q.Counts(ctx))(t).Workers == 1 })
		cut := spool.NewReaction[int, int, int]("callback.cut")
		x := must(spool.OnDone(ctx, c, j, cut.With(1)))(t)
		for i := range 11 {
			w := spool.NewWorker(c, spool.WorkerConfig{ReactorSlots: -1, Beat: time.Hour})
			began, last := make(chan int, 1), i == 10
			times.Handle(w, func(_ context.Context, a [2]int) (int, error) { return a[0] * a[1], nil })
			cut.Handle(w, func(ctx context.Context, p spool.Outcome[int], n int) (int, error) {
				began <- spool.Running(ctx).Interruptions()
				if !last {
					<-spool.Running(ctx).Stopping()
				}
				return p.Value + n, p.Err
			})
			stop := work(t, w)
			if n := recv(t, "the callback begins", began); n != i {
				t.Errorf("run %d: %d interruptions", i, n)
			}
			if last {
				break
			}
			victim, _ := s.lastEngine(ctx, t, rdb)
			must(rdb.ZAddXX(ctx, s.key("default", "engines"), redis.Z{Score: 1, Member: victim}).Result())(t)
			eventually(t, "it was taken from the dead", func() bool { return must(q.Get(ctx, x.ID()))(t).State != spool.StateActive })
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
		if got := must(x.Wait(ctx))(t); got != 13 {
			t.Errorf("got %d", got)
		}
	})
}

// The failure of a callback is logged as critical, that of an ordinary job as an error. CB-10.
func TestFailureOfACallbackIsCritical(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		ctx, log := within(t), &callLog{}
		c := s.client(t, func(cfg *spool.ClientConfig) { cfg.Logger = callLogger(log) })
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		flowHandlers(w)
		work(t, w)
		j := must(breaks.Put(ctx, c, "no"))(t)
		a := must(spool.OnFailure(ctx, c, j, multiply.With(1)))(t)
		if _, err := a.Wait(ctx); err == nil {
			t.Error("it succeeded")
		}
		level := func(task string) (found []slog.Level) {
			log.mu.Lock()
			defer log.mu.Unlock()
			for _, e := range log.entries {
				if e.attrs["task"].String() == task && e.level >= slog.LevelWarn {
					found = append(found, e.level)
				}
			}
			return found
		}
		eventually(t, "both are logged", func() bool { return len(level(breaks.Name())) == 1 && len(level(multiply.Name())) == 1 })
		if got := level(breaks.Name())[0]; got != slog.LevelError {
			t.Errorf("the job: %v", got)
		}
		if got := level(multiply.Name())[0]; got != slog.LevelError+4 {
			t.Errorf("the callback: %v", got)
		}
	})
}

// Times of a callback run from the end of its job. One that does not begin in time is expired, and what follows it is
// told so. CB-11.
func TestCallbackTimesRunFromTheEndOfItsJob(t *testing.T) {
	t.Parallel()
	callbackShapes(t, func(t *testing.T, s *server, c *spool.Client, w *spool.Worker, far []spool.Option) {
		const soon = 150 * time.Millisecond
		ctx, book := within(t), newCallbackBook()
		book.handle(w)
		with := func(opts ...spool.Option) []spool.Option { return append(opts, far...) }
		nobody := spool.NewReaction[int, int, int]("callback.nobody")
		j := must(callbackGate.Put(ctx, c, "slow"))(t)
		late := must(spool.OnDone(ctx, c, j, callbackTold.With("late", with(spool.Delay(soon))...)))(t)
		begins := must(spool.OnDone(ctx, c, j, callbackTold.With("begins", with(spool.BeginBy(20*time.Second))...)))(t)
		both := must(spool.OnDone(ctx, c, j, callbackTold.With("both", with(spool.Delay(soon), spool.BeginBy(20*time.Second))...)))(t)
		gone := must(spool.OnDone(ctx, c, j, nobody.With(1, with(spool.BeginBy(5*time.Millisecond))...)))(t)
		told := must(spool.OnFailure(ctx, c, gone, callbackTold.With("told")))(t)
		passed := must(spool.OnSuccess(ctx, c, gone, callbackTold.With("passed", far...)))(t)
		work(t, w)
		recv(t, "the job begins", book.gate("slow").began)
		time.Sleep(20 * time.Millisecond) // longer than the shortest deadline, which has not begun
		if info := must(c.Queue("default").Get(ctx, gone.ID()))(t); info.State != spool.StatePending {
			t.Errorf("%+v", info)
		}
		ends := time.Now()
		close(book.gate("slow").opened)
		must(begins.Wait(ctx))(t)
		for _, a := range []*spool.Job[int]{late, both} {
			if got := must(a.Wait(ctx))(t); got != 1012 {
				t.Errorf("got %d", got)
			}
		}
		if took := time.Since(ends); took < soon {
			t.Errorf("a delay of %v took %v", soon, took)
		}
		if _, err := gone.Wait(ctx); !errors.Is(err, spool.ErrExpired) {
			t.Errorf("not begun: %v", err)
		}
		if got := must(told.Wait(ctx))(t); got != -1 || !errors.Is(book.of("told")[0].Err, spool.ErrExpired) {
			t.Errorf("told: %d, %v", got, book.of("told"))
		}
		if _, err := passed.Wait(ctx); !errors.Is(err, spool.ErrExpired) {
			t.Errorf("passed on: %v", err)
		}
	})
}

// B15, ST-6: a job of three times four, and a callback that puts another job, of twice that, and lets it answer.
func TestCallbackPutsAJobAndReturnsIt(t *testing.T) {
	t.Parallel()
	callbackShapes(t, func(t *testing.T, s *server, c *spool.Client, w *spool.Worker, far []spool.Option) {
		ctx := within(t)
		queues := spool.NewReaction[int, int, int]("callback.queues")
		commits := spool.NewReaction[int, int, int]("callback.commits")
		queues.Handle(w, func(ctx context.Context, p spool.Outcome[int], by int) (int, error) {
			j, err := times.Put(ctx, spool.Running(ctx).Client(), [2]int{p.Value, by})
			if err != nil {
				return 0, err
			}
			return spool.Become(j)
		})
		commits.HandleTx(w, func(ctx context.Context, tx *spool.Tx, p spool.Outcome[int], by int) (int, error) {
			j, err := times.Put(ctx, tx, [2]int{p.Value, by})
			if err != nil {
				return 0, err
			}
			return spool.Become(j)
		})
		work(t, w)
		j := must(times.Put(ctx, c, [2]int{3, 4}))(t)
		a := must(spool.OnSuccess(ctx, c, j, queues.With(2, far...)))(t)
		b := must(spool.OnSuccess(ctx, c, a, commits.With(3, far...)))(t)
		if got := must(j.Wait(ctx))(t); got != 12 {
			t.Errorf("the job: %d", got)
		}
		if got := must(a.Wait(ctx))(t); got != 24 {
			t.Errorf("the callback: %d", got)
		}
		if got := must(b.Wait(ctx))(t); got != 72 {
			t.Errorf("its callback: %d", got)
		}
		for _, one := range []*spool.Job[int]{j, a, b} {
			eventually(t, "it is completed", func() bool {
				return must(c.Queue("default").Get(ctx, one.ID()))(t).State == spool.StateCompleted
			})
		}
	})
}
