package spool_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spooljobs/spool"
)

// H03, PC-1, PC-3: one that fails does not end the race, the first success does; those that run learn of it.
func TestFirstOfJobs(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		work(t, f.w)
		j := must(spool.First(flowStep.With("fail", f.far...), flowStep.With("hold a", spool.ID("a")), flowLight.With("hold b"),
			flowStep.With("hold c", append(f.far, spool.ID("c"))...), flowUnknown.With("d", spool.ID("d"))).Put(f.ctx, f.c))(t)
		for _, name := range []string{"hold a", "hold b", "hold c"} {
			f.begins(t, name)
		}
		f.free("hold b")
		if got := must(j.Wait(f.ctx))(t); got != "hold b" {
			t.Error(got)
		}
		eventually(t, "the losers learn", func() bool { return f.times("learned hold a") == 1 && f.times("learned hold c") == 1 })
		home := f.c.Queue(j.Queue())
		for _, id := range []string{"a", "c", "d"} {
			eventually(t, id+" is cancelled", func() bool {
				info, err := home.Get(f.ctx, id)
				return err == nil && info.Outcome == "cancelled"
			})
		}
	})
}

// PC-4: if all fail there is one error, with every failure in the order of the arguments; PC-2: a race of none is a mistake.
func TestFirstOfFailures(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		work(t, f.w)
		race := spool.First(flowStep.With("hold fail", spool.BeginBy(time.Hour)).OnDone(), flowStep.With("fail 2", f.far...), flowStep.With("cancel 3"),
			flowUnknown.With("4", append(f.far, spool.BeginBy(time.Millisecond))...))
		j := must(race.Put(f.ctx, f.c))(t)
		f.begins(t, "hold fail")
		held := must(j.Parts(f.ctx))(t)
		if held.Total != 4 {
			t.Errorf("%+v", held)
		}
		eventually(t, "the others have failed", func() bool { return must(j.Parts(f.ctx))(t) == spool.Parts{Total: 4, Ended: 3, Failed: 3} })
		var running string
		for info := range f.c.Queue(j.Queue()).All(f.ctx, spool.StateActive) {
			if info != nil && info.Task == flowStep.Name() {
				running = info.ID
			}
		}
		if err := flowStep.Job(f.c, j.Queue()+"/"+running).Cancel(f.ctx, fmt.Errorf("first: %w", errStep)); err != nil {
			t.Fatal(err)
		}
		_, err := j.Wait(f.ctx)
		for _, want := range []error{errStep, spool.ErrCancelled, spool.ErrExpired} {
			if !errors.Is(err, want) {
				t.Errorf("%v is not found in %v", want, err)
			}
		}
		at := -1
		for _, part := range []string{"first", "fail 2", "cancel 3", "deadline"} {
			next := strings.Index(fmt.Sprint(err), part)
			if next <= at {
				t.Errorf("%q comes at %d, after %d: %v", part, next, at, err)
			}
			at = next
		}
		var field *spool.FieldError
		if _, err := spool.First[int]().Put(f.ctx, f.c); !errors.As(err, &field) || field.Field != "First" {
			t.Error(err)
		}
	})
}

// A race may be won before all of it is there: by a part that was put before, or while it is taken apart.
func TestFirstIsWonEarly(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		work(t, f.w)
		ended := flowStep.With("won")
		must(must(ended.Put(f.ctx, f.c))(t).Wait(f.ctx))(t)
		rest := func(n int) []spool.Partial[string] {
			var ps []spool.Partial[string]
			for range n {
				ps = append(ps, flowUnknown.With("never"))
			}
			return ps
		}
		if got := must(must(spool.First(append([]spool.Partial[string]{ended}, rest(510)...)...).Put(f.ctx, f.c))(t).Wait(f.ctx))(t); got != "won" {
			t.Error(got)
		}
		quick := append([]spool.Partial[string]{flowStep.With("fail"), flowLight.With("won", f.far...)}, rest(505)...)
		if got := must(must(spool.First(quick...).Put(f.ctx, f.c))(t).Wait(f.ctx))(t); got != "won" {
			t.Error(got)
		}
		eventually(t, "the losers are cancelled", func() bool {
			n := must(f.c.Queue("default").Counts(f.ctx))(t)
			return n.Parked+n.Ready+n.Waiting == 0
		})
	})
}

// A race within a flow, delayed: what waits before a flow waits once, not for its parts and then again.
func TestFlowWaitsOnce(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		work(t, f.w)
		const wait = 300 * time.Millisecond
		for i, late := range []spool.Partial[string]{
			spool.First(flowStep.With("b", f.far...), flowUnknown.With("")).With(spool.Delay(wait)),
			spool.Then(flowStep.With("b"), flowNamesOf.With("", spool.Delay(wait))),
			flowStep.With("b", append(f.far, spool.Delay(wait), spool.BeginBy(time.Minute))...).OnSuccess(flowSaw.With("c")),
		} {
			j := must(spool.Serial(flowStep.With("a"), late).Put(f.ctx, f.c))(t)
			all := must(j.Wait(f.ctx))(t)
			a, b := must(f.c.Queue(j.Queue()).Get(f.ctx, all[0].JobID))(t), must(f.c.Queue(j.Queue()).Get(f.ctx, all[1].JobID))(t)
			if took := b.Ended.Sub(a.Ended); flowText(all, nil) != "a b" || took < wait || took >= 2*wait {
				t.Errorf("%d: %s after %v", i, flowText(all, nil), took)
			}
		}
	})
}

// The answer may be as large as a result may be; a task without a result can win, too.
func TestFirstOfOddResults(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		note.Handle(f.w, func(context.Context, string) (None, error) { return None{}, nil })
		work(t, f.w)
		large := strings.Repeat("x", 500_000)
		if got := must(must(spool.First(flowStep.With(large, f.far...), flowUnknown.With("")).Put(f.ctx, f.c))(t).Wait(f.ctx))(t); got != large {
			t.Error(len(got))
		}
		if _, err := must(spool.First(note.With("a", f.far...)).With(spool.Keep(time.Minute)).Put(f.ctx, f.c))(t).Wait(f.ctx); err != nil {
			t.Error(err)
		}
	})
}

var flowNamesOf = spool.NewReaction[string, string, string]("flow.names-of")

// The slots of a race's home are all taken by losers, which end only when they learn that they have lost.
func TestFirstNeedsNoSlot(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		f := &flowShow{server: s, c: s.client(t), ctx: within(t), gates: map[string]chan struct{}{}, begun: map[string]chan struct{}{}}
		w := spool.NewWorker(f.c, fast(spool.WorkerConfig{ThreadSlots: 1}))
		flowStep.Handle(w, f.step)
		flowLight.Handle(w, f.step)
		work(t, w)
		j := must(spool.First(flowStep.With("hold"), flowLight.With("hold too")).Put(f.ctx, f.c))(t)
		f.begins(t, "hold")
		f.begins(t, "hold too")
		f.free("hold too")
		if got := must(j.Wait(f.ctx))(t); got != "hold too" {
			t.Error(got)
		}
	})
}
