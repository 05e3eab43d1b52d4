package spool_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/embedded"
	"github.com/spooljobs/spool/failure"
)

// ST-1, DM-11: between two waits a reactor handler is alone. What they share here has no lock: the race detector
// watches.
func TestReactorHandlersAreAloneBetweenWaits(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		alone, turns := true, 0
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ReactorSlots: 20}))
		turn := func() {
			if !alone {
				t.Error("two handlers have the loop")
			}
			alone = false
			runtime.Gosched()
			alone = true
			turns++
		}
		light.Handle(w, func(ctx context.Context, n int) (int, error) {
			for range 5 {
				turn()
				if _, err := spool.Await(ctx, func(context.Context) (int, error) {
					runtime.Gosched()
					return 0, nil
				}); err != nil {
					return 0, err
				}
			}
			turn()
			return n, nil
		})
		// TW-44: a thread handler comes in by OnLoop, and then is alone like the others.
		double.Handle(w, func(ctx context.Context, n int) (int, error) { return n, spool.OnLoop(ctx, turn) })
		const n = 60
		var partials []spool.Partial[int]
		for i := range n {
			partials = append(partials, light.With(i), double.With(i))
		}
		must(spool.PutMany(ctx, c, partials))(t)
		if ran := must(w.Drain(ctx))(t); ran != 2*n {
			t.Errorf("%d jobs ran", ran)
		}
		if turns != 6*n+n {
			t.Errorf("%d turns", turns)
		}
	})
}

// ST-1: the turn goes to who has been ready longest. Not parallel: it looks at the goroutines of the process.
func TestReactorTurnsGoInTheOrderOfBecomingReady(t *testing.T) {
	mini, err := embedded.Serve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(mini.Close)
	on(t, &server{"embedded", mini.Addr(), embedded.Prefix(t)}, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ReactorSlots: 10}))
		const n = 5
		var order []int
		var away sync.WaitGroup
		release := make([]chan struct{}, n)
		away.Add(n)
		light.Handle(w, func(ctx context.Context, i int) (int, error) {
			_, err := spool.Await(ctx, func(context.Context) (int, error) {
				away.Done()
				<-release[i]
				return 0, nil
			})
			order = append(order, i)
			return i, err
		})
		holder := spool.NewTask[int, int]("holder", spool.OnReactor())
		held, let := make(chan struct{}), make(chan struct{})
		holder.Handle(w, func(ctx context.Context, i int) (int, error) {
			close(held)
			<-let
			return 0, nil
		})
		work(t, w)
		var jobs []*spool.Job[int]
		for i := range n {
			release[i] = make(chan struct{})
			jobs = append(jobs, must(light.Put(ctx, c, i))(t))
		}
		away.Wait()
		must(holder.Put(ctx, c, 0))(t)
		<-held
		want := []int{3, 0, 4, 1, 2}
		for k, i := range want {
			close(release[i])
			eventually(t, "it waits for its turn", func() bool { return waitingForTheLoop() == k+1 })
		}
		close(let)
		for _, j := range jobs {
			must(j.Wait(ctx))(t)
		}
		if !slices.Equal(order, want) {
			t.Errorf("turns in the order %v, want %v", order, want)
		}
	})
}

// waitingForTheLoop counts the goroutines of the process that wait for a loop.
func waitingForTheLoop() int {
	buf := make([]byte, 1<<20)
	n := 0
	for _, g := range bytes.Split(buf[:runtime.Stack(buf, true)], []byte("\n\n")) {
		if bytes.Contains(g, []byte("spool.(*loop).enter(")) && bytes.Contains(g, []byte("[select")) {
			n++
		}
	}
	return n
}

// ST-1: a handler that waits leaves the loop: a thousand wait at once.
func TestThousandReactorJobsWaitAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		const n = 1000
		w := spool.NewWorker(c, spool.WorkerConfig{ReactorSlots: n, ThreadSlots: -1})
		waiting, all := 0, make(chan struct{})
		light.Handle(w, func(ctx context.Context, i int) (int, error) {
			// On the loop: no lock.
			if waiting++; waiting == n {
				close(all)
			}
			return spool.Await(ctx, func(ctx context.Context) (int, error) {
				select {
				case <-all:
					return i, nil
				case <-ctx.Done():
					return 0, context.Cause(ctx)
				}
			})
		})
		var partials []spool.Partial[int]
		for i := range n {
			partials = append(partials, light.With(i))
		}
		must(spool.PutMany(ctx, c, partials))(t)
		if ran := must(w.Drain(ctx))(t); ran != n {
			t.Errorf("%d jobs ran", ran)
		}
		if counts := must(c.Queue("default").Counts(ctx))(t); counts.Succeeded != n {
			t.Errorf("counts: %+v", counts)
		}
	})
}

