package spool

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/spooljobs/spool/internal/store"
)

// runner runs the jobs that wait in a lane, one after another, and ends when none does or the lane has shrunk.
func (e *engine) runner(l *lane) {
	var r *run
	var end ending
	defer func() {
		if r == nil {
			return
		}
		// The handler ended this goroutine. Its job ends like any other, and another runner takes over.
		if r.tx != nil {
			e.runHooks(r, r.tx.tx.end(errTxOver, false))
		}
		verdict := e.judge(r, &end)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.concludeLocked(l, r, verdict)
		l.running--
		l.startLocked(e)
		e.signal()
	}()
	e.mu.Lock()
	l.fresh = false
	for {
		next := (*run)(nil)
		if l.running <= l.size {
			next = l.popLocked()
		}
		if next == nil {
			l.running--
			e.hungerLocked(l)
			e.mu.Unlock()
			e.signal()
			return
		}
		l.startLocked(e)
		e.mu.Unlock()
		verdict, ok := next.prepare()
		if ok {
			verdict, ok = e.bring(next)
		}
		commit := false
		if ok {
			r, end = next, ending{}
			if r.tx != nil {
				verdict, commit = e.conduct(r, &end)
			} else {
				e.execute(r, &end)
				verdict = e.judge(r, &end)
			}
			r = nil
		}
		e.mu.Lock()
		if commit && !next.decided {
			// Its slot is free: the handler has returned. Should there be a conflict it comes back.
			l.observeLocked(time.Since(next.started))
			l.taken--
			next.courier.commitLocked(next, verdict)
			e.kickLocked(next.courier)
			continue
		}
		e.concludeLocked(l, next, verdict)
		if commit {
			e.mu.Unlock()
			e.runHooks(next, next.tx.tx.end(errTxOver, false)) // it was lost meanwhile
			e.mu.Lock()
		}
	}
}

// execute calls the handler.
func (e *engine) execute(r *run, end *ending) {
	if r.lane == Reactor {
		// The turn comes first: what the handler is given, its time-out too, begins when it does, and a job that was
		// lost or given back meanwhile is not begun.
		_ = e.loop.enter(context.Background(), r.task)
		defer e.loop.leave()
		r.onLoop = true
	}
	ctx, cancel := context.WithCancelCause(e.jobs)
	defer cancel(nil)
	e.mu.Lock()
	r.cancel = cancel
	decided := r.decided
	e.mu.Unlock()
	if decided {
		return
	}
	var within context.Context = ctx
	if timeout := r.timeout(&e.w.defaults); timeout > 0 {
		limited, stop := context.WithTimeout(ctx, timeout)
		defer stop()
		within = limited
	}
	r.started = time.Now()
	var tx *Tx
	if r.tx != nil {
		tx = r.tx.tx
	}
	r.handler.call(&runContext{within, &r.Run, tx}, r.record.Args, end)
}

// concludeLocked frees the slot and passes the verdict on.
func (e *engine) concludeLocked(l *lane, r *run, v store.Verdict) {
	if !r.started.IsZero() {
		l.observeLocked(time.Since(r.started))
	}
	l.taken--
	if r.unclear {
		r.courier.leftLocked(r)
	}
	switch c := r.courier; {
	case c.decideLocked(r, v):
		if v.Word != store.VerdictPark && v.Word != store.VerdictBack {
			e.ran++
		}
	case r.cancelled:
		c.leftLocked(r)
	case r.lost && !r.started.IsZero():
		// Refused here rather than there: that is counted all the same.
		c.refused++
		c.kick()
	}
	e.kickLocked(r.courier)
}

// hungerLocked tells the lane's waker to look whether it is time to wait for work.
func (e *engine) hungerLocked(l *lane) {
	for _, hungry := range l.hungry {
		select {
		case hungry <- struct{}{}:
		default:
		}
	}
}

func (r *run) timeout(defaults *settings) time.Duration {
	if ms := r.record.Extra.Timeout; ms > 0 {
		return time.Duration(ms) * time.Millisecond
	}
	return defaults.timeout
}

// defaultKeep is how long the outcome of a success is kept for a task with a result.
const defaultKeep = int64(time.Hour / time.Millisecond)

