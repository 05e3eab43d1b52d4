package spool_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/failure"
)

// DM-6: a queue that nobody has used holds nothing, and looking at it changes nothing.
func TestFreshQueueIsEmpty(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		q := c.Queue("default")
		if n := must(q.Counts(ctx))(t); n != (spool.Counts{}) {
			t.Errorf("counts: %+v", n)
		}
		for _, state := range []spool.State{spool.StatePending, spool.StateActive, spool.StateCompleted, spool.StateQuarantined} {
			if page, total, err := q.List(ctx, state, 0, 10); len(page) != 0 || total != 0 || err != nil {
				t.Errorf("%s: %v, %d, %v", state, page, total, err)
			}
		}
		if keys := must(s.raw(t).Keys(ctx, "{"+s.prefix+":*").Result())(t); len(keys) != 0 {
			t.Errorf("looking has stored %q", keys)
		}
	})
}

// E01, ZQ-1, ZQ-3, DM-23: places, also from the end; iteration does not empty; taking from the middle; nothing there.
func TestQueueBasics(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		q := c.Queue("default")
		at := func(i int) *spool.JobInfo {
			t.Helper()
			page, _, err := q.List(ctx, spool.StatePending, i, 1)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				return nil
			}
			return page[0]
		}
		pull := func(i int) string {
			t.Helper()
			info := at(i)
			if info == nil {
				return "nothing"
			}
			if err := q.Pull(ctx, info.ID); err != nil {
				t.Error(err)
			}
			return argument(t, info)
		}
		put := func(from, to int) {
			t.Helper()
			for n := from; n <= to; n++ {
				must(named.Put(ctx, c, strconv.Itoa(n)))(t)
			}
		}
		put(4, 6)
		for _, step := range []struct {
			i    int
			want string
		}{{-1, "6"}, {1, "5"}, {0, "4"}, {0, "nothing"}, {-1, "nothing"}} {
			if got := pull(step.i); got != step.want {
				t.Errorf("pulling %d gave %s, want %s", step.i, got, step.want)
			}
		}
		put(1, 2)
		if got := pull(2); got != "nothing" {
			t.Errorf("two jobs: pulling 2 gave %s", got)
		}
		pull(0)
		pull(0)
		put(13, 22)
		for i, want := range map[int]string{0: "13", -1: "22", -10: "13", 9: "22"} {
			if got := argument(t, at(i)); got != want {
				t.Errorf("at %d: %s, want %s", i, got, want)
			}
		}
		for range 2 {
			if got := names(ctx, t, q); len(got) != 10 || got[0] != "13" || got[9] != "22" || !slices.IsSorted(got) {
				t.Errorf("iterated over %q", got)
			}
		}
		if n := must(q.Counts(ctx))(t); n.Ready != 10 {
			t.Errorf("iterating has taken something: %+v", n)
		}
		if err := q.Pull(ctx, "nobody"); !errors.Is(err, spool.ErrUnknown) {
			t.Errorf("pulling what is not there: %v", err)
		}
		var field *spool.FieldError
		if _, _, err := q.List(ctx, spool.StatePending, 0, -1); !errors.As(err, &field) {
			t.Errorf("a negative page: %v", err)
		}
		if _, _, err := q.List(ctx, spool.StateNew, 0, 1); !errors.As(err, &field) {
			t.Errorf("jobs that were not put: %v", err)
		}
	})
}

func argument(t *testing.T, info *spool.JobInfo) string {
	t.Helper()
	var name string
	if info == nil {
		t.Error("no job there")
	} else if err := info.Args(&name); err != nil {
		t.Error(err)
	}
	return name
}

