package spool_test

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/spooljobs/spool"
)

// What schedules have found, each alone.

// The parts of a flow lie where it was taken apart, not where the flow that it is a part of has its own.
func TestFlowThatIsAPartElsewhereHasItsOutcomes(t *testing.T) {
	shapes(t, func(t *testing.T, s *server, c *spool.Client, far []spool.Option) {
		ctx := within(t)
		parts := spool.Parallel(times.With([2]int{2, 3}), times.With([2]int{4, 5})).With(far...)
		j := must(spool.Then(parts, sum.With(1, spool.In("default"))).Put(ctx, c))(t)
		if got := must(j.Wait(ctx))(t); got != 27 {
			t.Error(got)
		}
	})
}

// In a list, too, a job that was cancelled for a reason was cancelled.
func TestCancelledPartIsCancelledInTheList(t *testing.T) {
	shapes(t, func(t *testing.T, s *server, c *spool.Client, far []spool.Option) {
		ctx := within(t)
		late := times.With([2]int{1, 1}, spool.ID("late"+strconv.Itoa(len(far))), spool.Delay(time.Hour))
		j := must(spool.Parallel(late, times.With([2]int{1, 2}, far...)).Put(ctx, c))(t)
		eventually(t, "the part is there", func() bool {
			return times.Job(c, "late"+strconv.Itoa(len(far))).Cancel(ctx, errors.New("why")) == nil
		})
		all := must(j.Wait(ctx))(t)
		if len(all) != 2 || !errors.Is(all[0].Err, spool.ErrCancelled) || all[1].Value != 2 {
			t.Errorf("%+v", all)
		}
	})
}

// A callback that is not called for never reaches the queue that it was to run in. What follows it runs where it should.
func TestFollowerOfACallbackThatIsNotCalledForRuns(t *testing.T) {
	shapes(t, func(t *testing.T, s *server, c *spool.Client, far []spool.Option) {
		ctx := within(t)
		j := must(times.Put(ctx, c, [2]int{2, 3}, spool.Delay(20*time.Millisecond)))(t)
		next := multiply.With(7, spool.In("default"), spool.ID("next"+strconv.Itoa(len(far))))
		must(spool.OnFailure(ctx, c, j, rescue.With(1, far...).OnDone(next)))(t)
		must(j.Wait(ctx))(t)
		eventually(t, "what follows is there", func() bool {
			_, err := c.Queue("default").Get(ctx, "next"+strconv.Itoa(len(far)))
			return err == nil
		})
		if got := must(multiply.Job(c, "next"+strconv.Itoa(len(far))).Wait(ctx))(t); got != 42 {
			t.Error(got)
		}
	})
}
