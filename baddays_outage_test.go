package spool_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
)

// TestRedisLostAndBack: jobs run, finish and are put while Redis is away. Nothing is lost, each handler runs once, and
// nobody spins.
func TestRedisLostAndBack(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		proxy := s.proxied(t)
		c := s.clientAt(t, proxy.Addr())
		w := spool.NewWorker(c, spool.WorkerConfig{ThreadSlots: 4, Beat: 50 * time.Millisecond, DeadAfter: 20 * time.Second})
		var calls [8]atomic.Int64
		begun, release := make(chan int, 8), make(chan struct{})
		double.Handle(w, func(ctx context.Context, n int) (int, error) {
			calls[n].Add(1)
			begun <- n
			<-release
			return 2 * n, nil
		})
		work(t, w)
		ctx := within(t)
		var jobs [8]*spool.Job[int]
		waits := make(chan error, 8)
		wait := func(n int) {
			got, err := jobs[n].Wait(ctx)
			if err == nil && got != 2*n {
				err = fmt.Errorf("job %d: got %d", n, got)
			}
			waits <- err
		}
		for n := range 4 {
			jobs[n] = must(double.Put(ctx, c, n))(t)
			go wait(n)
		}
		for range 4 {
			<-begun
		}
		before := proxy.Stats().Connections
		proxy.Down()
		var puts sync.WaitGroup
		for n := 4; n < 8; n++ {
			puts.Go(func() {
				j, err := double.Put(ctx, c, n)
				if err != nil {
					t.Errorf("put during the outage: %v", err)
					return
				}
				jobs[n] = j
			})
		}
		close(release) // the first four end while nobody can be told
		time.Sleep(300 * time.Millisecond)
		if err := proxy.Up(); err != nil {
			t.Fatal(err)
		}
		puts.Wait()
		for n := 4; n < 8; n++ {
			go wait(n)
		}
		for range 8 {
			if err := <-waits; err != nil {
				t.Error(err)
			}
		}
		for n := range calls {
			if got := calls[n].Load(); got != 1 {
				t.Errorf("handler of job %d ran %d times", n, got)
			}
		}
		if made := proxy.Stats().Connections - before; made > 30 {
			t.Errorf("%d new connections after one outage", made)
		}
	})
}

// TestRedisFrozenAndThawed: connections stay open and nothing answers. What was sent is executed later, and what was
// sent twice counts once.
func TestRedisFrozenAndThawed(t *testing.T) {
	t.Parallel()
	own := redistest.Start(t)
	on(t, &server{"redis", own.Addr(), "frozen"}, func(t *testing.T, s *server) {
		rdb := redis.NewClient(&redis.Options{Addr: s.addr, ReadTimeout: 100 * time.Millisecond, MaxRetries: -1, DialerRetries: 1})
		c := must(spool.New(rdb, spool.ClientConfig{Prefix: s.prefix, Logger: logTo(t)}))(t)
		t.Cleanup(func() {
			c.Close()
			rdb.Close()
		})
		w := spool.NewWorker(c, spool.WorkerConfig{ThreadSlots: 2, Beat: 50 * time.Millisecond, DeadAfter: 20 * time.Second})
		var ran atomic.Int64
		begun, release := make(chan struct{}, 10), make(chan struct{})
		double.Handle(w, func(ctx context.Context, n int) (int, error) {
			ran.Add(1)
			begun <- struct{}{}
			<-release
			return 2 * n, nil
		})
		work(t, w)
		ctx := within(t)
		first := must(double.Put(ctx, c, 1))(t)
		<-begun
		if err := own.Pause(); err != nil {
			t.Fatal(err)
		}
		close(release)
		second := make(chan *spool.Job[int], 1)
		go func() {
			j, err := double.Put(ctx, c, 2)
			if err != nil {
				t.Errorf("put while frozen: %v", err)
			}
			second <- j
		}()
		time.Sleep(500 * time.Millisecond)
		if err := own.Continue(); err != nil {
			t.Fatal(err)
		}
		if got := must(first.Wait(ctx))(t); got != 2 {
			t.Errorf("got %d", got)
		}
		if got := must((<-second).Wait(ctx))(t); got != 4 {
			t.Errorf("got %d", got)
		}
		if n := ran.Load(); n != 2 {
			t.Errorf("two jobs ran %d times", n)
		}
	})
}

// TestRedisKilledAndRestarted: with an append-only file, nothing that was acknowledged is lost.
func TestRedisKilledAndRestarted(t *testing.T) {
	t.Parallel()
	own := redistest.Start(t, redistest.AppendOnly(t.TempDir()))
	on(t, &server{"redis", own.Addr(), "killed"}, func(t *testing.T, s *server) {
		c := s.client(t)
		w := spool.NewWorker(c, spool.WorkerConfig{ThreadSlots: 2, Beat: 50 * time.Millisecond, DeadAfter: 20 * time.Second})
		var ran atomic.Int64
		begun, release := make(chan struct{}, 10), make(chan struct{})
		double.Handle(w, func(ctx context.Context, n int) (int, error) {
			ran.Add(1)
			begun <- struct{}{}
			<-release
			return 2 * n, nil
		})
		work(t, w)
		ctx := within(t)
		var jobs []*spool.Job[int]
		for n := range 5 {
			jobs = append(jobs, must(double.Put(ctx, c, n))(t))
		}
		<-begun
		<-begun
		own.Kill()
		close(release)
		if err := own.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		for n, j := range jobs {
			if got := must(j.Wait(ctx))(t); got != 2*n {
				t.Errorf("job %d: got %d", n, got)
			}
		}
		if n := ran.Load(); n != 5 {
			t.Errorf("five jobs ran %d times", n)
		}
	})
}

