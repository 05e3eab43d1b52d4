package future_test

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spooljobs/spool/future"
)

// TW-8: on a future that has settled, fn has run when Then returns. On one that has not,
// it has run when Settle returns.
func TestThenRunsAtOnce(t *testing.T) {
	t.Parallel()
	settledWith(t, future.Then(future.Settled("42", nil), strconv.Atoi), 42, nil)

	p := future.NewPromise[string](t.Context())
	next := future.Then(p.Future(), strconv.Atoi)
	pending(t, next)
	_ = p.Settle("42", nil)
	settledWith(t, next, 42, nil)
	settledWith(t, future.Then(p.Future(), strconv.Atoi), 42, nil)
	settledWith(t, p.Future(), "42", nil)
}

// An error is passed on without a call; the errors and panics of fn are the outcome of
// the new future and leave the old one alone.
func TestThenErrors(t *testing.T) {
	t.Parallel()
	failed := future.Settled(0, errBoom)
	settledWith(t, future.Then(failed, func(int) (int, error) {
		t.Error("called")
		return 1, nil
	}), 0, errBoom)

	p := future.NewPromise[int](t.Context())
	errs := future.Then(p.Future(), func(int) (int, error) { return 9, errBoom })
	panics := future.Then(p.Future(), func(int) (int, error) { panic("out of paper") })
	fine := future.Then(p.Future(), func(v int) (int, error) { return v + 1, nil })
	if err := p.Settle(1, nil); err != nil {
		t.Fatal(err)
	}
	settledWith(t, errs, 0, errBoom)
	var failure *future.PanicError
	if !errors.As(panics.Err(), &failure) || failure.Message != "out of paper" {
		t.Errorf("%v", panics.Err())
	}
	settledWith(t, fine, 2, nil)
	settledWith(t, p.Future(), 1, nil)

	// One that leaves its goroutine in the middle of a chain.
	begin := make(chan struct{})
	f := future.Go(t.Context(), func(context.Context) (int, error) { <-begin; return 1, nil })
	leaves := future.Then(f, func(int) (int, error) { runtime.Goexit(); return 0, nil })
	after := future.Then(f, func(v int) (int, error) { return v, nil })
	close(begin)
	_, err := leaves.Wait(t.Context())
	is(t, err, future.ErrGoexit)
	if v, err := after.Wait(t.Context()); v != 1 || err != nil {
		t.Errorf("the one after it: %v, %v", v, err)
	}
}

// A chain is cancelled as one, from either end.
func TestCancelOfAChain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		chain := func(fn func(context.Context) (int, error)) (first, last *future.Future[int]) {
			first = future.Go(t.Context(), fn)
			last = future.Then(future.Then(first, text), strconv.Atoi)
			synctest.Wait()
			return first, last
		}
		first, last := chain(untilCancelled)
		last.Cancel()
		synctest.Wait()
		settledWith(t, first, 0, context.Canceled)
		settledWith(t, last, 0, context.Canceled)

		first, last = chain(untilCancelled)
		first.Cancel()
		synctest.Wait()
		settledWith(t, last, 0, context.Canceled)

		// The source succeeds all the same: the link that was cancelled is not called.
		first, last = chain(func(ctx context.Context) (int, error) { <-ctx.Done(); return 7, nil })
		last.Cancel()
		synctest.Wait()
		settledWith(t, first, 7, nil)
		settledWith(t, last, 0, context.Canceled)
	})
}

func text(i int) (string, error) { return strconv.Itoa(i), nil }

// TW-9, IC-2: the outer future settles when the inner one does.
func TestFlatten(t *testing.T) {
	t.Parallel()
	outer := future.NewPromise[*future.Future[int]](t.Context())
	inner := future.NewPromise[int](t.Context())
	flat := future.Flatten(outer.Future())
	pending(t, flat)
	_ = outer.Settle(inner.Future(), nil)
	pending(t, flat)
	_ = inner.Settle(5, nil)
	settledWith(t, flat, 5, nil)

	settledWith(t, future.Flatten(future.Settled(future.Settled(5, nil), nil)), 5, nil)
	settledWith(t, future.Flatten(future.Settled(future.Settled(5, errBoom), nil)), 0, errBoom)
	settledWith(t, future.Flatten(future.Settled(future.Settled(5, nil), errBoom)), 0, errBoom)
	if future.Flatten(future.Settled[*future.Future[int]](nil, nil)).Err() == nil {
		t.Error("a nil future is no error")
	}

	// Three deep, inside out.
	deep := future.Flatten(future.Flatten(future.Settled(future.Settled(future.Settled(6, nil), nil), nil)))
	settledWith(t, deep, 6, nil)
}

// Cancelling the flat future reaches whichever of the two is under way.
func TestCancelOfFlatten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// The outer one is under way.
		outer := future.Go(t.Context(), untilCancelled[*future.Future[int]])
		flat := future.Flatten(outer)
		flat.Cancel()
		synctest.Wait()
		settledWith(t, flat, 0, context.Canceled)

		// The outer one has settled, the inner one is under way.
		inner := future.Go(t.Context(), untilCancelled[int])
		flat = future.Flatten(future.Settled(inner, nil))
		flat.Cancel()
		synctest.Wait()
		settledWith(t, inner, 0, context.Canceled)
		settledWith(t, flat, 0, context.Canceled)

		// The outer one gives an inner one all the same, after it was cancelled.
		inner = future.Go(t.Context(), untilCancelled[int])
		flat = future.Flatten(future.Go(t.Context(), func(ctx context.Context) (*future.Future[int], error) {
			<-ctx.Done()
			time.Sleep(time.Second)
			return inner, nil
		}))
		flat.Cancel()
		synctest.Wait()
		pending(t, flat)
		time.Sleep(time.Second)
		synctest.Wait()
		settledWith(t, inner, 0, context.Canceled)
		settledWith(t, flat, 0, context.Canceled)
	})
}

// A cancellation that meets the moment in which the inner future appears is not lost.
func TestCancelMeetsTheInnerFuture(t *testing.T) {
	t.Parallel()
	for range 500 {
		outer := future.NewPromise[*future.Future[int]](t.Context())
		inner := future.NewPromise[int](t.Context())
		flat := future.Flatten(outer.Future())
		go func() { _ = outer.Settle(inner.Future(), nil) }()
		flat.Cancel()
		_, err := flat.Wait(t.Context())
		is(t, err, context.Canceled)
	}
}

// A long chain settles, and so does one future that very many watch.
func TestLongChain(t *testing.T) {
	t.Parallel()
	const n = 5_000
	p := future.NewPromise[int](t.Context())
	last, sum := p.Future(), 0
	for range n {
		last = future.Then(last, func(v int) (int, error) { return v + 1, nil })
		p.Future().OnSettle(func(v int, _ error) { sum += v })
	}
	_ = p.Settle(1, nil)
	settledWith(t, last, n+1, nil)
	if sum != n {
		t.Errorf("%d of %d were told", sum, n)
	}
}
