package spool_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/failure"
)

var (
	flowSizes  = spool.NewReaction[[]spool.Outcome[string], int, string]("flow.sizes", spool.Knows("flow.step", errStep))
	flowSums   = spool.NewReaction[[]spool.Outcome[string], []spool.Outcome[string], spool.Outcome[string]]("flow.sums", spool.Knows("flow.step", errStep))
	flowKnows  = spool.NewReaction[string, string, string]("flow.knows", spool.Knows("flow.step", errStep))
	flowTwelve = spool.NewTask[int, int]("flow.twelve")
)

// Large outcomes lie where they are until who wants them has ended, and then have their own time.
func TestFlowOfLargeOutcomes(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		tries := 0
		began, goOn := make(chan string, 10), make(chan bool, 10)
		flowSizes.Handle(f.w, func(_ context.Context, p spool.Outcome[[]spool.Outcome[string]], n int) (string, error) {
			tries++
			text := ""
			for _, o := range p.Value {
				text += fmt.Sprintf("%.1s%d ", o.Value, len(o.Value))
			}
			if n == 0 {
				return text, p.Err
			}
			began <- text
			if !<-goOn {
				return "", errStep
			}
			return text, p.Err
		})
		work(t, f.w)
		part := func(s string, id string, opts ...spool.Option) spool.Partial[string] {
			return flowStep.With(strings.Repeat(s, 100_000), append(opts, spool.ID(id), spool.Keep(time.Millisecond))...)
		}
		join := flowSizes.With(1, spool.Retry(5, func(yield func(time.Duration) bool) {
			for yield(time.Millisecond) {
			}
		}))
		j := must(spool.Join(join, part("a", "a"), part("b", "b", f.far...), part("c", "c")).With(spool.In("default")).Put(f.ctx, f.c))(t)
		const want = "a100000 b100000 c100000 "
		// Each attempt is given the same, though the time of these outcomes is long over.
		for _, good := range []bool{false, false, true} {
			if got := recv(t, "the join begins", began); got != want {
				t.Error(got)
			}
			if info, err := f.c.Queue("default").Get(f.ctx, "a"); err != nil || info.State != spool.StateCallbacks {
				t.Errorf("%+v, %v", info, err)
			}
			goOn <- good
		}
		if got := must(j.Wait(f.ctx))(t); got != want || tries != 3 {
			t.Error(got, tries)
		}
		for _, id := range []string{"a", "b", "c"} {
			eventually(t, id+" has had its time", func() bool {
				_, err := f.c.Queue("default").Get(f.ctx, id)
				return errors.Is(err, spool.ErrUnknown)
			})
		}
		// Together they may be larger than the result of a handler may be.
		var ps []spool.Partial[string]
		for range 12 {
			ps = append(ps, flowStep.With(strings.Repeat("d", 100_000)))
		}
		if got := must(must(spool.Join(flowSizes.With(0), ps...).Put(f.ctx, f.c))(t).Wait(f.ctx))(t); got != strings.Repeat("d100000 ", 12) {
			t.Error(got)
		}
		if got := must(must(spool.Parallel(ps...).Put(f.ctx, f.c))(t).Wait(f.ctx))(t); len(got) != 12 || len(got[11].Value) != 100_000 {
			t.Error(len(got))
		}
	})
}

// There is an end to what a flow brings together, and it is said clearly; what it is made of is there all the same.
func TestFlowOfTooLargeOutcomes(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		f := &flowShow{server: s, c: s.client(t), ctx: within(t)}
		w := f.worker(f.c)
		flowGrow.Handle(w, func(_ context.Context, n int) (string, error) { return strings.Repeat("x", n), nil })
		work(t, w)
		const large = 900_000
		var results, arguments []spool.Partial[string]
		for range 19 {
			results = append(results, flowGrow.With(large, spool.In("far")))
			arguments = append(arguments, flowStep.With(strings.Repeat("x", large)))
		}
		if _, err := spool.Parallel(arguments...).Put(f.ctx, f.c); !errors.Is(err, spool.ErrTooLarge) {
			t.Error(err)
		}
		j := must(spool.Parallel(results...).Put(f.ctx, f.c))(t)
		if _, err := j.Wait(f.ctx); !errors.Is(err, spool.ErrTooLarge) {
			t.Error(err)
		}
		if got := must(must(results[18].Put(f.ctx, f.c))(t).Wait(f.ctx))(t); len(got) != large {
			t.Error(len(got))
		}
	})
}

