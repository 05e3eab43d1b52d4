package retry_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spooljobs/spool/retry"
)

// flaky fails with the listed errors, one at each call, and then gives 5. It records when
// it was called.
type flaky struct {
	began  time.Time
	errs   []error
	calls  int
	called []time.Duration
}

func newFlaky(errs ...error) *flaky { return &flaky{began: time.Now(), errs: errs} }

func (f *flaky) call(context.Context) (int, error) {
	f.called = append(f.called, time.Since(f.began))
	f.calls++
	if f.calls <= len(f.errs) {
		return 7, f.errs[f.calls-1]
	}
	return 5, nil
}

var errA, errB, errC = errors.New("a"), errors.New("b"), errors.New("c")

// H01, RC-1: three failures, then 5: four calls, each preceded by a wait, and the failures
// are kept. Success first: one call. Nil waits are the default ones.
func TestDoUntilSuccess(t *testing.T) {
	t.Parallel()
	for name, waits := range map[string]iter.Seq[time.Duration]{"default": nil, "Doubling": retry.Doubling()} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFlaky(errA, errB, errC)
				v, failures, err := retry.Do(t.Context(), waits, f.call, nil)
				if v != 5 || err != nil || !slices.Equal(failures, f.errs) {
					t.Errorf("%v, %v, %v", v, failures, err)
				}
				same(t, f.called, seconds(0, .01, .03, .07))

				f = newFlaky()
				v, failures, err = retry.Do(t.Context(), waits, f.call, nil)
				if v != 5 || err != nil || len(failures) != 0 || f.calls != 1 {
					t.Errorf("%v, %v, %v, %d calls", v, failures, err, f.calls)
				}
			})
		})
	}
}

// RC-1: the wait comes before the attempt, also before the first. RC-3: any sequence.
func TestDoWaitsFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFlaky(errA, errB)
		waits := slices.Values([]time.Duration{time.Second, -time.Second, time.Minute})
		if v, _, err := retry.Do(t.Context(), waits, f.call, nil); v != 5 || err != nil {
			t.Errorf("%v, %v", v, err)
		}
		same(t, f.called, seconds(1, 1, 61))
	})
}

// RC-2, RC-6: ten attempts in 5.11 s, and then the first failure is the error. All are kept.
func TestDoOutOfWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		errs := []error{errA, errB, errC}
		for i := range 20 {
			errs = append(errs, fmt.Errorf("failure %d", i+3))
		}
		f := newFlaky(errs...)
		v, failures, err := retry.Do(t.Context(), nil, f.call, nil)
		if v != 0 || f.calls != 10 || !slices.Equal(failures, errs[:10]) {
			t.Errorf("%v, %d calls, %v", v, f.calls, failures)
		}
		if !errors.Is(err, errA) || errors.Is(err, errs[9]) || err.Error() != "retry: gave up after attempt 10; the first failure: a" {
			t.Errorf("%v", err)
		}
		if took := time.Since(f.began); took != 5110*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
}

// RC-3: an empty sequence is empty: no attempt.
func TestDoWithoutWaits(t *testing.T) {
	t.Parallel()
	f := newFlaky()
	v, failures, err := retry.Do(t.Context(), retry.Of(), f.call, nil)
	if v != 0 || failures != nil || err != retry.ErrNoAttempt || f.calls != 0 {
		t.Errorf("%v, %v, %v, %d calls", v, failures, err, f.calls)
	}
}

