package spool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/spooljobs/spool"
)

// gauge counts how many run at once, and notes who began and never how many too many.
type gauge struct {
	mu    sync.Mutex
	limit int
	now   int
	most  int
	over  int
	began chan int
}

func newGauge(limit int) *gauge { return &gauge{limit: limit, began: make(chan int, 1000)} }

func (g *gauge) enter(n int) {
	g.mu.Lock()
	g.now++
	g.most = max(g.most, g.now)
	if g.now > g.limit {
		g.over++
	}
	g.mu.Unlock()
	g.began <- n
}

func (g *gauge) leave() {
	g.mu.Lock()
	g.now--
	g.mu.Unlock()
}

func (g *gauge) allow(limit int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limit = limit
}

// DM-9, DM-11, ST-1: one thread slot and four reactor slots unless asked otherwise; a thread that blocks does not hold
// up the reactor; and the lease that others see is the default one.
func TestDefaultSlotsAndLanes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, spool.WorkerConfig{})
		threads, reactor, let := newGauge(1), newGauge(4), make(chan struct{})
		double.Handle(w, func(ctx context.Context, n int) (int, error) {
			threads.enter(n)
			defer threads.leave()
			<-let
			return n, nil
		})
		light.Handle(w, func(ctx context.Context, n int) (int, error) {
			reactor.enter(n)
			defer reactor.leave()
			return spool.Await(ctx, func(context.Context) (int, error) {
				<-let
				return n, nil
			})
		})
		work(t, w)
		var jobs []*spool.Job[int]
		for i := range 10 {
			jobs = append(jobs, must(double.Put(ctx, c, i))(t), must(light.Put(ctx, c, i))(t))
		}
		<-threads.began
		for range 4 {
			<-reactor.began
		}
		rdb := s.raw(t)
		now := must(rdb.Time(ctx).Result())(t)
		lease := must(rdb.ZRangeWithScores(ctx, s.key("default", "engines"), 0, -1).Result())(t)
		if len(lease) != 1 || lease[0].Score > float64(now.Add(15*time.Second).UnixMilli()) || lease[0].Score < float64(now.Add(5*time.Second).UnixMilli()) {
			t.Errorf("leases: %v at %v", lease, now)
		}
		close(let)
		for _, j := range jobs {
			must(j.Wait(ctx))(t)
		}
		for name, g := range map[string]*gauge{"thread": threads, "reactor": reactor} {
			if g.over > 0 || g.most != g.limit {
				t.Errorf("%s: %d at once, %d times more than %d", name, g.most, g.over, g.limit)
			}
		}
	})
}

// DM-9: none means none.
func TestNoSlots(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: -1}))
		double.Handle(w, func(ctx context.Context, n int) (int, error) { return n, nil })
		light.Handle(w, func(ctx context.Context, n int) (int, error) { return n, nil })
		must(double.Put(ctx, c, 1))(t)
		must(light.Put(ctx, c, 1))(t)
		if n := must(w.Drain(ctx))(t); n != 1 {
			t.Errorf("%d jobs ran", n)
		}
		if n := must(c.Queue("default").Counts(ctx))(t); n.Ready != 1 || n.Active != 0 {
			t.Errorf("counts: %+v", n)
		}
		for _, cfg := range []spool.WorkerConfig{{ThreadSlots: -2}, {ReactorSlots: -2}, {ThreadSlots: 1_000_001}, {Beat: -1}, {Beat: time.Second, DeadAfter: time.Second}} {
			var field *spool.FieldError
			if _, err := spool.NewWorker(c, cfg).Drain(ctx); !errors.As(err, &field) {
				t.Errorf("%+v: %v", cfg, err)
			}
		}
	})
}

