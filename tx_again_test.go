package spool_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/spooljobs/spool"
)

var restless = spool.NewTask[string, bool]("tx.restless")

// A job that is to run again after a conflict, and finds its slot taken, stays with its worker: its attempts count on.
func TestConflictIsCountedWhileTheSlotIsTaken(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		raw := s.raw(t)
		w := spool.NewWorker(c, spool.WorkerConfig{ThreadSlots: 1})
		var attempts []int
		restless.HandleTx(w, func(ctx context.Context, tx *spool.Tx, key string) (bool, error) {
			attempts = append(attempts, tx.Attempts())
			if err := tx.Do(ctx, "GET", key).Err(); err != nil {
				return false, err
			}
			if len(attempts) < 3 {
				raw.Append(ctx, key, "x")
			}
			return true, tx.Do(ctx, "SET", key, "done").Err()
		})
		note.Handle(w, func(ctx context.Context, _ string) (spool.None, error) {
			// Longer than what is claimed ahead waits for a slot. There is no signal for what does not happen.
			time.Sleep(200 * time.Millisecond)
			return spool.None{}, nil
		})
		raw.Set(ctx, s.mine("k"), "x", 0)
		must(restless.Put(ctx, c, s.mine("k")))(t)
		for range 3 {
			must(note.Put(ctx, c, ""))(t)
		}
		must(w.Drain(ctx))(t)
		if !slices.Equal(attempts, []int{1, 2, 3}) {
			t.Errorf("attempts %v", attempts)
		}
	})
}