// ZQ-2, ZQ-4: many put and pull at once: nothing is lost, nothing is had twice, and of those who pull the same job one
// gets it.
func TestConcurrentPutsAndPulls(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		ctx := within(t)
		clients := []*spool.Client{s.client(t), s.client(t)}
		const n = 60
		ids := make(chan string, 2*n)
		for k := range 2 {
			go func() {
				for i := range n {
					j, err := named.Put(ctx, clients[k], strconv.Itoa(i))
					if err != nil {
						t.Error(err)
						return
					}
					ids <- j.ID()
					ids <- j.ID() // for two who pull it
				}
			}()
		}
		type pulled struct {
			id  string
			err error
		}
		results := make(chan pulled)
		for k := range 2 {
			go func() {
				for range n {
					id := <-ids
					results <- pulled{id, clients[k].Queue("default").Pull(ctx, id)}
				}
			}()
		}
		// Each of the two has taken n of the 4n: enough that the same ids meet.
		got := map[string]int{}
		for range 2 * n {
			r := <-results
			switch {
			case r.err == nil:
				got[r.id]++
			case !errors.Is(r.err, spool.ErrUnknown):
				t.Error(r.err)
			}
		}
		for id, times := range got {
			if times != 1 {
				t.Errorf("%s was pulled %d times", id, times)
			}
		}
		eventually(t, "all are put", func() bool { return len(ids) == 2*n })
		if left := must(clients[0].Queue("default").Counts(ctx))(t).Pending(); left != 2*n-len(got) {
			t.Errorf("%d are left of %d, %d were pulled", left, 2*n, len(got))
		}
	})
}

// B09, DM-20, ZQ-3, Q-5: a job is put once, whatever state it is in; taken back, it may be put again, at the end.
func TestDoublePut(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		q := c.Queue("default")
		p := double.With(1)
		j := must(p.Put(ctx, c))(t)
		if again := must(p.Put(ctx, c))(t); again.ID() != j.ID() {
			t.Errorf("another job: %s, %s", again, j)
		}
		own := must(double.Put(ctx, c, 7, spool.ID("seven")))(t)
		if again := must(double.Put(ctx, s.client(t), 7, spool.ID("seven")))(t); again.ID() != own.ID() {
			t.Errorf("another job: %s, %s", again, own)
		}
		if _, err := double.Put(ctx, c, 8, spool.ID("seven")); !errors.Is(err, spool.ErrIDTaken) {
			t.Errorf("other arguments: %v", err)
		}
		if _, err := named.Put(ctx, c, "7", spool.ID("seven")); !errors.Is(err, spool.ErrIDTaken) {
			t.Errorf("another task: %v", err)
		}
		if n := must(q.Counts(ctx))(t).Pending(); n != 2 {
			t.Errorf("%d jobs are stored, want 2", n)
		}
		// Back, and again: now behind the other.
		if err := q.Pull(ctx, j.ID()); err != nil {
			t.Fatal(err)
		}
		if _, err := q.Get(ctx, j.ID()); !errors.Is(err, spool.ErrUnknown) {
			t.Errorf("pulled: %v", err)
		}
		if again := must(p.Put(ctx, c))(t); again.ID() != j.ID() {
			t.Errorf("another job: %s, %s", again, j)
		}
		page, _, err := q.List(ctx, spool.StatePending, 0, 10)
		if err != nil || len(page) != 2 || page[1].ID != j.ID() {
			t.Fatalf("not at the end: %+v, %v", page, err)
		}

		ran := make(chan int, 10)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		double.Handle(w, func(ctx context.Context, n int) (int, error) {
			ran <- n
			// Active, it can be put no second time.
			if n == 1 {
				if _, err := p.Put(ctx, c); err != nil {
					t.Error(err)
				}
			}
			return 2 * n, nil
		})
		work(t, w)
		if got := must(j.Wait(ctx))(t); got != 2 {
			t.Errorf("got %d", got)
		}
		must(own.Wait(ctx))(t)
		// Nor when it has ended.
		if got := must(must(p.Put(ctx, c))(t).Wait(ctx))(t); got != 2 {
			t.Errorf("got %d", got)
		}
		must(double.Put(ctx, c, 7, spool.ID("seven")))(t)
		must(must(double.Put(ctx, c, 99))(t).Wait(ctx))(t)
		close(ran)
		var order []int
		for n := range ran {
			order = append(order, n)
		}
		if !slices.Equal(order, []int{7, 1, 99}) {
			t.Errorf("ran %v", order)
		}
	})
}