// judge turns the end of a call into the verdict that Redis is told.
func (e *engine) judge(r *run, end *ending) store.Verdict {
	v := store.Verdict{ID: r.claim.ID, Token: r.claim.Token}
	switch {
	case end.unusable != nil:
		v.Word, v.Why = store.VerdictBreak, "the arguments of "+r.task+" cannot be decoded: "+end.unusable.Error()
		e.logRun(slog.LevelError, "a job cannot be decoded", r, end.unusable)
		return v
	case end.err == nil:
		return e.success(r, v, end.result)
	}
	kind, about := verdictOf(end.err)
	if kind != nil && kind.kind == verdictBecome {
		return e.adopts(r, v, kind.become)
	}
	// An attempt that the shutdown interrupted has not failed.
	if errors.Is(context.Cause(e.jobs), ErrClosed) && (kind == nil || kind.kind == verdictRetryAfter) {
		return backVerdict(r)
	}
	past := r.history
	switch {
	case kind != nil && kind.kind == verdictSnooze:
		v.Word, v.Head, v.Wait = store.VerdictRetry, store.Head(r.claim.Record), roundMs(max(0, kind.wait))
		v.Outcome = e.outcome(r, store.Expired, store.OutcomeBody{})
		return v
	case kind != nil && kind.kind == verdictCancelled:
		return e.failed(r, v, store.Cancelled, end)
	}
	past.Attempts++
	past.Failure = end.failure.Encode()
	wait, again := r.retry(&e.w.defaults, past.Attempts)
	if kind != nil {
		wait, again = max(0, kind.wait), kind.kind == verdictRetryAfter
	}
	if !again {
		e.logRun(r.handler.def.gravity(), "a job failed", r, about)
		return e.failed(r, v, store.Failed, end)
	}
	e.logRun(slog.LevelInfo, "an attempt failed", r, about)
	v.Word, v.Head, v.Wait, v.History = store.VerdictRetry, store.Head(r.claim.Record), roundMs(wait), past.Encode()
	if r.record.Deadline {
		v.Outcome = e.outcome(r, store.Failed, store.OutcomeBody{Failure: past.Failure})
	}
	return v
}

// retry says whether, and after what wait, the policy of the job allows another attempt after so many.
func (r *run) retry(defaults *settings, attempts int) (time.Duration, bool) {
	policy := r.record.Extra.Retry
	if policy == nil {
		policy = defaults.retry
	}
	if policy == nil || len(policy.Waits) == 0 || (policy.Times >= 0 && attempts > policy.Times) {
		return 0, false
	}
	return time.Duration(policy.Waits[min(attempts, len(policy.Waits))-1]) * time.Millisecond, true
}

// success is plain where nothing is to be kept and nothing to be told.
func (e *engine) success(r *run, v store.Verdict, result []byte) store.Verdict {
	switch {
	case r.record.Extra.Keep != nil:
		v.Keep = *r.record.Extra.Keep
	case r.record.Answer:
		v.Keep = defaultKeep
	case r.history.Attempts == 0 && r.history.Interruptions == 0:
		return v
	}
	v.Word, v.Outcome = store.VerdictKeep, e.outcome(r, store.Succeeded, store.OutcomeBody{Result: result})
	return v
}

func (e *engine) failed(r *run, v store.Verdict, kind byte, end *ending) store.Verdict {
	v.Word, v.Keep = store.VerdictKeep, e.cfg.KeepFailures.Milliseconds()
	if keep := r.record.Extra.Keep; keep != nil {
		v.Keep = max(v.Keep, *keep)
	}
	v.Outcome = e.outcome(r, kind, store.OutcomeBody{Failure: end.failure.Encode()})
	return v
}

func (e *engine) outcome(r *run, kind byte, body store.OutcomeBody) []byte {
	body.Worker = e.cfg.Identity
	if !r.started.IsZero() {
		body.Started = r.courier.serverTime(r.started)
	}
	o := store.Outcome{Kind: kind, Attempts: r.history.Attempts + 1, Interruptions: r.history.Interruptions,
		Task: r.task, Digest: store.DigestOf(r.claim.Record), Body: body}
	b, err := o.Encode()
	if err != nil {
		// It holds bytes, numbers and short strings only.
		panic("bug: an outcome cannot be encoded: " + err.Error())
	}
	return b
}

func backVerdict(r *run) store.Verdict {
	return store.Verdict{ID: r.claim.ID, Token: r.claim.Token, Word: store.VerdictBack, Head: store.Head(r.claim.Record)}
}

func (e *engine) logRun(level slog.Level, what string, r *run, err error) {
	e.mu.Lock()
	lost := r.lost
	e.mu.Unlock()
	if lost || !e.log.Enabled(context.Background(), level) {
		return // of what is lost the new owner tells
	}
	e.log.LogAttrs(context.Background(), level, what, slog.String("queue", r.queue), slog.String("task", r.task),
		slog.String("job", r.id), slog.Int("attempt", r.attempt), slog.Any("err", err))
}
