package future_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spooljobs/spool/future"
)

// DP-1: equal calls share one, its value or its error, also if the first caller gives up;
// other keys do not wait; the next call is made anew.
func TestSharedCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		outcome := errBoom
		s := &shared{
			running: map[string]*future.Future[string]{},
			fetch: func(_ context.Context, key string) (string, error) {
				calls.Add(1)
				time.Sleep(time.Second)
				return key, outcome
			},
		}
		for round, err := range []error{errBoom, nil} {
			outcome = err
			want := "k"
			if err != nil {
				want = ""
			}
			ctx, stop := context.WithCancel(t.Context())
			first := s.get(ctx, "k")
			stop()
			_, gaveUp := first.Wait(ctx)
			is(t, gaveUp, context.Canceled)
			var fs []*future.Future[string]
			for range 10 {
				fs = append(fs, s.get(t.Context(), "k"))
			}
			other := s.get(t.Context(), "other")
			time.Sleep(time.Second)
			synctest.Wait()
			for _, f := range fs {
				settledWith(t, f, want, err)
			}
			if other.Err() != err || calls.Load() != int32(2*round+2) {
				t.Errorf("round %d: %v, %d calls", round, other.Err(), calls.Load())
			}
		}
	})
}