// RC-4: the tester sees each failure; what it returns ends it, as it is, also at the last
// attempt. Its panics go to the caller, and so do those of the function.
func TestDoTester(t *testing.T) {
	t.Parallel()
	final := errors.New("final")
	for _, waits := range []iter.Seq[time.Duration]{retry.Of(0, 0, 0, 0), retry.Of(0, 0)} {
		f := newFlaky(errA, errB, errC)
		var seen []error
		v, failures, err := retry.Do(t.Context(), waits, f.call, func(err error) error {
			seen = append(seen, err)
			if err == errB {
				return final
			}
			return nil
		})
		if v != 0 || err != final || f.calls != 2 || !slices.Equal(failures, []error{errA, errB}) || !slices.Equal(seen, failures) {
			t.Errorf("%v, %v, %v, %d calls, seen %v", v, failures, err, f.calls, seen)
		}
	}
	for _, panics := range []func(){
		func() {
			_, _, _ = retry.Do(t.Context(), nil, newFlaky(errA).call, func(err error) error { panic(err) })
		},
		func() {
			_, _, _ = retry.Do(t.Context(), nil, func(context.Context) (int, error) { panic(errA) }, nil)
		},
	} {
		func() {
			defer func() {
				if v := recover(); v != errA {
					t.Errorf("recovered %v", v)
				}
			}()
			panics()
		}()
	}
}

// status is the error of an HTTP server.
type status int

func (s status) Error() string { return fmt.Sprint("status ", int(s)) }

// oneMiss allows one 404, and any number of 500, 502 and 503.
type oneMiss struct{ missed bool }

func (m *oneMiss) test(err error) error {
	switch err {
	case status(500), status(502), status(503):
		return nil
	case status(404):
		if !m.missed {
			m.missed = true
			return nil
		}
	}
	return err
}

// RC-5: a tester with a state.
func TestDoTesterWithState(t *testing.T) {
	t.Parallel()
	waits := retry.Times(10, retry.Constant(0))
	f := newFlaky(status(500), status(404), status(503), status(502), status(500))
	if v, _, err := retry.Do(t.Context(), waits, f.call, new(oneMiss).test); v != 5 || err != nil {
		t.Errorf("%v, %v", v, err)
	}
	f = newFlaky(status(404), status(500), status(404), status(500))
	if _, failures, err := retry.Do(t.Context(), waits, f.call, new(oneMiss).test); err != status(404) || len(failures) != 3 {
		t.Errorf("%v, %v", failures, err)
	}
	f = newFlaky(status(403))
	if _, _, err := retry.Do(t.Context(), waits, f.call, new(oneMiss).test); err != status(403) || f.calls != 1 {
		t.Errorf("%v", err)
	}
}

// RC-7: a second call knows nothing of the first.
func TestDoStartsAfresh(t *testing.T) {
	t.Parallel()
	waits := retry.Of(0, 0)
	for _, first := range []error{errA, errB} {
		_, failures, err := retry.Do(t.Context(), waits, newFlaky(first, errC).call, nil)
		if !errors.Is(err, first) || !slices.Equal(failures, []error{first, errC}) {
			t.Errorf("%v, %v", failures, err)
		}
	}
}

// The context ends: during a wait, before the first attempt, in an attempt that fails, and in
// one that succeeds nevertheless. No attempt follows, and the tester is not asked.
func TestDoObeysItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		f := newFlaky(errA, errB, errC)
		_, failures, err := retry.Do(ctx, retry.Of(0, 0, time.Hour), f.call, nil)
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errA) || !slices.Equal(failures, []error{errA, errB}) {
			t.Errorf("%v, %v", failures, err)
		}
		if took := time.Since(f.began); took != time.Second || f.calls != 2 {
			t.Errorf("%d calls, took %v", f.calls, took)
		}

		f = newFlaky()
		_, failures, err = retry.Do(ctx, nil, f.call, nil)
		if !errors.Is(err, context.DeadlineExceeded) || f.calls != 0 || failures != nil {
			t.Errorf("%v, %d calls", err, f.calls)
		}

		for _, outcome := range []error{errA, nil} {
			ctx, stop := context.WithCancel(t.Context())
			calls := 0
			v, _, err := retry.Do(ctx, nil, func(context.Context) (int, error) {
				calls++
				stop()
				return 5, outcome
			}, func(error) error { t.Error("asked"); return nil })
			ok := v == 5 && err == nil
			if outcome != nil {
				ok = v == 0 && errors.Is(err, context.Canceled) && errors.Is(err, errA)
			}
			if !ok || calls != 1 {
				t.Errorf("%v: %v, %v, %d calls", outcome, v, err, calls)
			}
		}
	})
}
