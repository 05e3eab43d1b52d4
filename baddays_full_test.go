package spool_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
)

// fill makes a server full: nothing that adds is accepted from here on.
func fill(t *testing.T, raw *redis.Client) (empty func()) {
	t.Helper()
	ctx := within(t)
	if err := raw.ConfigSet(ctx, "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if err := raw.Set(ctx, "more", "x", 0).Err(); err == nil || !strings.HasPrefix(err.Error(), "OOM") {
		t.Fatalf("the server is not full: %v", err)
	}
	return func() {
		t.Helper()
		if err := raw.ConfigSet(ctx, "maxmemory", "0").Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFullMemoryRefusesPutsAndNothingElse(t *testing.T) {
	t.Parallel()
	own := redistest.Start(t, redistest.Args("--maxmemory-policy", "noeviction"))
	on(t, &server{"redis", own.Addr(), "full"}, func(t *testing.T, s *server) {
		c, raw := s.client(t), s.raw(t)
		ctx := within(t)
		begun, release := make(chan int, 10), make(chan struct{})
		slow := func(ctx context.Context, n int) (int, error) {
			begun <- n
			select {
			case <-release:
				return 2 * n, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		double.Handle(w, slow)
		stop := work(t, w)
		var jobs []*spool.Job[int]
		for n := range 3 {
			jobs = append(jobs, must(double.Put(ctx, c, n))(t))
		}
		editable := must(double.Put(ctx, c, 7, spool.In("other")))(t)
		<-begun
		before := must(raw.HGetAll(ctx, s.key("default", "jobs")).Result())(t)
		empty := fill(t, raw)

		// Puts are refused as a whole.
		if _, err := double.Put(ctx, c, 100); !errors.Is(err, spool.ErrFull) {
			t.Errorf("a Put into full memory: %v", err)
		}
		var many []spool.Partial[int]
		for n := range 600 {
			many = append(many, double.With(n))
		}
		results, err := spool.PutMany(ctx, c, many)
		if err != nil {
			t.Errorf("PutMany: %v", err)
		}
		for i, r := range results {
			if !errors.Is(r.Err, spool.ErrFull) || r.Job != nil {
				t.Fatalf("item %d: %v, %v", i, r.Job, r.Err)
			}
		}
		other := c.Queue("other")
		if err := other.Edit(ctx, editable.ID(), 8); !errors.Is(err, spool.ErrFull) {
			t.Errorf("an edit in full memory: %v", err)
		}
		after := must(raw.HGetAll(ctx, s.key("default", "jobs")).Result())(t)
		if len(after) != len(before) {
			t.Errorf("%d jobs are stored, %d were", len(after), len(before))
		}

		// What is stored goes on: beats keep the worker alive, outcomes are taken, jobs are claimed, ended, taken back.
		time.Sleep(400 * time.Millisecond) // longer than DeadAfter
		close(release)
		for n, j := range jobs {
			if got, err := j.Wait(ctx); err != nil || got != 2*n {
				t.Errorf("job %d: %d, %v", n, got, err)
			}
		}
		if err := other.Pull(ctx, editable.ID()); err != nil {
			t.Errorf("pulling: %v", err)
		}
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
		if n := must(c.Queue("default").Counts(ctx))(t); n.Workers != 0 || n.Refused != 0 || n.Interrupted != 0 || n.Succeeded != 3 {
			t.Errorf("counts: %+v", n)
		}
		empty()
		if results := must(spool.PutMany(ctx, c, many))(t); results[599].Err != nil {
			t.Errorf("the same partials, with memory again: %v", results[599].Err)
		}
		if n := must(c.Queue("default").Counts(ctx))(t); n.Pending() != 600 {
			t.Errorf("counts: %+v", n)
		}
	})
}

// TestFullMemoryDoesNotKeepTheDead: a worker that comes while memory is full registers, and takes over what a dead one
// held.
func TestFullMemoryDoesNotKeepTheDead(t *testing.T) {
	t.Parallel()
	own := redistest.Start(t, redistest.Args("--maxmemory-policy", "noeviction"))
	on(t, &server{"redis", own.Addr(), "full"}, func(t *testing.T, s *server) {
		proxy := s.proxied(t)
		lost := s.clientAt(t, proxy.Addr())
		c, ctx := s.client(t), within(t)
		begun := make(chan struct{}, 1)
		dying := spool.NewWorker(lost, fast(spool.WorkerConfig{ShutdownGrace: -1}))
		double.Handle(dying, func(ctx context.Context, n int) (int, error) {
			begun <- struct{}{}
			<-ctx.Done()
			return 0, fmt.Errorf("cut: %w", context.Cause(ctx))
		})
		dead := make(chan error, 1)
		die, kill := context.WithCancel(t.Context())
		defer kill()
		go func() { dead <- dying.Run(die) }()
		j := must(double.Put(ctx, c, 21))(t)
		<-begun
		proxy.Down()
		empty := fill(t, s.raw(t))
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		double.Handle(w, func(ctx context.Context, n int) (int, error) {
			if spool.Running(ctx).Interruptions() != 1 {
				t.Errorf("interruptions: %d", spool.Running(ctx).Interruptions())
			}
			return 2 * n, nil
		})
		work(t, w)
		if got := must(j.Wait(ctx))(t); got != 42 {
			t.Errorf("got %d", got)
		}
		empty()
		if err := proxy.Up(); err != nil {
			t.Fatal(err)
		}
		kill()
		<-dead // told that it was declared dead, or that its outcome could not be delivered
	})
}
