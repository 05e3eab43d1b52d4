package spool_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/spooljobs/spool"
)

// All parts are under way at once, and the outcomes come in the order of the arguments, not of the ends.
func TestParallelIsSideBySide(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		work(t, f.w)
		j := must(spool.Parallel(flowStep.With("hold a", f.far...), flowStep.With("hold b"), flowLight.With("hold c", f.far...)).Put(f.ctx, f.c))(t)
		for _, name := range []string{"hold a", "hold b", "hold c"} {
			f.begins(t, name)
		}
		if parts := must(j.Parts(f.ctx))(t); parts != (spool.Parts{Total: 3}) {
			t.Errorf("%+v", parts)
		}
		for i, name := range []string{"hold c", "hold b"} {
			f.free(name)
			eventually(t, name+" has ended", func() bool { return must(j.Parts(f.ctx))(t) == spool.Parts{Total: 3, Ended: i + 1} })
		}
		f.free("hold a")
		if got := flowWait(t, f, j); got != "hold a hold b hold c" {
			t.Error(got)
		}
		if _, err := j.Parts(f.ctx); !errors.Is(err, spool.ErrBadState) {
			t.Error(err)
		}
	})
}

// More parts than one call takes out of a graph. The client that has put the flow is closed at once; the worker comes later.
func TestParallelOfManyOutlivesItsClient(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		n := 1200
		if f.far != nil {
			n = 600
		}
		c, err := spool.Open(f.ctx, "redis://"+f.addr, spool.ClientConfig{Prefix: f.prefix, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		parts := make([]spool.Partial[int], n)
		for i := range parts {
			var opts []spool.Option
			if i%100 == 99 {
				opts = f.far
			}
			parts[i] = flowValue.With(i, opts...)
		}
		j, err := spool.Join(flowPost.With("all", spool.ID("all")), parts...).Put(f.ctx, c)
		if err := errors.Join(err, c.Close()); err != nil {
			t.Fatal(err)
		}
		w := f.worker(f.c)
		work(t, w)
		got := must(flowPost.Job(f.c, j.ID()).Wait(f.ctx))(t)
		if len(got.Values) != n || len(got.Errs) > 0 || got.Lead != "all" {
			t.Fatalf("%d values, errors %v", len(got.Values), got.Errs)
		}
		for i, v := range got.Values {
			if v != i {
				t.Fatalf("the %d-th is %d", i, v)
			}
		}
		seen := map[string]int{}
		for _, e := range f.events() {
			seen[e]++
		}
		for e, times := range seen {
			if times != 1 {
				t.Errorf("%s: %d times", e, times)
			}
		}
		if len(seen) != 2*n {
			t.Errorf("%d events", len(seen))
		}
	})
}

// A part that was put by itself goes its own way, and the flow follows it: also if it has ended, or runs.
func TestFlowOfPartsThatWerePutBefore(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		work(t, f.w)
		ended, broken, runs := flowStep.With("a"), flowStep.With("fail"), flowStep.With("hold")
		must(must(ended.Put(f.ctx, f.c))(t).Wait(f.ctx))(t)
		if _, err := must(broken.Put(f.ctx, f.c))(t).Wait(f.ctx); !errors.Is(err, errStep) {
			t.Error(err)
		}
		must(runs.Put(f.ctx, f.c))(t)
		f.begins(t, "hold")
		side := must(spool.Parallel(ended, flowStep.With("b", f.far...), broken, runs).Put(f.ctx, f.c))(t)
		series := must(spool.Serial(runs, flowStep.With("c", f.far...), ended, broken).Put(f.ctx, f.c))(t)
		race := must(spool.First(broken, ended).Put(f.ctx, f.c))(t)
		if got := must(race.Wait(f.ctx))(t); got != "a" {
			t.Error(got)
		}
		doomed := must(spool.Parallel(runs, flowStep.With("d")).Put(f.ctx, f.c))(t)
		if err := doomed.Cancel(f.ctx); err != nil {
			t.Error(err)
		}
		f.free("hold")
		if got := flowWait(t, f, side); got != "a b failed hold" {
			t.Error(got)
		}
		if got := flowWait(t, f, series); got != "hold c a failed" {
			t.Error(got)
		}
		for _, name := range []string{"a", "fail", "hold"} {
			if n := f.times("+" + name); n != 1 {
				t.Errorf("%s ran %d times", name, n)
			}
		}
	})
}

