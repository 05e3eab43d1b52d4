package spool_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
)

func TestTooLarge(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c, ctx := s.client(t, func(cfg *spool.ClientConfig) { cfg.MaxPayload = 1000 }), within(t)
		fits, over := note.With(strings.Repeat("x", 900)), note.With(strings.Repeat("x", 1001))
		_, err := over.Put(ctx, c)
		if !errors.Is(err, spool.ErrTooLarge) || !strings.Contains(err.Error(), "1000") {
			t.Errorf("Put: %v", err)
		}
		results, err := spool.PutMany(ctx, c, []spool.Partial[spool.None]{fits, over, note.With("short", spool.Priority(-9999)), note.With("short")})
		if err != nil {
			t.Fatal(err)
		}
		if results[0].Err != nil || results[3].Err != nil || results[0].Job == nil || results[3].Job == nil {
			t.Errorf("those that fit: %v, %v", results[0].Err, results[3].Err)
		}
		if !errors.Is(results[1].Err, spool.ErrTooLarge) || results[1].Job != nil {
			t.Errorf("the large one: %v", results[1].Err)
		}
		wantField(t, "the bad one", results[2].Err, "Priority")
		q := c.Queue("default")
		if err := q.Edit(ctx, results[3].Job.ID(), strings.Repeat("x", 1001)); !errors.Is(err, spool.ErrTooLarge) {
			t.Errorf("Edit: %v", err)
		}
		if n := must(q.Counts(ctx))(t); n.Pending() != 2 {
			t.Errorf("counts: %+v", n)
		}
	})
}

// TestManyLargeJobs: jobs of a mebibyte are put, claimed and finished one a call or so. The server cuts off whoever sends
// it, or asks of it, more than three at a time; such a call would never succeed.
func TestManyLargeJobs(t *testing.T) {
	t.Parallel()
	needRedis(t)
	own := redistest.Start(t, redistest.Args("--client-query-buffer-limit", "3mb", "--client-output-buffer-limit", "normal", "3mb", "0", "0"))
	on(t, &server{"redis", own.Addr(), "large"}, func(t *testing.T, s *server) {
		const size, jobs = 1 << 20, 200
		c, ctx := s.client(t, func(cfg *spool.ClientConfig) { cfg.MaxPayload = size + 100 }), within(t)
		echo := spool.NewTask[string, string]("echo")
		text := strings.Repeat("x", size)
		bystander := s.raw(t)
		stop, worst := make(chan struct{}), make(chan time.Duration, 1)
		go func() {
			var slowest time.Duration
			for {
				select {
				case <-stop:
					worst <- slowest
					return
				case <-time.After(time.Millisecond):
				}
				start := time.Now()
				bystander.Ping(ctx)
				slowest = max(slowest, time.Since(start))
			}
		}()
		partials := make([]spool.Partial[string], jobs)
		for i := range partials {
			partials[i] = echo.With(text, spool.Keep(0))
		}
		for i, r := range must(spool.PutMany(ctx, c, partials))(t) {
			if r.Err != nil {
				t.Fatalf("item %d: %v", i, r.Err)
			}
		}
		var ran atomic.Int64
		w := spool.NewWorker(c, spool.WorkerConfig{ThreadSlots: 50})
		echo.Handle(w, func(ctx context.Context, s string) (string, error) {
			if len(s) != size {
				t.Errorf("%d bytes", len(s))
			}
			if ran.Add(1)%10 != 0 {
				s = ""
			}
			return s, nil // one in ten is as large as its arguments
		})
		if n := must(w.Drain(ctx))(t); n != jobs || ran.Load() != jobs {
			t.Errorf("Drain ran %d, handlers %d", n, ran.Load())
		}
		close(stop)
		t.Logf("a bystander waited for at most %v", <-worst)
	})
}
