package spool_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
)

// bubble is a Redis inside a synctest bubble: its time is the bubble's, so minutes take no time.
type bubble struct {
	mini *miniredis.Miniredis
	sent atomic.Int64 // requests, but for pipelines each is a command
}

// inBubble runs a test in a bubble with a server of its own, and checks the keyspace at its end.
func inBubble(t *testing.T, test func(t *testing.T, b *bubble)) {
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{mini: miniredis.NewMiniRedis()}
		b.mini.ClockTTL(true)
		defer b.mini.Close()
		test(t, b)
		rdb := b.dial()
		defer rdb.Close()
		c := must(spool.New(rdb, spool.ClientConfig{Logger: quiet}))(t)
		defer c.Close()
		if err := c.Check(t.Context()); err != nil {
			t.Errorf("the keyspace is inconsistent:\n%v", err)
		}
	})
}

// dial returns a plain client whose requests are counted.
func (b *bubble) dial() *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:6379", MaxRetries: -1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := b.mini.Dial()
			if err != nil {
				return nil, err
			}
			return &countedConn{conn, &b.sent}, nil
		},
	})
}

type countedConn struct {
	net.Conn
	n *atomic.Int64
}

func (c *countedConn) Write(p []byte) (int, error) {
	c.n.Add(1)
	return c.Conn.Write(p)
}

// client returns a client and what closes it and its connections.
func (b *bubble) client(t *testing.T) (*spool.Client, func()) {
	t.Helper()
	rdb := b.dial()
	c := must(spool.New(rdb, spool.ClientConfig{Logger: quiet}))(t)
	return c, func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		rdb.Close()
	}
}

// during counts the requests of a time without events.
func (b *bubble) during(d time.Duration) float64 {
	before := b.sent.Load()
	time.Sleep(d)
	return float64(b.sent.Load()-before) / d.Seconds()
}

