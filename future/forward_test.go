package future_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spooljobs/spool/future"
)

// linked are two promises, the first forwarded to the second, and how often each was
// told that it is cancelled.
type linked struct {
	d1, d2       *future.Promise[string]
	told1, told2 int
}

func link(t *testing.T) *linked {
	t.Helper()
	l := &linked{d1: future.NewPromise[string](t.Context()), d2: future.NewPromise[string](t.Context())}
	l.d1.OnCancel(func() { l.told1++ })
	l.d2.OnCancel(func() { l.told2++ })
	if err := l.d1.Future().Forward(l.d2); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *linked) told(t *testing.T, one, two int) {
	t.Helper()
	if l.told1 != one || l.told2 != two {
		t.Errorf("cancellers ran %d and %d times, want %d and %d", l.told1, l.told2, one, two)
	}
}

// H07, CH-1: d2 is cancelled, then d1 settles: no error, and d2 is left alone.
func TestForwardToACancelledPromise(t *testing.T) {
	t.Parallel()
	for _, outcome := range []error{nil, errBoom} {
		l := link(t)
		l.d2.Future().Cancel()
		settledWith(t, l.d2.Future(), "", context.Canceled)
		pending(t, l.d1.Future())
		if err := l.d1.Settle("hey", outcome); err != nil {
			t.Error(err)
		}
		settledWith(t, l.d2.Future(), "", context.Canceled)
		l.told(t, 0, 1)
	}

	// The same with one that was settled or cancelled before it was linked.
	d2 := future.NewPromise[string](t.Context())
	_ = d2.Settle("mine", nil)
	if err := future.Settled("hey", nil).Forward(d2); err != nil {
		t.Error(err)
	}
	settledWith(t, d2.Future(), "mine", nil)
}

// H07, CH-2: once linked, d2 is settled by d1 only.
func TestForwardOwnsItsTarget(t *testing.T) {
	t.Parallel()
	l := link(t)
	is(t, l.d2.Settle("third party", nil), future.ErrOwned)
	is(t, l.d2.Settle("", errBoom), future.ErrOwned)
	is(t, future.Settled("another", nil).Forward(l.d2), future.ErrOwned)
	is(t, l.d1.Future().Forward(l.d2), future.ErrOwned)
	pending(t, l.d2.Future())
	if err := l.d1.Settle("hey", nil); err != nil {
		t.Error(err)
	}
	settledWith(t, l.d2.Future(), "hey", nil)
	is(t, l.d2.Settle("third party", nil), future.ErrOwned)
}

// H07, CH-3: cancelling d1 cancels d2, both cancellers run once; cancelling d2 after
// that does nothing.
func TestForwardOfACancellation(t *testing.T) {
	t.Parallel()
	l := link(t)
	l.d1.Future().Cancel()
	settledWith(t, l.d1.Future(), "", context.Canceled)
	settledWith(t, l.d2.Future(), "", context.Canceled)
	l.told(t, 1, 1)
	l.d2.Future().Cancel()
	l.d1.Future().Cancel()
	l.told(t, 1, 1)

	// d2 first: its canceller does not run again.
	l = link(t)
	l.d2.Future().Cancel()
	l.d1.Future().Cancel()
	l.told(t, 1, 1)

	// Cancelled by the end of its context, d1 passes on that error.
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		d1, d2 := future.NewPromise[string](ctx), future.NewPromise[string](t.Context())
		told := 0
		d2.OnCancel(func() { told++ })
		if err := d1.Future().Forward(d2); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		settledWith(t, d2.Future(), "", context.DeadlineExceeded)
		if told != 1 {
			t.Errorf("d2's canceller ran %d times", told)
		}
	})
}

// CH-3 with a function at the beginning: it may still succeed.
func TestForwardFromGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, outcome := range []error{nil, errBoom} {
			d1 := future.Go(t.Context(), func(ctx context.Context) (string, error) {
				<-ctx.Done()
				return "hey", outcome
			})
			d2 := future.NewPromise[string](t.Context())
			told := 0
			d2.OnCancel(func() { told++ })
			if err := d1.Forward(d2); err != nil {
				t.Error(err)
			}
			d1.Cancel()
			synctest.Wait()
			want := 0
			if outcome != nil {
				want = 1
			}
			settledWith(t, d2.Future(), d1.Value(), outcome)
			if told != want {
				t.Errorf("outcome %v: d2's canceller ran %d times", outcome, told)
			}
		}
	})
}

// H07, CH-4 and CH-5: later callbacks on d1 see its value, and so do all targets.
func TestForwardKeepsTheValue(t *testing.T) {
	t.Parallel()
	l := link(t)
	d3 := future.NewPromise[string](t.Context())
	if err := l.d1.Future().Forward(d3); err != nil {
		t.Fatal(err)
	}
	later := future.Then(l.d1.Future(), func(s string) (string, error) { return s + "!", nil })
	if err := l.d1.Settle("hey", nil); err != nil {
		t.Fatal(err)
	}
	settledWith(t, later, "hey!", nil)
	settledWith(t, l.d1.Future(), "hey", nil)
	settledWith(t, l.d2.Future(), "hey", nil)
	settledWith(t, d3.Future(), "hey", nil)
	l.told(t, 0, 0)

	d4 := future.NewPromise[string](t.Context())
	if err := l.d1.Future().Forward(d4); err != nil {
		t.Error(err)
	}
	settledWith(t, d4.Future(), "hey", nil)

	l = link(t)
	_ = l.d1.Settle("", errBoom)
	settledWith(t, l.d2.Future(), "", errBoom)
	l.told(t, 0, 0) // a failure is no cancellation
}

// A circle, of two or of one, ends when someone cancels.
func TestForwardInACircle(t *testing.T) {
	t.Parallel()
	l := link(t)
	if err := l.d2.Future().Forward(l.d1); err != nil {
		t.Fatal(err)
	}
	is(t, l.d1.Settle("hey", nil), future.ErrOwned)
	l.d1.Future().Cancel()
	settledWith(t, l.d2.Future(), "", context.Canceled)
	l.told(t, 1, 1)

	self := future.NewPromise[string](t.Context())
	if err := self.Future().Forward(self); err != nil {
		t.Fatal(err)
	}
	self.Future().Cancel()
	settledWith(t, self.Future(), "", context.Canceled)
}
