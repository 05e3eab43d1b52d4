package spool_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool"
)

var (
	callbackVictim = spool.NewTask[int, int]("callback.victim", spool.Interruptions(0))
	callbackGate   = spool.NewTask[string, int]("callback.gate")
	callbackTold   = spool.NewReaction[int, string, int]("callback.told")
)

// callbackBook is what callbacks note of what they are told, and the gates of jobs that wait.
type callbackBook struct {
	mu    sync.Mutex // guards all
	told  map[string][]spool.Outcome[int]
	gates map[string]*callbackPass
}

// callbackPass is where a job waits, once it has begun.
type callbackPass struct{ began, opened chan struct{} }

func newCallbackBook() *callbackBook {
	return &callbackBook{told: map[string][]spool.Outcome[int]{}, gates: map[string]*callbackPass{}}
}

func (b *callbackBook) gate(name string) *callbackPass {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gates[name] == nil {
		b.gates[name] = &callbackPass{make(chan struct{}), make(chan struct{})}
	}
	return b.gates[name]
}

// of is what one callback was told, each time it ran.
func (b *callbackBook) of(label string) []spool.Outcome[int] {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]spool.Outcome[int](nil), b.told[label]...)
}

// runs is how many times callbacks ran, by label.
func (b *callbackBook) runs() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := map[string]int{}
	for label, told := range b.told {
		n[label] = len(told)
	}
	return n
}

