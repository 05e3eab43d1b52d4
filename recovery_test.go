package spool_test

import (
	"context"
	"errors"
	"fmt"
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

// A worker is given again what it still runs, because Redis has forgotten that it gave it. The first run is told to
// stop, the second counts.
func TestRedisGoesBackAndGivesTheJobAgain(t *testing.T) {
	t.Parallel()
	ownServer(t, func(t *testing.T, s *server, r *redistest.Server) {
		c := s.client(t)
		ctx := within(t)
		g := newGates()
		w := spool.NewWorker(c, spool.WorkerConfig{ThreadSlots: 3, Beat: 50 * time.Millisecond, DeadAfter: 10 * time.Second})
		g.handle(w, gated)
		work(t, w)
		// One job fills the only slot while the moment comes to which Redis will go back: the registration is older,
		// the claim of the other job is not.
		if err := w.Resize(spool.Thread, 1); err != nil {
			t.Fatal(err)
		}
		first := must(gated.Put(ctx, c, "first"))(t)
		await(t, "began", g.began, "first")
		j := must(gated.Put(ctx, c, "twice"))(t)
		must(s.raw(t).Save(ctx).Result())(t)
		if err := w.Resize(spool.Thread, 4); err != nil {
			t.Fatal(err)
		}
		await(t, "began", g.began, "twice")
		r.Kill()
		if err := r.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		await(t, "told to stop", g.told, "twice")
		await(t, "began again", g.began, "twice")
		g.release("twice")
		g.release("first")
		must(first.Wait(ctx))(t)
		if got := must(j.Wait(ctx))(t); got != "twice" {
			t.Errorf("got %q", got)
		}
		counts := must(c.Queue("default").Counts(ctx))(t)
		if counts.Succeeded != 2 || counts.Interrupted+counts.Failed != 0 {
			t.Errorf("%+v", counts)
		}
	})
}

// The server's clock jumps ahead by an hour. Everybody's lease has run out at that moment, and nobody is dead: each
// first has a chance to beat (c3).
func TestClockJumpKillsNobody(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bubble) {
		c, closed := b.client(t)
		defer closed()
		g := newGates()
		var ends []func()
		for range 3 {
			w := spool.NewWorker(c, spool.WorkerConfig{Logger: quiet})
			g.handle(w, gated)
			cancel, done := run(w)
			ends = append(ends, func() {
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
			time.Sleep(time.Second)
			must(gated.Put(t.Context(), c, "held"))(t)
			await(t, "began", g.began, "held")
		}
		time.Sleep(time.Minute)
		for _, jump := range []time.Duration{time.Hour, 3 * time.Hour, time.Minute} {
			for at := time.Duration(0); at < time.Minute; at += 100 * time.Millisecond {
				b.mini.SetTime(time.Now().Add(jump))
				time.Sleep(100 * time.Millisecond)
			}
			n := must(c.Queue("default").Counts(t.Context()))(t)
			if n.Workers != 3 || n.Active != 3 || n.Interrupted != 0 {
				t.Errorf("after a jump to %v ahead: %+v", jump, n)
			}
		}
		g.release("held")
		time.Sleep(time.Second)
		for _, end := range ends {
			end()
		}
	})
}

// Redis is told by one worker that a due time is near, and that worker is full by then: another one begins the job.
func TestDueJobOfAFullWorkerGoesToAnother(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, b *bubble) {
		c, closed := b.client(t)
		defer closed()
		ctx := t.Context()
		g := newGates()
		var ends []func()
		for range 2 {
			w := spool.NewWorker(c, spool.WorkerConfig{Logger: quiet, ReactorSlots: -1})
			g.handle(w, gated)
			cancel, done := run(w)
			ends = append(ends, func() {
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		}
		worst := time.Duration(0)
		for i := range 8 {
			later, now := fmt.Sprint("later", i), fmt.Sprint("now", i)
			time.Sleep(17 * time.Second)
			due := time.Now().Add(2 * time.Second)
			must(gated.Put(ctx, c, later, spool.Delay(2*time.Second)))(t)
			time.Sleep(time.Second)
			// Whoever took the marker of that job, or not: one of the two is busy when it is due.
			must(gated.Put(ctx, c, now))(t)
			await(t, "began", g.began, now)
			await(t, "began", g.began, later)
			worst = max(worst, time.Since(due))
			g.release(now)
			g.release(later)
		}
		t.Logf("at worst %v after its time", worst)
		if worst > 6*time.Second {
			t.Errorf("%v after its time", worst)
		}
		for _, end := range ends {
			end()
		}
	})
}
