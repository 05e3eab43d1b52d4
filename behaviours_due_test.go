package spool_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/embedded"
)

// clocked runs a test on an embedded server whose clock stands still until the test moves it. Nobody else's clock
// counts, so nothing else needs to be faked.
func clocked(t *testing.T, start time.Time, test func(t *testing.T, s *server, clock *miniredis.Miniredis)) {
	t.Helper()
	t.Parallel()
	mini, err := embedded.Serve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(mini.Close)
	mini.SetTime(start)
	on(t, &server{"embedded", mini.Addr(), embedded.Prefix(t)}, func(t *testing.T, s *server) { test(t, s, mini) })
}

// runner is a worker with one slot that notes which jobs of a task it ran, in order.
type runner struct {
	*spool.Worker
	ran []string
}

var named = spool.NewTask[string, spool.None]("named")

func oneByOne(c *spool.Client) *runner {
	r := &runner{Worker: spool.NewWorker(c, fast(spool.WorkerConfig{ReactorSlots: -1}))}
	named.Handle(r.Worker, func(ctx context.Context, name string) (spool.None, error) {
		r.ran = append(r.ran, name)
		return spool.None{}, nil
	})
	return r
}

// drained runs what is ready and returns the names of the jobs that ran now.
func (r *runner) drained(ctx context.Context, t *testing.T) []string {
	t.Helper()
	before := len(r.ran)
	must(r.Drain(ctx))(t)
	return r.ran[before:]
}

func expectRan(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("ran %q, want %q", got, want)
	}
}

// B05, DM-15, LV-4: by Redis's clock, whatever the local one says, never early, and the time is kept as given.
func TestDueJobRunsAtItsTimeByTheClockOfRedis(t *testing.T) {
	at := func(clock string) time.Time { return must(time.Parse(time.RFC3339Nano, "2006-07-21T"+clock+"Z"))(t) }
	clocked(t, at("15:44:32.000211"), func(t *testing.T, s *server, clock *miniredis.Miniredis) {
		c := s.client(t)
		ctx := within(t)
		due := at("15:45:00")
		j := must(named.Put(ctx, c, "due", spool.Due(due)))(t)
		fraction := must(named.Put(ctx, c, "fraction", spool.Due(at("15:45:00.000000001"))))(t)
		w := oneByOne(c)
		for _, early := range []string{"15:44:57.000211", "15:44:59.999"} {
			clock.SetTime(at(early))
			expectRan(t, w.drained(ctx, t))
		}
		if info := must(c.Queue("default").Get(ctx, j.ID()))(t); !info.Due.Equal(due) || info.State != spool.StatePending {
			t.Errorf("stored as %v, due %v", info.State, info.Due)
		}
		clock.SetTime(due)
		expectRan(t, w.drained(ctx, t), "due")
		// A fraction of a millisecond counts as a whole one.
		if info := must(c.Queue("default").Get(ctx, fraction.ID()))(t); !info.Due.Equal(due.Add(time.Millisecond)) {
			t.Errorf("due %v", info.Due)
		}
		clock.SetTime(at("15:45:02.000211"))
		expectRan(t, w.drained(ctx, t), "fraction")
	})
}

// DM-15, G5: with the real clock, and a worker that is told of the due time.
func TestDueJobsNeverBeginEarly(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		rdb := s.raw(t)
		began := spool.NewTask[int64, int64]("began")
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 8, ReactorSlots: -1}))
		began.Handle(w, func(ctx context.Context, due int64) (int64, error) {
			now, err := rdb.Time(ctx).Result()
			return now.UnixMilli() - due, err
		})
		work(t, w)
		start := must(rdb.Time(ctx).Result())(t)
		var jobs []*spool.Job[int64]
		for i := range 20 {
			due := start.Add(time.Duration(20+7*i) * time.Millisecond)
			jobs = append(jobs, must(began.Put(ctx, c, due.Truncate(time.Millisecond).UnixMilli(), spool.Due(due.Truncate(time.Millisecond))))(t))
		}
		for i, j := range jobs {
			if late := must(j.Wait(ctx))(t); late < 0 {
				t.Errorf("job %d began %d ms early", i, -late)
			}
		}
	})
}