// ST-1: off the reactor, and outside a worker, Await and OnLoop simply call: one handler serves both lanes.
func TestAwaitAndOnLoopOffTheReactor(t *testing.T) {
	t.Parallel()
	handler := func(ctx context.Context, n int) (int, error) {
		got, err := spool.Await(ctx, func(inner context.Context) (int, error) {
			if inner.Err() != nil {
				return 0, inner.Err()
			}
			return 2 * n, nil
		})
		if err != nil {
			return 0, err
		}
		err = spool.OnLoop(ctx, func() { got++ })
		return got, err
	}
	if got := must(handler(t.Context(), 4))(t); got != 9 {
		t.Errorf("outside a worker: %d", got)
	}
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		double.Handle(w, handler)
		light.Handle(w, handler)
		work(t, w)
		for name, task := range map[string]spool.Task[int, int]{"thread": double, "reactor": light} {
			if got := must(must(task.Put(ctx, c, 20))(t).Wait(ctx))(t); got != 41 {
				t.Errorf("%s: %d", name, got)
			}
		}
	})
}

// ST-1: what ends fn ends Await, and the handler is alone again, whatever it was.
func TestAwaitPassesErrorsAndPanicsOn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		ends := spool.NewTask[string, string]("ends", spool.OnReactor(), spool.Knows("known", errKnown))
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ReactorSlots: 10}))
		shared := 0 // without a lock
		ends.Handle(w, func(ctx context.Context, how string) (string, error) {
			shared++
			got, err := spool.Await(ctx, func(ctx context.Context) (string, error) {
				switch how {
				case "error":
					return "", errKnown
				case "panic":
					panic("within Await")
				case "goexit":
					runtime.Goexit()
				case "nested":
					// An Await within an Await is off the loop already.
					return spool.Await(ctx, func(ctx context.Context) (string, error) { return "nested", nil })
				case "loop":
					// The way back in, for a moment.
					err := spool.OnLoop(ctx, func() { shared++ })
					return "loop", err
				}
				return "value", nil
			})
			shared++
			return got, err
		})
		work(t, w)
		jobs := map[string]*spool.Job[string]{}
		for _, how := range []string{"value", "nested", "loop", "error", "panic", "goexit"} {
			jobs[how] = must(ends.Put(ctx, c, how))(t)
		}
		for _, how := range []string{"value", "nested", "loop"} {
			if got := must(jobs[how].Wait(ctx))(t); got != how {
				t.Errorf("%s: got %q", how, got)
			}
		}
		if _, err := jobs["error"].Wait(ctx); !errors.Is(err, errKnown) {
			t.Errorf("error: %v", err)
		}
		var f *failure.Failure
		if _, err := jobs["panic"].Wait(ctx); !errors.As(err, &f) || !f.Panic || f.Message != "within Await" {
			t.Errorf("panic: %v", err)
		}
		if _, err := jobs["goexit"].Wait(ctx); !errors.As(err, &f) || f.Panic {
			t.Errorf("goexit: %v", err)
		}
		// The loop is free, and the slots are.
		if got := must(must(ends.Put(ctx, c, "value"))(t).Wait(ctx))(t); got != "value" {
			t.Errorf("afterwards: %q", got)
		}
	})
}

// EN-5: a handler that ends its goroutine is a failure like others, and its slot is not lost.
func TestHandlerThatEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 1, ReactorSlots: 1}))
		exit := func(ctx context.Context, n int) (int, error) {
			if n == 0 {
				runtime.Goexit()
			}
			return n, nil
		}
		double.Handle(w, exit)
		light.Handle(w, exit)
		work(t, w)
		for _, task := range []spool.Task[int, int]{double, light} {
			bad, good := must(task.Put(ctx, c, 0))(t), must(task.Put(ctx, c, 5))(t)
			var f *failure.Failure
			if _, err := bad.Wait(ctx); !errors.As(err, &f) || !strings.Contains(f.Message, "Goexit") {
				t.Errorf("%s: %v", task.Name(), err)
			}
			if got := must(good.Wait(ctx))(t); got != 5 {
				t.Errorf("%s: got %d", task.Name(), got)
			}
		}
	})
}