// B10, PT-1, PT-2, PT-3: the states of a job as seen from outside and by itself, and its result, which is not there
// before it is.
func TestStatesOfAJob(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		q := c.Queue("default")
		seen := spool.NewTask[string, spool.State]("seen")
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		seen.Handle(w, func(ctx context.Context, how string) (spool.State, error) {
			r := spool.Running(ctx)
			info, err := r.Client().Queue(r.Queue()).Get(ctx, r.ID())
			if err != nil {
				return "", err
			}
			var early spool.State
			if there, err := info.Result(&early); there || err != nil || info.Outcome != "" || !info.Ended.IsZero() || info.Worker != w.Identity() {
				t.Errorf("while it runs: %+v, result %v, %v", info, there, err)
			}
			if how == "fails" {
				return "", errKnown
			}
			return info.State, nil
		})
		p := seen.With("well", spool.Meta("color", "blue"))
		if _, err := q.Get(ctx, "not-put"); !errors.Is(err, spool.ErrUnknown) {
			t.Errorf("not put: %v", err)
		}
		j, bad := must(p.Put(ctx, c))(t), must(seen.Put(ctx, c, "fails"))(t)
		before := must(q.Get(ctx, j.ID()))(t)
		var none spool.State
		if there, err := before.Result(&none); there || err != nil || before.State != spool.StatePending || before.Outcome != "" || before.Task != "seen" || before.Meta["color"] != "blue" || before.Created.IsZero() {
			t.Errorf("before: %+v", before)
		}
		work(t, w)
		if got := must(j.Wait(ctx))(t); got != spool.StateActive {
			t.Errorf("the job saw itself %s", got)
		}
		if _, err := bad.Wait(ctx); err == nil {
			t.Error("it did not fail")
		}
		after, failed := must(q.Get(ctx, j.ID()))(t), must(q.Get(ctx, bad.ID()))(t)
		var result spool.State
		if there, err := after.Result(&result); !there || err != nil || result != spool.StateActive || after.State != spool.StateCompleted || after.Outcome != "succeeded" || after.Attempts != 1 || after.Ended.IsZero() || after.Worker != w.Identity() {
			t.Errorf("after: %+v, result %q, %v", after, result, err)
		}
		if there, _ := failed.Result(&result); there || failed.Outcome != "failed" || failed.Failure == nil || failed.Failure.Message != errKnown.Error() {
			t.Errorf("failed: %+v", failed)
		}
		// Results are kept for an hour, failures for a week, from the end on.
		for info, want := range map[*spool.JobInfo]time.Duration{after: time.Hour, failed: 7 * 24 * time.Hour} {
			if kept := info.KeptUntil.Sub(info.Ended); kept != want {
				t.Errorf("%s, and kept for %v", info.Outcome, kept)
			}
		}
		if err := after.Args(&result); !errors.Is(err, spool.ErrBadState) {
			t.Errorf("arguments of a job that has ended: %v", err)
		}
	})
}