// B06, DM-16, DM-22, DM-24: the listing and the order of claiming.
func TestOrderOfDueJobs(t *testing.T) {
	at := func(clock string) time.Time { return must(time.Parse(time.RFC3339, "2006-07-21T"+clock+"Z"))(t) }
	clocked(t, at("15:44:22"), func(t *testing.T, s *server, clock *miniredis.Miniredis) {
		c := s.client(t)
		ctx := within(t)
		q := c.Queue("default")
		must(named.Put(ctx, c, "A"))(t)
		must(named.Put(ctx, c, "B", spool.Due(at("16:02:00"))))(t)
		must(named.Put(ctx, c, "C", spool.Due(at("16:01:00"))))(t)
		must(named.Put(ctx, c, "D", spool.Due(at("16:00:00"))))(t)
		if got := names(ctx, t, q); !slices.Equal(got, []string{"A", "D", "C", "B"}) {
			t.Errorf("listed %q", got)
		}
		w := oneByOne(c)
		expectRan(t, w.drained(ctx, t), "A")
		clock.SetTime(at("16:01:00"))
		expectRan(t, w.drained(ctx, t), "D", "C")
		expectRan(t, w.drained(ctx, t))
		clock.SetTime(at("16:02:00"))
		expectRan(t, w.drained(ctx, t), "B")
	})
}

// names are the arguments of the pending jobs, in their order.
func names(ctx context.Context, t *testing.T, q *spool.Queue) []string {
	t.Helper()
	var got []string
	for info, err := range q.All(ctx, spool.StatePending) {
		if err != nil {
			t.Fatal(err)
		}
		var name string
		if err := info.Args(&name); err != nil {
			t.Fatal(err)
		}
		got = append(got, name)
	}
	return got
}

// B06, DM-16: a time in the past is as if none were given: the end of the normal order, not its front.
func TestPastDueTimeIsAsNone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		must(named.Put(ctx, c, "first"))(t)
		past := must(named.Put(ctx, c, "past", spool.Due(time.Now().Add(-21*24*time.Hour))))(t)
		must(named.Put(ctx, c, "epoch", spool.Due(time.Unix(0, 0))))(t)
		must(named.Put(ctx, c, "ancient", spool.Due(time.Date(-4000, 1, 1, 0, 0, 0, 0, time.UTC))))(t)
		must(named.Put(ctx, c, "last", spool.Delay(0)))(t)
		if info := must(c.Queue("default").Get(ctx, past.ID()))(t); info.Due.IsZero() || time.Since(info.Due) < 20*24*time.Hour {
			t.Errorf("the time as it was given is not kept: %v", info.Due)
		}
		expectRan(t, oneByOne(c).drained(ctx, t), "first", "past", "epoch", "ancient", "last")
	})
}

// B06, DM-17: zones are normalised; the zero time is refused.
func TestZonesAndZeroTime(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		q := c.Queue("default")
		local := time.Date(2999, 7, 21, 11, 30, 0, 0, time.FixedZone("", -5*3600))
		j := must(named.Put(ctx, c, "zone", spool.Due(local)))(t)
		if got := must(q.Get(ctx, j.ID()))(t).Due.UTC(); got != time.Date(2999, 7, 21, 16, 30, 0, 0, time.UTC) {
			t.Errorf("stored as %v", got)
		}
		before := must(q.Counts(ctx))(t)
		var field *spool.FieldError
		if _, err := named.Put(ctx, c, "zero", spool.Due(time.Time{})); !errors.As(err, &field) || field.Field != "Due" {
			t.Errorf("the zero time: %v", err)
		}
		if _, err := named.Put(ctx, c, "negative", spool.Delay(-1)); !errors.As(err, &field) || field.Field != "Delay" {
			t.Errorf("a negative delay: %v", err)
		}
		if after := must(q.Counts(ctx))(t); after != before {
			t.Errorf("the queue has changed: %+v, before %+v", after, before)
		}
	})
}

// C09, G5: times that are far away are stored as such, wait, and cost nothing.
func TestFarDueTimes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		proxy := s.proxied(t)
		c := s.clientAt(t, proxy.Addr())
		ctx := within(t)
		q := c.Queue("default")
		far := time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)
		j := must(named.Put(ctx, c, "year 3000", spool.Due(far)))(t)
		if info := must(q.Get(ctx, j.ID()))(t); !info.Due.Equal(far) {
			t.Errorf("due %v", info.Due)
		}
		must(named.Put(ctx, c, "longest delay", spool.Delay(math.MaxInt64)))(t)
		must(named.Put(ctx, c, "no int64 of milliseconds", spool.Due(time.Unix(1<<61, 0))))(t)
		must(named.Put(ctx, c, "longest deadline", spool.Delay(time.Hour), spool.BeginBy(math.MaxInt64)))(t)

		w := spool.NewWorker(c, spool.WorkerConfig{})
		named.Handle(w, func(ctx context.Context, name string) (spool.None, error) {
			t.Errorf("%q ran", name)
			return spool.None{}, nil
		})
		double.Handle(w, func(ctx context.Context, n int) (int, error) { return 2 * n, nil })
		work(t, w)
		must(must(double.Put(ctx, c, 1))(t).Wait(ctx))(t)
		// That nothing happens is told by no signal.
		before := proxy.Stats().Commands
		time.Sleep(200 * time.Millisecond)
		if calls := proxy.Stats().Commands - before; calls > 50 {
			t.Errorf("an idle worker made %d calls", calls)
		}
		if n := must(q.Counts(ctx))(t); n.Due != 4 || n.Expired != 0 {
			t.Errorf("counts: %+v", n)
		}
	})
}

