package spool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spooljobs/spool/failure"
	"github.com/spooljobs/spool/internal/codec"
	"github.com/spooljobs/spool/internal/store"
)

// week is how long outcomes are kept of jobs that were ended from outside.
const week = 7 * 24 * time.Hour

// Cancel ends a job that has not ended: its outcome is cancelled, kept for seven days, with the reason if one is given. The
// answer is definite. Nil: it is cancelled; of a job that runs in a transaction nothing was written, beyond what it has
// committed on its way, and nothing will be. ErrBadState: too late, it has ended; what it wrote has taken effect.
// ErrUnknown: nothing is stored under the id, or it ended and left nothing.
//
// If it runs, its context ends, with ErrCancelled as the cause, at the latest with its worker's next beat. The slot stays
// taken until the handler returns; what the handler of a plain job does until then it does. A second call finds the job
// ended. ErrUnsure, where the answer was lost and waiting for it given up: ask again.
func (j *Job[R]) Cancel(ctx context.Context, reason ...error) error {
	if j == nil || j.id == "" || j.client == nil {
		return &FieldError{"Job", nil, "must come from Put or Task.Job"}
	}
	if err := errors.Join(checkName("Job: queue", j.queue, maxQueueName), checkID(j.id)); err != nil {
		return err
	}
	var why *failure.Failure
	if err := errors.Join(reason...); err != nil {
		why = failure.New(err, failure.Site{Known: j.known})
	}
	err := j.client.cancel(ctx, j.queue, j.id, why)
	if j.arrived(ctx, &err) {
		err = j.client.cancel(ctx, j.queue, j.id, why)
	}
	var away *awayError
	if !errors.As(err, &away) {
		return err
	}
	// Another queue has the job. What lies in the outbox on its way there is delivered first.
	if _, err := j.client.relay(ctx, route{j.queue, "", j.client}); err != nil {
		return err
	}
	err = j.client.cancel(ctx, away.queue, j.id, why)
	if errors.Is(err, ErrUnknown) {
		return fmt.Errorf("%w: cancelling %q: it has ended in queue %s", ErrBadState, j.id, away.queue)
	}
	return err
}

// awayError says that a job is run in another queue.
type awayError struct{ queue string }

func (e *awayError) Error() string { return "spool: the job is run in queue " + e.queue }

func (c *Client) cancel(ctx context.Context, queue, id string, reason *failure.Failure) error {
	var body store.OutcomeBody
	if reason != nil {
		body.Failure = reason.Encode()
	}
	b, err := codec.Marshal(&body)
	if err != nil {
		return &FieldError{"reason", reason, "cannot be encoded"}
	}
	return c.alter(ctx, queue, "cancelling", id, func(ctx context.Context, line string, n uint64) (string, error) {
		return c.queue(queue).Cancel(ctx, line, n, id, b, week.Milliseconds())
	})
}
