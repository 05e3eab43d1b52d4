package future_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spooljobs/spool/future"
)

// slow is an object that opens slowly. It records the calls that came through.
type slow struct {
	gate  *future.Gate
	mu    sync.Mutex
	calls []string
}

func openAfter(ctx context.Context, d time.Duration, err error) *slow {
	return &slow{gate: future.NewGate(ctx, func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	})}
}

func (s *slow) record(name string, arg int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, fmt.Sprintf("%s(%d)", name, arg))
}

func (s *slow) recorded() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// f1 and f2 wait; later is what a caller uses that does not.
func (s *slow) f1(ctx context.Context, arg int) error {
	return s.gate.Do(ctx, func() error { s.record("f1", arg); return nil })
}

func (s *slow) f2(ctx context.Context, arg int) (out int, err error) {
	err = s.gate.Do(ctx, func() error {
		s.record("f2", arg)
		out = arg
		return nil
	})
	return out, err
}

func (s *slow) later(ctx context.Context, name string, arg int) *future.Future[int] {
	return future.Through(ctx, s.gate, func(context.Context) (int, error) {
		s.record(name, arg)
		return arg, nil
	})
}

// H08, DI-1, DI-2: calls that come before it is open wait, and run in their order with
// their arguments. Later ones run directly.
func TestGate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := openAfter(t.Context(), time.Second, nil)
		began := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := s.f1(t.Context(), 44); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if err := s.f1(t.Context(), 33); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if v, err := s.f2(t.Context(), 11); v != 11 || err != nil {
				t.Errorf("%v, %v", v, err)
			}
		})
		synctest.Wait()
		if calls := s.recorded(); len(calls) != 0 {
			t.Errorf("%v ran before it was open", calls)
		}
		wg.Wait()
		if took := time.Since(began); took != time.Second {
			t.Errorf("took %v", took)
		}
		if err := s.f1(t.Context(), 5); err != nil {
			t.Error(err)
		}
		if want := []string{"f1(44)", "f1(33)", "f2(11)", "f1(5)"}; !slices.Equal(s.calls, want) {
			t.Errorf("ran %v, want %v", s.calls, want)
		}
	})
}

// H08, DI-1: the same from one goroutine, which gets a future for each call. There are many,
// some of which are slow, fail or panic: the order stays.
func TestThrough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := openAfter(t.Context(), time.Second, nil)
		a, b, c := s.later(t.Context(), "f1", 44), s.later(t.Context(), "f1", 33), s.later(t.Context(), "f2", 11)
		want := []string{"f1(44)", "f1(33)", "f2(11)"}
		for i := range 100 {
			want = append(want, fmt.Sprintf("many(%d)", i))
			f := future.Through(t.Context(), s.gate, func(context.Context) (int, error) {
				s.record("many", i)
				switch i % 4 {
				case 1:
					time.Sleep(time.Second)
				case 2:
					return 0, errBoom
				case 3:
					panic(errBoom)
				}
				return i, nil
			})
			defer func() {
				if v, err := f.Wait(t.Context()); i%4 < 2 && (v != i || err != nil) || i%4 > 1 && !errors.Is(err, errBoom) {
					t.Errorf("call %d: %v, %v", i, v, err)
				}
			}()
		}
		synctest.Wait()
		pending(t, a)
		pending(t, b)
		pending(t, c)
		time.Sleep(time.Minute)
		settledWith(t, a, 44, nil)
		settledWith(t, b, 33, nil)
		settledWith(t, c, 11, nil)
		if got := s.recorded(); !slices.Equal(got, want) {
			t.Errorf("ran %v, want %v", got, want)
		}
	})
}

// H08, DI-2: it opens before any call, which then runs directly, and beside others.
func TestGateOpensFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := openAfter(t.Context(), time.Second, nil)
		if err := s.gate.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if err := s.gate.Do(t.Context(), func() error { time.Sleep(time.Second); return errBoom }); err != errBoom {
					t.Error(err)
				}
			})
		}
		f := s.later(t.Context(), "f", 1)
		synctest.Wait()
		settledWith(t, f, 1, nil)
		wg.Wait()
		if took := time.Since(began); took != time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// H09, DI-3: opening fails, or panics, or its context ends: all who wait and all who come