// handle knows the tasks of the book: a callback's result is what it was told + 1000, or -1 for a failure.
func (b *callbackBook) handle(w *spool.Worker) {
	callbackGate.Handle(w, func(ctx context.Context, name string) (int, error) {
		g := b.gate(name)
		close(g.began)
		select {
		case <-g.opened:
			return 12, nil
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	})
	callbackTold.Handle(w, func(_ context.Context, p spool.Outcome[int], label string) (int, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.told[label] = append(b.told[label], p)
		if p.Err != nil {
			return -1, nil
		}
		return p.Value + 1000, nil
	})
}

// callbackShapes runs a test with callbacks in their job's queue, and in another one; its worker has not been started.
func callbackShapes(t *testing.T, test func(t *testing.T, s *server, c *spool.Client, w *spool.Worker, far []spool.Option)) {
	each(t, func(t *testing.T, s *server) {
		for name, far := range map[string][]spool.Option{"one": nil, "two": {spool.In("far")}} {
			t.Run(name, func(t *testing.T) {
				on(t, &server{s.name, s.addr, s.prefix}, func(t *testing.T, s *server) {
					c := s.client(t)
					w := spool.NewWorker(c, fast(spool.WorkerConfig{Queues: []string{"default", "far"}, ThreadSlots: 4}))
					flowHandlers(w)
					test(t, s, c, w, far)
				})
			})
		}
	})
}

// callbackAbort makes a worker that runs nothing but one task die under it, for others to find.
func (s *server) callbackAbort(t *testing.T, ctx context.Context, c *spool.Client) {
	t.Helper()
	dead := spool.NewWorker(c, spool.WorkerConfig{ReactorSlots: -1, Beat: time.Hour})
	began := make(chan struct{})
	callbackVictim.Handle(dead, func(ctx context.Context, n int) (int, error) {
		close(began)
		<-spool.Running(ctx).Stopping()
		return n, nil
	})
	work(t, dead)
	recv(t, "the victim begins", began)
	rdb := s.raw(t)
	name, _ := s.lastEngine(ctx, t, rdb)
	must(rdb.ZAddXX(ctx, s.key("default", "engines"), redis.Z{Score: 1, Member: name}).Result())(t)
}

// Callbacks of jobs that end in every way, added before the end, after it, and to what is long over: who is to run does,
// once, and is told of the job's own end; who is not ends as the job did, and so does its handle say. The jobs stay what
// they are. CB-2, CB-3, CB-4, CB-5, PT-12, B11.
func TestCallbacksOfEveryEnd(t *testing.T) {
	t.Parallel()
	callbackShapes(t, func(t *testing.T, s *server, c *spool.Client, w *spool.Worker, far []spool.Option) {
		ctx, q, book := within(t), c.Queue("default"), newCallbackBook()
		book.handle(w)
		later := spool.Delay(time.Hour)
		kinds := []struct {
			name string
			job  *spool.Job[int]
			end  func(j *spool.Job[int]) error
			is   error // nil: a success
			text string
		}{
			{"succeeded", must(times.Put(ctx, c, [2]int{3, 4}))(t), nil, nil, ""},
			{"failed", must(breaks.Put(ctx, c, "no"))(t), nil, nil, "no"},
			{"failed from outside", must(times.Put(ctx, c, [2]int{3, 4}, later))(t),
				func(j *spool.Job[int]) error { return q.Fail(ctx, j.ID(), errors.New("not wanted")) }, nil, "not wanted"},
			{"cancelled before", must(times.Put(ctx, c, [2]int{3, 4}, later))(t),
				func(j *spool.Job[int]) error { return j.Cancel(ctx) }, spool.ErrCancelled, ""},
			{"cancelled at work", must(callbackGate.Put(ctx, c, "cancel"))(t), func(j *spool.Job[int]) error {
				recv(t, "it begins", book.gate("cancel").began)
				return j.Cancel(ctx)
			}, spool.ErrCancelled, ""},
			{"expired", must(double.Put(ctx, c, 1, spool.BeginBy(time.Millisecond)))(t), nil, spool.ErrExpired, ""},
			{"aborted", must(callbackVictim.Put(ctx, c, 1))(t), nil, spool.ErrAborted, ""},
		}
		type threesome struct{ good, bad, done *spool.Job[int] }
		add := func(j *spool.Job[int], label string) threesome {
			t.Helper()
			return threesome{
				must(spool.OnSuccess(ctx, c, j, callbackTold.With(label+" good", far...)))(t),
				must(spool.OnFailure(ctx, c, j, callbackTold.With(label+" bad", far...)))(t),
				must(spool.OnDone(ctx, c, j, callbackTold.With(label+" done", far...)))(t),
			}
		}
		look := func(three threesome, j *spool.Job[int], label string, is error, text string) {
			t.Helper()
			failed := is != nil || text != ""
			same := func(err error) bool {
				return err != nil && (is == nil || errors.Is(err, is)) && (text == "" || err.Error() == text)
			}
			g, gErr := three.good.Wait(ctx)
			b, bErr := three.bad.Wait(ctx)
			d, dErr := three.done.Wait(ctx)
			var ran []string
			if failed {
				if !same(gErr) || b != -1 || bErr != nil || d != -1 || dErr != nil {
					t.Errorf("%s: %v; %d, %v; %d, %v", label, gErr, b, bErr, d, dErr)
				}
				ran = []string{label + " bad", label + " done"}
			} else {
				if g != 1012 || gErr != nil || b != 12 || bErr != nil || d != 1012 || dErr != nil {
					t.Errorf("%s: %d, %v; %d, %v; %d, %v", label, g, gErr, b, bErr, d, dErr)
				}
				ran = []string{label + " good", label + " done"}
			}
			n := book.runs()
			if n[label+" good"]+n[label+" bad"]+n[label+" done"] != 2 {
				t.Errorf("%s: %v", label, n)
			}
			for _, one := range ran {
				if told := book.of(one); len(told) != 1 || told[0].JobID != j.ID() || failed != (told[0].Err != nil) || failed && !same(told[0].Err) {
					t.Errorf("%s was told %+v", one, told)
				}
			}
		}
		before := make([]threesome, len(kinds))
		for i, k := range kinds {
			before[i] = add(k.job, k.name+" before")
		}
		s.callbackAbort(t, ctx, c)
		work(t, w)
		for i, k := range kinds {
			if k.end != nil {
				if err := k.end(k.job); err != nil {
					t.Fatalf("%s: %v", k.name, err)
				}
			}
			_, err := k.job.Wait(ctx)
			if (err != nil) != (k.is != nil || k.text != "") || k.is != nil && !errors.Is(err, k.is) {
				t.Errorf("%s: %v", k.name, err)
			}
			after := add(k.job, k.name+" after")
			look(before[i], k.job, k.name+" before", k.is, k.text)
			look(after, k.job, k.name+" after", k.is, k.text)
			var over *spool.JobInfo
			eventually(t, "it is completed", func() bool {
				over = must(q.Get(ctx, k.job.ID()))(t)
				return over.State == spool.StateCompleted
			})
			// What comes now leaves the state alone.
			long := add(k.job, k.name+" long after")
			info := must(q.Get(ctx, k.job.ID()))(t)
			if info.State != spool.StateCompleted || !info.KeptUntil.Equal(over.KeptUntil) {
				t.Errorf("%s: %+v", k.name, info)
			}
			look(long, k.job, k.name+" long after", k.is, k.text)
		}
	})
}

// A callback's own state, result and callbacks are its own: a failure callback that returns a value goes on as a success,
// while the job stays a failure; one that fails goes on as a failure. An empty branch passes the outcome on, also through
// several. CB-3, CB-4, B11.
func TestCallbacksOfCallbacks(t *testing.T) {
	t.Parallel()
	callbackShapes(t, func(t *testing.T, s *server, c *spool.Client, w *spool.Worker, far []spool.Option) {
		ctx, book := within(t), newCallbackBook()
		book.handle(w)
		worse := spool.NewReaction[int, string, int]("callback.worse", spool.Knows("test.known", errKnown))
		worse.Handle(w, func(_ context.Context, p spool.Outcome[int], what string) (int, error) {
			return 0, fmt.Errorf("%s: %w", what, errKnown)
		})
		work(t, w)
		no := must(breaks.Put(ctx, c, "no"))(t)
		saved := must(spool.OnFailure(ctx, c, no, rescue.With(0, far...)))(t)
		twice := must(spool.OnSuccess(ctx, c, saved, callbackTold.With("saved")))(t)
		never := must(spool.OnFailure(ctx, c, saved, callbackTold.With("never", far...)))(t)
		if got := must(saved.Wait(ctx))(t); got != 0 {
			t.Errorf("saved: %d", got)
		}
		if got := must(twice.Wait(ctx))(t); got != 1000 {
			t.Errorf("after it: %d", got)
		}
		if got, err := never.Wait(ctx); err != nil || got != 0 {
			t.Errorf("an empty branch: %d, %v", got, err)
		}
		if _, err := no.Wait(ctx); err == nil || err.Error() != "no" {
			t.Errorf("the job itself: %v", err)
		}
		yes := must(times.Put(ctx, c, [2]int{5, 3}))(t)
		bad := must(spool.OnSuccess(ctx, c, yes, worse.With("worse", far...)))(t)
		through := must(spool.OnSuccess(ctx, c, bad, multiply.With(2)))(t)
		again := must(spool.OnSuccess(ctx, c, through, multiply.With(3, far...)))(t)
		heard := must(spool.OnFailure(ctx, c, again, callbackTold.With("heard")))(t)
		if got := must(heard.Wait(ctx))(t); got != -1 {
			t.Errorf("heard: %d", got)
		}
		for _, j := range []*spool.Job[int]{bad, worse.Job(c, through.String()), worse.Job(c, again.String())} {
			if _, err := j.Wait(ctx); !errors.Is(err, errKnown) || err.Error() != "worse: a known error" {
				t.Errorf("%s: %v", j, err)
			}
		}
		if told := book.of("heard"); len(told) != 1 || told[0].JobID != again.ID() {
			t.Errorf("told %+v, want %s", told, again.ID())
		}
		if got := must(yes.Wait(ctx))(t); got != 15 {
			t.Errorf("the job itself: %d", got)
		}
	})
}

// B10: a job and its callback, looked at before, while each runs, and after. The answer is there when the job has ended,
// not when its callbacks have.
func TestStatesOfAJobWithCallbacks(t *testing.T) {
	t.Parallel()
	callbackShapes(t, func(t *testing.T, s *server, c *spool.Client, w *spool.Worker, far []spool.Option) {
		ctx, q, book := within(t), c.Queue("default"), newCallbackBook()
		book.handle(w)
		began, let := make(chan struct{}), make(chan struct{})
		held := spool.NewReaction[int, int, int]("callback.states")
		held.Handle(w, func(_ context.Context, p spool.Outcome[int], n int) (int, error) {
			close(began)
			<-let
			return p.Value + n, p.Err
		})
		j := must(callbackGate.Put(ctx, c, "states"))(t)
		a := must(spool.OnDone(ctx, c, j, held.With(30, far...)))(t)
		state := func(what string, id string, want spool.State) *spool.JobInfo {
			t.Helper()
			info := must(q.Get(ctx, id))(t)
			if info.State != want {
				t.Errorf("%s is %s, not %s", what, info.State, want)
			}
			return info
		}
		state("the job, put", j.ID(), spool.StatePending)
		state("its callback", a.ID(), spool.StatePending)
		if n := must(q.Counts(ctx))(t); n.Waiting != 1 {
			t.Errorf("%+v", n)
		}
		work(t, w)
		recv(t, "the job begins", book.gate("states").began)
		if info := state("the job at work", j.ID(), spool.StateActive); info.Outcome != "" {
			t.Errorf("%+v", info)
		}
		close(book.gate("states").opened)
		if got := must(j.Wait(ctx))(t); got != 12 {
			t.Errorf("got %d", got)
		}
		recv(t, "the callback begins", began)
		var result int
		info := state("the job while its callback runs", j.ID(), spool.StateCallbacks)
		if ok, err := info.Result(&result); !ok || err != nil || result != 12 || info.Outcome != "succeeded" {
			t.Errorf("%v, %v, %+v", ok, err, info)
		}
		state("the callback", a.ID(), spool.StateActive)
		if n := must(q.Counts(ctx))(t); n.Callbacks != 1 {
			t.Errorf("%+v", n)
		}
		if got := must(j.Wait(ctx))(t); got != 12 {
			t.Errorf("asked again: %d", got)
		}
		close(let)
		if got := must(a.Wait(ctx))(t); got != 42 {
			t.Errorf("the callback: %d", got)
		}
		state("the job in the end", j.ID(), spool.StateCompleted)
		state("the callback in the end", a.ID(), spool.StateCompleted)
		if n := must(q.Counts(ctx))(t); n.Callbacks+n.Waiting+n.Adopting != 0 {
			t.Errorf("%+v", n)
		}
	})
}
