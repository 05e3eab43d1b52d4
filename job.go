package spool

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/spooljobs/spool/failure"
	"github.com/spooljobs/spool/internal/store"
)

// Job is the handle of a stored job. It holds the id and makes calls only when asked. It encodes as its id, so it can
// be stored, be an argument, and be given back by Task.Job in another process.
type Job[R any] struct {
	jobRef
}

// jobRef is the part of a Job that knows no types.
type jobRef struct {
	client *Client
	queue  string
	home   string // the queue that its task's ids without one are looked for in; "" is DefaultQueue
	id     string
	known  *failure.Known
	post   *sender // of a job that a transaction has put by way of an outbox
}

// sender is who delivers a route.
type sender struct {
	c *Client
	route
}

// arrived says, of a job that is unknown, whether it may be known now: what lay in the outbox was delivered. If that
// failed, this is the error.
func (j *jobRef) arrived(ctx context.Context, err *error) bool {
	if j.post == nil || !errors.Is(*err, ErrUnknown) {
		return false
	}
	ctx, cancel := j.post.c.patient(ctx)
	defer cancel()
	if _, failed := j.post.c.relay(ctx, j.post.route); failed != nil {
		*err = failed
		return false
	}
	return true
}

// ID is the job's id: 32 hex digits, or what the option ID said.
func (j *Job[R]) ID() string {
	if j == nil {
		return ""
	}
	return j.id
}

// Queue is the name of the job's queue.
func (j *Job[R]) Queue() string {
	if j == nil {
		return ""
	}
	return j.queue
}

// String is what Task.Job takes: the id, with the queue and a slash before it unless that is, for the task as for all
// others, DefaultQueue.
func (j *Job[R]) String() string {
	if j == nil {
		return ""
	}
	return j.ref()
}

func (j *jobRef) ref() string {
	if j.queue == DefaultQueue && (j.home == "" || j.home == DefaultQueue) {
		return j.id
	}
	return j.queue + "/" + j.id
}

// Wait returns the job's result once it has ended. It is pushed: no polling, from any process. It may be called any
// number of times, by many at once.
//
// A job that did not succeed is a *failure.Failure; errors.Is finds ErrCancelled, ErrExpired, ErrAborted or
// ErrConflict where that was the end, and errors its task declares. Any other error says that the outcome is not known: ErrUnknown where
// nothing is stored under the id, the context's error where it ended first, ErrClosed. For a task without result
// (None), nothing is kept of a success: a Wait begun before the end gets its answer, one begun later gets ErrUnknown.
func (j *Job[R]) Wait(ctx context.Context) (R, error) {
	var result R
	if ctx == nil {
		return result, &FieldError{"ctx", nil, "must not be nil"}
	}
	if j == nil || j.id == "" {
		return result, &FieldError{"Job", nil, "must come from Put or Task.Job"}
	}
	client := j.client
	if client == nil {
		// A handle that was decoded inside a handler belongs to the client of its worker.
		if client = Running(ctx).Client(); client == nil {
			return result, &FieldError{"Job", j.id, "has no client here: use Task.Job"}
		}
	}
	if err := errors.Join(checkName("Job: queue", j.queue, maxQueueName), checkID(j.id)); err != nil {
		return result, err
	}
	if ctx.Err() != nil {
		return result, fmt.Errorf("spool: waiting for job %s: %w", j.id, context.Cause(ctx))
	}
	stored, err := client.wait(ctx, j.queue, j.id)
	if j.arrived(ctx, &err) {
		stored, err = client.wait(ctx, j.queue, j.id)
	}
	if err != nil {
		return result, err
	}
	out, err := outcomeOf[R](j.id, stored, j.known)
	if err != nil {
		return result, err
	}
	resolveAll(&out.Value, j.known)
	return out.Value, out.Err
}

// outcomeFailure is the failure an outcome stands for.
func outcomeFailure(id string, o *store.Outcome, known *failure.Known) error {
	if len(o.Body.Failure) > 0 {
		f, err := failure.Decode(o.Body.Failure)
		if err != nil {
			return fmt.Errorf("spool: job %s failed; decoding its failure: %w", id, err)
		}
		if known == nil {
			known = declareOwn(&failure.Known{})
		}
		f.Resolve(known)
		if o.Kind == store.Cancelled {
			return failureOf(errors.Join(ErrCancelled, f))
		}
		return f
	}
	switch o.Kind {
	case store.Cancelled:
		return failureOf(ErrCancelled)
	case store.Expired:
		return failureOf(ErrExpired)
	case store.Aborted:
		return failureOf(fmt.Errorf("%w: %d interruptions", ErrAborted, o.Interruptions))
	}
	return failureOf(fmt.Errorf("spool: job %s failed", id))
}

func failureOf(err error) *failure.Failure { return failure.New(err, ownSite()) }

// MarshalText returns what String does.
func (j *Job[R]) MarshalText() ([]byte, error) {
	if j == nil || j.id == "" {
		return nil, &FieldError{"Job", nil, "must come from Put or Task.Job"}
	}
	return []byte(j.ref()), nil
}

// UnmarshalText reads what MarshalText wrote. The handle has no client: inside a handler it uses the worker's, else
// Task.Job gives a complete one.
func (j *Job[R]) UnmarshalText(text []byte) error {
	queue, id, ok := strings.Cut(string(text), "/")
	if !ok {
		queue, id = DefaultQueue, string(text)
	}
	if err := checkName("Job: queue", queue, maxQueueName); err != nil {
		return err
	}
	if err := checkID(id); err != nil {
		return err
	}
	j.jobRef = jobRef{queue: queue, id: id}
	return nil
}

// EncodeMsgpack writes what String returns.
func (j *Job[R]) EncodeMsgpack(enc *msgpack.Encoder) error {
	if j == nil {
		return enc.EncodeNil()
	}
	text, err := j.MarshalText()
	if err != nil {
		return err
	}
	return enc.EncodeString(string(text))
}

// DecodeMsgpack reads what EncodeMsgpack wrote.
func (j *Job[R]) DecodeMsgpack(dec *msgpack.Decoder) error {
	text, err := dec.DecodeString()
	if err != nil {
		return err
	}
	return j.UnmarshalText([]byte(text))
}
