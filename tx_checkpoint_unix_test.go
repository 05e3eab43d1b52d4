//go:build unix

package spool_test

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Processes are stopped in the middle of jobs, until they are declared dead and others have taken over, and then go
// on: what they were about to commit is refused, and every chunk takes effect once (RA-1, RA-2).
func TestCheckpointsOfStoppedProcesses(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		chance := seeded(t)
		c := s.client(t)
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		q := c.Queue("default")
		a, b := s.spawn(t, "chunks", s.addr, "SPOOL_TEST_SLOTS=1"), s.spawn(t, "chunks", s.addr, "SPOOL_TEST_SLOTS=1")
		a.line(t)
		b.line(t)
		for round := range 4 {
			job := lengthy{s.mine(strings.Repeat("x", round+1)), 50, 2 * time.Millisecond}
			handle := must(chunks.Put(ctx, c, job))(t)
			// Who has it says so.
			has, other := a, b
			select {
			case <-a.lines:
			case <-b.lines:
				has, other = b, a
			case <-ctx.Done():
				t.Fatal("nobody runs it")
			}
			for range chance.IntN(20) {
				has.line(t)
			}
			has.signal(t, syscall.SIGSTOP)
			for !strings.HasPrefix(other.line(t), "chunk "+job.Key) {
			}
			has.signal(t, syscall.SIGCONT)
			if got, err := handle.Wait(ctx); got != job.Chunks || err != nil {
				t.Errorf("round %d: %d, %v", round, got, err)
			}
			job.once(t, s)
			noCursor(t, s)
			eventually(t, "both are at work again", func() bool { return must(q.Counts(ctx))(t).Workers == 2 })
			for _, p := range []*process{a, b} {
				p.quieten()
			}
		}
		counts := must(q.Counts(ctx))(t)
		if counts.Interrupted < 4 || counts.Succeeded != 4 || counts.Failed+counts.Retried != 0 {
			t.Errorf("%+v", counts)
		}
		t.Logf("%d interruptions, %d refused", counts.Interrupted, counts.Refused)
		for _, p := range []*process{a, b} {
			if err := p.stop(); err != nil {
				t.Error(err)
			}
		}
	})
}

// quieten forgets what the child has said so far.
func (p *process) quieten() {
	for {
		select {
		case <-p.lines:
		case <-time.After(20 * time.Millisecond):
			return
		}
	}
}
