package spool_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
)

// run starts a worker and returns what ends it, and what Run returned.
func run(w *spool.Worker) (cancel func(), done <-chan error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	return cancel, ended
}

// (1) Nothing more is claimed once the context has ended, though slots are free and jobs are ready. (2) Handlers are
// told by Run.Stopping, and their contexts go on. What they return counts.
func TestShutdownClaimsNothingAndTellsHandlers(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 3}))
		began, told, let := make(chan bool, 9), make(chan error, 9), make(chan bool)
		double.Handle(w, func(ctx context.Context, n int) (int, error) {
			began <- true
			<-spool.Running(ctx).Stopping()
			told <- ctx.Err()
			<-let
			return 2 * n, ctx.Err()
		})
		cancel, done := run(w)
		j := must(double.Put(ctx, c, 1))(t)
		recv(t, "a handler begins", began)
		cancel()
		if err := recv(t, "a handler is told", told); err != nil {
			t.Errorf("the context of a handler has ended with its worker's: %v", err)
		}
		late := must(double.Put(ctx, c, 2))(t)
		// It answers the call of anybody who asks, so one that had been on its way would have been answered, too.
		if info := must(c.Queue("default").Get(ctx, late.ID()))(t); info.State != spool.StatePending {
			t.Errorf("claimed during the shutdown: %s", info.State)
		}
		close(let)
		if err := recv(t, "Run returns", done); err != nil {
			t.Error(err)
		}
		if got := must(j.Wait(ctx))(t); got != 2 {
			t.Errorf("got %d", got)
		}
		n := must(c.Queue("default").Counts(ctx))(t)
		if n.Ready != 1 || n.Active != 0 || n.Workers != 0 || n.Retried+n.Interrupted != 0 || len(began) != 0 {
			t.Errorf("%+v", n)
		}
	})
}

// (2) The grace is kept, and (3) after it contexts end with the reason. (4) Handlers that heed it and those that do
// not leave their jobs at the front of the queue, uncounted. (6) The worker is gone, (7) and so is all it started but
// the handler that ignores everything, which is named.
func TestShutdownGivesBackWhatStillRuns(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		const grace = 150 * time.Millisecond
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 2, ShutdownGrace: grace}))
		began, cause, let, returned := make(chan string, 9), make(chan error, 1), make(chan bool), make(chan bool)
		var asked, told time.Time
		note.Handle(w, func(ctx context.Context, how string) (spool.None, error) {
			began <- how
			<-spool.Running(ctx).Stopping()
			if how == "deaf" {
				<-let
				defer close(returned)
				return spool.None{}, nil
			}
			<-ctx.Done()
			told = time.Now()
			cause <- context.Cause(ctx)
			return spool.None{}, ctx.Err()
		})
		cancel, done := run(w)
		must(note.Put(ctx, c, "heeds"))(t)
		must(note.Put(ctx, c, "deaf"))(t)
		recv(t, "a handler begins", began)
		recv(t, "a handler begins", began)
		last := must(note.Put(ctx, c, "last"))(t)
		asked = time.Now()
		cancel()
		if err := recv(t, "a context ends", cause); !errors.Is(err, spool.ErrClosed) {
			t.Errorf("the cause is %v", err)
		}
		if after := told.Sub(asked); after < grace {
			t.Errorf("contexts ended %v after the shutdown began", after)
		}
		err := recv(t, "Run returns", done)
		if err == nil || !strings.Contains(err.Error(), "note (1)") {
			t.Errorf("the handler that ignores its context is not named: %v", err)
		}
		n := must(c.Queue("default").Counts(ctx))(t)
		if n.Ready != 3 || n.Active+n.Workers != 0 || n.Retried+n.Failed+n.Interrupted != 0 {
			t.Errorf("%+v", n)
		}
		page, _, err := c.Queue("default").List(ctx, spool.StatePending, 0, 3)
		if err != nil || len(page) != 3 || page[2].ID != last.ID() || page[0].Attempts+page[1].Attempts != 0 {
			t.Errorf("what was given back is not in front: %v, %v", page, err)
		}
		close(let)
		recv(t, "the deaf handler returns", returned) // and what it says now reaches nobody
	})
}