// later get that error. None of their functions is called.
func TestGateThatDoesNotOpen(t *testing.T) {
	t.Parallel()
	type open = func(context.Context) error
	for name, tc := range map[string]struct {
		open open
		want error
	}{
		"fails":          {func(context.Context) error { time.Sleep(time.Second); return errBoom }, errBoom},
		"panics":         {func(context.Context) error { time.Sleep(time.Second); panic(errBoom) }, errBoom},
		"fails at once":  {func(context.Context) error { return errBoom }, errBoom},
		"is out of time": {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithTimeout(t.Context(), time.Minute)
				defer stop()
				gate := future.NewGate(ctx, tc.open)
				var wg sync.WaitGroup
				var failed atomic.Int32
				call := func() {
					err := gate.Do(t.Context(), func() error { t.Error("called"); return nil })
					if errors.Is(err, tc.want) {
						failed.Add(1)
					}
				}
				for range 10 {
					wg.Go(call)
				}
				f := future.Through(t.Context(), gate, func(context.Context) (int, error) { t.Error("called"); return 1, nil })
				wg.Wait()
				call()
				_, err := f.Wait(t.Context())
				is(t, err, tc.want)
				is(t, gate.Wait(t.Context()), tc.want)
				if failed.Load() != 11 {
					t.Errorf("%d of 11 calls got the error", failed.Load())
				}
			})
		})
	}
	gate := future.NewGate(ended(), func(context.Context) error { t.Error("called"); return nil })
	is(t, gate.Do(t.Context(), func() error { return nil }), context.Canceled)
}

// A call that gives up leaves the line, wherever it stands, before and after the opening;
// the others go on in their order.
func TestGateCallsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := openAfter(t.Context(), time.Second, nil)
		ctx, stop := context.WithCancel(t.Context())
		first := s.later(ctx, "first", 0)
		block := make(chan struct{})
		slowly := future.Through(t.Context(), s.gate, func(context.Context) (int, error) {
			<-block
			s.record("slowly", 1)
			return 1, nil
		})
		middle, after := s.later(t.Context(), "middle", 2), s.later(t.Context(), "after", 3)
		last := s.later(t.Context(), "last", 4)
		never := s.later(ended(), "never", 5)
		settledWith(t, never, 0, context.Canceled)
		stop()
		middle.Cancel()
		synctest.Wait()
		settledWith(t, first, 0, context.Canceled)
		settledWith(t, middle, 0, context.Canceled)
		is(t, s.gate.Wait(ctx), context.Canceled)

		time.Sleep(time.Second)
		synctest.Wait() // open, and slowly has the turn
		after.Cancel()
		synctest.Wait()
		settledWith(t, after, 0, context.Canceled)
		pending(t, last)
		close(block)
		synctest.Wait()
		settledWith(t, slowly, 1, nil)
		settledWith(t, last, 4, nil)
		if want := []string{"slowly(1)", "last(4)"}; !slices.Equal(s.calls, want) {
			t.Errorf("ran %v, want %v", s.calls, want)
		}
		if err := s.gate.Do(ctx, func() error { t.Error("called"); return nil }); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// A call that waited may make calls itself. A panic goes to its caller, and the next gets
// its turn.
func TestGateFromInsideACall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := openAfter(t.Context(), time.Second, nil)
		var wg sync.WaitGroup
		wg.Go(func() {
			defer func() {
				if v := recover(); v != errBoom {
					t.Errorf("recovered %v", v)
				}
			}()
			_ = s.gate.Do(t.Context(), func() error {
				if err := s.f1(t.Context(), 1); err != nil {
					t.Error(err)
				}
				panic(errBoom)
			})
		})
		synctest.Wait()
		if err := s.f1(t.Context(), 2); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if want := []string{"f1(1)", "f1(2)"}; !slices.Equal(s.calls, want) {
			t.Errorf("ran %v, want %v", s.calls, want)
		}
	})
}

// Calls that come, give up and open at the same moment: each is answered, and those that
// ran are those that say so.
func TestGateRaces(t *testing.T) {
	t.Parallel()
	for range 100 {
		open := make(chan struct{})
		gate := future.NewGate(t.Context(), func(context.Context) error { <-open; return nil })
		var ran, said atomic.Int32
		var wg sync.WaitGroup
		for i := range 20 {
			ctx, stop := context.WithCancel(t.Context())
			wg.Go(func() {
				err := gate.Do(ctx, func() error { ran.Add(1); return nil })
				if err == nil {
					said.Add(1)
				} else if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
			wg.Go(func() {
				f := future.Through(t.Context(), gate, func(context.Context) (int, error) { ran.Add(1); return i, nil })
				if i%3 == 0 {
					f.Cancel()
				}
				if _, err := f.Wait(t.Context()); err == nil {
					said.Add(1)
				}
			})
			if i == 10 {
				close(open)
			}
			if i%2 == 0 {
				wg.Go(stop)
			} else {
				defer stop()
			}
		}
		wg.Wait()
		if ran.Load() != said.Load() {
			t.Fatalf("%d ran, %d say so", ran.Load(), said.Load())
		}
	}
}
