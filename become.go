package spool

import (
	"errors"

	"github.com/spooljobs/spool/failure"
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
