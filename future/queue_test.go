package future_test

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/spooljobs/spool/future"
)

// getLater begins a get, and returns when it waits or has ended.
func getLater[T any](ctx context.Context, q *queue[T]) *future.Future[T] {
	f := future.Go(ctx, q.get)
	synctest.Wait()
	return f
}

// puts puts an item, and returns when who waited for it has it.
func puts[T any](q *queue[T], item T) error {
	err := q.put(item)
	synctest.Wait()
	return err
}

// G03, DQ-1: a queue of channels with size 2 and backlog 2.
func TestQueueLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue[int](2, 2)
		first, second := getLater(t.Context(), q), getLater(t.Context(), q)
		pending(t, first)
		pending(t, second)
		settledWith(t, getLater(t.Context(), q), 0, errTooMany)
		if puts(q, 0) != nil || puts(q, 1) != nil {
			t.Error("who waits is not served")
		}
		settledWith(t, first, 0, nil)
		settledWith(t, second, 1, nil)
		if puts(q, 2) != nil || puts(q, 3) != nil {
			t.Error("items are not kept")
		}
		is(t, puts(q, 4), errFull)
		settledWith(t, getLater(t.Context(), q), 2, nil)
		settledWith(t, getLater(t.Context(), q), 3, nil)
	})
}

// G03: size 0 keeps nothing, backlog 0 lets no one wait.
func TestQueueWithoutRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue[int](0, 1)
		is(t, puts(q, 1), errFull)
		waits := getLater(t.Context(), q)
		if err := puts(q, 2); err != nil {
			t.Error(err)
		}
		settledWith(t, waits, 2, nil)
		is(t, puts(q, 3), errFull)

		q = newQueue[int](1, 0)
		settledWith(t, getLater(t.Context(), q), 0, errTooMany)
		if err := puts(q, 1); err != nil {
			t.Error(err)
		}
		settledWith(t, getLater(t.Context(), q), 1, nil)
		settledWith(t, getLater(t.Context(), q), 0, errTooMany)
	})
}

// G04: of three gets that wait the second is cancelled. It takes no item, and its place is
// free for another. To cancel after service has no effect.
func TestQueueCancelledGet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue[string](2, 3)
		a, b, c := getLater(t.Context(), q), getLater(t.Context(), q), getLater(t.Context(), q)
		b.Cancel()
		synctest.Wait()
		settledWith(t, b, "", context.Canceled)
		d := getLater(t.Context(), q)
		pending(t, d)
		for _, item := range []string{"x", "y", "z"} {
			if err := puts(q, item); err != nil {
				t.Error(err)
			}
		}
		settledWith(t, a, "x", nil)
		settledWith(t, c, "y", nil)
		settledWith(t, d, "z", nil)
		a.Cancel()
		settledWith(t, a, "x", nil)
	})
}

// G04: cancels race a put, a thousand times, on a queue that keeps an item and on one that
// does not. An item that was taken is delivered once: to one of those who waited, or it is
// still there.
func TestQueueCancelRacesPut(t *testing.T) {
	t.Parallel()
	for size := range 2 {
		q := newQueue[int](size, 2)
		toOne, kept := 0, 0
		for round := range 1000 {
			a, b := future.Go(t.Context(), q.get), future.Go(t.Context(), q.get)
			put := future.Go(t.Context(), func(context.Context) (int, error) { return round, q.put(round) })
			a.Cancel()
			if round%2 == 0 {
				runtime.Gosched()
			}
			b.Cancel()
			_, err := put.Wait(t.Context())
			var delivered []int
			for _, f := range []*future.Future[int]{a, b} {
				if v, err := f.Wait(t.Context()); err == nil {
					delivered = append(delivered, v)
					toOne++
				}
			}
			select {
			case v := <-q.items:
				delivered = append(delivered, v)
				kept++
			default:
			}
			if taken := err == nil; taken != slices.Equal(delivered, []int{round}) || !taken && len(delivered) > 0 {
				t.Fatalf("size %d, round %d: put says %v, delivered %v", size, round, err, delivered)
			}
		}
		t.Logf("size %d: %d to one who waited, %d kept, %d refused", size, toOne, kept, 1000-toOne-kept)
	}
}
