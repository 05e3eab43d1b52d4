package spool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spooljobs/spool"
)

var errStep = errors.New("a step that fails")

// flowTuple is what a join has seen.
type flowTuple struct {
	Lead   string
	Values []int
	Errs   []string
}

var (
	// flowStep answers with its argument. One that begins with "fail" fails, one that begins with "cancel" cancels itself, one
	// that begins with "hold" waits until it is let go or cancelled.
	flowStep    = spool.NewTask[string, string]("flow.step", spool.Knows("flow.step", errStep))
	flowLight   = spool.NewTask[string, string]("flow.light", spool.OnReactor())
	flowUnknown = spool.NewTask[string, string]("flow.unknown") // no worker knows it
	flowValue   = spool.NewTask[int, int]("flow.value", spool.Knows("flow.step", errStep))
	flowPost    = spool.NewReaction[[]spool.Outcome[int], string, flowTuple]("flow.post")
	flowNames   = spool.NewReaction[[]spool.Outcome[string], string, string]("flow.names")
	flowSaw     = spool.NewReaction[string, string, string]("flow.saw")
)

// flowShow is a worker that plays flows, and what it has seen of them.
type flowShow struct {
	*server
	c   *spool.Client
	w   *spool.Worker
	ctx context.Context
	far []spool.Option // where some parts run

	mu    sync.Mutex // guards what follows
	seen  []string   // what has begun (+) and ended (-), in order
	gates map[string]chan struct{}
	begun map[string]chan struct{}
}

// flows is shapes with the tasks above, and a worker that begins when it is told to. The order of the events is the test's to
// look at.
func flows(t *testing.T, test func(t *testing.T, f *flowShow)) {
	each(t, func(t *testing.T, s *server) {
		for name, far := range map[string][]spool.Option{"one": nil, "two": {spool.In("far")}} {
			t.Run(name, func(t *testing.T) {
				s := &server{s.name, s.addr, s.prefix}
				on(t, s, func(*testing.T, *server) {}) // a place of its own: ids are the same in both shapes
				f := &flowShow{server: s, c: s.client(t), ctx: within(t), far: far, gates: map[string]chan struct{}{}, begun: map[string]chan struct{}{}}
				f.w = f.worker(f.c)
				test(t, f)
			})
		}
	})
}

func (f *flowShow) worker(c *spool.Client) *spool.Worker {
	w := spool.NewWorker(c, fast(spool.WorkerConfig{Queues: []string{"default", "far"}, ThreadSlots: 6}))
	flowHandlers(w)
	flowStep.Handle(w, f.step)
	flowLight.Handle(w, f.step)
	flowValue.Handle(w, func(_ context.Context, n int) (int, error) {
		f.note("+" + fmt.Sprint(n))
		defer f.note("-" + fmt.Sprint(n))
		if n < 0 {
			return 0, fmt.Errorf("%d: %w", n, errStep)
		}
		return n, nil
	})
	flowPost.Handle(w, func(_ context.Context, p spool.Outcome[[]spool.Outcome[int]], lead string) (flowTuple, error) {
		tuple := flowTuple{Lead: lead}
		for _, o := range p.Value {
			tuple.Values = append(tuple.Values, o.Value)
			if o.Err != nil {
				tuple.Errs = append(tuple.Errs, o.Err.Error())
			}
		}
		return tuple, p.Err
	})
	flowNames.Handle(w, func(_ context.Context, p spool.Outcome[[]spool.Outcome[string]], lead string) (string, error) {
		return lead + flowText(p.Value, p.Err), nil
	})
	flowNamesOf.Handle(w, func(_ context.Context, p spool.Outcome[string], _ string) (string, error) { return p.Value, p.Err })
	flowSaw.Handle(w, func(_ context.Context, p spool.Outcome[string], name string) (string, error) {
		f.note("+" + name)
		return name + "(" + flowText([]spool.Outcome[string]{p}, nil) + ")", nil
	})
	return w
}

// flowText says what outcomes are: the values, a word for each end that was no success.
func flowText(list []spool.Outcome[string], err error) string {
	if err != nil {
		return "!" + endOf(err)
	}
	var words []string
	for _, o := range list {
		if o.Err != nil {
			words = append(words, endOf(o.Err))
		} else {
			words = append(words, o.Value)
		}
	}
	return strings.Join(words, " ")
}

