package spool_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
)

// A slot that a job of one queue leaves is offered to a queue with work, also if nothing else happens there.
func TestFreedSlotServesTheOtherQueue(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		release := map[string]chan struct{}{"low": make(chan struct{}), "high1": make(chan struct{}), "high2": make(chan struct{})}
		began := make(chan string, 10)
		w := spool.NewWorker(c, spool.WorkerConfig{Queues: []string{"high", "low"}, ThreadSlots: 2, Beat: time.Hour})
		note.Handle(w, func(ctx context.Context, name string) (spool.None, error) {
			if name == "slow" {
				// The engine learns that handlers here are slow, and claims none ahead.
				time.Sleep(100 * time.Millisecond)
				return spool.None{}, nil
			}
			began <- name
			<-release[name]
			return spool.None{}, nil
		})
		work(t, w)
		next := func() string {
			select {
			case name := <-began:
				return name
			case <-time.After(5 * time.Second):
				return "nothing"
			}
		}
		for _, queue := range []string{"low", "high"} {
			must(must(note.Put(ctx, c, "slow", spool.In(queue), spool.Keep(time.Minute)))(t).Wait(ctx))(t)
		}
		must(note.Put(ctx, c, "low", spool.In("low")))(t)
		if got := next(); got != "low" {
			t.Fatalf("%s began", got)
		}
		must(spool.PutMany(ctx, c, []spool.Partial[spool.None]{note.With("high1", spool.In("high")), note.With("high2", spool.In("high"))}))(t)
		if got := next(); got != "high1" {
			t.Fatalf("%s began", got)
		}
		close(release["low"])
		if got := next(); got != "high2" {
			t.Errorf("%s began though a slot is free and a job is ready", got)
		}
		close(release["high1"])
		close(release["high2"])
	})
}

// Strict order of queues costs a look at the higher ones, however long a look takes.
func TestLowerQueueIsServedOverASlowLine(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		p := s.proxied(t)
		p.SetLatency(6 * time.Millisecond)
		c := s.clientAt(t, p.Addr())
		ctx := within(t)
		var partials []spool.Partial[int]
		const jobs = 40
		for i := range jobs {
			partials = append(partials, double.With(i, spool.In("low")))
		}
		var ran atomic.Int32
		all := make(chan struct{})
		w := spool.NewWorker(c, spool.WorkerConfig{Queues: []string{"high", "low"}, ThreadSlots: 2})
		double.Handle(w, func(ctx context.Context, i int) (int, error) {
			if ran.Add(1) == jobs {
				close(all)
			}
			return i, nil
		})
		n := s.counter(t)
		p.OnRequest(func(cmd []string) redistest.Action { n.count(cmd); return redistest.Pass() })
		work(t, w)
		eventually(t, "the worker waits for work", func() bool { return n.of("BLPOP") >= 2 })
		before := p.Stats().Commands
		must(spool.PutMany(ctx, c, partials))(t)
		select {
		case <-all:
		case <-time.After(8 * time.Second):
			t.Errorf("%d of %d ran", ran.Load(), jobs)
		}
		if calls := p.Stats().Commands - before; calls > 8*jobs {
			t.Errorf("%d commands for %d jobs", calls, jobs)
		}
	})
}

// A Put whose first reply was lost stays unsure, though later attempts could not even connect.
func TestPutStaysUnsureThroughAnOutage(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		p := s.proxied(t)
		verb := s.verbs(t)
		c := s.clientAt(t, p.Addr())
		dropped := make(chan struct{}, 100)
		p.OnRequest(func(cmd []string) redistest.Action {
			if v := verb(cmd); v == "put" || v == "schedule" {
				dropped <- struct{}{}
				return redistest.DropReply()
			}
			return redistest.Pass()
		})
		var down sync.WaitGroup
		down.Go(func() {
			select {
			case <-dropped:
				p.Down()
			case <-time.After(5 * time.Second):
			}
		})
		defer down.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 400*time.Millisecond)
		defer cancel()
		partial := double.With(1)
		if _, err := partial.Put(ctx, c); !errors.Is(err, spool.ErrUnsure) {
			t.Errorf("the job is stored, and Put said %v", err)
		}
		p.OnRequest(nil)
		if err := p.Up(); err != nil {
			t.Fatal(err)
		}
		must(partial.Put(within(t), c))(t)
		if n := must(c.Queue("default").Counts(within(t)))(t); n.Ready != 1 {
			t.Errorf("%+v", n)
		}
	})
}

// A change that stands behind another one obeys its own context.
func TestChangeBehindAnotherObeysItsContext(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		proxy := s.proxied(t)
		verb := s.verbs(t)
		c := s.clientAt(t, proxy.Addr())
		ctx := within(t)
		jobs := putCounted(t, ctx, c, double, 2)
		held, release := make(chan bool, 9), make(chan struct{})
		proxy.OnRequest(func(cmd []string) redistest.Action {
			if verb(cmd) != "pull" {
				return redistest.Pass()
			}
			held <- true
			return redistest.HoldReply(release)
		})
		first := make(chan error, 1)
		go func() { first <- c.Queue("default").Pull(ctx, jobs[0].ID()) }()
		recv(t, "the first pull", held)
		late := time.AfterFunc(3*time.Second, func() { close(release) })
		short, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
		defer cancel()
		begin := time.Now()
		if err := c.Queue("default").Pull(short, jobs[1].ID()); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, spool.ErrDisconnected) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("it took %v", took)
		}
		proxy.OnRequest(nil)
		if late.Stop() {
			close(release)
		}
		if err := recv(t, "the first pull returns", first); err != nil {
			t.Error(err)
		}
		if n := must(c.Queue("default").Counts(ctx))(t); n.Ready != 1 {
			t.Errorf("%+v", n)
		}
	})
}