// An idle worker with three queues and both lanes costs at most two requests a second.
func TestIdleWorkerIsQuiet(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bubble) {
		c, closed := b.client(t)
		defer closed()
		w := spool.NewWorker(c, spool.WorkerConfig{Queues: []string{"a", "b", "c"}, Logger: quiet})
		double.Handle(w, func(ctx context.Context, n int) (int, error) { return n, nil })
		cancel, done := run(w)
		time.Sleep(time.Minute)
		rate := b.during(10 * time.Minute)
		t.Logf("%.2f requests a second", rate)
		if rate > 2 {
			t.Errorf("%.2f requests a second", rate)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A job that no worker present can run makes nobody spin (e4).
func TestParkedTaskMakesNobodySpin(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bubble) {
		c, closed := b.client(t)
		defer closed()
		must(light.Put(t.Context(), c, 1))(t)
		must(double.Put(t.Context(), c, 1))(t)
		var ends []func()
		for range 2 {
			w := spool.NewWorker(c, spool.WorkerConfig{Logger: quiet})
			note.Handle(w, func(ctx context.Context, s string) (spool.None, error) { return spool.None{}, nil })
			cancel, done := run(w)
			ends = append(ends, func() {
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(time.Minute)
		rate := b.during(5 * time.Minute)
		t.Logf("%.2f requests a second of two workers", rate)
		if rate > 2*5 {
			t.Errorf("%.2f requests a second", rate)
		}
		if n := must(c.Queue("default").Counts(t.Context()))(t); n.Parked != 2 {
			t.Errorf("%+v", n)
		}
		for _, end := range ends {
			end()
		}
	})
}

// A hundred callers who wait for a minute cost less than five requests a second together.
func TestManyWaitsAreQuiet(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bubble) {
		c, closed := b.client(t)
		defer closed()
		var waits sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 100 {
			j := must(double.Put(ctx, c, i))(t)
			waits.Go(func() { _, _ = j.Wait(ctx) })
		}
		time.Sleep(time.Second)
		rate := b.during(time.Minute)
		t.Logf("%.2f requests a second", rate)
		if rate >= 5 {
			t.Errorf("%.2f requests a second", rate)
		}
		cancel()
		waits.Wait()
	})
}

// Every published message is lost: the answer comes all the same, with the next look.
func TestAnswersComeWithoutMessages(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bubble) {
		c, closed := b.client(t)
		defer closed()
		rdb := b.dial()
		defer rdb.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		const n = 20
		got := make(chan error, n)
		for i := range n {
			j := must(double.Put(ctx, c, i))(t)
			go func() {
				v, err := j.Wait(ctx)
				if err == nil && v != 2*i {
					t.Errorf("job %d: %d", i, v)
				}
				got <- err
			}()
		}
		synctest.Wait()
		time.Sleep(time.Second)
		// What is published goes astray from here on.
		watched := must(rdb.HGetAll(ctx, "{spool:default}:watched").Result())(t)
		if len(watched) != n {
			t.Fatalf("%d jobs are watched", len(watched))
		}
		for id := range watched {
			must(rdb.HSet(ctx, "{spool:default}:watched", id, "nowhere").Result())(t)
		}
		w := spool.NewWorker(c, spool.WorkerConfig{ThreadSlots: 4, Logger: quiet})
		double.Handle(w, func(ctx context.Context, n int) (int, error) { return 2 * n, nil })
		if ran := must(w.Drain(ctx))(t); ran != n {
			t.Errorf("%d ran", ran)
		}
		begin := time.Now()
		for range n {
			if err := <-got; err != nil {
				t.Error(err)
			}
		}
		t.Logf("answered after %v", time.Since(begin))
		if took := time.Since(begin); took > 31*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// A marker is taken by somebody who then does nothing. An idle worker finds the job after some beats all the same.
func TestMarkerThatDiesWithItsPopper(t *testing.T) {
	t.Parallel()
	for _, task := range []spool.Task[int, int]{double, light} {
		t.Run(task.Name(), func(t *testing.T) {
			t.Parallel()
			realServer(t, func(t *testing.T, s *server) {
				lane := map[string]string{"double": "thread", "light": "reactor"}[task.Name()]
				c := s.client(t)
				ctx := within(t)
				rdb := s.raw(t)
				proxy := s.proxied(t)
				n := s.counter(t)
				proxy.OnRequest(func(cmd []string) redistest.Action { n.count(cmd); return redistest.Pass() })
				popped := make(chan error, 1)
				go func() { popped <- rdb.BLPop(ctx, 20*time.Second, s.key("default", "wake:"+lane)).Err() }()
				eventually(t, "the popper blocks", func() bool {
					// A list that is blocked on has its waiters in the client list.
					clients, err := rdb.ClientList(ctx).Result()
					return err == nil && len(clients) > 0 && blocked(ctx, rdb)
				})
				w := spool.NewWorker(s.clientAt(t, proxy.Addr()), spool.WorkerConfig{Beat: 100 * time.Millisecond, DeadAfter: 300 * time.Millisecond})
				task.Handle(w, func(ctx context.Context, n int) (int, error) { return n, nil })
				work(t, w)
				eventually(t, "the worker waits for work", func() bool { return n.of("BLPOP") >= 2 })
				time.Sleep(20 * time.Millisecond) // so that it stands behind the other one
				begin := time.Now()
				j := must(task.Put(ctx, c, 1))(t)
				if err := recv(t, "the marker is taken", popped); err != nil {
					t.Fatal(err)
				}
				must(j.Wait(ctx))(t)
				t.Logf("found after %v", time.Since(begin).Round(time.Millisecond))
				if took := time.Since(begin); took > 5*time.Second {
					t.Errorf("found after %v", took)
				}
			})
		})
	}
}

func blocked(ctx context.Context, rdb *redis.Client) bool {
	info, err := rdb.InfoMap(ctx, "clients").Result()
	return err == nil && info["Clients"]["blocked_clients"] != "0"
}

// One job wakes one of many idle workers.
func TestOneJobWakesNoHerd(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		const workers = 8
		ctx := within(t)
		proxy := s.proxied(t)
		c, through := s.client(t), s.clientAt(t, proxy.Addr())
		n := s.counter(t)
		proxy.OnRequest(func(cmd []string) redistest.Action { n.count(cmd); return redistest.Pass() })
		for range workers {
			w := spool.NewWorker(through, spool.WorkerConfig{Beat: time.Hour})
			double.Handle(w, func(ctx context.Context, n int) (int, error) { return n, nil })
			work(t, w)
		}
		eventually(t, "all wait for work", func() bool { return n.of("BLPOP") >= 2*workers })
		const jobs = 20
		before := n.of("advance")
		for range jobs {
			must(must(double.Put(ctx, c, 1))(t).Wait(ctx))(t)
		}
		calls := n.of("advance") - before
		t.Logf("%d calls for %d jobs, one after the other", calls, jobs)
		if calls > 4*jobs {
			t.Errorf("%d calls for %d jobs", calls, jobs)
		}
	})
}
