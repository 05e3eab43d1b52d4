package spool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spooljobs/spool/internal/store"
)

// Parts is how far a flow has come.
type Parts struct {
	Total  int
	Ended  int
	Failed int // of these: failed, cancelled, expired or aborted
}

// Parts counts the jobs that a flow waits for, those that were added with Add included. ErrBadState if it waits for none
// any more: it has ended, or is no flow. ErrUnknown if nothing is stored of it.
func (j *Job[R]) Parts(ctx context.Context) (Parts, error) {
	var in *store.Inputs
	err := j.look(ctx, "counting the parts of "+j.ID(), func(ctx context.Context) (err error) {
		in, err = j.client.queue(j.queue).Inputs(ctx, j.id, 1)
		return err
	})
	switch {
	case err != nil:
		return Parts{}, err
	case j.sent(in) != nil:
		parts, err := j.sent(in).Parts(ctx)
		if errors.Is(err, ErrUnknown) {
			err = fmt.Errorf("%w: %q has ended in queue %s", ErrBadState, j.id, in.Queue)
		}
		return parts, err
	case in.To == "" || in.Total == 0:
		if _, err := j.client.Queue(j.queue).Get(ctx, j.id); err != nil {
			return Parts{}, err
		}
		return Parts{}, fmt.Errorf("%w: %q waits for no other jobs", ErrBadState, j.id)
	}
	// While its graph is taken apart a flow waits for that, too.
	return Parts{Total: in.Total, Ended: in.Total - min(in.Left, in.Total), Failed: in.Bad}, nil
}

// sent is the handle of a flow in the queue where it is taken apart, if that of its handle has sent it there; or nil.
func (j *Job[R]) sent(in *store.Inputs) *Job[R] {
	if in.Left > 0 || in.Answer != j.id || in.Queue == "" {
		return nil
	}
	there := *j
	there.queue, there.post = in.Queue, &sender{j.client, route{j.queue, "", j.client}}
	return &there
}

// look asks something about the job.
func (j *Job[R]) look(ctx context.Context, what string, call func(ctx context.Context) error) error {
	if j == nil || j.id == "" || j.client == nil {
		return &FieldError{"Job", nil, "must come from Put or Task.Job"}
	}
	if err := errors.Join(checkName("Job: queue", j.queue, maxQueueName), checkID(j.id)); err != nil {
		return err
	}
	err := j.client.ask(ctx, what, call)
	if j.arrived(ctx, &err) {
		err = j.client.ask(ctx, what, call)
	}
	return err
}

// Flow is the flow that the running job is a part of: it was put with it, or added to it. The type is what the parts
// return. It is nil outside of a flow.
func Flow[R any](ctx context.Context) *Job[[]Outcome[R]] {
	r := Running(ctx)
	queue, id, ok := strings.Cut(r.flow, "/")
	if !ok {
		return nil
	}
	return &Job[[]Outcome[R]]{jobRef{client: r.client, queue: queue, id: id}}
}

// Add gives a flow one more part, which is ready at once: its outcome comes after those of the others. It may be added from
// anywhere as long as the flow waits for other parts; a part of the flow can always do so, since it has not ended. The
// handle looks for the part in the flow's queue, also where it runs in another one. Errors are those of Partial.Put;
// ErrBadState says that the flow waits for nothing more. The same Partial again is the same part.
//
// A flow that begins with a part which adds the others is a batch whose size is not known beforehand.
func Add[R any](ctx context.Context, to To, flow *Job[[]Outcome[R]], p Partial[R]) (*Job[R], error) {
	if err := checkTo(ctx, to); err != nil {
		return nil, err
	}
	if flow == nil || flow.id == "" {
		return nil, &FieldError{"flow", nil, "must come from Put, Task.Job or Flow"}
	}
	if p.p == nil {
		return nil, &FieldError{"Partial", nil, "must be made by Task.With"}
	}
	if err := p.p.readyIn(txOf(to), flow.queue+"/"+flow.id, ""); err != nil {
		return nil, err
	}
	return joinJob[R](ctx, to, p.p, &flow.jobRef, store.OnEnd, store.Part, true)
}

// Stopped says what cancelling a flow has come to, by the ids of its parts.
type Stopped struct {
	Cancelled []string
	TooLate   []string // they had ended
}

// CancelAll cancels a flow as Cancel does, and says of each of its parts whether it was cancelled or had ended before. Parts
// of parts are cancelled, too, but not named. An error says that the answer is not complete; asking again is safe, and
// answers ErrBadState once the flow has ended.
func (j *Job[R]) CancelAll(ctx context.Context, reason ...error) (Stopped, error) {
	var parts []string
	var all []store.Incoming
	for from := 1; from > 0; {
		var in *store.Inputs
		err := j.look(ctx, "looking for the parts of "+j.ID(), func(ctx context.Context) (err error) {
			q := j.client.queue(j.queue)
			if in, err = q.Inputs(ctx, j.id, from); err == nil && in.Begun {
				_, err = q.Resume(ctx) // its parts are yet to become jobs
			}
			return err
		})
		if err != nil {
			return Stopped{}, err
		}
		if there := j.sent(in); there != nil {
			return there.CancelAll(ctx, reason...)
		}
		if in.Begun {
			all, from = nil, 1
			continue
		}
		all, from = append(all, in.Inputs...), in.Next
	}
	for _, one := range byPlace(all) {
		if one.Class == store.Part {
			parts = append(parts, one.Parent)
		}
	}
	if err := j.Cancel(ctx, reason...); err != nil {
		return Stopped{}, err
	}
	var s Stopped
	var errs []error
	for _, id := range parts {
		part := &Job[R]{jobRef{client: j.client, queue: j.queue, id: id}}
		err := part.Cancel(ctx, reason...)
		switch {
		case errors.Is(err, ErrBadState), errors.Is(err, ErrUnknown):
			// If it has ended in another queue, that is on its way here.
			soon, stop := j.client.patient(ctx)
			_, _ = part.Wait(soon)
			stop()
			info, err := j.client.Queue(j.queue).Get(ctx, id)
			switch {
			case err == nil && info.Outcome == kinds[store.Cancelled]:
				s.Cancelled = append(s.Cancelled, id)
			case err == nil && info.Outcome != "" || errors.Is(err, ErrUnknown):
				s.TooLate = append(s.TooLate, id)
			default:
				errs = append(errs, cmp.Or(err, fmt.Errorf("%w: what has become of part %q", ErrUnsure, id)))
			}
		case err != nil:
			errs = append(errs, err)
		default:
			s.Cancelled = append(s.Cancelled, id)
		}
	}
	return s, errors.Join(errs...)
}