// (7) With handlers that return, nothing that Run started goes on after it.
func TestShutdownLeavesNothingRunning(t *testing.T) {
	needRedis(t) // not parallel: it counts goroutines
	realServer(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		before := goleak.IgnoreCurrent()
		for range 3 {
			w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 4, Queues: []string{"default", "other"}}))
			double.Handle(w, func(ctx context.Context, n int) (int, error) { return n, nil })
			cancel, done := run(w)
			putCounted(t, ctx, c, double, 20)
			eventually(t, "all have run", func() bool { return must(c.Queue("default").Counts(ctx))(t).Pending() == 0 })
			cancel()
			if err := recv(t, "Run returns", done); err != nil {
				t.Error(err)
			}
		}
		if err := goleak.Find(before, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).checkMinIdleConns.func1")); err != nil {
			t.Error(err)
		}
	})
}

// A claim that is on its way when the shutdown begins is given back when it arrives: its jobs do not begin, and they
// are not swept like those of a dead worker.
func TestShutdownWithAClaimOnItsWay(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		proxy := s.proxied(t)
		c, straight := s.clientAt(t, proxy.Addr()), s.client(t)
		ctx := within(t)
		n := s.counter(t)
		flying, arrive := make(chan bool, 1), make(chan struct{})
		armed := false
		var mu sync.Mutex
		proxy.OnRequest(func(cmd []string) redistest.Action {
			n.count(cmd)
			mu.Lock()
			defer mu.Unlock()
			if armed && n.verb(cmd) == "advance" {
				armed = false
				flying <- true
				return redistest.HoldReply(arrive)
			}
			return redistest.Pass()
		})
		w := spool.NewWorker(c, spool.WorkerConfig{ThreadSlots: 3, ShutdownGrace: -1})
		began := make(chan bool, 9)
		double.Handle(w, func(ctx context.Context, n int) (int, error) {
			began <- true
			return n, nil
		})
		cancel, done := run(w)
		eventually(t, "the worker waits for work", func() bool { return n.of("BLPOP") >= 2 })
		mu.Lock()
		armed = true
		mu.Unlock()
		putCounted(t, ctx, straight, double, 3)
		recv(t, "the claim", flying)
		eventually(t, "the claim is executed", func() bool { return must(straight.Queue("default").Counts(ctx))(t).Active == 3 })
		cancel()
		// Without grace and without handlers the shutdown is at its last step by the time a new connection is made.
		time.Sleep(50 * time.Millisecond)
		close(arrive)
		if err := recv(t, "Run returns", done); err != nil {
			t.Error(err)
		}
		counts := must(straight.Queue("default").Counts(ctx))(t)
		if counts.Ready != 3 || counts.Active+counts.Workers != 0 || counts.Interrupted != 0 || len(began) != 0 {
			t.Errorf("%d began; %+v", len(began), counts)
		}
	})
}

// A server that answers with errors is left alone at the end, and at once.
func TestShutdownWhileRedisRefuses(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		proxy := s.proxied(t)
		c := s.clientAt(t, proxy.Addr())
		ctx := within(t)
		n := s.counter(t)
		proxy.OnRequest(func(cmd []string) redistest.Action { n.count(cmd); return redistest.Pass() })
		rdb := s.raw(t)
		// A key of a wrong type: every advance fails.
		must(rdb.Set(ctx, s.key("default", "parked"), "x", 0).Result())(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		cancel, done := run(w)
		eventually(t, "a call is refused", func() bool { return n.of("advance") > 0 })
		before := n.of("advance")
		begin := time.Now()
		cancel()
		if err := recv(t, "Run returns", done); err != nil {
			t.Errorf("Run: %v", err)
		}
		if took, calls := time.Since(begin), n.of("advance")-before; took > 4*time.Second || calls > 20 {
			t.Errorf("it took %v and %d calls", took, calls)
		}
		must(rdb.Del(ctx, s.key("default", "parked")).Result())(t)
	})
}

