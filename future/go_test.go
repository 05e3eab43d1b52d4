package future_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spooljobs/spool/future"
)

// sender has a Send method: such an object is a plain result here.
type sender struct{}

func (*sender) Send() {}

// H10, IC-1, IC-2: every call returns a future and never panics in the caller.
func TestAlwaysAFuture(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		type function = func(context.Context) (string, error)
		failing := future.Go(ctx, func(context.Context) (string, error) { return "", errBoom })
		panicking := future.Go(ctx, func(context.Context) (string, error) { panic(errBoom) })
		plain := future.Go(ctx, func(context.Context) (string, error) { return "hey", nil })
		waiting := future.Go(ctx, func(context.Context) (string, error) {
			time.Sleep(time.Second)
			return "later", nil
		})
		inner := future.Flatten(future.Go(ctx, func(context.Context) (*future.Future[string], error) {
			return waiting, nil
		}))
		object := new(sender)
		send := future.Go(ctx, func(context.Context) (*sender, error) { return object, nil })
		nothing := future.Go(ctx, function(nil))
		var none context.Context
		noContext := future.Go(none, func(context.Context) (string, error) { return "hey", nil })

		synctest.Wait()
		pending(t, waiting)
		pending(t, inner)
		time.Sleep(time.Second)
		synctest.Wait()
		settledWith(t, failing, "", errBoom)
		settledWith(t, panicking, "", errBoom)
		settledWith(t, plain, "hey", nil)
		settledWith(t, waiting, "later", nil)
		settledWith(t, inner, "later", nil)
		settledWith(t, send, object, nil)
		var failed *future.PanicError
		if !errors.As(nothing.Err(), &failed) {
			t.Errorf("a nil function: %v", nothing.Err())
		}
		if noContext.Err() == nil {
			t.Error("a nil context is accepted")
		}
	})
}

// E03, ZT-1: the value or the error is kept, and both are nil before the end. With an
// error there is no value.
func TestHandleOfAGoroutine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		good := future.Go(t.Context(), func(context.Context) (int, error) { <-end; return 42, nil })
		bad := future.Go(t.Context(), func(context.Context) (int, error) { <-end; return 7, errBoom })
		worse := future.Go(t.Context(), func(context.Context) (int, error) { <-end; panic("out of paper") })
		synctest.Wait()
		pending(t, good)
		pending(t, bad)
		pending(t, worse)
		close(end)
		synctest.Wait()
		settledWith(t, good, 42, nil)
		settledWith(t, bad, 0, errBoom)
		var failed *future.PanicError
		if _, err := worse.Wait(t.Context()); !errors.As(err, &failed) || worse.Value() != 0 {
			t.Errorf("%v, %v", worse.Value(), err)
		}
	})
}

// E03, H09: nothing runs until it is started, and it runs once if started twice.
func TestStartedLater(t *testing.T) {
	t.Parallel()
	var runs atomic.Int32
	start := sync.OnceValue(func() *future.Future[int32] {
		return future.Go(t.Context(), func(context.Context) (int32, error) { return runs.Add(1), nil })
	})
	if runs.Load() != 0 {
		t.Error("runs before it is started")
	}
	first, second := start(), start()
	if v, err := first.Wait(t.Context()); v != 1 || err != nil || first != second {
		t.Errorf("%v, %v", v, err)
	}
}

// H09, DI-4: a constructor that takes time gives the object or its error.
func TestConstructorThatFails(t *testing.T) {
	t.Parallel()
	type conn struct{}
	failing := future.Go(t.Context(), func(context.Context) (*conn, error) { return new(conn), errBoom })
	if c, err := failing.Wait(t.Context()); c != nil || err != errBoom {
		t.Errorf("%v, %v", c, err)
	}
	panicking := future.Go(t.Context(), func(context.Context) (*conn, error) { panic(errBoom) })
	c, err := panicking.Wait(t.Context())
	is(t, err, errBoom)
	if c != nil {
		t.Error("there is an object")
	}
}

func explode(list []int) int { return list[5] }

type spiteful struct{}

func (spiteful) String() string { panic("no") }

type vanishing struct{}

func (vanishing) String() string { runtime.Goexit(); return "" }

// A panic is kept with its type, its message and the stack where it was. However it is
// made, the future settles.
func TestPanicBecomesAnError(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, typ, message, stack string
		fn                        func()
	}{
		{"text", "string", "out of paper", "TestPanicBecomesAnError", func() { panic("out of paper") }},
		{"error", "*errors.errorString", "boom", "TestPanicBecomesAnError", func() { panic(errBoom) }},
		{"runtime", "runtime.boundsError", "index out of range [5]", "future_test.explode", func() { explode(nil) }},
		{"nil", "*runtime.PanicNilError", "panic called with nil", "TestPanicBecomesAnError", func() { panic(nil) }},
		{"printing panics", "future_test.spiteful", "no", "TestPanicBecomesAnError", func() { panic(spiteful{}) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := future.Go(t.Context(), func(context.Context) (int, error) { tc.fn(); return 1, nil }).Wait(t.Context())
			var failed *future.PanicError
			if !errors.As(err, &failed) {
				t.Fatalf("%v", err)
			}
			if failed.Type != tc.typ || !strings.Contains(failed.Message, tc.message) || !strings.Contains(failed.Stack, tc.stack) {
				t.Errorf("%+v", failed)
			}
			if failed.Error() != "panic: "+failed.Message {
				t.Errorf("Error says %q", failed)
			}
		})
	}
	for _, leave := range []func(){runtime.Goexit, func() { panic(vanishing{}) }} {
		_, err := future.Go(t.Context(), func(context.Context) (int, error) { leave(); return 1, nil }).Wait(t.Context())
		is(t, err, future.ErrGoexit)
	}
}

// Cancel ends the context of the function. The future settles when the function has
// returned, with what that returns.
func TestCancelOfGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		obeys := future.Go(t.Context(), untilCancelled[int])
		slowly := future.Go(t.Context(), func(ctx context.Context) (int, error) {
			<-ctx.Done()
			time.Sleep(time.Second)
			return 0, ctx.Err()
		})
		succeeds := future.Go(t.Context(), func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 7, nil
		})
		synctest.Wait()
		pending(t, obeys)
		for range 2 {
			obeys.Cancel()
			slowly.Cancel()
			succeeds.Cancel()
		}
		synctest.Wait()
		settledWith(t, obeys, 0, context.Canceled)
		settledWith(t, succeeds, 7, nil)
		pending(t, slowly)
		time.Sleep(time.Second)
		synctest.Wait()
		settledWith(t, slowly, 0, context.Canceled)
		obeys.Cancel()
		settledWith(t, obeys, 0, context.Canceled)
	})
}

// The other way: the context around the function ends, and those who wait are told.
func TestContextOfGoEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		f := future.Go(ctx, untilCancelled[int])
		_, err := f.Wait(t.Context())
		is(t, err, context.DeadlineExceeded)

		f = future.Go(ctx, func(context.Context) (int, error) {
			t.Error("called although the context has ended")
			return 1, nil
		})
		settledWith(t, f, 0, context.DeadlineExceeded)
	})
}

// What is left running under a function's context ends with the function.
func TestContextOfGoEndsWithTheFunction(t *testing.T) {
	t.Parallel()
	f := future.Go(t.Context(), func(ctx context.Context) (context.Context, error) { return ctx, nil })
	ctx, _ := f.Wait(t.Context())
	is(t, ctx.Err(), context.Canceled)
}
