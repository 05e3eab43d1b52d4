package spool_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/failure"
	"github.com/spooljobs/spool/retry"
)

// try is a task whose handler is told by the test what to answer.
var try = spool.NewTask[string, int]("try", spool.Knows("known", errKnown))

// trier is a worker with one slot whose jobs end as the test says, by their name; it notes what each attempt saw.
type trier struct {
	*spool.Worker
	ends map[string]func(attempt int) error
	saw  []string
}

func newTrier(c *spool.Client, cfg spool.WorkerConfig) *trier {
	cfg.ReactorSlots = -1
	r := &trier{Worker: spool.NewWorker(c, fast(cfg)), ends: map[string]func(int) error{}}
	try.Handle(r.Worker, func(ctx context.Context, name string) (int, error) {
		attempt := spool.Running(ctx).Attempt()
		r.saw = append(r.saw, fmt.Sprintf("%s %d", name, attempt))
		if end := r.ends[name]; end != nil {
			if err := end(attempt); err != nil {
				return 0, err
			}
		}
		return attempt, nil
	})
	return r
}

func (r *trier) drained(ctx context.Context, t *testing.T) []string {
	t.Helper()
	before := len(r.saw)
	must(r.Drain(ctx))(t)
	return r.saw[before:]
}

func always(err error) func(int) error { return func(int) error { return err } }

// RP-2, RP-4, TW-24: without a policy an error is the end, and so is a panic: one attempt.
func TestNoRetryUnlessAskedFor(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := newTrier(c, spool.WorkerConfig{})
		w.ends["error"] = always(errKnown)
		w.ends["panic"] = func(int) error { panic(errKnown) }
		for name := range w.ends {
			j := must(try.Put(ctx, c, name))(t)
			expectRan(t, w.drained(ctx, t), name+" 1")
			var f *failure.Failure
			if _, err := j.Wait(ctx); !errors.As(err, &f) || !errors.Is(err, errKnown) || f.Panic != (name == "panic") {
				t.Errorf("%s: %v", name, err)
			}
			if info := must(c.Queue("default").Get(ctx, j.ID()))(t); info.Attempts != 1 || info.Outcome != "failed" {
				t.Errorf("%s: %+v", name, info)
			}
		}
	})
}

// RP-1, RP-6: a retry is stored: it waits in Redis, not in a slot, by the policy's waits and Redis's clock; the last
// failure is the job's.
func TestRetriesWaitAsThePolicySays(t *testing.T) {
	start := time.Date(2006, 7, 21, 12, 0, 0, 0, time.UTC)
	clocked(t, start, func(t *testing.T, s *server, clock *miniredis.Miniredis) {
		c := s.client(t)
		ctx := within(t)
		q := c.Queue("default")
		w := newTrier(c, spool.WorkerConfig{})
		w.ends["x"] = func(attempt int) error { return fmt.Errorf("attempt %d", attempt) }
		j := must(try.Put(ctx, c, "x", spool.Retry(3, retry.Of(time.Second, 10*time.Second, 100*time.Second))))(t)
		expectRan(t, w.drained(ctx, t), "x 1")
		now := start
		for i, wait := range []time.Duration{time.Second, 10 * time.Second, 100 * time.Second} {
			info := must(q.Get(ctx, j.ID()))(t)
			if info.State != spool.StatePending || info.Attempts != i+1 || !info.Due.Equal(now.Add(wait)) || info.Failure == nil || info.Failure.Message != fmt.Sprintf("attempt %d", i+1) {
				t.Errorf("after attempt %d: %+v", i+1, info)
			}
			clock.SetTime(now.Add(wait - time.Millisecond))
			expectRan(t, w.drained(ctx, t))
			now = now.Add(wait)
			clock.SetTime(now)
			expectRan(t, w.drained(ctx, t), fmt.Sprintf("x %d", i+2))
		}
		if _, err := j.Wait(ctx); err == nil || err.Error() != "attempt 4" {
			t.Errorf("the end: %v", err)
		}
		if n := must(q.Counts(ctx))(t); n.Retried != 3 || n.Failed != 1 || n.Pending() != 0 {
			t.Errorf("counts: %+v", n)
		}
	})
}