// DM-18: none unless given, never negative, counted from the due time.
func TestDeadlineCountsFromTheDueTime(t *testing.T) {
	start := time.Date(2006, 7, 21, 12, 0, 0, 0, time.UTC)
	clocked(t, start, func(t *testing.T, s *server, clock *miniredis.Miniredis) {
		c := s.client(t)
		ctx := within(t)
		q := c.Queue("default")
		var field *spool.FieldError
		if _, err := named.Put(ctx, c, "negative", spool.BeginBy(-time.Second)); !errors.As(err, &field) || field.Field != "BeginBy" {
			t.Errorf("a negative deadline: %v", err)
		}
		due := start.Add(time.Hour)
		none := must(named.Put(ctx, c, "none", spool.Due(due)))(t)
		must(named.Put(ctx, c, "zero is none", spool.Due(due), spool.BeginBy(0)))(t)
		must(named.Put(ctx, c, "in time", spool.Due(due), spool.BeginBy(2*time.Minute)))(t)
		late := must(named.Put(ctx, c, "late", spool.Due(due), spool.BeginBy(time.Minute)))(t)
		past := must(named.Put(ctx, c, "past", spool.Due(start.Add(-time.Hour)), spool.BeginBy(time.Minute)))(t)
		w := oneByOne(c)
		// A due time in the past is as none: the deadline counts from the put.
		clock.SetTime(start.Add(time.Minute))
		expectRan(t, w.drained(ctx, t), "past")
		_ = past
		clock.SetTime(due.Add(time.Minute + time.Millisecond))
		expectRan(t, w.drained(ctx, t), "none", "zero is none", "in time")
		if _, err := late.Wait(ctx); !errors.Is(err, spool.ErrExpired) {
			t.Errorf("past its deadline: %v", err)
		}
		if info := must(q.Get(ctx, late.ID()))(t); info.Outcome != "expired" || info.State != spool.StateCompleted || info.Attempts != 0 {
			t.Errorf("past its deadline: %+v", info)
		}
		if _, err := none.Wait(ctx); !errors.Is(err, spool.ErrUnknown) {
			t.Errorf("no deadline: %v", err)
		}
		if n := must(q.Counts(ctx))(t); n.Expired != 1 || n.Pending() != 0 {
			t.Errorf("counts: %+v", n)
		}
	})
}

// DM-18: at the deadline itself it is not yet past.
func TestDeadlineIsInclusive(t *testing.T) {
	start := time.Date(2006, 7, 21, 12, 0, 0, 0, time.UTC)
	clocked(t, start, func(t *testing.T, s *server, clock *miniredis.Miniredis) {
		c := s.client(t)
		ctx := within(t)
		must(named.Put(ctx, c, "just in time", spool.BeginBy(time.Minute)))(t)
		clock.SetTime(start.Add(time.Minute))
		expectRan(t, oneByOne(c).drained(ctx, t), "just in time")
	})
}

// DM-27, DM-28: expiry is decided before anybody's fitness to run the job. Every expired job is failed, soon, also by
// a worker that could not have run it, and also where nothing else happens.
func TestEveryExpiredJobIsFailed(t *testing.T) {
	t.Parallel()
	stranger := spool.NewTask[int, int]("nobody.knows")
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 1, ReactorSlots: -1}))
		busy, release := make(chan struct{}), make(chan struct{})
		double.Handle(w, func(ctx context.Context, n int) (int, error) {
			close(busy)
			<-release
			return n, nil
		})
		light.Handle(w, func(ctx context.Context, n int) (int, error) { return n, nil })
		work(t, w)
		soon := spool.BeginBy(30 * time.Millisecond)
		expired := func(what string, j *spool.Job[int]) {
			t.Helper()
			if _, err := j.Wait(ctx); !errors.Is(err, spool.ErrExpired) {
				t.Errorf("%s: %v", what, err)
			}
		}
		expired("no handler", must(stranger.Put(ctx, c, 1, soon))(t))
		expired("no slot of its lane", must(light.Put(ctx, c, 1, soon))(t))
		long := must(double.Put(ctx, c, 1))(t)
		<-busy
		expired("slot taken", must(double.Put(ctx, c, 2, soon))(t))
		close(release)
		must(long.Wait(ctx))(t)
	})
}
