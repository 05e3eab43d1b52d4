package spool_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spooljobs/spool"
)

// An answer that is handed on three times comes through, whichever of the links was made first, and whatever its size.
func TestBecomeAChain(t *testing.T) {
	t.Parallel()
	becomeShapes(t, func(t *testing.T, s *server, c *spool.Client, w *spool.Worker, far []spool.Option) {
		ctx, book := within(t), newCallbackBook()
		book.handle(w)
		pass := spool.NewTask[*spool.Job[string], string]("become.pass")
		pass.Handle(w, func(_ context.Context, j *spool.Job[string]) (string, error) { return spool.Become(j) })
		large := spool.NewTask[int, string]("become.large")
		large.Handle(w, func(_ context.Context, n int) (string, error) { return strings.Repeat("x", n), nil })
		work(t, w)
		for name, opts := range map[string][]spool.Option{"at once": nil, "later": {spool.Delay(150 * time.Millisecond)}} {
			j := must(times.Put(ctx, c, [2]int{6, 7}, append(opts, far...)...))(t)
			ends := []*spool.Job[int]{j}
			for i := range 3 {
				var in []spool.Option
				if i%2 == 1 {
					in = far
				}
				j = must(becomeOther.Put(ctx, c, j, in...))(t)
				ends = append(ends, j)
			}
			for i, one := range ends {
				if got := must(one.Wait(ctx))(t); got != 42 {
					t.Errorf("%s, link %d: %d", name, i, got)
				}
			}
		}
		long := must(large.Put(ctx, c, 3000, far...))(t)
		for range 3 {
			long = must(pass.Put(ctx, c, long))(t)
		}
		if got := must(long.Wait(ctx))(t); len(got) != 3000 {
			t.Errorf("%d bytes", len(got))
		}
	})
}

// An answer that goes round in a circle in a queue, of one, two or three, is none: all of them fail, and what follows them
// is told.
func TestBecomeInACircle(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		ctx, c, book := within(t), s.client(t), newCallbackBook()
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 3}))
		book.handle(w)
		becomeOther.Handle(w, func(_ context.Context, j *spool.Job[int]) (int, error) { return spool.Become(j) })
		for n := 1; n <= 3; n++ {
			name := func(i int) string { return fmt.Sprintf("circle%d.%d", n, i%n) }
			jobs, told := make([]*spool.Job[int], n), make([]*spool.Job[int], n)
			for i := range n {
				jobs[i] = must(becomeOther.Put(ctx, c, becomeOther.Job(c, name(i+1)), spool.ID(name(i))))(t)
				told[i] = must(spool.OnFailure(ctx, c, jobs[i], callbackTold.With(name(i))))(t)
			}
			stop := work(t, w)
			for i := range n {
				if _, err := jobs[i].Wait(ctx); !errors.Is(err, spool.ErrEndless) {
					t.Errorf("circle of %d, job %d: %v", n, i, err)
				}
				if got := must(told[i].Wait(ctx))(t); got != -1 {
					t.Errorf("circle of %d, callback %d: %d", n, i, got)
				}
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
			w = spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 3}))
			book.handle(w)
			becomeOther.Handle(w, func(_ context.Context, j *spool.Job[int]) (int, error) { return spool.Become(j) })
		}
	})
}

// An answer is handed on a hundred times and no more, in whatever order the links are made: each job puts the next one
// and answers with it; or all are there, held by the last.
func TestBecomeWithoutEnd(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		ctx, c, book := within(t), s.client(t), newCallbackBook()
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 1}))
		book.handle(w)
		becomeOther.Handle(w, func(_ context.Context, j *spool.Job[int]) (int, error) { return spool.Become(j) })
		down := spool.NewTask[int, int]("become.down")
		down.Handle(w, func(ctx context.Context, n int) (int, error) {
			if n == 0 {
				return 42, nil
			}
			j, err := down.Put(ctx, spool.Running(ctx).Client(), n-1)
			if err != nil {
				return 0, err
			}
			return spool.Become(j)
		})
		work(t, w)
		if s.name == "embedded" { // there a call is slow
			if _, err := must(down.Put(ctx, c, 101))(t).Wait(ctx); !errors.Is(err, spool.ErrEndless) {
				t.Errorf("101 times: %v", err)
			}
			return
		}
		if got, err := must(down.Put(ctx, c, 100))(t).Wait(ctx); err != nil || got != 42 {
			t.Errorf("a hundred times: %d, %v", got, err)
		}
		if _, err := must(down.Put(ctx, c, 150))(t).Wait(ctx); !errors.Is(err, spool.ErrEndless) {
			t.Errorf("150 times: %v", err)
		}
		// From the end: of those that are too far away the outcome is that they are.
		last := must(times.Put(ctx, c, [2]int{6, 7}, spool.Delay(time.Hour)))(t)
		jobs := []*spool.Job[int]{last}
		for range 150 {
			jobs = append(jobs, must(becomeOther.Put(ctx, c, jobs[len(jobs)-1]))(t))
		}
		if _, err := jobs[150].Wait(ctx); !errors.Is(err, spool.ErrEndless) {
			t.Errorf("150 times, from the end: %v", err)
		}
		if err := c.Queue("default").Fail(ctx, last.ID(), errors.New("not wanted")); err != nil {
			t.Fatal(err)
		}
		for i, j := range jobs {
			_, err := j.Wait(ctx)
			if endless := errors.Is(err, spool.ErrEndless); err == nil || endless != (i > 100) {
				t.Fatalf("link %d: %v", i, err)
			}
		}
	})
}
