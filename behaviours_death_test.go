package spool_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/failure"
)

// lastEngine is the name of the engine of a queue that has registered last, and the moment from which it counts as
// dead, in milliseconds.
func (s *server) lastEngine(ctx context.Context, t *testing.T, rdb *redis.Client) (name string, dies int64) {
	t.Helper()
	highest := -1
	for _, e := range must(rdb.ZRangeWithScores(ctx, s.key("default", "engines"), 0, -1).Result())(t) {
		member := e.Member.(string)
		number, _, _ := strings.Cut(member, ":")
		if n := must(strconv.Atoi(number))(t); n > highest {
			highest, name, dies = n, member, int64(e.Score)
		}
	}
	return name, dies
}

// C07, RP-2, RP-6, Q-3, CA-3: nine interruptions, after each the job is pending, first in the queue and says how often;
// the tenth ends it. Attempts are not counted.
func TestTenthInterruptionAborts(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		q, rdb := c.Queue("default"), s.raw(t)
		j := must(double.Put(ctx, c, 1))(t)
		// It sweeps and runs nothing.
		work(t, spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: -1, ReactorSlots: -1})))
		eventually(t, "it has registered", func() bool { return must(q.Counts(ctx))(t).Workers == 1 })
		for i := 1; i <= 10; i++ {
			// With beats this far apart, all that keeps the worker alive for the others is the moment stored for it.
			w := spool.NewWorker(c, spool.WorkerConfig{ReactorSlots: -1, Beat: time.Hour})
			began := make(chan *spool.Run)
			double.Handle(w, func(ctx context.Context, n int) (int, error) {
				began <- spool.Running(ctx)
				<-spool.Running(ctx).Stopping()
				return n, nil
			})
			stop := work(t, w)
			run := <-began
			if run.Interruptions() != i-1 || run.Attempt() != 1 {
				t.Errorf("run %d: attempt %d, interruptions %d", i, run.Attempt(), run.Interruptions())
			}
			other := must(double.Put(ctx, c, 2))(t)
			victim, _ := s.lastEngine(ctx, t, rdb)
			must(rdb.ZAddXX(ctx, s.key("default", "engines"), redis.Z{Score: 1, Member: victim}).Result())(t)
			eventually(t, "it was taken from the dead", func() bool { return must(q.Get(ctx, j.ID()))(t).State != spool.StateActive })
			info := must(q.Get(ctx, j.ID()))(t)
			page, _, err := q.List(ctx, spool.StatePending, 0, 2)
			if err != nil {
				t.Fatal(err)
			}
			want := []string{j.ID(), other.ID()}
			if i == 10 {
				want = want[1:]
			}
			var got []string
			for _, info := range page {
				got = append(got, info.ID)
			}
			if strings.Join(got, " ") != strings.Join(want, " ") || info.Interruptions != i || info.Attempts != 0 {
				t.Errorf("interruption %d: %+v, pending %q, want %q", i, info, got, want)
			}
			if err := q.Pull(ctx, other.ID()); err != nil {
				t.Error(err)
			}
			// What the dead one has to say is refused.
			if err := stop(); err != nil {
				t.Errorf("Run: %v", err)
			}
		}
		_, err := j.Wait(ctx)
		var f *failure.Failure
		if !errors.Is(err, spool.ErrAborted) || !errors.As(err, &f) {
			t.Errorf("the tenth: %v", err)
		}
		if info := must(q.Get(ctx, j.ID()))(t); info.Outcome != "aborted" || info.Interruptions != 10 || info.State != spool.StateCompleted {
			t.Errorf("the tenth: %+v", info)
		}
		if n := must(q.Counts(ctx))(t); n.Interrupted != 10 || n.Aborted != 1 || n.Pending() != 0 || n.Active != 0 {
			t.Errorf("counts: %+v", n)
		}
	})
}

