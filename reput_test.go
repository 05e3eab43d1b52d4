package spool_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
)

// A Put was given up while its answer was on its way. Meanwhile the job has run and left nothing. Putting the same
// Partial again, as the error invites to, must not run it a second time.
func TestPutAgainAfterNoAnswerRunsOnce(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		proxy := s.proxied(t)
		c := s.clientAt(t, proxy.Addr())
		release := make(chan struct{})
		var puts atomic.Int64
		proxy.OnRequest(func(cmd []string) redistest.Action {
			if cmd[0] == "EVALSHA" || cmd[0] == "EVAL" {
				puts.Add(1)
				return redistest.HoldReply(release)
			}
			return redistest.Pass()
		})
		p := note.With("once")
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := p.Put(short, c); !errors.Is(err, spool.ErrUnsure) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Put: %v", err)
		}
		// The job was stored, though nobody here knows; a worker elsewhere runs it, and nothing is left of it.
		var ran atomic.Int64
		other := s.client(t)
		eventually(t, "the job has run", func() bool {
			w := spool.NewWorker(other, fast(spool.WorkerConfig{}))
			note.Handle(w, func(context.Context, string) (spool.None, error) { ran.Add(1); return spool.None{}, nil })
			_ = must(w.Drain(within(t)))(t)
			return ran.Load() == 1
		})
		again := make(chan error, 1)
		go func() {
			_, err := p.Put(within(t), c)
			again <- err
		}()
		select {
		case err := <-again:
			t.Errorf("the second Put did not wait for the first one's answer: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		close(release)
		if err := <-again; err != nil {
			t.Errorf("the second Put: %v", err)
		}
		w := spool.NewWorker(other, fast(spool.WorkerConfig{}))
		note.Handle(w, func(context.Context, string) (spool.None, error) { ran.Add(1); return spool.None{}, nil })
		if n := must(w.Drain(within(t)))(t); n != 0 || ran.Load() != 1 {
			t.Errorf("the job ran %d times", ran.Load())
		}
	})
}
