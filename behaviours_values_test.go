package spool_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/failure"
)

// letter is what jobs that speak of other jobs take and give.
type letter struct {
	Job   *spool.Job[int]
	Call  spool.Partial[int]
	Jobs  map[string]*spool.Job[int]
	Extra *spool.Job[int]
}

// PT-4, PT-6: a handler gets its bound arguments, as they were when the job was put, and the job itself.
func TestHandlerGetsItsArgumentsAndItsJob(t *testing.T) {
	t.Parallel()
	type arguments struct {
		Names []string
		More  map[string]int
		At    time.Time
		None  *int
	}
	task := spool.NewTask[arguments, string]("takes.all")
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{Queues: []string{"other"}}))
		at := time.Date(2006, 7, 21, 11, 30, 0, 1, time.UTC)
		task.Handle(w, func(ctx context.Context, got arguments) (string, error) {
			if len(got.Names) != 2 || got.Names[1] != "b" || got.More["x"] != 7 || !got.At.Equal(at) || got.None != nil {
				t.Errorf("got %+v", got)
			}
			r := spool.Running(ctx)
			if r.Queue() != "other" || r.Task() != "takes.all" || r.Attempt() != 1 || r.Interruptions() != 0 || r.Meta("k") != "v" || r.Client() != c || r.Fence() == 0 || r.Stopping() == nil {
				t.Errorf("running %+v", r)
			}
			return r.ID(), nil
		})
		args := arguments{[]string{"a", "b"}, map[string]int{"x": 7}, at, nil}
		j := must(task.Put(ctx, c, args, spool.In("other"), spool.Meta("k", "v")))(t)
		args.Names[1], args.More["x"] = "changed", 8 // too late
		work(t, w)
		if got := must(j.Wait(ctx))(t); got != j.ID() {
			t.Errorf("running %q, put %q", got, j.ID())
		}
	})
	// Outside a worker a handler is a plain function, and the job at hand is none.
	r := spool.Running(t.Context())
	if r.ID() != "" || r.Attempt() != 1 || r.Client() != nil || r.Stopping() != nil || r.Meta("k") != "" {
		t.Errorf("outside a worker: %+v", r)
	}
}

// PT-16: a handle is an argument, a result, a stored text; elsewhere it finds the same job.
func TestJobHandleTravels(t *testing.T) {
	t.Parallel()
	reads := spool.NewTask[letter, letter]("reads")
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 2, Queues: []string{"default", "other"}}))
		double.Handle(w, func(ctx context.Context, n int) (int, error) { return 2 * n, nil })
		fails.Handle(w, func(ctx context.Context, how string) (int, error) { return 0, errKnown })
		reads.Handle(w, func(ctx context.Context, in letter) (letter, error) {
			got, err := in.Job.Wait(ctx) // by the worker's client
			if err != nil || got != 42 || in.Job.Queue() != "other" || in.Extra != nil {
				t.Errorf("the argument: %d, %v, %+v", got, err, in)
			}
			if _, err := in.Jobs["bad"].Wait(ctx); err == nil {
				t.Error("the failure of the other job is not there")
			}
			return letter{Job: in.Job, Call: double.With(0)}, nil
		})
		work(t, w)
		j := must(double.Put(ctx, c, 21, spool.In("other")))(t)
		bad := must(fails.Put(ctx, c, "x"))(t)
		back := must(must(reads.Put(ctx, c, letter{Job: j, Call: double.With(0), Jobs: map[string]*spool.Job[int]{"bad": bad}}))(t).Wait(ctx))(t)
		if back.Job.String() != j.String() || back.Extra != nil {
			t.Errorf("the result: %v, want %v", back.Job, j)
		}
		// Another process: all that is kept is text.
		text := must(j.MarshalText())(t)
		var stored struct{ Job *spool.Job[int] }
		if err := json.Unmarshal(must(json.Marshal(map[string]any{"Job": j}))(t), &stored); err != nil || stored.Job.String() != string(text) {
			t.Errorf("as JSON: %v, %v", stored.Job, err)
		}
		again := double.Job(s.client(t), string(text))
		if got := must(again.Wait(ctx))(t); got != 42 || again.ID() != j.ID() || again.Queue() != "other" {
			t.Errorf("by its text: %d, %v", got, again)
		}
		if _, err := fails.Job(s.client(t), bad.String()).Wait(ctx); !errors.Is(err, errKnown) {
			t.Errorf("by its text, errors that its task knows: %v", err)
		}
		// A handle without a client says so.
		var field *spool.FieldError
		if _, err := back.Job.Wait(ctx); !errors.As(err, &field) {
			t.Errorf("without a client: %v", err)
		}
		for _, text := range []string{"", "a b", "/x", "que{ue/x", "default/", "x/y/z"} {
			if err := new(spool.Job[int]).UnmarshalText([]byte(text)); !errors.As(err, &field) {
				t.Errorf("%q: %v", text, err)
			}
		}
		if _, err := new(spool.Job[int]).MarshalText(); !errors.As(err, &field) {
			t.Errorf("no job: %v", err)
		}
	})
}