// A part that is put by itself afterwards is the same job, and does not run again.
func TestPartsThatArePutAgain(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		work(t, f.w)
		a, b := flowStep.With("a", f.far...), flowStep.With("b")
		j := must(spool.Parallel(a, b, flowStep.With("hold")).With(spool.In("default")).Put(f.ctx, f.c))(t)
		f.begins(t, "hold")
		eventually(t, "two have ended", func() bool { return must(j.Parts(f.ctx))(t).Ended == 2 })
		for range 3 {
			must(b.Put(f.ctx, f.c))(t)
		}
		f.free("hold")
		if got := flowWait(t, f, j); got != "a b hold" {
			t.Error(got)
		}
		must(b.Put(f.ctx, f.c))(t)
		must(must(flowStep.Put(f.ctx, f.c, "last", spool.Priority(1000)))(t).Wait(f.ctx))(t)
		if f.times("+b") != 1 {
			t.Error(f.events())
		}
	})
}

// A flow has an id like any job: put twice it is one flow, and the id bears no other.
func TestFlowIDs(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		work(t, f.w)
		a, b := flowStep.With("a", append(f.far, spool.ID("a"))...), flowStep.With("b")
		p := spool.Parallel(a, b).With(spool.ID("mine"))
		for range 2 {
			if got := flowWait(t, f, must(p.Put(f.ctx, f.c))(t)); got != "a b" {
				t.Error(got)
			}
		}
		again := spool.Parallel(a, b).With(spool.ID("mine"))
		if got := flowWait(t, f, must(again.Put(f.ctx, f.c))(t)); got != "a b" {
			t.Error(got)
		}
		if f.times("+a") != 1 || f.times("+b") != 1 {
			t.Error(f.events())
		}
		// The parts of a flow do not tell it from another one, its kind does.
		home := spool.In(must(p.Put(f.ctx, f.c))(t).Queue())
		other := spool.Parallel(flowStep.With("c")).With(spool.ID("mine"), home)
		if got := flowWait(t, f, must(other.Put(f.ctx, f.c))(t)); got != "a b" {
			t.Error(got)
		}
		if _, err := spool.First(flowStep.With("c")).With(spool.ID("mine"), home).Put(f.ctx, f.c); !errors.Is(err, spool.ErrIDTaken) {
			t.Error(err)
		}
		if f.times("+c") != 0 {
			t.Error("a part of a flow that was not taken in has run")
		}
	})
}

// A part whose id bears another job fails with that; what follows it knows, and is not moved by the other job.
func TestFlowOfATakenID(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		work(t, f.w)
		must(must(flowStep.Put(f.ctx, f.c, "other", spool.ID("mine")))(t).Wait(f.ctx))(t)
		must(flowStep.Put(f.ctx, f.c, "hold", spool.ID("hers")))(t)
		f.begins(t, "hold")
		taken := func(id string) spool.Partial[string] { return flowStep.With("x", append(f.far, spool.ID(id))...) }
		home := spool.In("default")
		for _, id := range []string{"mine", "hers"} {
			for want, p := range map[string]spool.Partial[[]spool.Outcome[string]]{
				"a taken b": spool.Parallel(flowStep.With("a"), taken(id), flowStep.With("b", f.far...)),
				"taken c":   spool.Serial(taken(id), flowStep.With("c")).With(home),
				"!taken":    spool.Parallel(taken(id), flowStep.With("hold d")).With(home, spool.WhenPartFails(spool.FailRest)),
			} {
				if got := flowWait(t, f, must(p.Put(f.ctx, f.c))(t)); got != want {
					t.Errorf("%s: got %s, not %s", id, got, want)
				}
			}
		}
		f.free("hold")
	})
}

