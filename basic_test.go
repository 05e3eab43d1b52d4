package spool_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/failure"
)

var (
	double = spool.NewTask[int, int]("double")
	note   = spool.NewTask[string, spool.None]("note")
	light  = spool.NewTask[int, int]("light", spool.OnReactor())
	fails  = spool.NewTask[string, int]("fails", spool.Knows("test.known", errKnown))
)

var errKnown = errors.New("a known error")

func TestJobIsPutRunAndAnswered(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		double.Handle(w, func(ctx context.Context, n int) (int, error) { return 2 * n, nil })
		light.Handle(w, func(ctx context.Context, n int) (int, error) { return n + 1, nil })
		work(t, w)
		ctx := within(t)
		if got := must(must(double.Put(ctx, c, 21))(t).Wait(ctx))(t); got != 42 {
			t.Errorf("double: got %d", got)
		}
		if got := must(must(light.Put(ctx, c, 1))(t).Wait(ctx))(t); got != 2 {
			t.Errorf("light: got %d", got)
		}
	})
}

func TestManyJobsRunOnceEach(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		const n = 700
		var mu sync.Mutex
		seen := make(map[int]int)
		record := func(ctx context.Context, i int) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			seen[i]++
			return i, nil
		}
		var partials []spool.Partial[int]
		for i := range n {
			if i%2 == 0 {
				partials = append(partials, double.With(i))
			} else {
				partials = append(partials, light.With(i))
			}
		}
		for i, r := range must(spool.PutMany(ctx, c, partials))(t) {
			if r.Err != nil {
				t.Fatalf("item %d: %v", i, r.Err)
			}
		}
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 10, ReactorSlots: 20}))
		double.Handle(w, record)
		light.Handle(w, record)
		if ran := must(w.Drain(ctx))(t); ran != n {
			t.Errorf("Drain ran %d jobs", ran)
		}
		for i := range n {
			if seen[i] != 1 {
				t.Errorf("job %d ran %d times", i, seen[i])
			}
		}
		counts := must(c.Queue("default").Counts(ctx))(t)
		if counts.Completed != n || counts.Succeeded != n || counts.Pending() != 0 {
			t.Errorf("counts: %+v", counts)
		}
	})
}

func TestFailureComesBackWithItsIdentity(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		fails.Handle(w, func(ctx context.Context, how string) (int, error) {
			if how == "panic" {
				panic("oh no")
			}
			return 0, fmt.Errorf("it went wrong: %w", errKnown)
		})
		work(t, w)
		ctx := within(t)
		_, err := must(fails.Put(ctx, c, "error"))(t).Wait(ctx)
		var f *failure.Failure
		if !errors.As(err, &f) || !errors.Is(err, errKnown) {
			t.Errorf("got %#v", err)
		}
		_, err = must(fails.Put(ctx, c, "panic"))(t).Wait(ctx)
		if !errors.As(err, &f) || !f.Panic {
			t.Errorf("got %#v", err)
		}
	})
}

func TestNothingRunsEarly(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		double.Handle(w, func(ctx context.Context, n int) (int, error) { return n, nil })
		work(t, w)
		ctx := within(t)
		const delay = 120 * time.Millisecond
		start := time.Now()
		j := must(double.Put(ctx, c, 1, spool.Delay(delay)))(t)
		must(j.Wait(ctx))(t)
		if took := time.Since(start); took < delay || took > delay+200*time.Millisecond {
			t.Errorf("a delay of %v took %v", delay, took)
		}
	})
}

func TestStoredHandleLeadsBackWhateverTheTasksQueue(t *testing.T) {
	mail := spool.NewTask[string, int]("mail", spool.In("mails"))
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{Queues: []string{"default", "mails"}}))
		mail.Handle(w, func(ctx context.Context, to string) (int, error) { return len(to), nil })
		ctx := within(t)
		here := must(mail.Put(ctx, c, "ada", spool.In(spool.DefaultQueue)))(t)
		there := must(mail.Put(ctx, c, "bob!"))(t)
		must(w.Drain(ctx))(t)
		if got := must(mail.Job(c, here.String()).Wait(ctx))(t); got != 3 {
			t.Errorf("job %s: got %d", here, got)
		}
		if got := must(mail.Job(c, there.String()).Wait(ctx))(t); got != 4 {
			t.Errorf("job %s: got %d", there, got)
		}
		if got := must(mail.Job(c, there.ID()).Wait(ctx))(t); got != 4 {
			t.Errorf("job %s: got %d", there.ID(), got)
		}
	})
}
