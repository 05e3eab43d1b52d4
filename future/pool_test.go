package future_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/spooljobs/spool/future"
)

func sized(t *testing.T, p *future.Pool, pending, waiting int) {
	t.Helper()
	if a, b := p.Size(); a != pending || b != waiting {
		t.Errorf("size (%d,%d), want (%d,%d)", a, b, pending, waiting)
	}
}

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// G01, PL-1, PL-3: three members, two who wait. Outcomes pass through unchanged, for
// callbacks from before and after. Then the pool is used again.
func TestPool(t *testing.T) {
	t.Parallel()
	var pool future.Pool
	for range 2 {
		a, b, c := future.NewPromise[int](t.Context()), future.NewPromise[string](t.Context()), future.NewPromise[int](t.Context())
		before := future.Then(a.Future(), func(v int) (int, error) { return v + 1, nil })
		pool.Add(a.Future())
		pool.Add(b.Future())
		pool.Add(c.Future())
		after := future.Then(a.Future(), func(v int) (int, error) { return v + 2, nil })
		failed := future.Then(b.Future(), func(string) (int, error) { t.Error("called"); return 0, nil })
		one, two := pool.Empty(), pool.Empty()
		sized(t, &pool, 3, 2)

		_ = a.Settle(5, nil)
		_ = b.Settle("", errBoom)
		sized(t, &pool, 1, 2)
		if closed(one) || closed(two) {
			t.Error("told too early")
		}
		c.Future().Cancel()
		sized(t, &pool, 0, 0)
		if !closed(one) || !closed(two) {
			t.Error("not told")
		}
		settledWith(t, a.Future(), 5, nil)
		settledWith(t, before, 6, nil)
		settledWith(t, after, 7, nil)
		settledWith(t, b.Future(), "", errBoom)
		settledWith(t, failed, 0, errBoom)
		settledWith(t, c.Future(), 0, context.Canceled)
	}
}

// G01, PL-2: empty now, and empty the next time.
func TestPoolNotices(t *testing.T) {
	t.Parallel()
	var pool future.Pool
	if !closed(pool.Empty()) {
		t.Error("an empty pool does not say so")
	}
	sized(t, &pool, 0, 0)
	next := pool.NextEmpty()
	if closed(next) {
		t.Error("NextEmpty looks at the present")
	}
	sized(t, &pool, 0, 1)
	p := future.NewPromise[int](t.Context())
	pool.Add(p.Future())
	now := pool.Empty()
	sized(t, &pool, 1, 2)
	if closed(next) || closed(now) {
		t.Error("told too early")
	}
	_ = p.Settle(1, nil)
	if !closed(next) || !closed(now) {
		t.Error("not told")
	}
	sized(t, &pool, 0, 0)
}

// PL-5: adding what has settled does nothing, and is no notice either. What is added twice
// counts once.
func TestPoolOfSettledFutures(t *testing.T) {
	t.Parallel()
	var pool future.Pool
	next := pool.NextEmpty()
	good, bad := future.Settled(1, nil), future.Settled(0, errBoom)
	pool.Add(good)
	pool.Add(bad)
	sized(t, &pool, 0, 1)
	if closed(next) {
		t.Error("the pool was never filled")
	}
	settledWith(t, good, 1, nil)
	settledWith(t, bad, 0, errBoom)

	p := future.NewPromise[int](t.Context())
	var afterwards <-chan struct{}
	pool.Add(p.Future())
	p.Future().OnSettle(func(int, error) { afterwards = pool.NextEmpty() })
	pool.Add(p.Future())
	sized(t, &pool, 1, 1)
	_ = p.Settle(1, nil)
	sized(t, &pool, 0, 1)
	if !closed(next) || closed(afterwards) {
		t.Errorf("told %v, and of what comes next %v", closed(next), closed(afterwards))
	}
}

// PL-4: what is outstanding can be cancelled, and Empty says when it has ended.
func TestPoolCancel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var pool future.Pool
		pool.Cancel()
		f := future.Go(t.Context(), untilCancelled[int])
		p := future.NewPromise[string](t.Context())
		pool.Add(f)
		pool.Add(p.Future())
		pool.Cancel()
		<-pool.Empty()
		settledWith(t, f, 0, context.Canceled)
		settledWith(t, p.Future(), "", context.Canceled)
	})
}

// Futures that settle while they are added, by many at once: the pool is empty in the end
// and has said so.
func TestPoolRaces(t *testing.T) {
	t.Parallel()
	var pool future.Pool
	var told atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 100 {
				f := future.Go(t.Context(), func(context.Context) (int, error) { return i, nil })
				pool.Add(f)
				pool.Add(f)
				<-pool.Empty()
				told.Add(1)
				if v, err := f.Wait(t.Context()); v != i || err != nil {
					t.Errorf("%v, %v", v, err)
				}
			}
		})
	}
	wg.Wait()
	<-pool.Empty()
	sized(t, &pool, 0, 0)
	if told.Load() != 800 {
		t.Errorf("%d notices", told.Load())
	}
}
