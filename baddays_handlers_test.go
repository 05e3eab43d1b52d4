package spool_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/failure"
)

var (
	odd   = spool.NewTask[string, any]("odd")
	large = spool.NewTask[int, string]("large")
)

// TestHandlersThatMisbehave: each costs its own job alone. The slot is free afterwards, and the next job runs.
func TestHandlersThatMisbehave(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t, func(cfg *spool.ClientConfig) { cfg.MaxPayload = 4096 })
		for _, lane := range []spool.Option{spool.Priority(0), spool.OnReactor()} {
			w := spool.NewWorker(c, fast(spool.WorkerConfig{ReactorSlots: 1}))
			odd.Handle(w, func(ctx context.Context, how string) (any, error) {
				switch how {
				case "panic":
					panic("out of ideas")
				case "panic with an error":
					panic(errKnown)
				case "panic with nil":
					panic(nil)
				case "nil dereference":
					var p *struct{ n int }
					return p.n, nil
				case "goexit":
					runtime.Goexit()
				case "chan":
					return map[string]any{"inside": make(chan int)}, nil
				case "func":
					return func() {}, nil
				case "large":
					return strings.Repeat("x", 5000), nil
				case "value and error":
					return "ignored", errKnown
				}
				return how, nil
			})
			stop := work(t, w)
			ctx := within(t)
			for how, says := range map[string]string{
				"panic": "out of ideas", "panic with an error": errKnown.Error(), "panic with nil": "nil", "nil dereference": "nil pointer",
				"goexit": "Goexit", "chan": "chan", "func": "func", "large": "4096", "value and error": errKnown.Error(),
			} {
				_, err := must(odd.Put(ctx, c, how, lane))(t).Wait(ctx)
				var f *failure.Failure
				if !errors.As(err, &f) || !strings.Contains(err.Error(), says) {
					t.Errorf("%s: %T %v", how, err, err)
				}
				if got, err := must(odd.Put(ctx, c, "well", lane))(t).Wait(ctx); err != nil || got != "well" {
					t.Errorf("after %s: %v, %v", how, got, err)
				}
			}
			if err := stop(); err != nil {
				t.Errorf("Run: %v", err)
			}
		}
		n := must(c.Queue("default").Counts(within(t)))(t)
		if n.Failed != 18 || n.Succeeded != 18 || n.Active != 0 || n.Pending() != 0 {
			t.Errorf("counts: %+v", n)
		}
	})
}

// TestResultThatDoesNotFitIsNotRetried: it is final: another attempt would end the same way.
func TestResultThatDoesNotFitIsNotRetried(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t, func(cfg *spool.ClientConfig) { cfg.MaxPayload = 1000 })
		runs := make(chan int, 10)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		large.Handle(w, func(ctx context.Context, n int) (string, error) {
			runs <- n
			return strings.Repeat("x", n), nil
		})
		work(t, w)
		ctx := within(t)
		again := spool.Retry(spool.Unlimited, func(yield func(time.Duration) bool) {
			for yield(0) {
			}
		})
		if got := must(must(large.Put(ctx, c, 900, again))(t).Wait(ctx))(t); len(got) != 900 {
			t.Errorf("got %d bytes", len(got))
		}
		_, err := must(large.Put(ctx, c, 1000, again))(t).Wait(ctx) // and the header of a string
		if err == nil || !strings.Contains(err.Error(), "1003 bytes, at most 1000") {
			t.Errorf("got %v", err)
		}
		if len(runs) != 2 {
			t.Errorf("the handler ran %d times", len(runs))
		}
	})
}

// TestHandlerThatNeverReturns: Run's error names it. Its slot stays taken, its job is given back, and a worker that
// comes later runs it.
func TestHandlerThatNeverReturns(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c, ctx := s.client(t), within(t)
		begun, release := make(chan struct{}, 2), make(chan struct{})
		defer close(release)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ShutdownGrace: -1}))
		double.Handle(w, func(ctx context.Context, n int) (int, error) {
			begun <- struct{}{}
			<-release // whatever its context says
			return 0, nil
		})
		end, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- w.Run(end) }()
		j := must(double.Put(ctx, c, 21))(t)
		behind := must(double.Put(ctx, c, 4))(t)
		<-begun
		cancel()
		err := <-done
		if err == nil || !strings.Contains(err.Error(), "double (1)") || !strings.Contains(err.Error(), "still run") {
			t.Errorf("Run: %v", err)
		}
		if len(begun) > 0 {
			t.Error("a second job began in the slot that was taken")
		}
		n := must(c.Queue("default").Counts(ctx))(t)
		if n.Ready != 2 || n.Active != 0 || n.Workers != 0 || n.Interrupted != 0 {
			t.Errorf("counts: %+v", n)
		}
		heir := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		double.Handle(heir, func(ctx context.Context, n int) (int, error) { return 2 * n, nil })
		work(t, heir)
		if got := must(j.Wait(ctx))(t); got != 42 {
			t.Errorf("got %d", got)
		}
		if got := must(behind.Wait(ctx))(t); got != 8 {
			t.Errorf("got %d", got)
		}
	})
}

// TestHandlerThatIgnoresItsTimeout keeps its slot until it returns; others of the worker go on.
func TestHandlerThatIgnoresItsTimeout(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c, ctx := s.client(t), within(t)
		late, release := make(chan error, 1), make(chan struct{})
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 2}))
		double.Handle(w, func(ctx context.Context, n int) (int, error) {
			if n == 1 {
				<-ctx.Done()
				late <- context.Cause(ctx)
				<-release
			}
			return 2 * n, nil
		})
		work(t, w)
		j := must(double.Put(ctx, c, 1, spool.Timeout(20*time.Millisecond)))(t)
		if err := <-late; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the cause was %v", err)
		}
		for range 3 {
			must(must(double.Put(ctx, c, 2))(t).Wait(ctx))(t)
		}
		if n := must(c.Queue("default").Counts(ctx))(t); n.Active != 1 {
			t.Errorf("counts: %+v", n)
		}
		close(release)
		if got := must(j.Wait(ctx))(t); got != 2 {
			t.Errorf("got %d", got)
		}
	})
}
