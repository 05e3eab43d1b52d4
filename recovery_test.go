package spool_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
)

// gates lets handlers be let go one by one, by name, and tells how their contexts ended.
type gates struct {
	mu    sync.Mutex
	open  map[string]chan struct{}
	began chan string
	told  chan string // runs that were told to stop, by name
}

func newGates() *gates {
	return &gates{open: map[string]chan struct{}{}, began: make(chan string, 1000), told: make(chan string, 1000)}
}

func (g *gates) gate(name string) chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open[name] == nil {
		g.open[name] = make(chan struct{})
	}
	return g.open[name]
}

func (g *gates) release(name string) { close(g.gate(name)) }

// handle runs jobs that wait for their gate, or for the end of their context.
func (g *gates) handle(w *spool.Worker, task spool.Task[string, string]) {
	task.Handle(w, func(ctx context.Context, name string) (string, error) {
		g.began <- name
		select {
		case <-g.gate(name):
			return name, nil
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), spool.ErrAborted) {
				g.told <- name
			}
			return "", context.Cause(ctx)
		}
	})
}

// await waits for names to come out of a channel, in any order.
func await(t *testing.T, what string, from <-chan string, names ...string) {
	t.Helper()
	want := make(map[string]int)
	for _, name := range names {
		want[name]++
	}
	for range names {
		select {
		case got := <-from:
			if want[got]--; want[got] < 0 {
				t.Fatalf("%s: %q, not one of %q", what, got, names)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: nothing more came, missing %v", what, want)
		}
	}
}

var gated = spool.NewTask[string, string]("gated", spool.Keep(time.Hour))

// Redis goes back in time: it is killed, and comes up with what it held a while ago. Workers notice, give back what
// they do not run, stop what they no longer own; in the history that counts every job ends once (c6).
func TestRedisGoesBackInTime(t *testing.T) {
	t.Parallel()
	ownServer(t, func(t *testing.T, s *server, r *redistest.Server) {
		c := s.client(t)
		ctx := within(t)
		rdb := s.raw(t)
		g := newGates()
		slow := spool.WorkerConfig{ThreadSlots: 3, Beat: 100 * time.Millisecond, DeadAfter: 10 * time.Second}
		a := spool.NewWorker(c, slow)
		g.handle(a, gated)
		stopA := work(t, a)
		jobs := make(map[string]*spool.Job[string])
		put := func(names ...string) {
			for _, name := range names {
				jobs[name] = must(gated.Put(ctx, c, name))(t)
			}
		}
		end := func(names ...string) {
			for _, name := range names {
				g.release(name)
				if got := must(jobs[name].Wait(ctx))(t); got != name {
					t.Errorf("%s: got %q", name, got)
				}
			}
		}
		// Worker a has a full house: one that will last, one that ends too late, one that is just held.
		put("lasts", "ends after", "fills")
		await(t, "began", g.began, "lasts", "ends after", "fills")
		put("run after", "done after", "by b")
		must(rdb.Save(ctx).Result())(t)
		// What follows is forgotten: jobs end, others begin, one comes, and so does another worker.
		end("ends after")
		await(t, "began", g.began, "run after")
		end("fills")
		await(t, "began", g.began, "done after")
		end("done after")
		await(t, "began", g.began, "by b")
		put("forgotten")
		b := spool.NewWorker(c, slow)
		g.handle(b, gated)
		stopB := work(t, b)
		await(t, "began", g.began, "forgotten")
		end("forgotten")
		r.Kill()
		if err := r.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		// "run after" and "by b" run without being owned: they are told, and begin again. "ends after", "fills" and
		// "done after" have ended in a future that is no more: they run again.
		await(t, "told to stop", g.told, "run after", "by b")
		await(t, "began again", g.began, "run after", "by b", "ends after", "fills", "done after")
		g.release("lasts")
		g.release("run after")
		g.release("by b")
		for name, j := range jobs {
			got, err := j.Wait(ctx)
			switch {
			case name == "forgotten":
				if !errors.Is(err, spool.ErrUnknown) {
					t.Errorf("%s: %q, %v", name, got, err)
				}
			case err != nil || got != name:
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
		if err := errors.Join(stopA(), stopB()); err != nil {
			t.Error(err)
		}
		counts := must(c.Queue("default").Counts(ctx))(t)
		if counts.Succeeded != 6 || counts.Failed+counts.Retried+counts.Interrupted+counts.Aborted != 0 ||
			counts.Pending()+counts.Active+counts.Workers != 0 {
			t.Errorf("%+v", counts)
		}
		if extra := len(g.began); extra != 0 {
			t.Errorf("%d runs too many", extra)
		}
	})
}

// The same at random moments, with jobs flowing. What was accepted before the moment Redis goes back to ends once.
func TestRedisGoesBackInTimeAtRandom(t *testing.T) {
	t.Parallel()
	ownServer(t, func(t *testing.T, s *server, r *redistest.Server) {
		chance := seeded(t)
		c := s.client(t)
		ctx := within(t)
		rdb := s.raw(t)
		for range 2 {
			w := spool.NewWorker(c, spool.WorkerConfig{ThreadSlots: 8, ReactorSlots: 8, Beat: 50 * time.Millisecond, DeadAfter: 10 * time.Second})
			nap := func(ctx context.Context, n int) (int, error) {
				select {
				case <-time.After(time.Duration(rand.IntN(10)) * time.Millisecond):
				case <-ctx.Done():
				}
				return n, nil
			}
			double.Handle(w, nap)
			light.Handle(w, func(ctx context.Context, n int) (int, error) {
				return spool.Await(ctx, func(ctx context.Context) (int, error) { return nap(ctx, n) })
			})
			work(t, w)
		}
		var kept []*spool.Job[int]
		for range 3 {
			kept = append(kept, putCounted(t, ctx, c, double, 300)...)
			kept = append(kept, putCounted(t, ctx, c, light, 300)...)
			time.Sleep(time.Duration(chance.IntN(60)) * time.Millisecond)
			must(rdb.Save(ctx).Result())(t)
			putCounted(t, ctx, c, double, 50) // forgotten, most likely
			time.Sleep(time.Duration(chance.IntN(150)) * time.Millisecond)
			r.Kill()
			if err := r.Restart(ctx); err != nil {
				t.Fatal(err)
			}
		}
		for i, j := range kept {
			if _, err := j.Wait(ctx); err != nil {
				t.Errorf("job %d: %v", i, err)
			}
		}
		var last spool.Counts
		eventually(t, "everything has ended", func() bool {
			last = must(c.Queue("default").Counts(ctx))(t)
			return last.Pending()+last.Active == 0
		})
		if last.Failed+last.Retried+last.Interrupted+last.Aborted+last.Expired != 0 || int(last.Succeeded) != last.Completed {
			t.Errorf("%+v", last)
		}
		for i, j := range kept {
			if info := must(c.Queue("default").Get(ctx, j.ID()))(t); info.Outcome != "succeeded" || info.Interruptions != 0 {
				t.Errorf("job %d: %+v", i, info)
			}
		}
	})
}