// B09, EN-5, WK-1, G7: more slots are taken at once; fewer cut nobody, and let nobody in until fewer run.
func TestResize(t *testing.T) {
	t.Parallel()
	for _, lane := range []spool.Lane{spool.Thread, spool.Reactor} {
		t.Run(lane.String(), func(t *testing.T) {
			each(t, func(t *testing.T, s *server) {
				c := s.client(t)
				ctx := within(t)
				w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 1, ReactorSlots: 1}))
				g := newGauge(1)
				let := make(map[int]chan struct{})
				for i := range 6 {
					let[i] = make(chan struct{})
				}
				handler := func(ctx context.Context, n int) (int, error) {
					g.enter(n)
					defer g.leave()
					return spool.Await(ctx, func(ctx context.Context) (int, error) {
						<-let[n]
						return n, ctx.Err()
					})
				}
				double.Handle(w, handler)
				light.Handle(w, handler)
				work(t, w)
				task, other := double, light
				if lane == spool.Reactor {
					task, other = light, double
				}
				var jobs []*spool.Job[int]
				for i := range 5 {
					jobs = append(jobs, must(task.Put(ctx, c, i))(t))
				}
				expectBegan := func(want int) {
					t.Helper()
					if got := <-g.began; got != want {
						t.Errorf("job %d began, want %d", got, want)
					}
				}
				resize := func(n int) {
					t.Helper()
					g.allow(max(n, 1))
					if err := w.Resize(lane, n); err != nil {
						t.Error(err)
					}
				}
				expectBegan(0)
				resize(2)
				expectBegan(1)
				g.allow(2) // two run: the smaller size cuts neither
				if err := w.Resize(lane, 1); err != nil {
					t.Error(err)
				}
				close(let[0])
				if got := must(jobs[0].Wait(ctx))(t); got != 0 {
					t.Errorf("got %d", got)
				}
				// One runs, and that is what there is room for: the third comes when it has ended.
				g.allow(1)
				close(let[1])
				must(jobs[1].Wait(ctx))(t)
				expectBegan(2)
				// None at all, for a while.
				resize(0)
				close(let[2])
				must(jobs[2].Wait(ctx))(t)
				close(let[5])
				must(must(other.Put(ctx, c, 5))(t).Wait(ctx))(t)
				expectBegan(5)
				q := c.Queue("default")
				eventually(t, "what was claimed ahead is given back", func() bool { return must(q.Counts(ctx))(t).Ready == 2 })
				resize(2)
				// Both may begin now; their goroutines are not in order.
				if a, b := <-g.began, <-g.began; a+b != 3+4 || a*b != 3*4 {
					t.Errorf("jobs %d and %d began, want 3 and 4", a, b)
				}
				close(let[3])
				close(let[4])
				for _, j := range jobs {
					must(j.Wait(ctx))(t)
				}
				if g.over > 0 {
					t.Errorf("%d times too many ran at once", g.over)
				}
				var field *spool.FieldError
				if err := w.Resize(lane, -1); !errors.As(err, &field) {
					t.Errorf("a negative size: %v", err)
				}
			})
		})
	}
}

// ST-8, G7: a time-out is the end of the handler's context, says why, and is a failed attempt; a handler that ignores
// it keeps its slot until it returns.
func TestTimeoutIsTheContextsAndTheSlotStaysTaken(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ReactorSlots: -1, Timeout: time.Hour}))
		g := newGauge(1)
		let := make(chan struct{})
		double.Handle(w, func(ctx context.Context, n int) (int, error) {
			g.enter(n)
			defer g.leave()
			deadline, ok := ctx.Deadline()
			if !ok {
				t.Error("the worker's own time-out is not there")
			}
			if n == 1 {
				if time.Until(deadline) > time.Minute {
					t.Errorf("the job's time-out is not the one that counts: %v", deadline)
				}
				<-ctx.Done()
				<-let // deaf
				return 0, context.Cause(ctx)
			}
			return n, nil
		})
		work(t, w)
		slow := must(double.Put(ctx, c, 1, spool.Timeout(20*time.Millisecond)))(t)
		<-g.began
		next := must(double.Put(ctx, c, 2))(t)
		time.Sleep(60 * time.Millisecond) // its time is over; nothing may happen
		select {
		case n := <-g.began:
			t.Errorf("job %d began in a slot that is taken", n)
		default:
		}
		close(let)
		if _, err := slow.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("timed out: %v", err)
		}
		must(next.Wait(ctx))(t)
		if g.over > 0 {
			t.Error("two at once")
		}
	})
}

