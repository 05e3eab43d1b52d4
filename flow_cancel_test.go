package spool_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
)

// idsOf are the ids of the parts that a test has named.
func idsOf(ids ...string) []string { return ids }

func sameStopped(t *testing.T, got spool.Stopped, cancelled, late []string) {
	t.Helper()
	if !slices.Equal(got.Cancelled, cancelled) || !slices.Equal(got.TooLate, late) {
		t.Errorf("%+v, not %v and %v", got, cancelled, late)
	}
}

// Whatever stage a flow is in, CancelAll says what has become of each of its parts.
func TestCancelAllOfWaitingParts(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		for i, p := range []spool.Partial[[]spool.Outcome[string]]{
			spool.Parallel(flowStep.With("a", spool.ID("a")), flowStep.With("b", append(f.far, spool.ID("b"))...), flowStep.With("c", append(f.far, spool.ID("c"), spool.Delay(time.Hour))...)),
			spool.Serial(flowStep.With("d", spool.ID("a2")), flowStep.With("e", append(f.far, spool.ID("b2"))...), flowStep.With("f", append(f.far, spool.ID("c2"))...)),
		} {
			j := must(p.Put(f.ctx, f.c))(t)
			got, err := j.CancelAll(f.ctx, errStep)
			if err != nil {
				t.Error(err)
			}
			sameStopped(t, got, [][]string{idsOf("a", "b", "c"), idsOf("a2", "b2", "c2")}[i], nil)
			if _, err := j.Wait(f.ctx); !errors.Is(err, spool.ErrCancelled) {
				t.Error(err)
			}
			if _, err := j.CancelAll(f.ctx); !errors.Is(err, spool.ErrBadState) {
				t.Error(err)
			}
		}
		work(t, f.w)
		if got := must(must(flowStep.Put(f.ctx, f.c, "end"))(t).Wait(f.ctx))(t); got != "end" || len(f.events()) != 2 {
			t.Error(f.events())
		}
	})
}

// While parts run and others have ended.
func TestCancelAllInTheMiddle(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		work(t, f.w)
		id := func(id string) []spool.Option { return append(slices.Clip(f.far), spool.ID(id)) }
		j := must(spool.Parallel(flowStep.With("one", spool.ID("one")), flowStep.With("two", id("two")...), flowStep.With("fail", spool.ID("three")),
			flowStep.With("hold 4", spool.ID("four")), flowStep.With("hold 5", id("five")...), flowUnknown.With("", id("six")...)).Put(f.ctx, f.c))(t)
		f.begins(t, "hold 4")
		f.begins(t, "hold 5")
		eventually(t, "three have ended", func() bool { return must(j.Parts(f.ctx))(t) == spool.Parts{Total: 6, Ended: 3, Failed: 1} })
		got, err := j.CancelAll(f.ctx)
		if err != nil {
			t.Error(err)
		}
		sameStopped(t, got, idsOf("four", "five", "six"), idsOf("one", "two", "three"))
		eventually(t, "those that run learn", func() bool { return f.times("learned hold 4") == 1 && f.times("learned hold 5") == 1 })
		if _, err := j.CancelAll(f.ctx); !errors.Is(err, spool.ErrBadState) {
			t.Error(err)
		}
		if _, err := j.Parts(f.ctx); !errors.Is(err, spool.ErrBadState) {
			t.Error(err)
		}
	})
}

// Before the parts are there: the flow is due later, or it is yet to be taken apart.
func TestCancelAllBeforeTheParts(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		work(t, f.w)
		part := flowStep.With("a", append(slices.Clip(f.far), spool.ID("a"))...)
		j := must(spool.Serial(flowStep.With("b", spool.ID("b")), part).With(spool.Delay(time.Hour)).Put(f.ctx, f.c))(t)
		got, err := j.CancelAll(f.ctx)
		if err != nil {
			t.Error(err)
		}
		if len(got.TooLate) != 0 {
			t.Errorf("%+v", got)
		}
		if _, err := j.Wait(f.ctx); !errors.Is(err, spool.ErrCancelled) {
			t.Error(err)
		}
		if len(f.events()) > 0 {
			t.Error(f.events())
		}
	})
	realServer(t, func(t *testing.T, s *server) {
		ctx, p, verb, release := within(t), s.proxied(t), s.verbs(t), make(chan struct{})
		p.OnRequest(func(cmd []string) redistest.Action {
			if verb(cmd) == "resume" {
				return redistest.Hold(release)
			}
			return redistest.Pass()
		})
		c, d := s.clientAt(t, p.Addr()), s.client(t)
		j := must(spool.Parallel(flowStep.With("a", spool.ID("a")), flowStep.With("b", spool.In("far"), spool.ID("b"))).With(spool.ID("whole")).Put(ctx, c))(t)
		parts := must(j.Parts(ctx))(t)
		if parts != (spool.Parts{Total: 2}) {
			t.Errorf("%+v", parts)
		}
		whole := must(spool.Parallel(flowStep.With("a", spool.ID("a")), flowStep.With("b", spool.In("far"), spool.ID("b"))).With(spool.ID("whole")).Put(ctx, d))(t)
		got, err := whole.CancelAll(ctx)
		if err != nil {
			t.Error(err)
		}
		sameStopped(t, got, idsOf("a", "b"), nil)
		close(release)
	})
}

