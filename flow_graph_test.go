package spool_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spooljobs/spool"
)

// A diamond, in which the join has outcomes of several types, in the order of its list.
func TestGraphDiamond(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		work(t, f.w)
		g := spool.NewGraph(spool.ID("diamond"), spool.In("default"))
		top := spool.GraphTask(g, flowStep.With("hold top", f.far...))
		left := spool.GraphTask(g, flowValue.With(1), top)
		right := spool.GraphTask(g, spool.First(flowStep.With("fail"), flowStep.With("right", f.far...)), top)
		extra := spool.GraphTask(g, flowStep.With("extra"))
		bottom := spool.GraphJoin(g, listed.With(None{}, f.far...), right, left, extra)
		spool.GraphTask(g, flowLight.With("after"), bottom, extra)
		j := must(g.Partial().Put(f.ctx, f.c))(t)
		f.begins(t, "hold top")
		eventually(t, "extra has ended", func() bool { return must(j.Parts(f.ctx))(t) == spool.Parts{Total: 6, Ended: 1} })
		f.free("hold top")
		all := must(j.Wait(f.ctx))(t)
		var words []string
		for _, o := range all {
			if o.Err != nil || o.JobID == "" {
				t.Errorf("%+v", o)
			}
			words = append(words, fmt.Sprint(o.Value))
		}
		if got := strings.Join(words, ","); got != "hold top,1,right,extra,right 1 extra ,after" {
			t.Error(got)
		}
		at := map[string]int{}
		for i, e := range f.events() {
			at[e] = i
		}
		if at["+1"] < at["-hold top"] || at["+right"] < at["-hold top"] || at["+after"] < at["-1"] || at["+after"] < at["-right"] {
			t.Error(f.events())
		}
	})
}

// A node may say for itself what a failure before it means; the graph says it for the others and for itself.
func TestGraphWhenPartFails(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		work(t, f.w)
		build := func(whole, node spool.Rest) (*spool.Job[[]spool.Outcome[any]], error) {
			g := spool.NewGraph(spool.WhenPartFails(whole))
			bad := spool.GraphTask(g, flowStep.With("fail", f.far...))
			next := spool.GraphTask(g, flowStep.With("next", spool.WhenPartFails(node)), bad)
			spool.GraphJoin(g, listed.With(None{}, f.far...), bad, next)
			return g.Partial().Put(f.ctx, f.c)
		}
		for i, c := range []struct {
			whole, node spool.Rest
			want        string
		}{
			{spool.ContinueRest, spool.ContinueRest, "failed next done"},
			{spool.ContinueRest, spool.FailRest, "failed failed done"},
			{spool.ContinueRest, spool.CancelRest, "failed cancelled done"},
			{spool.FailRest, spool.ContinueRest, "!failed"},
			{spool.CancelRest, spool.ContinueRest, "!cancelled"},
		} {
			all, err := must(build(c.whole, c.node))(t).Wait(f.ctx)
			var words []string
			for i, o := range all {
				switch {
				case o.Err != nil:
					words = append(words, endOf(o.Err))
				case i == 2:
					words = append(words, "done")
				default:
					words = append(words, fmt.Sprint(o.Value))
				}
			}
			got := strings.Join(words, " ")
			if err != nil {
				got = "!" + endOf(err)
			}
			if got != c.want {
				t.Errorf("%d: %s, not %s", i, got, c.want)
			}
		}
	})
}

// Then and Join say among the options of what follows whether it is to be run after a failure.
func TestThenWhenPartFails(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		work(t, f.w)
		rests := map[spool.Rest][2]string{spool.ContinueRest: {"saw(failed)", "j:failed b"}, spool.FailRest: {"failed", "failed"}, spool.CancelRest: {"cancelled", "cancelled"}}
		for rest, want := range rests {
			then := spool.Then(flowStep.With("fail", f.far...), flowSaw.With("saw", spool.WhenPartFails(rest)))
			join := spool.Join(flowNames.With("j:", spool.WhenPartFails(rest)), flowStep.With("fail"), flowStep.With("b", f.far...))
			for i, p := range []spool.Partial[string]{then, join} {
				got, err := must(p.Put(f.ctx, f.c))(t).Wait(f.ctx)
				if err != nil {
					got = endOf(err)
				}
				if got != want[i] {
					t.Errorf("%v %d: %s", rest, i, got)
				}
			}
		}
	})
}

// More nodes than a call takes out of a graph, each after the two before it.
func TestGraphOfMany(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		f := &flowShow{server: s, c: s.client(t), ctx: within(t)}
		work(t, f.worker(f.c))
		g := spool.NewGraph()
		a, b := (*spool.Node)(nil), spool.GraphTask(g, flowValue.With(0))
		a = b
		const n = 520
		for i := 1; i < n; i++ {
			if i < n-20 {
				spool.GraphTask(g, flowValue.With(i))
				continue
			}
			a, b = b, spool.GraphTask(g, flowValue.With(i), a, b)
		}
		all, err := must(g.Partial().Put(f.ctx, f.c))(t).Wait(f.ctx)
		if err != nil || len(all) != n {
			t.Fatal(len(all), err)
		}
		for i, o := range all {
			if fmt.Sprint(o.Value) != fmt.Sprint(i) {
				t.Fatalf("%d: %+v", i, o)
			}
		}
	})
}

var flowHands = spool.NewTask[spool.Partial[string], string]("flow.hands")

// PT-17: a flow is an argument: who is given it puts it, and answers with it.
func TestFlowIsAnArgument(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		flowHands.HandleTx(f.w, func(ctx context.Context, tx *spool.Tx, p spool.Partial[string]) (string, error) {
			j, err := p.Put(ctx, tx)
			if err != nil {
				return "", err
			}
			return spool.Become(j)
		})
		work(t, f.w)
		flow := spool.Join(flowNames.With("j:"), flowStep.With("a", f.far...), spool.First(flowStep.With("fail"), flowStep.With("b", f.far...)).OnSuccess(flowSaw.With("told")))
		j := must(flowHands.Put(f.ctx, f.c, flow))(t)
		if got := must(j.Wait(f.ctx))(t); got != "j:a b" {
			t.Error(got)
		}
		// Whoever puts it once more finds it there.
		if got := must(must(flow.Put(f.ctx, f.c))(t).Wait(f.ctx))(t); got != "j:a b" {
			t.Error(got)
		}
		inner := flowHands.With(flowStep.With("c"))
		race := spool.First(flowHands.With(flowStep.With("fail"), f.far...), inner)
		if got := must(must(race.Put(f.ctx, f.c))(t).Wait(f.ctx))(t); got != "c" {
			t.Error(got)
		}
		eventually(t, "the callback of the race has run", func() bool { return f.times("+told") == 1 })
		if f.times("+a") != 1 || f.times("+b") != 1 || f.times("+c") != 1 {
			t.Error(f.events())
		}
	})
}

// A client that is told of a mistake in a part has put nothing.
func TestGraphOfOthersNodes(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c, ctx := s.client(t), within(t)
		g, other := spool.NewGraph(), spool.NewGraph()
		n := spool.GraphTask(other, flowStep.With("a"))
		spool.GraphTask(g, flowStep.With("b"), n)
		var bad *spool.FieldError
		if _, err := g.Partial().Put(ctx, c); !errors.As(err, &bad) || bad.Field != "node" || bad.Value != flowStep.Name() {
			t.Error(err)
		}
		if n := must(c.Queue("default").Counts(ctx))(t); n.Pending() != 0 {
			t.Errorf("%+v", n)
		}
	})
}
