package spool

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/spooljobs/spool/failure"
	"github.com/spooljobs/spool/internal/codec"
)

// handler is a function that runs the jobs of a task, made free of its types.
type handler struct {
	def  *taskDef
	tx   *TxConfig // of one that runs in a transaction
	call func(ctx context.Context, args []byte, end *ending)
}

// ending is how a call of a handler ended.
type ending struct {
	result   []byte           // encoded, of a success with one
	err      error            // what the handler returned
	failure  *failure.Failure // describes err, or a panic
	unusable error            // the arguments could not be decoded: the handler was not called
}

var (
	errNoReturn     = errors.New("the handler ended its goroutine (runtime.Goexit) instead of returning")
	errUnencodable  = errors.New("the result cannot be encoded")
	errLargeOutcome = errors.New("the result is too large")
)

// Handle makes a worker run the task's jobs with fn. Mistakes, such as a second handler of one task or a nil
// function, are kept; Run returns them all before it claims anything. It must be called before Run.
//
// A context that ends says why in context.Cause: the job's time-out, the worker's shutdown (ErrClosed), or the loss of
// the job to another worker (ErrAborted), after which nothing the handler returns counts. The slot stays taken until
// fn returns.
func (t Task[A, R]) Handle(w *Worker, fn func(ctx context.Context, args A) (R, error)) {
	if w == nil {
		panic(&FieldError{"worker", nil, "must not be nil"})
	}
	if t.def == nil {
		w.mistake(&FieldError{"task", nil, "must be made by NewTask"})
		return
	}
	if fn == nil {
		w.mistake(&FieldError{"handler of " + t.def.name, nil, "must not be nil"})
		return
	}
	site := failure.SiteOf(fn)
	site.Known = t.def.known
	w.handle(&handler{def: t.def, call: func(ctx context.Context, raw []byte, end *ending) {
		invoke(ctx, fn, raw, end, site, t.def.answer, w.client)
	}})
}

// invoke decodes, runs and encodes. Whatever the handler does, also if it ends its goroutine, end says how it ended.
func invoke[A, R any](ctx context.Context, fn func(context.Context, A) (R, error), raw []byte, end *ending, site failure.Site, answer bool, c *Client) {
	var args A
	if err := codec.Unmarshal(raw, &args); err != nil {
		end.unusable = err
		return
	}
	returned := false
	defer func() {
		if returned {
			return
		}
		// No return: a panic, with whatever value, or the end of the goroutine.
		site.Args = args
		v := recover()
		if v == nil {
			end.err, end.failure = errNoReturn, failure.New(errNoReturn, site)
			return
		}
		f := failure.Recovered(v, site)
		end.err, end.failure = f, f
	}()
	result, err := fn(ctx, args)
	if err == nil && answer {
		tx := joined(ctx, c) // the result takes effect with it
		if end.result, err = tx.encode(result); err != nil {
			err = Final(fmt.Errorf("%w: %w", errUnencodable, err))
		} else if limit := c.cfg.MaxPayload; len(end.result) > limit {
			err = Final(fmt.Errorf("%w: %w: %d bytes, at most %d are allowed", ErrTooLarge, errLargeOutcome, len(end.result), limit))
			end.result = nil
		}
	}
	if err != nil {
		site.Args = args
		_, about := verdictOf(err)
		var outer [16]uintptr
		site.Outer = outer[:runtime.Callers(1, outer[:])]
		end.err, end.failure = err, failure.New(about, site)
	}
	// Only now: the methods of an error may panic, too, as those of a typed nil do.
	returned = true
}
