package spool

import (
	"context"
	"fmt"

	"github.com/spooljobs/spool/internal/codec"
)

// Call runs the call here and now, in the caller's goroutine, by the worker's handler of the task, and returns what it
// returns. No queue is involved, nothing is stored of the call itself, and the worker need not run. A transactional
// handler runs under the policy it was given: conflicts and disconnects are run again, all it writes takes effect at once
// or not at all, and if the context bears a transaction of the worker's client it joins that one. A handler that touches
// nothing stored takes no connection.
//
// Arguments and result are encoded and decoded as for a job. Options that are about queues (Due, Priority, Retry, ID ...)
// count for nothing; Timeout does not either, the context is the caller's. An error of the handler comes back as it is.
// (The Partial of zc.twist.)
func (p Partial[R]) Call(ctx context.Context, w *Worker) (R, error) {
	var result R
	switch {
	case ctx == nil:
		return result, &FieldError{"ctx", nil, "must not be nil"}
	case w == nil || w.client == nil:
		return result, &FieldError{"worker", nil, "must not be nil"}
	case p.p == nil:
		return result, &FieldError{"Partial", nil, "must be made by Task.With"}
	}
	if p.p.inputs || len(p.p.flow)+len(p.p.followers) > 0 {
		return result, &FieldError{"Partial", p.p.name, "is a flow or has callbacks: it can only be put"}
	}
	w.mu.Lock()
	h := w.handlers[p.p.name]
	w.mu.Unlock()
	if h == nil {
		return result, &FieldError{"handler of " + p.p.name, nil, "was not given to this worker"}
	}
	args, err := p.arguments(joined(ctx, w.client))
	if err != nil {
		return result, err
	}
	var end ending
	call := func(ctx context.Context) error {
		end = ending{}
		h.call(ctx, args, &end)
		if end.unusable != nil {
			return fmt.Errorf("spool: decoding the arguments of %s: %w", p.p.name, end.unusable)
		}
		return end.err
	}
	if h.tx == nil {
		err = call(ctx)
	} else {
		cfg := *h.tx
		cfg.Queue = p.p.settings.queue
		err = w.client.Transact(ctx, func(ctx context.Context, tx *Tx) error { return call(ctx) }, cfg)
	}
	if err != nil {
		_, err = verdictOf(err)
		return result, err
	}
	if len(end.result) > 0 {
		if err := codec.Unmarshal(end.result, &result); err != nil {
			return result, fmt.Errorf("spool: decoding the result of %s: %w", p.p.name, err)
		}
	}
	return result, nil
}
