package spool_test

import (
	"context"
	"errors"
	"io/fs"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/failure"
)

// After an outage of several lifetimes everybody first has a chance to beat: nobody is declared dead, no job counts as
// interrupted.
func TestOutageKillsNobody(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		proxy := s.proxied(t)
		ctx := within(t)
		let := make(chan bool)
		began := make(chan bool, 2)
		var jobs []*spool.Job[int]
		for range 2 {
			c := s.clientAt(t, proxy.Addr())
			w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
			double.Handle(w, func(ctx context.Context, n int) (int, error) { began <- true; <-let; return 2 * n, nil })
			work(t, w)
			jobs = append(jobs, must(double.Put(ctx, c, 21))(t))
			<-began
		}
		// Beats go on for longer than DeadAfter, so that both may judge; then nothing is heard for twice as long.
		time.Sleep(600 * time.Millisecond)
		proxy.Down()
		time.Sleep(600 * time.Millisecond)
		if err := proxy.Up(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "both workers have beaten again", func() bool {
			ends := must(s.raw(t).ZRangeWithScores(ctx, s.key("default", "engines"), 0, -1).Result())(t)
			now := float64(must(s.raw(t).Time(ctx).Result())(t).UnixMilli())
			return len(ends) == 2 && ends[0].Score > now && ends[1].Score > now
		})
		close(let)
		for _, j := range jobs {
			if got := must(j.Wait(ctx))(t); got != 42 {
				t.Errorf("got %d", got)
			}
		}
		if n := must(s.client(t).Queue("default").Counts(ctx))(t); n.Interrupted != 0 || n.Refused != 0 {
			t.Errorf("counts: %+v", n)
		}
	})
}

// A typed nil is an error whose methods panic. It costs its own job.
func TestHandlerThatReturnsATypedNil(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		double.Handle(w, func(ctx context.Context, n int) (int, error) {
			var err *fs.PathError
			return n, err
		})
		ctx := within(t)
		j := must(double.Put(ctx, c, 1))(t)
		if n := must(w.Drain(ctx))(t); n != 1 {
			t.Errorf("Drain ran %d jobs", n)
		}
		var f *failure.Failure
		if _, err := j.Wait(ctx); !errors.As(err, &f) {
			t.Errorf("Wait: %v", err)
		}
	})
}

// Puts that wait behind a call when the client is closed are told so, and do not hang.
func TestPutsThatWaitWhenTheClientCloses(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		proxy := s.proxied(t)
		c := s.clientAt(t, proxy.Addr())
		held := make(chan struct{})
		t.Cleanup(func() { close(held) })
		calls := make(chan bool, 100)
		proxy.OnRequest(holdScripts(held, calls))
		const n = 12
		done := make(chan error, n)
		for i := range n {
			go func() {
				_, err := double.Put(context.Background(), c, i)
				done <- err
			}()
		}
		<-calls
		<-calls // both lines have a call that is not answered
		begin := time.Now()
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		for range n {
			if err := <-done; !errors.Is(err, spool.ErrClosed) {
				t.Errorf("Put: %v", err)
			}
		}
		if took := time.Since(begin); took > 4*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// The one worker that knows when the next job is due goes. Another, idle all the while, runs it on time.
func TestDueTimeOutlivesWhoKnewIt(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		ran := make(chan int, 2)
		var stops []func() error
		for i := range 2 {
			w := spool.NewWorker(c, spool.WorkerConfig{Beat: time.Minute})
			double.Handle(w, func(ctx context.Context, n int) (int, error) {
				ran <- i
				if spool.Running(ctx).Attempt() == 1 {
					return 0, spool.RetryAfter(1500*time.Millisecond, errKnown)
				}
				return n, nil
			})
			stops = append(stops, work(t, w))
		}
		eventually(t, "both are there", func() bool { return must(c.Queue("default").Counts(ctx))(t).Workers == 2 })
		j := must(double.Put(ctx, c, 1))(t)
		begin := time.Now()
		knows := <-ran
		eventually(t, "its retry is due", func() bool { return must(c.Queue("default").Counts(ctx))(t).Due == 1 })
		if err := stops[knows](); err != nil {
			t.Fatal(err)
		}
		must(j.Wait(ctx))(t)
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("a job due after 1.5 s ran after %v", took)
		}
	})
}