// TestOutageOfAMinuteCostsFewAttempts: on a fake clock, an engine with several queues, callers who put, and one who
// waits. Each of the two, client and engine, tries at most as often as its own back-off says.
func TestOutageOfAMinuteCostsFewAttempts(t *testing.T) {
	for name, options := range map[string]redis.Options{
		"as Open": {MaxRetries: -1, DialerRetries: 1, PoolSize: 1000},
		"default": {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var attempts atomic.Int64
				options.Addr = "127.0.0.1:1"
				options.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
					attempts.Add(1)
					return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("connection refused")}
				}
				rdb := redis.NewClient(&options)
				c := must(spool.New(rdb, spool.ClientConfig{Logger: quiet}))(t)
				w := spool.NewWorker(c, spool.WorkerConfig{Queues: []string{"a", "b", "c"}, ThreadSlots: 3, ReactorSlots: 3})
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				var all sync.WaitGroup
				all.Go(func() {
					if err := w.Run(ctx); err != nil {
						t.Errorf("Run: %v", err)
					}
				})
				for n := range 20 {
					all.Go(func() {
						if _, err := double.Put(ctx, c, n); !errors.Is(err, spool.ErrDisconnected) {
							t.Errorf("Put: %v", err)
						}
					})
				}
				all.Go(func() {
					if _, err := double.Job(c, "someone").Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("Wait: %v", err)
					}
				})
				<-ctx.Done()
				made := attempts.Load()
				t.Logf("%d attempts", made)
				// About 20 for the engine, and 20 for the client. A client of the user's dials five times an attempt,
				// and once a second by itself, if it is left as it comes.
				if most := map[string]int64{"as Open": 60, "default": 300}[name]; made > most || made < 20 {
					t.Errorf("%d attempts in a minute", made)
				}
				all.Wait()
				c.Close()
				rdb.Close()
				time.Sleep(2 * time.Second) // go-redis's own goroutine looks once a second whether its pool is closed
			})
		})
	}
}

// TestScriptsFlushedInTheMiddle: a server may forget scripts at any time.
func TestScriptsFlushedInTheMiddle(t *testing.T) {
	t.Parallel()
	needRedis(t)
	own := redistest.Start(t) // others' scripts stay
	on(t, &server{"redis", own.Addr(), "flushed"}, func(t *testing.T, s *server) {
		c, raw := s.client(t), s.raw(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 4}))
		var ran [200]atomic.Int64
		double.Handle(w, func(ctx context.Context, n int) (int, error) { ran[n].Add(1); return 2 * n, nil })
		work(t, w)
		ctx := within(t)
		stop, flushed := make(chan struct{}), make(chan int, 1)
		go func() {
			n := 0
			for {
				select {
				case <-stop:
					flushed <- n
					return
				default:
					raw.ScriptFlush(ctx)
					n++
				}
			}
		}()
		for n := range ran {
			if got := must(must(double.Put(ctx, c, n))(t).Wait(ctx))(t); got != 2*n {
				t.Errorf("got %d", got)
			}
		}
		close(stop)
		t.Logf("%d flushes", <-flushed)
		for n := range ran {
			if got := ran[n].Load(); got != 1 {
				t.Errorf("job %d ran %d times", n, got)
			}
		}
	})
}

// TestReadOnlyForAWhile: the server becomes a replica, and is promoted again. Calls wait; nothing is lost.
func TestReadOnlyForAWhile(t *testing.T) {
	t.Parallel()
	own := redistest.Start(t)
	on(t, &server{"redis", own.Addr(), "replica"}, func(t *testing.T, s *server) {
		c, raw := s.client(t), s.raw(t)
		w := spool.NewWorker(c, spool.WorkerConfig{ThreadSlots: 2, Beat: 50 * time.Millisecond, DeadAfter: 20 * time.Second})
		var ran atomic.Int64
		begun, release := make(chan struct{}, 10), make(chan struct{})
		double.Handle(w, func(ctx context.Context, n int) (int, error) {
			ran.Add(1)
			begun <- struct{}{}
			<-release
			return 2 * n, nil
		})
		work(t, w)
		ctx := within(t)
		first := must(double.Put(ctx, c, 1))(t)
		<-begun
		// Its master answers nobody, so that the data stays: a replica keeps serving what it has until a new copy is there.
		if err := raw.Do(ctx, "replicaof", "127.0.0.1", "1").Err(); err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		if _, err := double.Put(short, c, 9); !errors.Is(err, spool.ErrDisconnected) {
			t.Errorf("a Put on a replica: %v", err)
		}
		close(release)
		second := make(chan *spool.Job[int], 1)
		go func() {
			j, err := double.Put(ctx, c, 2)
			if err != nil {
				t.Errorf("put: %v", err)
			}
			second <- j
		}()
		time.Sleep(200 * time.Millisecond)
		if err := raw.Do(ctx, "replicaof", "no", "one").Err(); err != nil {
			t.Fatal(err)
		}
		if got := must(first.Wait(ctx))(t); got != 2 {
			t.Errorf("got %d", got)
		}
		if got := must((<-second).Wait(ctx))(t); got != 4 {
			t.Errorf("got %d", got)
		}
		if n := ran.Load(); n != 2 {
			t.Errorf("two jobs ran %d times", n)
		}
	})
}
