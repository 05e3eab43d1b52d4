package spool_test

import (
	"context"
	"sync"
	"testing"

	"github.com/spooljobs/spool"
)

// More transactions than connections, all at one key: those that hold a connection must not wait for a turn whose
// holder waits for a connection.
func TestTurnsAndConnectionsDoNotWaitForEachOther(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t) // 16 connections
		ctx := within(t)
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for range 10 {
					err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
						_, err := addTo(ctx, tx, credits{s.mine("hot"), 1})
						return err
					})
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		if commits, conflicts := c.Transactions(); commits != 640 || conflicts > 320 {
			t.Errorf("%d commits, %d conflicts", commits, conflicts)
		}
	})
}
