package future_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spooljobs/spool/future"
)

// It settles once. A second outcome is refused and changes nothing.
func TestSettlesOnce(t *testing.T) {
	t.Parallel()
	p := future.NewPromise[int](t.Context())
	f := p.Future()
	pending(t, f)
	if err := p.Settle(1, nil); err != nil {
		t.Fatal(err)
	}
	is(t, p.Settle(2, nil), future.ErrSettled)
	is(t, p.Settle(0, errBoom), future.ErrSettled)
	f.Cancel()
	settledWith(t, f, 1, nil)
	if p.Future() != f {
		t.Error("another future")
	}

	p = future.NewPromise[int](t.Context())
	if err := p.Settle(1, errBoom); err != nil {
		t.Fatal(err)
	}
	settledWith(t, p.Future(), 0, errBoom)
}

func TestSettled(t *testing.T) {
	t.Parallel()
	settledWith(t, future.Settled(1, nil), 1, nil)
	settledWith(t, future.Settled(1, errBoom), 0, errBoom)
	f := future.Settled(1, nil)
	f.Cancel()
	settledWith(t, f, 1, nil)
}

// Many wait. One of them gives up: the others, and the future, are not affected.
func TestManyWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := future.NewPromise[int](t.Context())
		var got atomic.Int32
		for range 50 {
			go func() {
				if v, err := p.Future().Wait(t.Context()); v == 5 && err == nil {
					got.Add(1)
				}
			}()
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		v, err := p.Future().Wait(ctx)
		is(t, err, context.DeadlineExceeded)
		if v != 0 {
			t.Errorf("value %d", v)
		}
		pending(t, p.Future())
		if err := p.Settle(5, nil); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got.Load() != 50 {
			t.Errorf("%d of 50 have the value", got.Load())
		}
	})
}

// Cancel of a promise's future: the owner is told, once and before it settles, and may
// give an outcome of its own.
func TestCancelOfAPromise(t *testing.T) {
	t.Parallel()
	p := future.NewPromise[int](t.Context())
	var told []string
	tell := func(s string) func() {
		return func() {
			pending(t, p.Future())
			told = append(told, s)
		}
	}
	p.OnCancel(tell("a"))
	p.OnCancel(tell("b"))
	p.Future().Cancel()
	p.Future().Cancel()
	settledWith(t, p.Future(), 0, context.Canceled)
	is(t, p.Settle(1, nil), future.ErrSettled)
	p.OnCancel(func() { told = append(told, "late") })
	if want := []string{"a", "b", "late"}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}

	p = future.NewPromise[int](t.Context())
	p.OnCancel(func() { p.Future().Cancel() }) // no effect, and no deadlock
	p.OnCancel(func() { _ = p.Settle(3, nil) })
	p.Future().Cancel()
	settledWith(t, p.Future(), 3, nil)

	p = future.NewPromise[int](t.Context())
	p.OnCancel(func() { t.Error("told of a cancellation that came after the outcome") })
	_ = p.Settle(4, nil)
	p.Future().Cancel()
}

// A hook that panics or leaves keeps no one from being told, and no one waiting.
func TestHooksThatMisbehave(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(){"panic": func() { panic(errBoom) }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			p := future.NewPromise[int](t.Context())
			var called []string
			p.OnCancel(leave)
			p.OnCancel(func() { called = append(called, "hook") })
			p.Future().OnSettle(func(int, error) { leave() })
			p.Future().OnSettle(func(int, error) { called = append(called, "watcher") })
			wait := make(chan any)
			go func() {
				defer func() { wait <- recover() }()
				p.Future().Cancel()
			}()
			if v := <-wait; (v != nil) != (name == "panic") {
				t.Errorf("recovered %v", v)
			}
			settledWith(t, p.Future(), 0, context.Canceled)
			if !slices.Equal(called, []string{"hook", "watcher"}) {
				t.Errorf("called %v", called)
			}
		})
	}
}

// The context around a promise ends: it is cancelled, with the context's error.
func TestContextOfAPromise(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		p, kept := future.NewPromise[int](ctx), future.NewPromise[int](ctx)
		told := 0
		p.OnCancel(func() { told++ })
		_ = kept.Settle(1, nil)
		_, err := p.Future().Wait(t.Context())
		is(t, err, context.DeadlineExceeded)
		synctest.Wait()
		settledWith(t, kept.Future(), 1, nil)

		late := future.NewPromise[int](ctx)
		settledWith(t, late.Future(), 0, context.DeadlineExceeded)
		late.OnCancel(func() { told++ })
		if told != 2 {
			t.Errorf("%d were told, want 2", told)
		}
	})
}