// Flows are parts of flows, with callbacks of their own.
func TestFlowsInFlows(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		work(t, f.w)
		a := func(name string) spool.Partial[string] { return flowStep.With(name, f.far...) }
		race := spool.First(a("fail"), flowStep.With("x")).OnDone(flowSaw.With("told", f.far...))
		side := spool.Parallel(race, a("b").OnFailure(flowSaw.With("never")), spool.Then(a("c"), flowSaw.With("d")))
		next := spool.Join(flowNames.With("j:"), flowStep.With("e"), spool.First(a("f")))
		whole := spool.Serial(spool.Then(side, flowNames.With("s:", f.far...)), next, flowStep.With("last").OnSuccess(flowSaw.With("end")))
		j := must(whole.With(spool.WhenPartFails(spool.FailRest)).Put(f.ctx, f.c))(t)
		if got := flowWait(t, f, j); got != "s:x b d(c) j:e f last" {
			t.Error(got)
		}
		eventually(t, "the callbacks have run", func() bool { return f.times("+told") == 1 && f.times("+end") == 1 })
		if f.times("+never") != 0 {
			t.Error("an untaken branch has run")
		}
		at := map[string]int{}
		for i, e := range f.events() {
			at[e] = i
		}
		if at["+e"] < at["-x"] || at["+e"] < at["-b"] || at["+last"] < at["-e"] || at["+last"] < at["-f"] {
			t.Error(f.events())
		}
		// A Partial in two flows, one within the other, is one job.
		p := flowStep.With("shared")
		deep := spool.Parallel(spool.Then(spool.Serial(p, flowStep.With("g", f.far...)), flowNames.With("1:")), p)
		if got := flowWait(t, f, must(deep.Put(f.ctx, f.c))(t)); got != "1:shared g shared" || f.times("+shared") != 1 {
			t.Error(got)
		}
	})
}

// With lanes mixed, and one slot in each, a flow ends.
func TestFlowInMixedLanes(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		work(t, f.w)
		for i, p := range []spool.Partial[string]{
			spool.Join(flowNames.With("", spool.OnReactor()), flowStep.With("a"), flowLight.With("b", f.far...)),
			spool.Join(flowNames.With("", f.far...), flowLight.With("a"), flowStep.With("b")),
			spool.First(flowLight.With("a b"), flowStep.With("hold", f.far...)),
			spool.First(flowStep.With("hold", f.far...), flowLight.With("a b")),
			spool.Then(spool.Serial(flowLight.With("a", f.far...), flowStep.With("b")), flowNames.With("", spool.OnReactor())),
		} {
			if got := must(must(p.Put(f.ctx, f.c))(t).Wait(f.ctx))(t); got != "a b" {
				t.Errorf("%d: %s", i, got)
			}
		}
	})
}

// Of PutMany each is what it would be by itself.
func TestFlowsOfPutMany(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		work(t, f.w)
		var ps []spool.Partial[string]
		for i := range 12 {
			n := fmt.Sprint(i)
			switch i % 4 {
			case 0:
				ps = append(ps, flowStep.With(n))
			case 1:
				ps = append(ps, spool.First(flowStep.With("fail"), flowStep.With(n, f.far...)))
			case 2:
				ps = append(ps, spool.Join(flowNames.With(""), flowStep.With(n, f.far...)))
			default:
				ps = append(ps, spool.First[string]()) // a mistake
			}
		}
		results := must(spool.PutMany(f.ctx, f.c, ps))(t)
		for i, r := range results {
			if i%4 == 3 {
				var field *spool.FieldError
				if !errors.As(r.Err, &field) || field.Field != "First" {
					t.Errorf("%d: %v", i, r.Err)
				}
				continue
			}
			if r.Err != nil {
				t.Fatal(i, r.Err)
			}
			if got := must(r.Job.Wait(f.ctx))(t); got != fmt.Sprint(i) {
				t.Errorf("%d: %s", i, got)
			}
		}
	})
}