// To cancel a flow that is part of another one cancels its parts; to cancel a part is the end of that part.
func TestCancelWithinFlows(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		work(t, f.w)
		id := func(id string) []spool.Option { return append(slices.Clip(f.far), spool.ID(id)) }
		inside := "default/" // where the nested flow is taken apart
		if f.far != nil {
			inside = "far/"
		}
		inner := spool.Join(flowNames.With("in:", spool.ID("in")), flowStep.With("hold a", id("a")...), flowStep.With("hold b", spool.ID("b")), flowUnknown.With("c", id("c")...))
		j := must(spool.Parallel(inner, flowStep.With("d"), flowStep.With("hold e", id("e")...)).With(spool.In("default")).Put(f.ctx, f.c))(t)
		for _, name := range []string{"hold a", "hold b", "hold e"} {
			f.begins(t, name)
		}
		if err := flowStep.Job(f.c, inside+"b").Cancel(f.ctx); err != nil {
			t.Error(err)
		}
		eventually(t, "b learns", func() bool { return f.times("learned hold b") == 1 })
		nested := flowNames.Job(f.c, "in")
		eventually(t, "b has ended", func() bool { return must(nested.Parts(f.ctx))(t) == spool.Parts{Total: 3, Ended: 1, Failed: 1} })
		got, err := nested.CancelAll(f.ctx)
		if err != nil {
			t.Error(err)
		}
		sameStopped(t, got, idsOf("a", "b", "c"), nil)
		eventually(t, "a learns", func() bool { return f.times("learned hold a") == 1 })
		if f.times("learned hold e") != 0 {
			t.Error(f.events())
		}
		if err := flowStep.Job(f.c, "e").Cancel(f.ctx, errStep); err != nil {
			t.Error(err)
		}
		all := must(j.Wait(f.ctx))(t)
		if got := flowText(all, nil); got != "cancelled d cancelled" {
			t.Error(got)
		}
		if !errors.Is(all[2].Err, errStep) {
			t.Error(all[2].Err)
		}
	})
}

// A flow and its parts are in a state that most changes from outside do not allow; to fail is allowed to those that wait.
func TestPullEditFailOfFlows(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		q := f.c.Queue("default")
		j := must(spool.Serial(flowStep.With("a", spool.ID("a")), flowStep.With("b", append(slices.Clip(f.far), spool.ID("b"))...)).Put(f.ctx, f.c))(t)
		eventually(t, "the parts are there", func() bool { _, err := q.Get(f.ctx, "b"); return err == nil })
		for _, id := range idsOf(j.ID(), "a", "b") {
			if err := q.Pull(f.ctx, id); !errors.Is(err, spool.ErrBadState) {
				t.Errorf("pulling %s: %v", id, err)
			}
		}
		if err := q.Edit(f.ctx, "a", "c"); err != nil {
			t.Error(err)
		}
		if err := q.Edit(f.ctx, "b", "d"); err != nil {
			t.Error(err)
		}
		work(t, f.w)
		if got := flowWait(t, f, j); got != "c d" {
			t.Error(got)
		}
		k := must(spool.Parallel(flowUnknown.With("", append(slices.Clip(f.far), spool.ID("x"))...), flowStep.With("e"), flowUnknown.With("", spool.ID("y"))).With(spool.In("default")).Put(f.ctx, f.c))(t)
		eventually(t, "the parts are there", func() bool { _, err := q.Get(f.ctx, "y"); return err == nil })
		eventually(t, "y, which a worker may be looking at, has failed", func() bool { return q.Fail(f.ctx, "y", errStep) == nil })
		if err := q.Fail(f.ctx, k.ID(), errStep); err != nil {
			t.Error(err)
		}
		if _, err := k.Wait(f.ctx); err == nil || err.Error() != errStep.Error() {
			t.Error(err)
		}
		eventually(t, "x is cancelled", func() bool {
			info, err := q.Get(f.ctx, "x")
			return err == nil && info.Outcome == "cancelled"
		})
		if err := q.Fail(f.ctx, k.ID(), errStep); !errors.Is(err, spool.ErrBadState) {
			t.Error(err)
		}
	})
}
