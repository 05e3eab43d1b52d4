package spool_test

import (
	"context"
	"testing"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
)

// What happens during a commit counts like what happens before it: between the watching of the keys and the second look,
// and between that and the writing. A key that was touched, or has expired, is no conflict while the answer is as it was.
func TestReadConflictsDuringTheCommit(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		proxy := s.proxied(t)
		client := s.clientAt(t, proxy.Addr())
		sp := s.space(t, "mine")
		ctx := patiently(t)
		for i, c := range readCases(s, "w", 0, 3) {
			c.late = true
			sp.must(t, c.made...)
			there, goOn := make(chan struct{}), make(chan struct{})
			at, how := "EXEC", redistest.Hold(goOn)
			if i%2 == 0 {
				at, how = "WATCH", redistest.HoldReply(goOn)
			}
			stop := redistest.Once(how, at)
			proxy.OnRequest(func(cmd []string) redistest.Action {
				action := stop(cmd)
				if action == how {
					close(there)
				}
				return action
			})
			done := make(chan error, 1)
			go func() {
				done <- client.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error { return c.run(ctx, t, sp, tx) })
			}()
			select {
			case <-there:
				c.passing(t, sp)
				close(goOn)
				c.err = <-done
			case err := <-done:
				t.Fatalf("%v: it ended without a commit: %v", c, err)
			}
			c.check(t, sp)
		}
	})
}