// B21, LV-1, LV-2, LV-3, LV-5, RP-4: one worker falls silent, holding a job it has begun, one it has only claimed and
// one that may not be interrupted. Before its death by Redis's clock nothing changes; then the first two run again
// elsewhere, the third is aborted, and what had ended is left alone. What it says when it comes back does not count.
func TestDeadSibling(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		ctx := within(t)
		c, rdb, proxy := s.client(t), s.raw(t), s.proxied(t)
		q := c.Queue("default")
		var mu sync.Mutex
		ran := map[string]int{} // by worker and argument
		ranOn := func(worker string, n int) int {
			mu.Lock()
			defer mu.Unlock()
			return ran[worker+strconv.Itoa(n)]
		}
		note := func(worker string, n int) {
			mu.Lock()
			defer mu.Unlock()
			ran[worker+strconv.Itoa(n)]++
		}

		one := spool.NewWorker(s.clientAt(t, proxy.Addr()), spool.WorkerConfig{ReactorSlots: 2, Beat: 100 * time.Millisecond, DeadAfter: 700 * time.Millisecond})
		held, let := make(chan int, 10), make(chan struct{})
		handler := func(ctx context.Context, n int) (int, error) {
			note("one", n)
			if n >= 3 {
				return n, nil
			}
			held <- n
			<-let
			return -1, nil
		}
		double.Handle(one, handler)
		light.Handle(one, handler)
		stop := work(t, one)
		// Completed ones; two in the reactor lane, of which the second waits for its turn; one that may not be interrupted.
		done := []*spool.Job[int]{must(double.Put(ctx, c, 3))(t), must(light.Put(ctx, c, 4))(t)}
		for _, j := range done {
			must(j.Wait(ctx))(t)
		}
		active := must(light.Put(ctx, c, 0))(t)
		<-held
		assigned := must(light.Put(ctx, c, 1))(t)
		never := must(double.Put(ctx, c, 2, spool.Interruptions(0)))(t)
		<-held
		eventually(t, "it holds three", func() bool { return must(q.Counts(ctx))(t).Active == 3 })

		proxy.Down()
		_, dies := s.lastEngine(ctx, t, rdb)
		two := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		elsewhere := func(ctx context.Context, n int) (int, error) {
			note("two", n)
			if now := must(rdb.Time(ctx).Result())(t).UnixMilli(); now <= dies {
				t.Errorf("job %d was taken %d ms before the death of its owner", n, dies-now)
			}
			return 100 + n, nil
		}
		double.Handle(two, elsewhere)
		light.Handle(two, elsewhere)
		work(t, two)
		// The live one works meanwhile, and leaves the silent one's jobs alone as long as it counts as alive.
		for must(rdb.Time(ctx).Result())(t).UnixMilli() < dies-50 {
			n := must(q.Counts(ctx))(t)
			if now := must(rdb.Time(ctx).Result())(t).UnixMilli(); now <= dies && (n.Active != 3 || n.Interrupted != 0) {
				t.Fatalf("%d ms before its death: %+v", dies-now, n)
			}
			time.Sleep(5 * time.Millisecond)
		}
		for j, want := range map[*spool.Job[int]]int{active: 100, assigned: 101} {
			if got := must(j.Wait(ctx))(t); got != want {
				t.Errorf("got %d, want %d", got, want)
			}
			if info := must(q.Get(ctx, j.ID()))(t); info.Interruptions != 1 || info.Attempts != 1 {
				t.Errorf("%+v", info)
			}
		}
		if _, err := never.Wait(ctx); !errors.Is(err, spool.ErrAborted) {
			t.Errorf("it may not be interrupted: %v", err)
		}

		// The dead one comes back, learns that it has lost everything, and goes on as a new one.
		if err := proxy.Up(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it has registered anew", func() bool { return must(q.Counts(ctx))(t).Workers == 2 })
		close(let)
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
		if got := must(active.Wait(ctx))(t); got != 100 {
			t.Errorf("the former owner has changed the result: %d", got)
		}
		for n, want := range map[int]int{0: 1, 1: 0, 2: 1, 3: 1, 4: 1} {
			if got := ranOn("one", n); got != want {
				t.Errorf("job %d ran %d times on the first worker, want %d", n, got, want)
			}
		}
		for n, want := range map[int]int{0: 1, 1: 1, 2: 0, 3: 0, 4: 0} {
			if got := ranOn("two", n); got != want {
				t.Errorf("job %d ran %d times on the second worker, want %d", n, got, want)
			}
		}
		if n := must(q.Counts(ctx))(t); n.Succeeded != 4 || n.Aborted != 1 || n.Interrupted != 3 || n.Active != 0 {
			t.Errorf("counts: %+v", n)
		}
	})
}

// EN-6, RP-10: what ends while Redis is away is told when it is back, once.
func TestFinishAfterAnOutage(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		ctx := within(t)
		c, proxy := s.client(t), s.proxied(t)
		w := spool.NewWorker(s.clientAt(t, proxy.Addr()), spool.WorkerConfig{ThreadSlots: 3, ReactorSlots: -1})
		began, let, returned := make(chan int, 10), make(chan struct{}), make(chan int, 10)
		double.Handle(w, func(ctx context.Context, n int) (int, error) {
			began <- n
			<-let
			defer func() { returned <- n }()
			if n == 1 {
				return 0, errKnown
			}
			return 2 * n, ctx.Err()
		})
		work(t, w)
		var jobs []*spool.Job[int]
		for i := range 3 {
			jobs = append(jobs, must(double.Put(ctx, c, i))(t))
			<-began
		}
		proxy.Down()
		close(let)
		for range jobs {
			<-returned
		}
		if n := must(c.Queue("default").Counts(ctx))(t); n.Active != 3 {
			t.Errorf("while Redis is away for the worker: %+v", n)
		}
		if err := proxy.Up(); err != nil {
			t.Fatal(err)
		}
		for i, j := range jobs {
			if got, err := j.Wait(ctx); (i == 1) != (err != nil) || (err == nil && got != 2*i) {
				t.Errorf("job %d: %d, %v", i, got, err)
			}
		}
		if n := must(c.Queue("default").Counts(ctx))(t); n.Succeeded != 2 || n.Failed != 1 || n.Refused != 0 || len(began) != 0 {
			t.Errorf("counts: %+v", n)
		}
	})
}