// PT-17: a Partial is an argument of another, and stays the same call: whoever puts it, and however often, it is one
// job.
func TestPartialCarriesAPartial(t *testing.T) {
	t.Parallel()
	puts := spool.NewTask[spool.Partial[int], *spool.Job[int]]("puts")
	wraps := spool.NewTask[spool.Partial[*spool.Job[int]], *spool.Job[int]]("wraps")
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 3, ReactorSlots: 3, Queues: []string{"default", "other"}}))
		ran := make(chan int, 10)
		light.Handle(w, func(ctx context.Context, n int) (int, error) {
			ran <- n
			if r := spool.Running(ctx); r.Meta("k") != "v" || r.Queue() != "other" {
				t.Errorf("its settings did not travel: %+v", r)
			}
			return n + 1, nil
		})
		puts.Handle(w, func(ctx context.Context, p spool.Partial[int]) (*spool.Job[int], error) {
			return p.Put(ctx, spool.Running(ctx).Client())
		})
		wraps.Handle(w, func(ctx context.Context, p spool.Partial[*spool.Job[int]]) (*spool.Job[int], error) {
			j, err := p.Put(ctx, spool.Running(ctx).Client())
			if err != nil {
				return nil, err
			}
			return j.Wait(ctx)
		})
		work(t, w)
		call := light.With(6, spool.In("other"), spool.Meta("k", "v"), spool.Delay(time.Millisecond))
		inner := must(must(wraps.Put(ctx, c, puts.With(call)))(t).Wait(ctx))(t)
		again := must(must(puts.Put(ctx, c, call))(t).Wait(ctx))(t)
		j := must(call.Put(ctx, c))(t)
		if inner.String() != j.String() || again.String() != j.String() || j.Queue() != "other" {
			t.Errorf("three jobs: %v, %v, %v", inner, again, j)
		}
		if got := must(light.Job(c, inner.String()).Wait(ctx))(t); got != 7 {
			t.Errorf("got %d", got)
		}
		// Twice from With is two jobs.
		if other := must(light.With(6, spool.In("other"), spool.Meta("k", "v")).Put(ctx, c))(t); other.ID() == j.ID() {
			t.Error("another Partial is the same job")
		} else {
			must(other.Wait(ctx))(t)
		}
		if len(ran) != 2 {
			t.Errorf("it ran %d times", len(ran))
		}
		// A mistake in what is carried shows when the carrier is put.
		var field *spool.FieldError
		if _, err := puts.Put(ctx, c, light.With(1, spool.Priority(5000))); !errors.As(err, &field) {
			t.Errorf("carrying a mistake: %v", err)
		}
		if _, err := puts.Put(ctx, c, spool.Partial[int]{}); !errors.As(err, &field) {
			t.Errorf("carrying nothing: %v", err)
		}
	})
}

// A11, TW-24, TW-25: an ordinary error ends the job at its first attempt; what Wait returns elsewhere has type, message
// and frames, and the arguments by the names of their fields.
func TestFailureAsItsWaiterReadsIt(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		ctx := within(t)
		w := spool.NewWorker(s.client(t), fast(spool.WorkerConfig{}))
		add := spool.NewTask[addition, int]("add")
		add.Handle(w, func(ctx context.Context, a addition) (int, error) {
			return 0, &addError{a.Amount}
		})
		work(t, w)
		c := s.client(t)
		j := must(add.Put(ctx, c, addition{Counter: "hits", Amount: "one", secret: "hidden"}))(t)
		_, err := j.Wait(ctx)
		var f *failure.Failure
		if !errors.As(err, &f) {
			t.Fatalf("got %#v", err)
		}
		if f.Type != "*spool_test.addError" || f.Message != `cannot add "one"` || f.Panic || len(f.Frames) == 0 {
			t.Errorf("got %+v", f)
		}
		vars := map[string]string{}
		for _, frame := range f.Frames {
			if frame.Outer {
				t.Errorf("a frame of Spool's own was stored: %+v", frame)
			}
			for _, v := range frame.Vars {
				vars[v.Name] = v.Value
			}
		}
		if vars["Counter"] != `hits` && vars["Counter"] != `"hits"` || len(vars) != 2 {
			t.Errorf("arguments: %q", vars)
		}
		var other failure.Failure
		first := must(json.Marshal(f))(t)
		if err := json.Unmarshal(first, &other); err != nil || string(must(json.Marshal(&other))(t)) != string(first) {
			t.Errorf("a round trip through JSON changes it: %v", err)
		}
		if info := must(c.Queue("default").Get(ctx, j.ID()))(t); info.Attempts != 1 || info.Outcome != "failed" {
			t.Errorf("%+v", info)
		}
	})
}

type addition struct {
	Counter string
	Amount  string
	secret  string
}

type addError struct{ amount string }

func (e *addError) Error() string { return `cannot add "` + e.amount + `"` }
