package spool

import (
	"github.com/spooljobs/spool/failure"
	"github.com/spooljobs/spool/internal/store"
)

// A flow is a Partial made of others: it is put, followed, nested and run on commit like any other. It is stored as one job
// with a graph of those it is made of; they become jobs of their own as soon as nothing keeps the flow waiting. The flow
// itself waits for them, and has their outcomes. It lives in one queue: that of its first part, unless In says otherwise.
// Parts may run in any other.

// Rest says what becomes of the rest of a flow when a part of it does not succeed.
type Rest int

const (
	// ContinueRest: the rest goes on, and the outcomes tell. The default.
	ContinueRest Rest = iota
	// FailRest: what follows the part fails as it did, and so does the flow, at once; what is unfinished is cancelled.
	FailRest
	// CancelRest: what follows the part is cancelled, and so is the flow, at once, with all that is unfinished.
	CancelRest
)

// WhenPartFails says what becomes of a flow, or of a node of a Graph, when a job that it waits for does not succeed.
// Default ContinueRest.
func WhenPartFails(rest Rest) Option {
	return option(func(s *settings) {
		if rest < ContinueRest || rest > CancelRest {
			s.mistake("WhenPartFails", int(rest), "must be ContinueRest, FailRest or CancelRest")
			return
		}
		s.rest = rest
	})
}

// condition is that of edges from parts to what waits for them.
func (r Rest) condition() byte {
	switch r {
	case FailRest:
		return store.OnGood
	case CancelRest:
		return store.OrCancel
	}
	return store.OnEnd
}

// With returns a Partial with further settings: another one, as Partial.OnSuccess returns.
func (p Partial[R]) With(opts ...Option) Partial[R] {
	n := p.p.another("settings")
	n.apply(opts)
	return Partial[R]{n}
}

// member is a job of a flow.
type member struct {
	p       *partial
	parents []bond // in the order of its inputs
	part    bool   // the flow waits for it
}

// bond is an edge from a job of a flow to one that comes after it.
type bond struct {
	p     *partial
	class byte
}

// Parallel is a flow of jobs that run side by side. Its result is their outcomes, in the order of the arguments, failures
// included. Without parts it succeeds at once.
func Parallel[R any](ps ...Partial[R]) Partial[[]Outcome[R]] {
	flow, parts := newFlow(gatherTask, untyped(ps))
	for _, p := range parts {
		flow.flow = append(flow.flow, member{p: p, part: true})
	}
	return Partial[[]Outcome[R]]{flow}
}

// Serial is a flow of jobs of which each begins when the one before has ended. Its result is their outcomes, in order.
func Serial[R any](ps ...Partial[R]) Partial[[]Outcome[R]] {
	flow, parts := newFlow(gatherTask, untyped(ps))
	var before []bond
	for _, p := range parts {
		flow.flow = append(flow.flow, member{p: p, part: true, parents: before})
		before = []bond{{p, store.Order}}
	}
	return Partial[[]Outcome[R]]{flow}
}

// First is a race: the first of its jobs to succeed gives it its result, and the others are cancelled. If none succeeds it
// fails with all failures, in the order of the arguments. Without parts it is a mistake. (The parallel calls of txdpce.)
func First[R any](ps ...Partial[R]) Partial[R] {
	flow, parts := newFlow(firstTask, untyped(ps))
	if len(ps) == 0 {
		flow.settings.mistake("First", 0, "needs at least one Partial")
	}
	for _, p := range parts {
		flow.flow = append(flow.flow, member{p: p, part: true})
	}
	return Partial[R]{flow}
}

// Then is a flow of a job and of what follows it, whose result is its own: a is given the outcome of p, success or not,
// unless WhenPartFails among a's options says otherwise. To cancel it before p has ended cancels p.
func Then[P, R any](p Partial[P], a After[P, R]) Partial[R] {
	n := a.p.another("what it follows")
	if a.p == nil {
		n.settings.mistakes = []error{&FieldError{"After", nil, "must be made by Reaction.With"}}
	}
	if p.p == nil {
		n.settings.mistake("Partial", nil, "must be made by Task.With")
		return Partial[R]{n}
	}
	if !n.settings.placed {
		n.settings.queue = p.p.settings.queue
	}
	n.known = failure.Join(n.known, p.p.known)
	n.flow = []member{{p: p.p, part: true}}
	return Partial[R]{n}
}

// Join is a flow of jobs that run side by side, and of what is then given their outcomes, in the order of the arguments,
// failures included. Its result is that of a. It is Then on a Parallel, without the job between. (The postprocess of zc.async.)
func Join[P, R any](a After[[]Outcome[P], R], ps ...Partial[P]) Partial[R] {
	n := a.p.another("what it joins")
	if a.p == nil {
		n.settings.mistakes = []error{&FieldError{"After", nil, "must be made by Reaction.With"}}
	}
	flow, parts := newFlow(gatherTask, untyped(ps))
	n.settings.mistakes = append(n.settings.mistakes, flow.settings.mistakes...)
	if len(parts) == 0 {
		n.settings.mistake("Join", 0, "needs at least one Partial")
	}
	if !n.settings.placed {
		n.settings.queue = flow.settings.queue
	}
	n.known, n.joins, n.flow = failure.Join(n.known, flow.known), true, nil
	for _, p := range parts {
		n.flow = append(n.flow, member{p: p, part: true})
	}
	return Partial[R]{n}
}

// newFlow is a flow in the making, and its parts that are Partials.
func newFlow(task string, ps []*partial) (flow *partial, parts []*partial) {
	flow = &partial{settings: defaultSettings(), name: task, answer: true, args: None{}}
	flow.settings.interruptions = store.InterruptedForEver
	known := []*failure.Known{ownSite().Known}
	for _, p := range ps {
		if p == nil {
			flow.settings.mistake("part", nil, "must be made by Task.With")
			continue
		}
		parts, known = append(parts, p), append(known, p.known)
	}
	flow.known = failure.Join(known...)
	if len(parts) > 0 {
		flow.settings.queue, flow.settings.lane, flow.home = parts[0].settings.queue, parts[0].settings.lane, parts[0].settings.queue
		flow.inputs = true
	}
	return flow, parts
}

func untyped[R any](ps []Partial[R]) []*partial {
	list := make([]*partial, len(ps))
	for i, p := range ps {
		list[i] = p.p
	}
	return list
}