// While Redis is away Run returns all the same, in bounded time, and says what could not be told.
func TestShutdownWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		proxy := s.proxied(t)
		c := s.clientAt(t, proxy.Addr())
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ShutdownGrace: time.Second}))
		began, let := make(chan bool, 1), make(chan bool)
		double.Handle(w, func(ctx context.Context, n int) (int, error) {
			began <- true
			<-let
			return n, nil
		})
		cancel, done := run(w)
		must(double.Put(ctx, c, 1))(t)
		recv(t, "a handler begins", began)
		proxy.Down()
		begin := time.Now()
		cancel()
		close(let)
		err := recv(t, "Run returns", done)
		if !errors.Is(err, spool.ErrDisconnected) {
			t.Errorf("Run: %v", err)
		}
		took := time.Since(begin)
		t.Logf("it took %v", took.Round(time.Millisecond))
		if took > 12*time.Second {
			t.Errorf("it took %v", took)
		}
		// The job is not lost.
		w = spool.NewWorker(s.client(t), fast(spool.WorkerConfig{}))
		double.Handle(w, func(ctx context.Context, n int) (int, error) { return n, nil })
		work(t, w)
		eventually(t, "the job has ended", func() bool {
			n := must(s.client(t).Queue("default").Counts(ctx))(t)
			return n.Succeeded == 1
		})
		if err := proxy.Up(); err != nil {
			t.Error(err)
		}
	})
}

// An idle worker stops although Redis seems to be away, and does not wait for it to come back: its wakers, too, may be
// waiting for that.
func TestIdleWorkerStopsWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		proxy := s.proxied(t)
		c := s.clientAt(t, proxy.Addr())
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		double.Handle(w, func(ctx context.Context, n int) (int, error) { return n, nil })
		cancel, done := run(w)
		eventually(t, "the worker is registered", func() bool {
			return must(s.client(t).Queue("default").Counts(within(t)))(t).Workers == 1
		})
		// Light beats alone fail, so that nothing is owed; when the blocked calls have had their time, the wakers find
		// Redis away.
		var cuts atomic.Int64
		proxy.OnRequest(func(cmd []string) redistest.Action {
			if cmd[0] == "ZADD" {
				cuts.Add(1)
				return redistest.CutBefore()
			}
			return redistest.Pass()
		})
		eventually(t, "beats fail for longer than a call blocks", func() bool { return cuts.Load() > 9 })
		cancel()
		if err := recv(t, "Run returns", done); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// Workers start and stop at random moments while jobs flow, two at a time. Nothing is lost, nothing runs twice, and
// nothing counts as interrupted (G12).
func TestStartAndStopAtRandom(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		const rounds = 100
		c := s.client(t)
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		chance := seeded(t)
		seeds := [2]uint64{chance.Uint64(), chance.Uint64()}
		ran := newTally()
		var jobs []*spool.Job[int]
		var workers sync.WaitGroup
		stopped := make(chan struct{})
		for i := range seeds {
			workers.Go(func() {
				chance := rand.New(rand.NewPCG(seeds[i], 1))
				for range rounds / len(seeds) {
					w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 1 + chance.IntN(8), ReactorSlots: 1 + chance.IntN(8)}))
					handle := func(ctx context.Context, n int) (int, error) {
						ran.note(spool.Running(ctx).ID())
						if n%7 == 0 {
							time.Sleep(time.Duration(n%5) * time.Millisecond)
						}
						return n, nil
					}
					double.Handle(w, handle)
					light.Handle(w, handle)
					stop, done := run(w)
					time.Sleep(time.Duration(chance.IntN(40)) * time.Millisecond) // the moment is what is drawn
					stop()
					if err := recv(t, "Run returns", done); err != nil {
						t.Errorf("Run: %v", err)
					}
				}
			})
		}
		go func() {
			workers.Wait()
			close(stopped)
		}()
		for flowing := true; flowing; {
			jobs = append(jobs, putCounted(t, ctx, c, double, 5)...)
			jobs = append(jobs, putCounted(t, ctx, c, light, 5)...)
			select {
			case <-stopped:
				flowing = false
			case <-time.After(4 * time.Millisecond):
			}
		}
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 10, ReactorSlots: 10}))
		handle := func(ctx context.Context, n int) (int, error) {
			ran.note(spool.Running(ctx).ID())
			return n, nil
		}
		double.Handle(w, handle)
		light.Handle(w, handle)
		must(w.Drain(ctx))(t)
		ran.once(t, jobs)
		clean(t, c, len(jobs))
		if n := must(c.Queue("default").Counts(ctx))(t); n.Workers != 0 {
			t.Errorf("%+v", n)
		}
		t.Logf("%d jobs", len(jobs))
	})
}
