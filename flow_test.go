package spool_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/spooljobs/spool"
)

var (
	times    = spool.NewTask[[2]int, int]("flow.times")
	breaks   = spool.NewTask[string, int]("flow.breaks")
	multiply = spool.NewReaction[int, int, int]("flow.multiply")
	rescue   = spool.NewReaction[int, int, int]("flow.rescue")
	sum      = spool.NewReaction[[]spool.Outcome[int], int, int]("flow.sum")
	listed   = spool.NewReaction[[]spool.Outcome[any], None, string]("flow.listed")
)

type None = spool.None

func flowHandlers(w *spool.Worker) {
	times.Handle(w, func(_ context.Context, a [2]int) (int, error) { return a[0] * a[1], nil })
	breaks.Handle(w, func(_ context.Context, why string) (int, error) { return 0, errors.New(why) })
	multiply.Handle(w, func(_ context.Context, p spool.Outcome[int], by int) (int, error) { return p.Value * by, p.Err })
	rescue.Handle(w, func(_ context.Context, p spool.Outcome[int], with int) (int, error) { return with, nil })
	sum.Handle(w, func(_ context.Context, p spool.Outcome[[]spool.Outcome[int]], plus int) (int, error) {
		for _, o := range p.Value {
			if o.Err != nil {
				plus += 1000
			}
			plus += o.Value
		}
		return plus, p.Err
	})
	listed.Handle(w, func(_ context.Context, p spool.Outcome[[]spool.Outcome[any]], _ None) (string, error) {
		text := ""
		for _, o := range p.Value {
			text += fmt.Sprint(o.Value, " ")
		}
		return text, p.Err
	})
}

// shapes runs a test with jobs in one queue, and with parts and callbacks in another one.
func shapes(t *testing.T, test func(t *testing.T, s *server, c *spool.Client, far []spool.Option)) {
	each(t, func(t *testing.T, s *server) {
		for name, far := range map[string][]spool.Option{"one": nil, "two": {spool.In("far")}} {
			t.Run(name, func(t *testing.T) {
				c := s.client(t)
				w := spool.NewWorker(c, fast(spool.WorkerConfig{Queues: []string{"default", "far"}, ThreadSlots: 4}))
				flowHandlers(w)
				work(t, w)
				test(t, s, c, far)
			})
		}
	})
}

func TestFlowSmoke(t *testing.T) {
	shapes(t, func(t *testing.T, s *server, c *spool.Client, far []spool.Option) {
		ctx := within(t)
		j := must(times.With([2]int{3, 4}).OnSuccess(multiply.With(2, far...)).Put(ctx, c))(t)
		if got := must(j.Wait(ctx))(t); got != 12 {
			t.Error(got)
		}
		j = must(times.Put(ctx, c, [2]int{5, 3}))(t)
		a := must(spool.OnDone(ctx, c, j, multiply.With(3, far...)))(t)
		b := must(spool.OnDone(ctx, c, a, multiply.With(2)))(t)
		if got := must(b.Wait(ctx))(t); got != 90 {
			t.Error(got)
		}
		if got := must(a.Wait(ctx))(t); got != 45 {
			t.Error(got)
		}
		f := must(breaks.Put(ctx, c, "no"))(t)
		r := must(spool.OnFailure(ctx, c, f, rescue.With(7, far...)))(t)
		x := must(spool.OnSuccess(ctx, c, f, multiply.With(7, far...)))(t)
		if got := must(r.Wait(ctx))(t); got != 7 {
			t.Error(got)
		}
		if _, err := x.Wait(ctx); err == nil || err.Error() != "no" {
			t.Error(err)
		}
		p := must(spool.Parallel(times.With([2]int{1, 2}, far...), times.With([2]int{2, 2}), breaks.With("part", far...)).Put(ctx, c))(t)
		all := must(p.Wait(ctx))(t)
		if len(all) != 3 || all[0].Value != 2 || all[1].Value != 4 || all[2].Err == nil {
			t.Error(all)
		}
		q := must(spool.Then(spool.Serial(times.With([2]int{1, 2}, far...), times.With([2]int{2, 2})), sum.With(1)).Put(ctx, c))(t)
		if got := must(q.Wait(ctx))(t); got != 7 {
			t.Error(got)
		}
		first := must(spool.First(breaks.With("a"), times.With([2]int{2, 21}, far...)).Put(ctx, c))(t)
		if got := must(first.Wait(ctx))(t); got != 42 {
			t.Error(got)
		}
		g := spool.NewGraph()
		one := spool.GraphTask(g, times.With([2]int{1, 1}, far...))
		two := spool.GraphTask(g, times.With([2]int{1, 2}, far...), one)
		spool.GraphJoin(g, listed.With(None{}, far...), one, two)
		done := must(must(g.Partial().Put(ctx, c))(t).Wait(ctx))(t)
		if len(done) != 3 || fmt.Sprint(done[2].Value) != "1 2 " {
			t.Error(done)
		}
	})
}
