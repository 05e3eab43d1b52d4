package spool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/spooljobs/spool"
)

var (
	flowGrow = spool.NewTask[int, string]("flow.grow")
	flowAdds = spool.NewReaction[string, string, string]("flow.adds")
)

// grows adds two parts of its own kind, one level less deep.
func grows(far []spool.Option) func(ctx context.Context, depth int) (string, error) {
	return func(ctx context.Context, depth int) (string, error) {
		for i := range min(depth, 1) * 2 {
			var opts []spool.Option
			if i == 1 {
				opts = far
			}
			if _, err := spool.Add(ctx, spool.Running(ctx).Client(), spool.Flow[string](ctx), flowGrow.With(depth-1, opts...)); err != nil {
				return "", err
			}
		}
		return fmt.Sprint(depth), nil
	}
}

// SP-3: parts add parts, three deep; a callback adds one before it ends.
func TestBatchGrowsFromInside(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		flowGrow.Handle(f.w, grows(f.far))
		work(t, f.w)
		j := must(spool.Join(flowNames.With(""), flowGrow.With(3, f.far...)).Put(f.ctx, f.c))(t)
		words := strings.Fields(must(j.Wait(f.ctx))(t))
		slices.Sort(words)
		if got := strings.Join(words, ""); got != "000000001111223" {
			t.Error(got)
		}
		if spool.Flow[string](f.ctx) != nil {
			t.Error("a flow outside of a job")
		}
	})
}

func TestBatchGrowsByACallback(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		var late error
		flowAdds.Handle(f.w, func(ctx context.Context, p spool.Outcome[string], id string) (string, error) {
			batch := &spool.Job[[]spool.Outcome[string]]{}
			if err := batch.UnmarshalText([]byte(id)); err != nil {
				return "", err
			}
			_, late = spool.Add(ctx, spool.Running(ctx).Client(), batch, flowStep.With("more", f.far...))
			return p.Value, late
		})
		work(t, f.w)
		part := flowStep.With("hold a", f.far...).OnSuccess(flowAdds.With("default/batch", spool.ID("adds")))
		j := must(spool.Parallel(part, flowStep.With("hold b")).With(spool.ID("batch"), spool.In("default")).Put(f.ctx, f.c))(t)
		f.begins(t, "hold a")
		f.begins(t, "hold b")
		f.free("hold a")
		eventually(t, "a part is added", func() bool { return must(j.Parts(f.ctx))(t) == spool.Parts{Total: 3, Ended: 2} })
		f.free("hold b")
		if got := flowWait(t, f, j); got != "hold a hold b more" || late != nil {
			t.Error(got, late)
		}
	})
}

// From outside, as long as the flow waits for others; to a transaction; after the end it is too late.
func TestBatchGrowsFromOutside(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		work(t, f.w)
		j := must(spool.Parallel(flowStep.With("hold")).Put(f.ctx, f.c))(t)
		f.begins(t, "hold")
		p := flowStep.With("b", f.far...)
		for range 2 {
			must(spool.Add(f.ctx, f.c, j, p))(t)
		}
		in := must(spool.Add(f.ctx, f.c, j, spool.First(flowStep.With("fail", f.far...), flowStep.With("c"))))(t)
		if got := must(in.Wait(f.ctx))(t); got != "c" {
			t.Error(got)
		}
		for _, queue := range []string{"default", "far"} {
			err := f.c.Transact(f.ctx, func(ctx context.Context, tx *spool.Tx) error {
				_, err := spool.Add(ctx, tx, j, flowStep.With(queue, spool.In("far")))
				return err
			}, spool.TxConfig{Queue: queue})
			if err != nil {
				t.Fatal(err)
			}
		}
		err := f.c.Transact(f.ctx, func(ctx context.Context, tx *spool.Tx) error {
			_, err := spool.Add(ctx, tx, j, flowStep.With("never"))
			return errors.Join(err, errNoFlow)
		})
		if !errors.Is(err, errNoFlow) {
			t.Error(err)
		}
		eventually(t, "all others have ended", func() bool { return must(j.Parts(f.ctx))(t) == spool.Parts{Total: 5, Ended: 4} })
		f.free("hold")
		if got := flowWait(t, f, j); got != "hold b c default far" || f.times("+b") != 1 || f.times("+never") != 0 {
			t.Error(got)
		}
		if _, err := spool.Add(f.ctx, f.c, j, flowStep.With("late")); !errors.Is(err, spool.ErrBadState) {
			t.Error(err)
		}
		err = f.c.Transact(f.ctx, func(ctx context.Context, tx *spool.Tx) error {
			_, err := spool.Add(ctx, tx, j, flowStep.With("late"))
			return err
		})
		if !errors.Is(err, spool.ErrBadState) {
			t.Errorf("late, in a transaction: %v", err)
		}
		single := must(flowStep.Put(f.ctx, f.c, "hold single"))(t)
		f.begins(t, "hold single")
		if _, err := spool.Add(f.ctx, f.c, (&spool.Task[None, []spool.Outcome[string]]{}).Job(f.c, single.ID()), flowStep.With("late")); !errors.Is(err, spool.ErrBadState) {
			t.Errorf("to a job that is no flow: %v", err)
		}
		f.free("hold single")
		must(single.Wait(f.ctx))(t)
		if f.times("+late") != 0 {
			t.Error("a part that was refused has run")
		}
	})
}

