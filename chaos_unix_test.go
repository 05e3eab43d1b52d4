//go:build unix

package spool_test

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spooljobs/spool"
)

func (p *process) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// A worker process is stopped for longer than its DeadAfter and goes on: others have run its jobs, what it then says
// of them is refused and counted, and it goes to work under a new registration (G2).
func TestWorkerStoppedAndContinued(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		const n = 5
		c := s.client(t)
		ctx := within(t)
		q := c.Queue("default")
		old := s.spawn(t, "worker", s.addr, "SPOOL_TEST_SLOTS=6", "SPOOL_TEST_IDENTITY=old")
		old.line(t)
		key := func(i int) string { return fmt.Sprintf("effects:%s:%d", s.prefix, i) }
		var jobs []*spool.Job[string]
		for i := range n {
			jobs = append(jobs, must(stuck.Put(ctx, c, key(i)))(t))
			old.line(t)
		}
		old.signal(t, syscall.SIGSTOP)
		stopped := time.Now()
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: n, Identity: "new"}))
		stuck.Handle(w, func(ctx context.Context, key string) (string, error) { return "here new", nil })
		stop := work(t, w)
		for _, j := range jobs {
			if got := must(j.Wait(ctx))(t); got != "here new" {
				t.Errorf("got %q", got)
			}
		}
		t.Logf("taken over %v after the stop", time.Since(stopped).Round(time.Millisecond))
		if err := stop(); err != nil {
			t.Error(err)
		}
		// The old handlers return, all with a result, the moment the process goes on.
		rdb := s.raw(t)
		for i := range n {
			must(rdb.Set(ctx, key(i), "late", time.Minute).Result())(t)
		}
		old.signal(t, syscall.SIGCONT)
		eventually(t, "what the old worker said late is counted", func() bool { return must(q.Counts(ctx))(t).Refused == n })
		// It runs new jobs, with all of its slots.
		for i := range n + 1 {
			must(rdb.Set(ctx, key(i), "afresh", time.Minute).Result())(t)
			if got := must(must(stuck.Put(ctx, c, key(i)))(t).Wait(ctx))(t); got != "afresh old" {
				t.Errorf("got %q", got)
			}
		}
		for i, j := range jobs {
			info := must(q.Get(ctx, j.ID()))(t)
			if info.Worker != "new" || info.Interruptions != 1 || info.Attempts != 1 {
				t.Errorf("job %d: %+v", i, info)
			}
		}
		counts := must(q.Counts(ctx))(t)
		if counts.Succeeded != 2*n+1 || counts.Interrupted != n || counts.Refused != n || counts.Workers != 1 {
			t.Errorf("%+v", counts)
		}
		if err := old.stop(); err != nil {
			t.Error(err)
		}
		if log := old.err.String(); !strings.Contains(log, "declared dead") {
			t.Errorf("the old worker's log does not say what happened:\n%s", log)
		}
	})
}