// registering is a context that knows whether someone still wants to hear of its end.
type registering struct {
	context.Context
	listening int
}

func (r *registering) AfterFunc(func()) (stop func() bool) {
	r.listening++
	return func() bool { r.listening--; return true }
}

func (r *registering) Done() <-chan struct{} { return make(chan struct{}) }

// A promise that has settled is let go by a context that lives longer.
func TestPromiseLeavesItsContext(t *testing.T) {
	t.Parallel()
	ctx := &registering{Context: t.Context()}
	settled, cancelled := future.NewPromise[int](ctx), future.NewPromise[int](ctx)
	if ctx.listening != 2 {
		t.Fatalf("%d listen", ctx.listening)
	}
	_ = settled.Settle(1, nil)
	cancelled.Future().Cancel()
	if ctx.listening != 0 {
		t.Errorf("%d listen", ctx.listening)
	}
}

// Callbacks get the outcome in the order in which they were added, all of it before
// Settle returns; on a settled future at once. None changes it for others.
func TestOnSettle(t *testing.T) {
	t.Parallel()
	for _, want := range []struct {
		value int
		err   error
	}{{5, nil}, {0, errBoom}} {
		p := future.NewPromise[int](t.Context())
		var calls []int
		add := func(i int) {
			p.Future().OnSettle(func(v int, err error) {
				if v != want.value || err != want.err {
					t.Errorf("callback %d got %v, %v", i, v, err)
				}
				calls = append(calls, i)
			})
		}
		add(0)
		add(1)
		if len(calls) != 0 {
			t.Error("called before there is an outcome")
		}
		_ = p.Settle(want.value, want.err)
		if !slices.Equal(calls, []int{0, 1}) {
			t.Errorf("calls %v", calls)
		}
		add(2)
		if len(calls) != 3 {
			t.Error("not called at once")
		}
	}
}

// The zero Future never settles, and nothing that one does with it panics.
func TestZeroFuture(t *testing.T) {
	t.Parallel()
	var f future.Future[int]
	f.Cancel()
	f.OnSettle(func(int, error) { t.Error("settled") })
	_, err := f.Wait(ended())
	is(t, err, context.Canceled)
	pending(t, &f)
}

// Settle, Cancel, the context, Forward and those who watch all at once: there is one
// outcome, everyone is told of it once, and of those who settle one is told that it was
// theirs, or none.
func TestRaceForTheOutcome(t *testing.T) {
	t.Parallel()
	for range 150 {
		ctx, stop := context.WithCancel(t.Context())
		p := future.NewPromise[int](ctx)
		copied := future.NewPromise[int](t.Context())
		f := p.Future()
		var wg sync.WaitGroup
		var won, hooks atomic.Int32
		var theirs atomic.Int64
		begin := make(chan struct{})
		race := func(fn func()) { wg.Go(func() { <-begin; fn() }) }
		outcomes := make(chan int, 12)
		for i := 1; i <= 4; i++ {
			race(func() {
				if p.Settle(i, nil) == nil {
					won.Add(1)
					theirs.Store(int64(i))
				}
			})
			race(func() { f.OnSettle(func(v int, _ error) { outcomes <- v }) })
			race(func() {
				same := future.Then(f, func(v int) (int, error) { return v, nil })
				same.OnSettle(func(v int, _ error) { outcomes <- v })
			})
			race(func() { v, _ := f.Wait(t.Context()); outcomes <- v })
		}
		race(func() { p.OnCancel(func() { hooks.Add(1) }) })
		race(f.Cancel)
		race(stop)
		race(func() {
			if err := f.Forward(copied); err != nil {
				t.Error(err)
			}
		})
		close(begin)
		wg.Wait()
		<-copied.Future().Done()
		for range 12 { // the end of the context may still be telling some of them
			if v := <-outcomes; int64(v) != theirs.Load() {
				t.Fatalf("one got %d, settled by %d", v, theirs.Load())
			}
		}
		settledTwice := won.Load() > 1
		neither := won.Load() == 0 && !errors.Is(f.Err(), context.Canceled)
		if settledTwice || neither || hooks.Load() > 1 || copied.Future().Value() != f.Value() {
			t.Fatalf("%d settled it, %v, %v, %d hooks, copied %v", won.Load(), f.Value(), f.Err(), hooks.Load(), copied.Future().Value())
		}
	}
}
