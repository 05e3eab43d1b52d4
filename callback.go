package spool

import (
	"context"
	"errors"

	"github.com/spooljobs/spool/internal/store"
)

// A callback is a job that follows another one: it waits, in state pending, until that one has ended, and is then run at
// once and ahead of other work, by a worker that knows it. It has its own state, result and callbacks. All callbacks of a
// job are given that job's own outcome. Of a branch that is not taken, a failure callback of a success for one, the job
// ends as the one it follows did, without being run: so does what follows it.

// follower is a callback of a Partial.
type follower struct {
	p         *partial
	condition byte
}

// OnSuccess returns a Partial that has callbacks for its success. It is another Partial, whose id is yet to be drawn: p
// must not have been put or encoded before; that is a mistake, reported when the new one is put. For a job that is stored
// already there is the function OnSuccess.
func (p Partial[R]) OnSuccess(f ...Follower[R]) Partial[R] {
	return Partial[R]{followed(p.p, store.OnGood, f)}
}

// OnFailure is OnSuccess for ends that are no success: failed, cancelled, expired, aborted.
func (p Partial[R]) OnFailure(f ...Follower[R]) Partial[R] {
	return Partial[R]{followed(p.p, store.OnBad, f)}
}

// OnDone is OnSuccess for whatever end.
func (p Partial[R]) OnDone(f ...Follower[R]) Partial[R] {
	return Partial[R]{followed(p.p, store.OnEnd, f)}
}

// OnSuccess returns an After that has callbacks for its own success, as Partial.OnSuccess does.
func (a After[P, R]) OnSuccess(f ...Follower[R]) After[P, R] {
	return After[P, R]{followed(a.p, store.OnGood, f)}
}

// OnFailure is OnSuccess for ends that are no success.
func (a After[P, R]) OnFailure(f ...Follower[R]) After[P, R] {
	return After[P, R]{followed(a.p, store.OnBad, f)}
}

// OnDone is OnSuccess for whatever end.
func (a After[P, R]) OnDone(f ...Follower[R]) After[P, R] {
	return After[P, R]{followed(a.p, store.OnEnd, f)}
}

func followed[R any](p *partial, condition byte, list []Follower[R]) *partial {
	n := p.another("callbacks")
	var zero R
	for _, f := range list {
		var a *partial
		if f != nil {
			a = f.followerOf(zero)
		}
		if a == nil {
			n.settings.mistake("callback", nil, "must be made by Reaction.With")
			continue
		}
		n.followers = append(n.followers, follower{a, condition})
	}
	return n
}

// another is a copy of a Partial that is yet to be put.
func (p *partial) another(what string) *partial {
	if p == nil {
		n := &partial{settings: defaultSettings()}
		n.settings.mistake("Partial", nil, "must be made by Task.With")
		return n
	}
	n := &partial{settings: p.settings, home: p.home, name: p.name, known: p.known, answer: p.answer, args: p.args,
		inputs: p.inputs, joins: p.joins, flow: p.flow}
	n.followers = append([]follower(nil), p.followers...)
	n.settings.mistakes = append([]error(nil), p.settings.mistakes...)
	if p.fixed.Load() {
		n.settings.mistake("Partial", p.name, "has been put or encoded: "+what+" must be given before")
	}
	return n
}

// OnSuccess lets a callback follow a stored job: before it has ended, while it does, or after it has, it runs exactly
// once. The callback is part of the job's queue, so its handle looks for it there, also where it runs in another one. Put to
// a transaction it is there if, and after, that commits.
//
// Errors are those of Partial.Put; ErrUnknown says that nothing is stored of the job: it was never put, or left nothing
// (a success without a result leaves an outcome only where Keep says so), or its outcome has had its time. The same After
// again is the same job.
func OnSuccess[P, R any](ctx context.Context, to To, j *Job[P], a After[P, R]) (*Job[R], error) {
	return follow[P, R](ctx, to, j, a, store.OnGood)
}

// OnFailure is OnSuccess for ends that are no success.
func OnFailure[P, R any](ctx context.Context, to To, j *Job[P], a After[P, R]) (*Job[R], error) {
	return follow[P, R](ctx, to, j, a, store.OnBad)
}

// OnDone is OnSuccess for whatever end.
func OnDone[P, R any](ctx context.Context, to To, j *Job[P], a After[P, R]) (*Job[R], error) {
	return follow[P, R](ctx, to, j, a, store.OnEnd)
}

func follow[P, R any](ctx context.Context, to To, j *Job[P], a After[P, R], condition byte) (*Job[R], error) {
	if err := checkTo(ctx, to); err != nil {
		return nil, err
	}
	switch {
	case j == nil || j.id == "":
		return nil, &FieldError{"Job", nil, "must come from Put or Task.Job"}
	case a.p == nil:
		return nil, &FieldError{"callback", nil, "must be made by Reaction.With"}
	}
	return joinJob[R](ctx, to, a.p, &j.jobRef, condition, store.Callback, false)
}

// joinJob puts a job that is joined to one that is stored.
func joinJob[R any](ctx context.Context, to To, p *partial, j *jobRef, condition, class byte, further bool) (*Job[R], error) {
	if err := errors.Join(checkName("Job: queue", j.queue, maxQueueName), checkID(j.id)); err != nil {
		return nil, err
	}
	if _, ok := to.(*via); ok {
		return nil, &FieldError{"to", "Tx.Via", "must be a client or a transaction: a job cannot follow one of another store"}
	}
	if !further {
		// It runs where the job does, unless it says otherwise; its own callbacks are stored with that in mind.
		if err := p.readyIn(txOf(to), "", j.queue); err != nil {
			return nil, err
		}
	}
	items := [1]putItem{}
	it := &items[0]
	if err := (Partial[R]{p}).prepare(it, to); err != nil {
		return nil, err
	}
	it.item.New = false
	it.item.Edge = &store.Edge{Job: j.id, Condition: condition, Class: class, Further: further, To: p.placeIn(j.queue)}
	if further { // a part runs where it would by itself
		it.item.Edge.To = away(p.settings.queue, j.queue)
	}
	it.queue = j.queue
	for again := false; ; again = true {
		err := to.put(ctx, items[:])
		if err == nil {
			err = it.err
		}
		if err == nil {
			break
		}
		if again || !j.arrived(ctx, &err) {
			return nil, err
		}
	}
	job := (Partial[R]{p}).job(to)
	job.queue = j.queue
	if tx, ok := to.(*Tx); ok && tx.queue != j.queue {
		job.post = &sender{tx.c, route{tx.queue, "", tx.c}}
	} else {
		job.post = j.post
	}
	return job, nil
}

// placeIn is where a follower runs that belongs to a queue: "" if it is there.
func (p *partial) placeIn(queue string) string {
	if !p.settings.placed || p.settings.queue == queue {
		return ""
	}
	return p.settings.queue
}
