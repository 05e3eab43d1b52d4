package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spooljobs/spool/failure"
	"github.com/spooljobs/spool/internal/codec"
	"github.com/spooljobs/spool/internal/store"
)

// Become is what a handler returns to let another job answer for its own: return spool.Become(job). The handler's slot is
// free; its job goes on being active until the other one has ended, then ends as that one did, with its result or its
// failure, whatever has become of the processes meanwhile. Its own callbacks follow then. The other job may be in any queue,
// be put by this handler or be an old one, have ended or not. In a transaction it is usually put to the same Tx: then
// it is put, and becomes the answer, in one step.
//
// If nothing is stored of the other job the handler's job fails with ErrUnknown. It fails with ErrEndless if the answer
// would be its own, by however many steps, or would be handed on more than a hundred times. To cancel the handler's job
// does not cancel the other one. (Returning a Deferred or another job in Twisted and zc.async.)
func Become[R any](j *Job[R]) (R, error) {
	var none R
	if j == nil || j.id == "" {
		return none, Final(&FieldError{"Job", nil, "must come from Put or Task.Job"})
	}
	if err := errors.Join(checkName("Job: queue", j.queue, maxQueueName), checkID(j.id)); err != nil {
		return none, Final(err)
	}
	return none, &verdictError{kind: verdictBecome, become: &j.jobRef}
}

// becoming is the job that is to answer, or nil.
func becoming(err error) *jobRef {
	var v *verdictError
	if errors.As(err, &v) && v.kind == verdictBecome {
		return v.become
	}
	return nil
}

// adopts is the verdict of a run whose job ends as another one will.
func (e *engine) adopts(r *run, v store.Verdict, other *jobRef) store.Verdict {
	if other.client != nil && other.client.store.Prefix() != e.client.store.Prefix() {
		return e.judge(r, failing(Final(&FieldError{"Job", other.id, "is in another store"})))
	}
	v.Word, v.Head, v.Inner, v.Keep = store.VerdictAdopt, store.Head(r.claim.Record), store.PackID(other.id), -1
	if r.record.Extra.Keep != nil {
		v.Keep = *r.record.Extra.Keep
	}
	if other.queue != r.queue {
		v.To = other.queue
	}
	fails := func(err error) []byte {
		return e.outcome(r, store.Failed, store.OutcomeBody{Failure: failure.New(err, ownSite()).Encode()})
	}
	v.Unknown, v.Endless = fails(ErrUnknown), fails(ErrEndless)
	return v
}

// handedOn is how often an outcome may be handed on.
const handedOn = 100

// embraced looks whether the answers that a call has handed over to other queues go round in circles. A script sees to
// that within its queue; between queues nothing is atomic. But when the last link of a circle is made all others are
// there, so whoever made it finds the circle.
func (c *courier) embraced(call *letter, lost []int) {
	gone := make(map[int]bool, len(lost))
	for _, i := range lost {
		gone[i] = true
	}
	for i := range call.Verdicts {
		if v := &call.Verdicts[i]; v.Word == store.VerdictAdopt && v.To != "" && !gone[i] {
			queue, id, to, inner := c.q.Name(), store.UnpackID(v.ID), v.To, store.UnpackID(v.Inner)
			c.e.client.spawn(func() { c.e.client.breakCircle(queue, id, to, inner) })
		}
	}
}

// breakCircle ends a job whose outcome would be its own, or is handed on too often.
func (c *Client) breakCircle(queue, id, to, inner string) {
	steps := 0
	for ; inner != "" && (to != queue || inner != id) && steps < handedOn; steps++ {
		var in *store.Inputs
		if err := c.gate.do(c.life, func() (err error) {
			in, err = c.queue(to).Inputs(c.life, inner, 1)
			return err
		}); err != nil {
			return
		}
		if in.Queue != "" && checkName("queue", in.Queue, maxQueueName) == nil {
			to = in.Queue
		}
		inner = in.Answer
	}
	if inner == "" {
		return
	}
	body, err := codec.Marshal(&store.OutcomeBody{Failure: failure.New(ErrEndless, ownSite()).Encode()})
	if err == nil {
		err = c.alter(c.life, queue, "failing job", id, func(ctx context.Context, line string, n uint64) (string, error) {
			return c.queue(queue).Fail(ctx, line, n, id, body, week.Milliseconds())
		})
	}
	if err != nil && !errors.Is(err, ErrBadState) {
		c.cfg.Logger.LogAttrs(c.life, slog.LevelError, "a circle of answers was not broken", slog.String("queue", queue), slog.String("job", id),
			slog.Any("err", fmt.Errorf("%w: %w", ErrEndless, err)))
	}
}