// RP-1, RP-6, G1: the count of attempts, and the last failure, survive the worker.
func TestRetryOutlivesTheWorker(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		q := c.Queue("default")
		j := must(try.Put(ctx, c, "x", spool.Retry(2, retry.Constant(time.Hour))))(t)
		for attempt := 1; attempt <= 3; attempt++ {
			w := newTrier(s.client(t), spool.WorkerConfig{})
			w.ends["x"] = func(attempt int) error {
				if attempt == 3 {
					return nil
				}
				return errKnown
			}
			expectRan(t, w.drained(ctx, t), fmt.Sprintf("x %d", attempt))
			if attempt < 3 {
				if info := must(q.Get(ctx, j.ID()))(t); info.Attempts != attempt || time.Until(info.Due) < 50*time.Minute {
					t.Errorf("%+v", info)
				}
				if err := q.Edit(ctx, j.ID(), nil, spool.Delay(0)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := must(j.Wait(ctx))(t); got != 3 {
			t.Errorf("got %d", got)
		}
	})
}

// RP-1: how often: Unlimited, a number, the worker's default, a task's, none; and sequences that end.
func TestHowOftenIsRetried(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		at0 := retry.Constant(0)
		w := newTrier(c, spool.WorkerConfig{Retry: spool.Retry(2, at0)})
		for name, test := range map[string]struct {
			opts []spool.Option
			want int // attempts
		}{
			"the worker's":   {nil, 3},
			"none":           {[]spool.Option{spool.Retry(0, nil)}, 1},
			"one":            {[]spool.Option{spool.Retry(1, at0)}, 2},
			"last one wins":  {[]spool.Option{spool.Retry(7, at0), spool.Retry(1, at0)}, 2},
			"sequence ends":  {[]spool.Option{spool.Retry(100, retry.Of(0, 0, 0))}, 4},
			"so it does":     {[]spool.Option{spool.Retry(spool.Unlimited, retry.Of(0, 0, 0))}, 4},
			"beyond the 32":  {[]spool.Option{spool.Retry(40, at0)}, 41},
			"without limit ": {[]spool.Option{spool.Retry(spool.Unlimited, at0)}, 60},
		} {
			w.ends[name] = func(attempt int) error {
				if attempt == 60 {
					return nil
				}
				return errKnown
			}
			j := must(try.Put(ctx, c, name, test.opts...))(t)
			if ran := w.drained(ctx, t); len(ran) != test.want {
				t.Errorf("%s: %d attempts, want %d", name, len(ran), test.want)
			}
			if _, err := j.Wait(ctx); (err == nil) != (test.want == 60) {
				t.Errorf("%s: %v", name, err)
			}
		}
		var field *spool.FieldError
		for name, opt := range map[string]spool.Option{"times": spool.Retry(-2, at0), "no sequence": spool.Retry(1, nil), "empty": spool.Retry(1, retry.Of())} {
			if _, err := try.Put(ctx, c, name, opt); !errors.As(err, &field) || field.Field != "Retry" {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// RP-1: a handler says otherwise: Final, RetryAfter, Snooze and Cancelled, also wrapped.
func TestHandlersSayWhatIsToHappen(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		q := c.Queue("default")
		w := newTrier(c, spool.WorkerConfig{})
		policy := spool.Retry(spool.Unlimited, retry.Constant(0))
		put := func(name string, end func(int) error, opts ...spool.Option) (*spool.Job[int], *spool.JobInfo, []string) {
			t.Helper()
			w.ends[name] = end
			j := must(try.Put(ctx, c, name, opts...))(t)
			ran := w.drained(ctx, t)
			return j, must(q.Get(ctx, j.ID()))(t), ran
		}

		j, info, ran := put("final", always(spool.Final(errKnown)), policy)
		expectRan(t, ran, "final 1")
		if _, err := j.Wait(ctx); !errors.Is(err, errKnown) || err.Error() != errKnown.Error() || info.Outcome != "failed" {
			t.Errorf("Final: %v, %+v", err, info)
		}
		j, _, ran = put("wrapped", always(fmt.Errorf("wrapped: %w", spool.Final(errKnown))), policy)
		expectRan(t, ran, "wrapped 1")
		if _, err := j.Wait(ctx); !errors.Is(err, errKnown) || err.Error() != "wrapped: "+errKnown.Error() {
			t.Errorf("wrapped Final: %v", err)
		}
		_, _, ran = put("outermost", always(spool.Final(spool.RetryAfter(0, errKnown))), policy)
		expectRan(t, ran, "outermost 1")

		// Without a policy, and beyond one's times.
		twice := func(attempt int) error {
			if attempt < 3 {
				return spool.RetryAfter(0, errKnown)
			}
			return nil
		}
		j, info, ran = put("after", twice)
		expectRan(t, ran, "after 1", "after 2", "after 3")
		if got := must(j.Wait(ctx))(t); got != 3 || info.Attempts != 3 {
			t.Errorf("RetryAfter: %d, %+v", got, info)
		}
		_, _, ran = put("beyond", twice, spool.Retry(1, retry.Constant(time.Hour)))
		expectRan(t, ran, "beyond 1", "beyond 2", "beyond 3")

		snoozes := 0
		j, info, ran = put("snooze", func(int) error {
			if snoozes++; snoozes <= 3 {
				return spool.Snooze(0)
			}
			return nil
		})
		expectRan(t, ran, "snooze 1", "snooze 1", "snooze 1", "snooze 1")
		if got := must(j.Wait(ctx))(t); got != 1 || info.Attempts != 1 {
			t.Errorf("Snooze: %d, %+v", got, info)
		}

		j, info, ran = put("cancelled", always(spool.Cancelled(errKnown)), policy)
		expectRan(t, ran, "cancelled 1")
		if _, err := j.Wait(ctx); !errors.Is(err, spool.ErrCancelled) || !errors.Is(err, errKnown) || info.Outcome != "cancelled" {
			t.Errorf("Cancelled: %v, %+v", err, info)
		}
		j, _, _ = put("no reason", always(spool.Cancelled(nil)), policy)
		if _, err := j.Wait(ctx); !errors.Is(err, spool.ErrCancelled) {
			t.Errorf("Cancelled(nil): %v", err)
		}
		if spool.Final(nil) != nil || spool.RetryAfter(time.Second, nil) != nil {
			t.Error("no error has become one")
		}
	})
}

// C09, RP-1: an hour; nothing or less than that, which is the very front; and as long as can be.
func TestReschedulingAnswers(t *testing.T) {
	start := time.Date(2006, 7, 21, 12, 0, 0, 0, time.UTC)
	clocked(t, start, func(t *testing.T, s *server, clock *miniredis.Miniredis) {
		c := s.client(t)
		ctx := within(t)
		q := c.Queue("default")
		w := newTrier(c, spool.WorkerConfig{})
		due := func(j *spool.Job[int], want time.Time) {
			t.Helper()
			info := must(q.Get(ctx, j.ID()))(t)
			if info.State != spool.StatePending || !info.Due.Equal(want) || info.Worker != "" {
				t.Errorf("want it due %v: %+v", want, info)
			}
		}
		first := func(end error) func(int) error {
			done := false
			return func(int) error {
				if done {
					return nil
				}
				done = true
				return end
			}
		}
		hour := start.Add(time.Hour)
		w.ends["after"], w.ends["snooze"] = first(spool.RetryAfter(time.Hour, errKnown)), first(spool.Snooze(time.Hour))
		w.ends["policy"], w.ends["longest"] = first(errKnown), first(spool.RetryAfter(math.MaxInt64, errKnown))
		after, snooze := must(try.Put(ctx, c, "after"))(t), must(try.Put(ctx, c, "snooze"))(t)
		policy := must(try.Put(ctx, c, "policy", spool.Retry(1, retry.Of(time.Hour))))(t)
		longest := must(try.Put(ctx, c, "longest"))(t)
		expectRan(t, w.drained(ctx, t), "after 1", "snooze 1", "policy 1", "longest 1")
		due(after, hour)
		due(snooze, hour)
		due(policy, hour)
		const longestMs = math.MaxInt64/int64(time.Millisecond) + 1
		due(longest, time.UnixMilli(start.UnixMilli()+longestMs))
		// A date beyond all durations: asked for by Due, in the year 3000.
		far := time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)
		if err := q.Edit(ctx, longest.ID(), nil, spool.Due(far)); err != nil {
			t.Error(err)
		}
		due(longest, far)

		// At once: ahead of everything of its priority that waits, and behind what has a better one.
		for name, wait := range map[string]time.Duration{"zero": 0, "past": -time.Hour} {
			w.ends[name] = func(attempt int) error {
				if attempt > 1 {
					return nil
				}
				must(try.Put(ctx, c, "other"))(t)
				must(try.Put(ctx, c, "best", spool.Priority(-1)))(t)
				return spool.RetryAfter(wait, errKnown)
			}
			must(try.Put(ctx, c, name))(t)
			expectRan(t, w.drained(ctx, t), name+" 1", "best 1", name+" 2", "other 1")
		}
		clock.SetTime(hour)
		if ran := w.drained(ctx, t); len(ran) != 3 {
			t.Errorf("an hour later: %q", ran)
		}
	})
}

// RP-9: no retry after the deadline, and one before it.
func TestNoRetryAfterTheDeadline(t *testing.T) {
	start := time.Date(2006, 7, 21, 12, 0, 0, 0, time.UTC)
	clocked(t, start, func(t *testing.T, s *server, clock *miniredis.Miniredis) {
		c := s.client(t)
		ctx := within(t)
		q := c.Queue("default")
		w := newTrier(c, spool.WorkerConfig{})
		w.ends["policy"] = always(errKnown)
		w.ends["just"], w.ends["past"] = always(spool.RetryAfter(time.Minute, errKnown)), always(spool.RetryAfter(time.Minute+1, errKnown))
		w.ends["snooze"] = always(spool.Snooze(2 * time.Minute))
		jobs := map[string]*spool.Job[int]{}
		for name := range w.ends {
			jobs[name] = must(try.Put(ctx, c, name, spool.BeginBy(time.Minute), spool.Retry(9, retry.Constant(40*time.Second))))(t)
		}
		if ran := w.drained(ctx, t); len(ran) != 4 {
			t.Errorf("ran %q", ran)
		}
		for name, want := range map[string]spool.OutcomeKind{"policy": "", "just": "", "past": "failed", "snooze": "expired"} {
			if info := must(q.Get(ctx, jobs[name].ID()))(t); info.Outcome != want || (want == "") != (info.State == spool.StatePending) {
				t.Errorf("%s: %+v", name, info)
			}
		}
		if _, err := jobs["past"].Wait(ctx); !errors.Is(err, errKnown) {
			t.Errorf("past: %v", err)
		}
		if _, err := jobs["snooze"].Wait(ctx); !errors.Is(err, spool.ErrExpired) {
			t.Errorf("snooze: %v", err)
		}
		// Ahead of the deadline it is retried; the next would be after it, and so its failure is the end.
		clock.SetTime(start.Add(40 * time.Second))
		expectRan(t, w.drained(ctx, t), "policy 2")
		if _, err := jobs["policy"].Wait(ctx); !errors.Is(err, errKnown) {
			t.Errorf("policy: %v", err)
		}
		// At the deadline itself it is not past.
		w.ends["just"] = nil
		clock.SetTime(start.Add(time.Minute))
		expectRan(t, w.drained(ctx, t), "just 2")
		if n := must(q.Counts(ctx))(t); n.Pending() != 0 || n.Succeeded != 1 || n.Failed != 2 || n.Expired != 1 {
			t.Errorf("counts: %+v", n)
		}
	})
}

// RP-9, DM-27: a deadline that passes while the job runs does not end it, and there is no retry.
func TestDeadlinePassesWhileItRuns(t *testing.T) {
	start := time.Date(2006, 7, 21, 12, 0, 0, 0, time.UTC)
	clocked(t, start, func(t *testing.T, s *server, clock *miniredis.Miniredis) {
		c := s.client(t)
		ctx := within(t)
		w := newTrier(c, spool.WorkerConfig{})
		later := func(err error) func(int) error {
			return func(int) error {
				clock.SetTime(start.Add(2 * time.Minute))
				// A call of another worker looks at the deadlines meanwhile.
				if _, err := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: -1})).Drain(ctx); err != nil {
					t.Error(err)
				}
				return err
			}
		}
		w.ends["fails"] = later(errKnown)
		bad := must(try.Put(ctx, c, "fails", spool.BeginBy(time.Minute), spool.Retry(9, retry.Constant(0))))(t)
		expectRan(t, w.drained(ctx, t), "fails 1")
		if _, err := bad.Wait(ctx); !errors.Is(err, errKnown) {
			t.Errorf("failed after its deadline: %v", err)
		}
		clock.SetTime(start)
		w.ends["ends well"] = later(nil)
		good := must(try.Put(ctx, c, "ends well", spool.BeginBy(time.Minute)))(t)
		expectRan(t, w.drained(ctx, t), "ends well 1")
		if got := must(good.Wait(ctx))(t); got != 1 {
			t.Errorf("got %d", got)
		}
	})
}