// DM-22: in a queue, priority, and among equals the order of becoming ready.
func TestPriorities(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		var want []string
		var partials []spool.Partial[spool.None]
		for _, priority := range []int{5, 0, -1000, 1000, 0, -3, 5, 0} {
			for k := range 3 {
				partials = append(partials, named.With(fmt.Sprintf("%+05d/%d/%d", priority+1000, len(partials), k), spool.Priority(priority)))
			}
		}
		for _, p := range partials[:12] {
			must(p.Put(ctx, c))(t)
		}
		must(spool.PutMany(ctx, c, partials[12:]))(t)
		want = names(ctx, t, c.Queue("default"))
		got := oneByOne(c).drained(ctx, t)
		expectRan(t, got, want...)
		if len(got) != len(partials) || !slices.IsSortedFunc(got, byPriorityThenPlace) {
			t.Errorf("ran %q", got)
		}
		var field *spool.FieldError
		for _, n := range []int{-1001, 1001} {
			if _, err := named.Put(ctx, c, "x", spool.Priority(n)); !errors.As(err, &field) || field.Field != "Priority" {
				t.Errorf("priority %d: %v", n, err)
			}
		}
	})
}

func byPriorityThenPlace(a, b string) int {
	var pa, pb, ia, ib, k int
	fmt.Sscanf(a, "%d/%d/%d", &pa, &ia, &k)
	fmt.Sscanf(b, "%d/%d/%d", &pb, &ib, &k)
	if pa != pb {
		return pa - pb
	}
	return ia - ib
}

// Several queues are served in strict order: what arrives in the high queue runs before what waits in the low one.
func TestQueuesAreServedInStrictOrder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{Queues: []string{"high", "middle", "low"}, ReactorSlots: -1}))
		began, let := make(chan string), make(chan struct{})
		named.Handle(w, func(ctx context.Context, name string) (spool.None, error) {
			began <- name
			<-let
			return spool.None{}, nil
		})
		put := func(queue, name string, opts ...spool.Option) {
			t.Helper()
			must(named.Put(ctx, c, name, append(opts, spool.In(queue))...))(t)
		}
		// Already there at the start, put in the wrong order.
		put("low", "l1", spool.Priority(-1000))
		put("middle", "m1")
		put("high", "h1", spool.Priority(1000))
		put("low", "l2")
		put("low", "l3")
		work(t, w)
		var order []string
		next := func() {
			t.Helper()
			order = append(order, <-began)
		}
		next() // h1
		let <- struct{}{}
		next() // m1
		let <- struct{}{}
		next() // l1
		for i, queue := range []string{"middle", "high"} {
			put(queue, fmt.Sprintf("%s%d", queue[:1], i+2))
		}
		eventually(t, "what was claimed ahead is given back", func() bool {
			return must(c.Queue("low").Counts(ctx))(t).Ready == 2
		})
		let <- struct{}{}
		next() // h3
		let <- struct{}{}
		next() // m2
		let <- struct{}{}
		next() // l2
		let <- struct{}{}
		next() // l3
		close(let)
		expectRan(t, order, "h1", "m1", "l1", "h3", "m2", "l2", "l3")
	})
}

// DM-12, DM-14, MO-7: a process that only puts needs no worker; a job that is put wakes an idle worker, it does not wait
// for its beat.
func TestPutWakesAnIdleWorker(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		ctx := within(t)
		w := spool.NewWorker(s.client(t), spool.WorkerConfig{Beat: time.Hour})
		double.Handle(w, func(ctx context.Context, n int) (int, error) { return 2 * n, nil })
		light.Handle(w, func(ctx context.Context, n int) (int, error) { return n + 1, nil })
		work(t, w)
		c := s.client(t)
		for i := range 20 {
			task := []spool.Task[int, int]{double, light}[i%2]
			must(must(task.Put(ctx, c, i))(t).Wait(ctx))(t)
		}
		if n := must(c.Queue("default").Counts(ctx))(t); n.Workers != 1 {
			t.Errorf("a client counts as a worker: %+v", n)
		}
	})
}
