package spool_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spooljobs/spool"
)

// D06, DZ-16. The process that schedules a call, and runs it, is killed in the middle. Another one reads that it has not
// ended, and, when it has counted as dead, an outcome: an error, or that of another run, as its interruption policy
// says. Nothing the operation wrote and did not commit is there.
func TestTakeAcrossProcesses(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		ctx := within(t)
		c, rdb := s.client(t), s.raw(t)
		p := s.spawn(t, "acts", s.addr, "SPOOL_TEST_IDS=once,again,done", "SPOOL_TEST_SLOTS=3")
		begun := map[string]bool{}
		for range 2 {
			begun[p.line(t)] = true
		}
		if !begun["began once"] || !begun["began again"] {
			t.Fatalf("it said %v", begun)
		}
		done := takeActs.Job(c, "done")
		must(done.Wait(ctx))(t)
		if out := answers(t, c, done, nil); out.Value != "done by the child" {
			t.Errorf("%+v", out)
		}
		once, again := takeActs.Job(c, "once"), takeActs.Job(c, "again")
		answers(t, c, once, spool.ErrIncomplete)
		p.kill()
		answers(t, c, once, spool.ErrIncomplete)
		answers(t, c, again, spool.ErrIncomplete)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 2}))
		takeActs.HandleTx(w, func(ctx context.Context, tx *spool.Tx, id string) (string, error) {
			return id + " by another", spool.NewRef[int](s.mine(id)).Add(ctx, tx, 1)
		})
		work(t, w)
		if _, err := once.Wait(ctx); !errors.Is(err, spool.ErrAborted) {
			t.Errorf("once: %v", err)
		}
		if out := answers(t, c, once, nil); !errors.Is(out.Err, spool.ErrAborted) {
			t.Errorf("once: %+v", out)
		}
		must(again.Wait(ctx))(t)
		if out := answers(t, c, again, nil); out.Value != "again by another" {
			t.Errorf("again: %+v", out)
		}
		for id, want := range map[string]string{"once": "", "again": "1", "done": "1"} {
			if got := rdb.Get(ctx, s.mine(id)).Val(); got != want {
				t.Errorf("%s: effects %q, want %q", id, got, want)
			}
		}
	})
}

// childActs schedules calls and runs them: those but the id done do not come to their end.
func childActs() error {
	ctx, c, rdb, err := childClient()
	if err != nil {
		return err
	}
	defer c.Close()
	defer rdb.Close()
	w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: env("SPOOL_TEST_SLOTS", 1)}))
	takeActs.HandleTx(w, func(ctx context.Context, tx *spool.Tx, id string) (string, error) {
		if err := spool.NewRef[int](os.Getenv("SPOOL_TEST_PREFIX")+"/"+id).Add(ctx, tx, 1); err != nil {
			return "", err
		}
		if id != "done" {
			fmt.Println("began", id)
			<-ctx.Done()
		}
		return id + " by the child", nil
	})
	err = c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
		for _, id := range strings.Split(os.Getenv("SPOOL_TEST_IDS"), ",") {
			opts := []spool.Option{spool.ID(id)}
			if id == "once" {
				opts = append(opts, spool.Interruptions(0))
			}
			if _, err := takeActs.Put(ctx, tx, id, opts...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return w.Run(ctx)
}
