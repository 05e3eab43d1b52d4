package future_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spooljobs/spool/future"
)

type racer = func(context.Context) (int, error)

// after returns a function that gives its outcome after d, or ends with its context.
func after(d time.Duration, value int, err error) racer {
	return func(ctx context.Context) (int, error) {
		select {
		case <-time.After(d):
			return value, err
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// H03, PC-2.
func TestFirstOfNone(t *testing.T) {
	t.Parallel()
	if _, err := future.First[int](t.Context()); err != future.ErrNoFunctions {
		t.Errorf("%v", err)
	}
}

// H03, PC-1, PC-3: the first success wins, whatever the others do.
func TestFirstSuccessWins(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		fns  []racer
		took time.Duration
	}{
		{"A fails, B gives 3", []racer{after(time.Second, 0, errBoom), after(2*time.Second, 3, nil)}, 2 * time.Second},
		{"A fails at once, B later gives 3", []racer{after(0, 0, errBoom), after(time.Second/5, 3, nil)}, time.Second / 5},
		{"B fails after A won", []racer{after(1, 3, nil), after(2, 0, errBoom)}, 1},
		{"the second is faster", []racer{after(time.Hour, 4, nil), after(time.Second, 3, nil)}, time.Second},
		{"a panic is a failure", []racer{func(context.Context) (int, error) { panic(1) }, after(1, 3, nil)}, 1},
		{"so is no function", []racer{nil, after(1, 3, nil)}, 1},
		{"alone", []racer{after(1, 3, nil)}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				v, err := future.First(t.Context(), tc.fns...)
				if took := time.Since(began); v != 3 || err != nil || took != tc.took {
					t.Errorf("%v, %v after %v", v, err, took)
				}
			})
		})
	}
}

// H03: the slow one's context is cancelled before the answer is seen, and it has returned
// by then: a bubble of synctest does not end with a goroutine left, and time does not pass.
func TestFirstLeavesNoGoroutine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var cancelled, returned atomic.Bool
		v, err := future.First(t.Context(),
			func(context.Context) (bool, error) { return true, nil },
			func(ctx context.Context) (bool, error) {
				defer returned.Store(true)
				select {
				case <-ctx.Done():
					cancelled.Store(true)
				case <-time.After(3 * time.Second):
				}
				return false, nil // a later success counts for nothing
			})
		if !v || err != nil || !cancelled.Load() || !returned.Load() || time.Since(began) != 0 {
			t.Errorf("%v, %v, cancelled %v, returned %v, after %v", v, err, cancelled.Load(), returned.Load(), time.Since(began))
		}
	})
}

// PC-1, PC-6: all are called with the same arguments, though the first has its answer at
// once. The list can be used again.
func TestFirstCallsAll(t *testing.T) {
	t.Parallel()
	var called atomic.Int32
	fns := make([]racer, 20)
	ask := func(question string) (int, error) {
		for i := range fns {
			fns[i] = func(context.Context) (int, error) {
				if question != "how many?" {
					t.Errorf("asked %q", question)
				}
				called.Add(1)
				return i, nil
			}
		}
		return future.First(t.Context(), fns...)
	}
	for round := int32(1); round <= 3; round++ {
		if _, err := ask("how many?"); err != nil {
			t.Error(err)
		}
		if called.Load() != 20*round {
			t.Errorf("round %d: %d calls", round, called.Load())
		}
	}
	if _, err := future.First(t.Context(), fns...); err != nil || called.Load() != 80 {
		t.Errorf("%v, %d calls", err, called.Load())
	}
}

// PC-4: all failures, in the order of the functions and not of their ends.
func TestFirstAllFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		errs := []error{errors.New("a"), errors.New("b"), errors.New("c")}
		fns := []racer{after(3, 0, errs[0]), after(1, 0, errs[1]), after(2, 5, errs[2]),
			func(context.Context) (int, error) { panic("d") }}
		v, err := future.First(t.Context(), fns...)
		var failed *future.AllFailedError
		if v != 0 || !errors.As(err, &failed) || !slices.Equal(failed.Failures[:3], errs) || len(failed.Failures) != 4 {
			t.Fatalf("%v, %v", v, err)
		}
		for _, want := range errs {
			is(t, err, want)
		}
		if want := "future: First: all 4 failed: a; b; c; panic: d"; err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
	})
}

// PC-7: who changes the list during a run changes nothing for the run.
func TestFirstTakesASnapshot(t *testing.T) {
	t.Parallel()
	fns := make([]racer, 50)
	stranger := func(context.Context) (int, error) { t.Error("called"); return 0, nil }
	for i := range fns {
		fns[i] = func(context.Context) (int, error) {
			if i == 0 {
				for j := range fns {
					fns[j] = stranger
				}
			}
			return 0, fmt.Errorf("failure %d", i)
		}
	}
	_, err := future.First(t.Context(), fns...)
	var failed *future.AllFailedError
	if !errors.As(err, &failed) {
		t.Fatal(err)
	}
	for i, err := range failed.Failures {
		if err.Error() != fmt.Sprintf("failure %d", i) {
			t.Errorf("failure %d is %v", i, err)
		}
	}
}

// The context ends: the functions are told, and the error is the context's.
func TestFirstObeysItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		_, err := future.First(ctx, func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, errBoom
		})
		is(t, err, context.DeadlineExceeded)
		is(t, err, errBoom)

		_, err = future.First(ctx, racer(func(context.Context) (int, error) { t.Error("called"); return 1, nil }))
		is(t, err, context.DeadlineExceeded)
		_, err = future.All(ctx, racer(func(context.Context) (int, error) { t.Error("called"); return 1, nil }))
		is(t, err, context.DeadlineExceeded)
	})
}

// All gives the values in the order of the functions.
func TestAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		values, err := future.All(t.Context(), after(3, 1, nil), after(1, 2, nil), after(2, 3, nil))
		if err != nil || !slices.Equal(values, []int{1, 2, 3}) {
			t.Errorf("%v, %v", values, err)
		}
		values, err = future.All[int](t.Context())
		if err != nil || len(values) != 0 {
			t.Errorf("of none: %v, %v", values, err)
		}
	})
}

// The first failure of All in time is the answer; the others are cancelled and have
// returned.
func TestAllFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var returned atomic.Int32
		values, err := future.All(t.Context(),
			func(ctx context.Context) (int, error) {
				defer returned.Add(1)
				<-ctx.Done()
				time.Sleep(time.Second)
				return 0, ctx.Err()
			},
			after(time.Second, 0, errBoom),
			after(time.Hour, 1, nil))
		if values != nil || err != errBoom || returned.Load() != 1 || time.Since(began) != 2*time.Second {
			t.Errorf("%v, %v, %d, after %v", values, err, returned.Load(), time.Since(began))
		}
		_, err = future.All(t.Context(), after(1, 1, nil), func(context.Context) (int, error) { panic("out of paper") })
		if err == nil || !strings.Contains(err.Error(), "out of paper") {
			t.Errorf("%v", err)
		}
	})
}