func endOf(err error) string {
	for word, kind := range map[string]error{"cancelled": spool.ErrCancelled, "expired": spool.ErrExpired, "aborted": spool.ErrAborted,
		"unknown": spool.ErrUnknown, "taken": spool.ErrIDTaken, "large": spool.ErrTooLarge} {
		if errors.Is(err, kind) {
			return word
		}
	}
	return "failed"
}

func (f *flowShow) note(event string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, event)
}

func (f *flowShow) events() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.seen)
}

// times is how often something has happened.
func (f *flowShow) times(event string) (n int) {
	for _, e := range f.events() {
		if e == event {
			n++
		}
	}
	return n
}

func (f *flowShow) gate(m map[string]chan struct{}, name string) chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m[name] == nil {
		m[name] = make(chan struct{}, 10)
	}
	return m[name]
}

// begins waits until a step that is held has begun.
func (f *flowShow) begins(t *testing.T, name string) {
	t.Helper()
	recv(t, name+" begins", f.gate(f.begun, name))
}

// free lets a step go on, once.
func (f *flowShow) free(name string) { f.gate(f.gates, name) <- struct{}{} }

func (f *flowShow) step(ctx context.Context, name string) (string, error) {
	f.note("+" + name)
	defer f.note("-" + name)
	switch {
	case strings.HasPrefix(name, "fail"):
		return "", fmt.Errorf("%s: %w", name, errStep)
	case strings.HasPrefix(name, "cancel"):
		return "", spool.Cancelled(errors.New(name))
	case strings.HasPrefix(name, "hold"):
		f.gate(f.begun, name) <- struct{}{}
		select {
		case <-f.gate(f.gates, name):
		case <-ctx.Done():
			f.note("learned " + name)
			return "", context.Cause(ctx)
		}
	}
	return name, nil
}

// flowWait is the outcome of a job as flowText says it.
func flowWait(t *testing.T, f *flowShow, j *spool.Job[[]spool.Outcome[string]]) string {
	t.Helper()
	return flowText(j.Wait(f.ctx))
}

func TestFlowC16(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		work(t, f.w)
		value := func(n int, opts ...spool.Option) spool.Partial[int] { return flowValue.With(n, opts...) }
		series := func() spool.Partial[[]spool.Outcome[int]] {
			return spool.Serial(value(0), value(1, f.far...), value(2))
		}
		side := func() spool.Partial[[]spool.Outcome[int]] {
			return spool.Parallel(value(7), value(14, f.far...), value(21))
		}
		for want, p := range map[string]spool.Partial[flowTuple]{
			"{ [0 1 2] []}":                                             spool.Then(series(), flowPost.With("")),
			"{foo [0 1 2] []}":                                          spool.Then(series(), flowPost.With("foo", f.far...)),
			"{foo [7 14 21] []}":                                        spool.Join(flowPost.With("foo"), value(7), value(14, f.far...), value(21)),
			"{bad [0 0 2] [-1: a step that fails]}":                     spool.Then(spool.Serial(value(0), value(-1, f.far...), value(2)), flowPost.With("bad")),
			"{bad [0 5] [-2: a step that fails]}":                       spool.Join(flowPost.With("bad", f.far...), value(-2), value(5)),
			"{all [0 0] [-3: a step that fails -4: a step that fails]}": spool.Then(spool.Parallel(value(-3), value(-4)), flowPost.With("all")),
		} {
			if got := fmt.Sprint(must(must(p.Put(f.ctx, f.c))(t).Wait(f.ctx))(t)); got != want {
				t.Errorf("got %v, not %v", got, want)
			}
		}
		if got := must(must(spool.Then(side(), sum.With(0)).Put(f.ctx, f.c))(t).Wait(f.ctx))(t); got != 42 {
			t.Errorf("the sum is %d", got)
		}
	})
}

// SP-1: each begins when the one before has ended, whatever its end and its queue.
func TestSerialIsStrict(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		work(t, f.w)
		j := must(spool.Serial(flowStep.With("a", f.far...), flowStep.With("fail b"), flowStep.With("cancel c", f.far...),
			flowLight.With("d"), flowStep.With("e", spool.Priority(-1000)), flowStep.With("f", f.far...)).Put(f.ctx, f.c))(t)
		all := must(j.Wait(f.ctx))(t)
		if got := flowText(all, nil); got != "a failed cancelled d e f" {
			t.Error(got)
		}
		if got := strings.Join(f.events(), " "); got != "+a -a +fail b -fail b +cancel c -cancel c +d -d +e -e +f -f" {
			t.Error(got)
		}
		if !errors.Is(all[1].Err, errStep) || !errors.Is(all[2].Err, spool.ErrCancelled) {
			t.Error(all[1].Err, all[2].Err)
		}
		var before time.Time
		for i, o := range all {
			info := must(f.c.Queue(j.Queue()).Get(f.ctx, o.JobID))(t)
			if info.Ended.Before(before) {
				t.Errorf("part %d ended at %v, the one before at %v", i, info.Ended, before)
			}
			before = info.Ended
		}
	})
}

