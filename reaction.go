package spool

import (
	"context"
	"fmt"

	"github.com/spooljobs/spool/failure"
	"github.com/spooljobs/spool/internal/codec"
	"github.com/spooljobs/spool/internal/store"
	"github.com/spooljobs/spool/retry"
)

// Reaction is a named kind of work that follows other jobs: besides its own arguments, its handler is given how a job has
// ended, as an Outcome[P]. What a Task is to a Partial, a Reaction is to an After. (Callbacks in Twisted and zc.async.)
type Reaction[P, A, R any] struct {
	def *taskDef
}

// NewReaction names a reaction: to outcomes of type P, with arguments of type A, with a result of type R. Names are those
// of tasks, and it panics as NewTask does. By default a reaction is run again however often it is interrupted, and in a
// transaction however many conflicts it meets: it is what sees to the consequences. Unless In names a queue, it runs in
// the queue of the job that it follows.
func NewReaction[P, A, R any](name string, opts ...TaskOption) Reaction[P, A, R] {
	defaults := defaultSettings()
	defaults.interruptions = store.InterruptedForEver
	def := newTaskDef[A, R](name, defaults, opts)
	def.reacts = true
	return Reaction[P, A, R]{def}
}

// Name is the reaction's name.
func (r Reaction[P, A, R]) Name() string {
	if r.def == nil {
		return ""
	}
	return r.def.name
}

// With binds arguments and settings, as Task.With does.
func (r Reaction[P, A, R]) With(args A, opts ...Option) After[P, R] {
	p := bind(r.def, args, opts)
	p.inputs = true
	return After[P, R]{p}
}

// Job returns the handle of a stored job, as Task.Job does.
func (r Reaction[P, A, R]) Job(c *Client, id string) *Job[R] { return Task[A, R](r).Job(c, id) }

// Handle makes a worker run the reaction's jobs with fn, as Task.Handle does. An outcome of a type that is not P, such as
// one that was passed through, fails the job.
func (r Reaction[P, A, R]) Handle(w *Worker, fn func(ctx context.Context, parent Outcome[P], args A) (R, error)) {
	if r.def == nil || fn == nil || w == nil {
		Task[A, R](r).Handle(w, nil)
		return
	}
	site := failure.SiteOf(fn)
	site.Known = r.def.known
	inner := func(ctx context.Context, args A) (R, error) {
		parent, err := parentOf[P](ctx, r.def.known)
		if err != nil {
			var none R
			return none, Final(err)
		}
		return fn(ctx, parent, args)
	}
	w.handle(&handler{def: r.def, call: func(ctx context.Context, raw []byte, end *ending) {
		invoke(ctx, inner, raw, end, site, r.def.answer, w.client)
	}})
}

// HandleTx makes a worker run the reaction's jobs with fn, each in a transaction, as Task.HandleTx does. Without a
// configuration conflicts are run again without limit.
func (r Reaction[P, A, R]) HandleTx(w *Worker, fn func(ctx context.Context, tx *Tx, parent Outcome[P], args A) (R, error), cfg ...TxConfig) {
	if r.def == nil || fn == nil || w == nil {
		Task[A, R](r).HandleTx(w, nil, cfg...)
		return
	}
	if len(cfg) == 0 {
		cfg = []TxConfig{{Retry: retry.Forever()}}
	}
	one, err := oneConfig(cfg)
	if err != nil {
		w.mistake(fmt.Errorf("handler of %s: %w", r.def.name, err))
		return
	}
	site := failure.SiteOf(fn)
	site.Known = r.def.known
	inner := func(ctx context.Context, args A) (R, error) {
		parent, err := parentOf[P](ctx, r.def.known)
		if err != nil {
			var none R
			return none, Final(err)
		}
		return fn(ctx, joined(ctx, w.client), parent, args)
	}
	w.handle(&handler{def: r.def, tx: &one, call: func(ctx context.Context, raw []byte, end *ending) {
		invoke(ctx, inner, raw, end, site, r.def.answer, w.client)
	}})
}

// After is a reaction with its arguments and settings: what is to follow a job. It is a value, as a Partial is: the same
// After twice is the same job.
type After[P, R any] struct {
	p *partial
}

// A Follower is what can follow a job whose result is a P: an After of whatever result.
type Follower[P any] interface {
	followerOf(P) *partial
}

func (a After[P, R]) followerOf(P) *partial { return a.p }

// parentOf is what the handler of a reaction is told of the jobs that it follows.
func parentOf[P any](ctx context.Context, known *failure.Known) (Outcome[P], error) {
	r := Running(ctx)
	if r.joins {
		var out Outcome[P]
		list, err := listOf(r.inputs)
		if err == nil {
			err = codec.Unmarshal(list, &out.Value)
		}
		if err != nil {
			return out, fmt.Errorf("spool: the outcomes that %s follows: %w", r.task, err)
		}
		resolveAll(&out.Value, known)
		return out, nil
	}
	if len(r.inputs) == 0 {
		return Outcome[P]{}, fmt.Errorf("%w: the job follows nothing", ErrUnknown)
	}
	out, err := outcomeOf[P](r.inputs[0].Parent, r.inputs[0].Outcome, known)
	resolveAll(&out.Value, known)
	return out, err
}