// B10, PT-10, PT-12, DM-19: what is asked of a job in the wrong state is refused, and nothing changes.
func TestWrongStateCalls(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		q := c.Queue("default")
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		began, let := make(chan struct{}), make(chan struct{})
		double.Handle(w, func(ctx context.Context, n int) (int, error) {
			close(began)
			<-let
			return 2 * n, nil
		})
		fails.Handle(w, func(ctx context.Context, how string) (int, error) {
			t.Error("a job ran that was failed before")
			return 0, nil
		})

		// Failed from outside before it began: its waiter, and those who come later, get that error.
		pending := must(fails.Put(ctx, c, "pending"))(t)
		early := make(chan error, 1)
		go func() {
			_, err := pending.Wait(ctx)
			early <- err
		}()
		if err := q.Fail(ctx, pending.ID(), errKnown); err != nil {
			t.Fatal(err)
		}
		var f *failure.Failure
		if err := <-early; !errors.As(err, &f) || f.Message != errKnown.Error() {
			t.Errorf("failed from outside: %v", err)
		}
		if _, err := pending.Wait(ctx); !errors.As(err, &f) || f.Message != errKnown.Error() {
			t.Errorf("failed from outside, asked later: %v", err)
		}
		if info := must(q.Get(ctx, pending.ID()))(t); info.Outcome != "failed" || info.Attempts != 0 {
			t.Errorf("failed from outside: %+v", info)
		}
		due := must(fails.Put(ctx, c, "due", spool.Delay(1<<40)))(t)
		if err := q.Fail(ctx, due.ID(), errKnown); err != nil {
			t.Errorf("failing a job that is due later: %v", err)
		}

		work(t, w)
		active := must(double.Put(ctx, c, 4))(t)
		<-began
		refused := func(what, id string, want error) {
			t.Helper()
			for name, call := range map[string]func() error{
				"Pull": func() error { return q.Pull(ctx, id) },
				"Edit": func() error { return q.Edit(ctx, id, 5, spool.Priority(1)) },
				"Fail": func() error { return q.Fail(ctx, id, errKnown) },
			} {
				if err := call(); !errors.Is(err, want) {
					t.Errorf("%s of a job that is %s: %v", name, what, err)
				}
			}
		}
		refused("active", active.ID(), spool.ErrBadState)
		close(let)
		if got := must(active.Wait(ctx))(t); got != 8 {
			t.Errorf("got %d", got)
		}
		refused("unknown", "nobody", spool.ErrUnknown)
		refused("finished", active.ID(), spool.ErrBadState)
		refused("failed", pending.ID(), spool.ErrBadState)
		if got := must(active.Wait(ctx))(t); got != 8 {
			t.Errorf("the outcome has changed: %d", got)
		}
		if n := must(q.Counts(ctx))(t); n.Failed != 2 || n.Succeeded != 1 {
			t.Errorf("counts: %+v", n)
		}
	})
}

// PT-5: before it runs, a job's arguments and settings can be seen and changed; not what names it.
func TestEditBeforeItRuns(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		q := c.Queue("default")
		first := must(named.Put(ctx, c, "first"))(t)
		second := must(named.Put(ctx, c, "second"))(t)
		third := must(named.Put(ctx, c, "third", spool.Meta("a", "1"), spool.Retry(0, nil), spool.Timeout(1e9)))(t)
		edit := func(j *spool.Job[spool.None], args any, opts ...spool.Option) {
			t.Helper()
			if err := q.Edit(ctx, j.ID(), args, opts...); err != nil {
				t.Error(err)
			}
		}
		edit(first, "first, later", spool.Delay(1<<40))
		edit(second, "second, edited")
		edit(third, nil, spool.Priority(-5), spool.Meta("b", "2"))
		info := must(q.Get(ctx, third.ID()))(t)
		if argument(t, info) != "third" || info.Priority != -5 || info.Meta["a"] != "1" || info.Meta["b"] != "2" {
			t.Errorf("edited: %+v", info)
		}
		if got := names(ctx, t, q); !slices.Equal(got, []string{"third", "second, edited", "first, later"}) {
			t.Errorf("listed %q", got)
		}
		var field *spool.FieldError
		for name, opt := range map[string]spool.Option{"In": spool.In("other"), "ID": spool.ID("x"), "BeginBy": spool.BeginBy(1), "nil": nil, "bad": spool.Priority(5000)} {
			if err := q.Edit(ctx, second.ID(), "changed", opt); !errors.As(err, &field) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := q.Edit(ctx, second.ID(), make(chan int)); !errors.As(err, &field) {
			t.Errorf("arguments that cannot be encoded: %v", err)
		}
		w := oneByOne(c)
		expectRan(t, w.drained(ctx, t), "third", "second, edited")
		edit(first, "first, at once", spool.Delay(0))
		expectRan(t, w.drained(ctx, t), "first, at once")
	})
}

// PT-17, PT-5: an edit does not make it another job: the same Partial put once more is still that one.
func TestPutAgainAfterAnEdit(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		p := named.With("as put")
		j := must(p.Put(ctx, c))(t)
		if err := c.Queue("default").Edit(ctx, j.ID(), "as edited"); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Put(ctx, c); err != nil {
			t.Errorf("put again: %v", err)
		}
		expectRan(t, oneByOne(c).drained(ctx, t), "as edited")
	})
}