// A wait before a part is counted from the end of the one before, so is its deadline.
func TestSerialWithDelays(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		work(t, f.w)
		j := must(spool.Serial(flowStep.With("hold"), flowStep.With("b", append(f.far, spool.Delay(40*time.Millisecond), spool.BeginBy(time.Minute))...)).Put(f.ctx, f.c))(t)
		f.begins(t, "hold")
		f.free("hold")
		all := must(j.Wait(f.ctx))(t)
		a, b := must(f.c.Queue(j.Queue()).Get(f.ctx, all[0].JobID))(t), must(f.c.Queue(j.Queue()).Get(f.ctx, all[1].JobID))(t)
		if waited := b.Ended.Sub(a.Ended); flowText(all, nil) != "hold b" || waited < 40*time.Millisecond {
			t.Errorf("%v after %v", flowText(all, nil), waited)
		}
	})
}

// What is to become of the rest when a part fails is said of the flow.
func TestSerialWhenPartFails(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		work(t, f.w)
		for i, c := range []struct {
			bad  spool.Partial[string]
			rest spool.Rest
			want string
		}{
			{flowStep.With("fail", f.far...), spool.ContinueRest, "a failed z0"},
			{flowStep.With("fail", f.far...), spool.FailRest, "!failed"},
			{flowStep.With("fail"), spool.CancelRest, "!cancelled"},
			{flowStep.With("cancel"), spool.ContinueRest, "a cancelled z3"},
			{flowStep.With("cancel", f.far...), spool.FailRest, "!cancelled"},
			{flowStep.With("cancel"), spool.CancelRest, "!cancelled"},
			{flowUnknown.With("", append(f.far, spool.BeginBy(time.Millisecond))...), spool.ContinueRest, "a expired z6"},
			{flowUnknown.With("", append(f.far, spool.BeginBy(time.Millisecond))...), spool.FailRest, "!expired"},
			{flowUnknown.With("", spool.BeginBy(time.Millisecond)), spool.CancelRest, "!cancelled"},
		} {
			last := fmt.Sprint("z", i)
			p := spool.Serial(flowStep.With("a"), c.bad, flowStep.With(last, spool.ID(last))).With(spool.WhenPartFails(c.rest))
			j := must(p.Put(f.ctx, f.c))(t)
			if got := flowWait(t, f, j); got != c.want {
				t.Errorf("%d: got %s, not %s", i, got, c.want)
			}
			_, err := flowStep.Job(f.c, last).Wait(f.ctx)
			switch c.rest {
			case spool.FailRest:
				if err == nil || "!"+endOf(err) != c.want || f.times("+"+last) != 0 {
					t.Errorf("%d: what follows: %v", i, err)
				}
			case spool.CancelRest:
				if !errors.Is(err, spool.ErrCancelled) || f.times("+"+last) != 0 {
					t.Errorf("%d: what follows: %v", i, err)
				}
			}
			if c.want == "!failed" {
				if _, err := j.Wait(f.ctx); !errors.Is(err, errStep) {
					t.Errorf("%d: %v", i, err)
				}
			}
		}
	})
}

// A flow of nothing, and one of one.
func TestSerialOfFew(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		work(t, f.w)
		for _, p := range []spool.Partial[[]spool.Outcome[string]]{spool.Serial[string](), spool.Parallel[string]()} {
			got, err := must(p.Put(f.ctx, f.c))(t).Wait(f.ctx)
			if err != nil || len(got) != 0 {
				t.Error(got, err)
			}
		}
		for _, p := range []spool.Partial[[]spool.Outcome[string]]{spool.Serial(flowStep.With("a", f.far...)), spool.Parallel(flowStep.With("a", f.far...))} {
			if got := flowWait(t, f, must(p.Put(f.ctx, f.c))(t)); got != "a" {
				t.Error(got)
			}
		}
		// A Partial that stands in a flow twice is one job, and runs once.
		p := flowStep.With("twice")
		if got := flowWait(t, f, must(spool.Serial(p, flowStep.With("b", f.far...), p).Put(f.ctx, f.c))(t)); got != "twice b" || f.times("+twice") != 1 {
			t.Error(got, f.events())
		}
	})
}