// What is missing is named.
func TestFlowMistakes(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c, ctx := s.client(t), within(t)
		ok, none := flowStep.With("a"), spool.Partial[string]{}
		var after spool.After[[]spool.Outcome[string], string]
		var saw spool.After[string, string]
		g, other := spool.NewGraph(), spool.NewGraph()
		spool.GraphTask(g, ok, spool.GraphTask(other, flowStep.With("b")))
		empty, nobody := spool.NewGraph(), spool.NewGraph()
		spool.GraphJoin(empty, listed.With(None{}))
		spool.GraphTask(nobody, ok, nil)
		put := func(p interface {
			Put(context.Context, spool.To) (*spool.Job[[]spool.Outcome[any]], error)
		}) func() error {
			return func() error { _, err := p.Put(ctx, c); return err }
		}
		flow := func(p spool.Partial[[]spool.Outcome[string]]) func() error {
			return func() error { _, err := p.Put(ctx, c); return err }
		}
		text := func(p spool.Partial[string]) func() error {
			return func() error { _, err := p.Put(ctx, c); return err }
		}
		add := func(j *spool.Job[[]spool.Outcome[string]], p spool.Partial[string]) func() error {
			return func() error { _, err := spool.Add(ctx, c, j, p); return err }
		}
		for field, mistakes := range map[string][]func() error{
			"part":          {flow(spool.Parallel(ok, none)), flow(spool.Serial(none)), text(spool.First(none, ok)), text(spool.Join(flowNames.With(""), none))},
			"First":         {text(spool.First[string]())},
			"Join":          {text(spool.Join(flowNames.With("")))},
			"After":         {text(spool.Then(spool.Parallel(ok), after)), text(spool.Then(ok, saw)), text(spool.Join(after, ok))},
			"Partial":       {text(spool.Then(none, flowSaw.With(""))), text(none.With(spool.Delay(1))), add(spool.NewTask[None, []spool.Outcome[string]]("flow.any").Job(c, "x"), none)},
			"WhenPartFails": {flow(spool.Serial(ok).With(spool.WhenPartFails(7)))},
			"node":          {put(g.Partial()), put(empty.Partial()), put(nobody.Partial())},
			"option":        {flow(spool.Serial(ok).With(nil))},
			"In":            {flow(spool.Serial(flowStep.With("a", spool.In("no queue")))), flow(spool.Serial(ok).With(spool.In("no queue")))},
			"flow":          {add(nil, ok)},
			"Priority":      {flow(spool.Parallel(spool.First(spool.Then(flowStep.With("", spool.Priority(5000)), flowSaw.With("")))))},
		} {
			for i, put := range mistakes {
				var bad *spool.FieldError
				if err := put(); !errors.As(err, &bad) || bad.Field != field {
					t.Errorf("%s %d: %v", field, i, err)
				}
			}
		}
		if n := must(c.Queue("default").Counts(ctx))(t); n.Pending() != 0 {
			t.Errorf("%+v", n)
		}
	})
}