// An Outcome is an argument and a result, and is the same on the other side: its job, its value, its error.
func TestOutcomeThereAndBack(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		flowSums.Handle(f.w, func(_ context.Context, p spool.Outcome[[]spool.Outcome[string]], bound []spool.Outcome[string]) (spool.Outcome[string], error) {
			all := append(bound, p.Value...)
			if len(all) != 4 {
				return spool.Outcome[string]{}, fmt.Errorf("%d outcomes", len(all))
			}
			var failed *failure.Failure
			if !errors.Is(all[3].Err, errStep) || !errors.As(all[3].Err, &failed) || !strings.Contains(failed.Error(), "fail now") {
				return spool.Outcome[string]{}, fmt.Errorf("of the part: %v", all[3].Err)
			}
			if !errors.Is(all[1].Err, spool.ErrCancelled) || all[1].JobID != "old" || all[0].Value != "bound" {
				return spool.Outcome[string]{}, fmt.Errorf("of the arguments: %+v", all)
			}
			return all[3], nil
		})
		flowKnows.Handle(f.w, func(_ context.Context, p spool.Outcome[string], id string) (string, error) {
			if p.JobID != id || !errors.Is(p.Err, errStep) {
				return "", fmt.Errorf("%+v", p)
			}
			return "knows", nil
		})
		work(t, f.w)
		bound := []spool.Outcome[string]{{JobID: "new", Value: "bound"}, {JobID: "old", Err: fmt.Errorf("x: %w", spool.ErrCancelled)}}
		j := must(spool.Join(flowSums.With(bound), flowStep.With("a", f.far...), flowStep.With("fail now", spool.ID("now"))).Put(f.ctx, f.c))(t)
		got := must(j.Wait(f.ctx))(t)
		if got.JobID != "now" || got.Err == nil || !strings.Contains(got.Err.Error(), "fail now") {
			t.Errorf("%+v", got)
		}
		k := must(spool.Then(flowStep.With("fail then", append(f.far, spool.ID("then"))...), flowKnows.With("then")).Put(f.ctx, f.c))(t)
		if got := must(k.Wait(f.ctx))(t); got != "knows" {
			t.Error(got)
		}
	})
}

// B15: a callback puts a job and answers as that does. B13, SP-5: so does a job, whose slot is free meanwhile.
func TestFlowOfAnswersByOthers(t *testing.T) {
	flows(t, func(t *testing.T, f *flowShow) {
		flowTwelve.Handle(f.w, func(ctx context.Context, by int) (int, error) {
			j, err := times.Put(ctx, spool.Running(ctx).Client(), [2]int{2, by}, f.far...)
			if err != nil {
				return 0, err
			}
			return spool.Become(j)
		})
		work(t, f.w)
		j := must(spool.Serial(flowTwelve.With(6), flowTwelve.With(21, f.far...)).Put(f.ctx, f.c))(t)
		all := must(j.Wait(f.ctx))(t)
		if len(all) != 2 || all[0].Value != 12 || all[1].Value != 42 {
			t.Errorf("%+v", all)
		}
		first := must(spool.First(breaks.With("no"), flowTwelve.With(21)).Put(f.ctx, f.c))(t)
		if got := must(first.Wait(f.ctx))(t); got != 42 {
			t.Error(got)
		}
	})
}

// SP-4: processes die with parts. One is run again elsewhere, one may not be; what has ended is not run again.
func TestFlowWithProcessesThatDie(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		f := &flowShow{server: s, c: s.client(t), ctx: within(t)}
		child := s.spawn(t, "worker", s.addr, "SPOOL_TEST_QUEUES=far")
		child.line(t)
		gate := effects() + s.prefix + ":gate"
		w := f.worker(f.c)
		stuck.Handle(w, func(_ context.Context, key string) (string, error) { return "stuck here", nil })
		parts := spool.Serial(stuck.With(gate, spool.In("far")), flowStep.With("b"))
		once := stuck.With(gate, spool.In("far"), spool.Interruptions(0))
		j := must(spool.Parallel(spool.Then(parts, flowNames.With("s:")), once, flowStep.With("c", spool.In("far"))).With(spool.In("default")).Put(f.ctx, f.c))(t)
		for range 2 {
			child.line(t)
		}
		child.kill()
		work(t, w)
		all := must(j.Wait(f.ctx))(t)
		if got := flowText(all, nil); got != "s:stuck here b aborted c" {
			t.Error(got)
		}
		if got := strings.Join(f.events(), " "); strings.Count(got, "+b") != 1 || strings.Count(got, "+c") != 1 {
			t.Error(got)
		}
	})
}