// TW-44: a thread hands a function to the loop: it runs alone, in its turn; its panic is the caller's and does not
// keep the loop; where the context ends first it does not run.
func TestOnLoopFromAThreadHandler(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 1, ReactorSlots: 1}))
		held, let := make(chan struct{}), make(chan struct{})
		light.Handle(w, func(ctx context.Context, n int) (int, error) {
			held <- struct{}{}
			<-let
			return n, nil
		})
		thread := spool.NewTask[string, string]("thread")
		thread.Handle(w, func(ctx context.Context, how string) (got string, err error) {
			inner, cancel := context.WithCancel(ctx)
			defer cancel()
			switch how {
			case "panic":
				defer func() { got = recover().(string) }()
				return "", spool.OnLoop(ctx, func() { panic("on the loop") })
			case "ended before":
				cancel()
			case "ends while it waits":
				go cancel()
			}
			ran := false
			if err := spool.OnLoop(inner, func() { ran = true }); ran || !errors.Is(err, context.Canceled) {
				t.Errorf("%s: ran %v, error %v", how, ran, err)
			}
			return how, nil
		})
		work(t, w)
		run := func(how string) *spool.Job[string] { return must(thread.Put(ctx, c, how))(t) }
		expect := func(j *spool.Job[string], want string) {
			t.Helper()
			if got := must(j.Wait(ctx))(t); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		expect(run("panic"), "on the loop")
		expect(run("ended before"), "ended before") // the loop is free, and all the same
		holder := must(light.Put(ctx, c, 1))(t)
		<-held
		expect(run("ended before"), "ended before")
		expect(run("ends while it waits"), "ends while it waits")
		waiting := run("panic") // waits for the turn
		let <- struct{}{}
		must(holder.Wait(ctx))(t)
		expect(waiting, "on the loop")
		again := must(light.Put(ctx, c, 2))(t)
		<-held
		let <- struct{}{}
		must(again.Wait(ctx))(t)
	})
}

// ST-1: a handler that keeps the loop is named, while it keeps it and afterwards.
func TestHandlerThatKeepsTheLoopIsNamed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		log := &lines{}
		cfg := fast(spool.WorkerConfig{})
		cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
		w := spool.NewWorker(c, cfg)
		heavy := spool.NewTask[int, int]("heavy", spool.OnReactor())
		heavy.Handle(w, func(ctx context.Context, n int) (int, error) {
			eventually(t, "it is named while it keeps the loop", func() bool { return log.has("keeps the loop", "handler=heavy") })
			return n, nil
		})
		light.Handle(w, func(ctx context.Context, n int) (int, error) {
			_, err := spool.Await(ctx, func(context.Context) (int, error) {
				eventually(t, "the other is named", func() bool { return log.has("kept the loop", "handler=heavy") })
				return 0, nil
			})
			return n, err
		})
		work(t, w)
		must(must(heavy.Put(ctx, c, 1))(t).Wait(ctx))(t)
		eventually(t, "it is named afterwards", func() bool { return log.has("kept the loop", "handler=heavy") })
		must(must(light.Put(ctx, c, 1))(t).Wait(ctx))(t)
		if log.has("handler=light") {
			t.Error("a handler that waits off the loop is named")
		}
	})
}

// lines is a log to look at.
type lines struct {
	mu   sync.Mutex
	text []string
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, string(p))
	return len(p), nil
}

// has says whether a line holds all of these.
func (l *lines) has(parts ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.text, func(line string) bool {
		return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) })
	})
}

// ST-8, ST-1: the time-out of an attempt runs from when the handler begins, not from when it waits for its turn.
func TestTimeoutOfAReactorJobBeginsWithItsTurn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ReactorSlots: 2}))
		held, let := make(chan struct{}), make(chan struct{})
		holder := spool.NewTask[int, int]("holder", spool.OnReactor())
		holder.Handle(w, func(ctx context.Context, n int) (int, error) {
			close(held)
			<-let
			return 0, nil
		})
		light.Handle(w, func(ctx context.Context, n int) (int, error) { return n, ctx.Err() })
		work(t, w)
		must(holder.Put(ctx, c, 0))(t)
		<-held
		j := must(light.Put(ctx, c, 1, spool.Timeout(50*time.Millisecond)))(t)
		q := c.Queue("default")
		eventually(t, "both are claimed", func() bool { return must(q.Counts(ctx))(t).Active == 2 })
		time.Sleep(70 * time.Millisecond) // longer than the time-out
		close(let)
		if _, err := j.Wait(ctx); err != nil {
			t.Errorf("it waited for its turn, and was then given no time: %v", err)
		}
	})
}