// SP-4: a worker is cut off in the middle of parts and of the join, and another goes on. What has ended is not run again.
func TestFlowOutlivesItsWorker(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for name, far := range map[string][]spool.Option{"one": nil, "two": {spool.In("far")}} {
			t.Run(name, func(t *testing.T) {
				ctx, c, p := within(t), s.client(t), s.proxied(t)
				first := &flowShow{server: s, c: c, ctx: ctx, gates: map[string]chan struct{}{}, begun: map[string]chan struct{}{}}
				second := &flowShow{server: s, c: c, ctx: ctx, gates: map[string]chan struct{}{}, begun: map[string]chan struct{}{}}
				stop := work(t, first.worker(s.clientAt(t, p.Addr())))
				j := must(spool.Serial(flowStep.With("a", far...), flowStep.With("hold b", far...), flowStep.With("c", far...)).Put(ctx, c))(t)
				q := must(spool.Parallel(flowStep.With("d"), flowStep.With("hold e", far...)).Put(ctx, c))(t)
				first.begins(t, "hold b")
				first.begins(t, "hold e")
				eventually(t, "d has ended", func() bool { return must(q.Parts(ctx))(t).Ended == 1 })
				p.Down()
				work(t, second.worker(c))
				for _, name := range []string{"hold b", "hold e"} {
					second.begins(t, name)
					second.free(name)
				}
				if got := flowWait(t, second, j); got != "a hold b c" {
					t.Error(got)
				}
				if got := flowWait(t, second, q); got != "d hold e" {
					t.Error(got)
				}
				if got := second.times("+a") + second.times("+d") + first.times("+c"); got != 0 {
					t.Error(first.events(), second.events())
				}
				if err := p.Up(); err != nil {
					t.Error(err)
				}
				if err := stop(); err != nil {
					t.Error(err)
				}
			})
		}
	})
}

var errNoFlow = errors.New("no flow")

// What is run on commit is a flow like any other; what an attempt that came to nothing has put is not there.
func TestFlowsOfTransactions(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		var puts [2]*spool.Job[[]spool.Outcome[string]]
		tries := 0
		flowPuts.HandleTx(f.w, func(ctx context.Context, tx *spool.Tx, good bool) (string, error) {
			p := spool.Parallel(flowStep.With("of a job"), flowStep.With("b", f.far...))
			j, err := spool.Then(p, flowNames.With("")).Put(ctx, tx)
			if err == nil && !good {
				err = errNoFlow
			}
			if err != nil {
				return "", err
			}
			return spool.Become(j)
		})
		work(t, f.w)
		for i, queue := range []string{"default", "far"} {
			err := f.c.Transact(f.ctx, func(ctx context.Context, tx *spool.Tx) (err error) {
				tries++
				puts[i], err = spool.Serial(flowStep.With("a"), flowStep.With("b", f.far...)).Put(ctx, tx)
				return err
			}, spool.TxConfig{Queue: queue})
			if err != nil {
				t.Fatal(err)
			}
			if got := flowWait(t, f, puts[i]); got != "a b" {
				t.Error(got)
			}
		}
		err := f.c.Transact(f.ctx, func(ctx context.Context, tx *spool.Tx) error {
			_, err := spool.Serial(flowStep.With("never"), flowStep.With("never", f.far...)).Put(ctx, tx)
			return errors.Join(err, errNoFlow)
		})
		if !errors.Is(err, errNoFlow) {
			t.Error(err)
		}
		if got := must(must(flowPuts.Put(f.ctx, f.c, true))(t).Wait(f.ctx))(t); got != "of a job b" {
			t.Error(got)
		}
		before := f.times("+of a job")
		if _, err := must(flowPuts.Put(f.ctx, f.c, false))(t).Wait(f.ctx); err == nil {
			t.Error("no error")
		}
		if f.times("+of a job") != before || f.times("+never") != 0 {
			t.Error(f.events())
		}
	})
}

var flowPuts = spool.NewTask[bool, string]("flow.puts")
