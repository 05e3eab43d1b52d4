package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/spooljobs/spool/failure"
	"github.com/spooljobs/spool/internal/store"
	"github.com/spooljobs/spool/retry"
)

// HandleTx makes a worker run the task's jobs with fn, each in a transaction: what fn writes through tx, the jobs it puts
// to it, and the end of the job with its result take effect in one step, exactly once, or not at all. Handle says what
// holds for all handlers.
//
// A nil error commits. An error, a panic or a time-out drops the writes and fails the job as usual; KeepWrites(err) fails
// it and keeps them. If what fn has read was changed by others, fn runs again, at once, on fresh reads: it must be able
// to, and effects outside of Redis may come more than once. That is no failed attempt. After as many conflicts as the
// policy allows the job fails with ErrConflict. After a disconnect fn runs again, after a wait. A worker that has lost the
// job to another one, by its own silence, by being swept or because the job was cancelled, cannot commit.
//
// The configuration's Retry, Debug, Who, What and Audit count; its Queue is the job's. No connection is held while fn
// runs: reads of concurrent handlers share calls, and so do commits.
func (t Task[A, R]) HandleTx(w *Worker, fn func(ctx context.Context, tx *Tx, args A) (R, error), cfg ...TxConfig) {
	if w == nil {
		panic(&FieldError{"worker", nil, "must not be nil"})
	}
	one, err := oneConfig(cfg)
	if err != nil {
		w.mistake(fmt.Errorf("handler of %s: %w", t.Name(), err))
		return
	}
	if t.def == nil || fn == nil {
		t.Handle(w, nil)
		return
	}
	site := failure.SiteOf(fn)
	site.Known = t.def.known
	inner := func(ctx context.Context, args A) (R, error) {
		return fn(ctx, joined(ctx, w.client), args)
	}
	w.handle(&handler{def: t.def, tx: &one, call: func(ctx context.Context, raw []byte, end *ending) {
		invoke(ctx, inner, raw, end, site, t.def.answer, w.client)
	}})
}

// runTx is the transactional part of a run. While the handler runs it is the runner's; while the run waits for its commit
// it is the courier's.
type runTx struct {
	r       *run
	cfg     *TxConfig
	count   *retry.Count
	tries   atomic.Int32
	tx      *Tx                     // of this attempt
	verdict store.Verdict           // that waits to be committed
	maybe   bool                    // a call with it, given up since, may have been executed
	fate    []string                // contested keys of the last attempt
	wait    time.Duration           // before the next attempt
	given   error                   // why the run ends without another attempt; nil while it does not
	hooks   []func(context.Context) // of the last attempt's abort, yet to be run
	point   chan error              // takes the answer to a commit in the middle; nil if none is under way
}

func (t *runTx) job() *run                          { return t.r }
func (t *runTx) open(context.Context, string) error { return nil }

func (t *runTx) await(ctx context.Context, fn func(ctx context.Context) error) error {
	_, err := Await(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, fn(ctx) })
	return err
}

// conduct runs a transactional handler until there is a verdict: one to be committed with the transaction, or, if there
// is none to commit, one like any other.
func (e *engine) conduct(r *run, end *ending) (v store.Verdict, commit bool) {
	t := r.tx
	for {
		e.runHooks(r, t.hooks)
		t.hooks = nil
		if t.given == nil && t.wait > 0 && !e.sit(r, t.wait) {
			return backVerdict(r), false
		}
		if t.given != nil {
			*end = ending{err: t.given, failure: failure.New(aboutOf(t.given), failure.Site{Known: r.handler.def.known})}
			return e.judge(r, end), false
		}
		t.tries.Add(1)
		t.tx = &Tx{c: e.client, queue: r.queue, owner: t, tries: &t.tries}
		if len(t.fate) > 0 {
			t.tx.queueUp(e.jobs, e.client.turns.contested(t.fate, nil))
		}
		*end = ending{}
		e.execute(r, end)
		v, how := e.judgeTx(r, end)
		if how == txCommit {
			return v, true
		}
		e.runHooks(r, t.tx.end(errTxOver, how == txPlain && end.err == nil))
		if how != txAgain {
			return v, false
		}
	}
}

// aboutOf is an error without what it says is to happen.
func aboutOf(err error) error {
	_, about := verdictOf(err)
	return about
}

// sit waits in a slot, or until the run is lost. It returns false if the worker shuts down.
func (e *engine) sit(r *run, d time.Duration) bool {
	ctx, cancel := context.WithCancelCause(e.jobs)
	defer cancel(nil)
	e.mu.Lock()
	r.cancel = cancel
	decided := r.decided
	e.mu.Unlock()
	if decided {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return e.jobs.Err() == nil
	case <-e.stopping:
	}
	return false
}

type txEnd int

const (
	txPlain  txEnd = iota // nothing to commit: the verdict is like any other
	txCommit              // the verdict is committed with the transaction
	txAgain               // the handler runs again
)

// judgeTx turns the end of an attempt into what is to be done.
func (e *engine) judgeTx(r *run, end *ending) (store.Verdict, txEnd) {
	t := r.tx
	if end.unusable != nil {
		return e.judge(r, end), txPlain
	}
	if commits(end.err) {
		if err := t.describe(); err != nil {
			end.err, end.failure = err, failure.New(err, failure.Site{})
		}
		x := t.tx.transaction()
		if commits(end.err) { // describe may have failed
			v := e.judge(r, end)
			if v.Word == store.VerdictBack || (x == nil && !t.tx.hooked()) {
				return v, txPlain
			}
			if x == nil {
				x = &store.Transaction{}
			}
			v.Tx = x
			return v, txCommit
		}
	}
	switch {
	case e.jobs.Err() != nil:
	case errors.Is(end.err, ErrConflict):
		if !t.tx.clashed {
			e.conflict(t, nil)
		}
		return store.Verdict{}, t.again(t.count.Conflict, end.err)
	case errors.Is(end.err, ErrDisconnected), errors.Is(end.err, ErrFull):
		return store.Verdict{}, t.again(t.count.Disconnect, end.err)
	default:
		// An error counts only if what the handler has read still holds.
		holds, keys, err := t.tx.holds(e.jobs)
		switch {
		case errors.Is(err, ErrDisconnected) && e.jobs.Err() == nil:
			return store.Verdict{}, t.again(t.count.Disconnect, err) // whether the error counts is not known
		case err == nil && !holds:
			e.conflict(t, keys)
			return store.Verdict{}, t.again(t.count.Conflict, conflictOver(keys))
		}
		if kind, _ := verdictOf(end.err); t.cfg.Debug != nil && (kind == nil || kind.kind != verdictSnooze) {
			e.runHooks(r, []func(context.Context){func(ctx context.Context) {
				t.cfg.Debug(&txContext{ctx, e.client, t.tx}, t.tx, end.err)
			}})
		}
	}
	return e.judge(r, end), txPlain
}

// describe appends to the audit stream.
func (t *runTx) describe() error {
	return t.tx.describe(t.cfg, "job", t.r.id)
}

func (tx *Tx) hooked() bool {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	return len(tx.done) > 0
}

// again asks the policy. If it says no, the job ends with the error.
func (t *runTx) again(ask func() (time.Duration, bool), err error) txEnd {
	wait, again := ask()
	t.wait = wait
	t.fate = t.tx.contestedReads()
	level := slog.LevelDebug
	if wait > 0 {
		level = slog.LevelError
	}
	r := t.r
	r.courier.e.log.LogAttrs(context.Background(), level, "retrying a job's transaction", slog.String("queue", r.queue), slog.String("task", r.task),
		slog.String("job", r.id), slog.Int("attempt", int(t.tries.Load())), slog.Bool("again", again), slog.Duration("after", wait),
		slog.String("who", t.cfg.Who), slog.String("what", t.cfg.What), slog.Any("err", err))
	if !again {
		t.given = fmt.Errorf("%w, after %d attempts", err, t.tries.Load())
	}
	return txAgain
}

func (e *engine) conflict(t *runTx, keys []string) {
	e.client.conflicts.Add(1)
	e.client.turns.contest(keys)
}

// after runs hooks on a goroutine of their own, which the engine waits for: couriers must go on.
func (e *engine) after(r *run, hooks []func(context.Context)) {
	if len(hooks) > 0 {
		e.hooking.Add(1)
		e.hooks.Go(func() {
			defer e.signal()
			defer e.hooking.Add(-1)
			e.runHooks(r, hooks)
		})
	}
}

// runHooks runs hooks one after the other; those of a reactor handler on the loop.
func (e *engine) runHooks(r *run, hooks []func(context.Context)) {
	if len(hooks) == 0 {
		return
	}
	ctx := context.Context(&runContext{e.calls, &r.Run, nil})
	if r.lane == Reactor {
		if err := e.loop.enter(e.calls, r.task); err != nil {
			e.log.LogAttrs(ctx, slog.LevelWarn, "hooks of a transaction did not run: a reactor handler kept the loop to the end",
				slog.String("task", r.task), slog.String("job", r.id))
			return
		}
		defer e.loop.leave()
	}
	for _, hook := range hooks {
		e.hook(ctx, r, hook)
	}
}

// hook runs one; its panic is not the end of the worker.
func (e *engine) hook(ctx context.Context, r *run, hook func(context.Context)) {
	defer func() {
		if v := recover(); v != nil {
			e.log.LogAttrs(ctx, slog.LevelError, "a hook of a transaction panicked", slog.String("task", r.task), slog.String("job", r.id), slog.Any("panic", v))
		}
	}()
	hook(ctx)
}

// commit makes what the handler has done so far take effect, and waits for the answer.
func (t *runTx) commit(ctx context.Context, tx *Tx, cursor []byte) error {
	if err := t.describe(); err != nil {
		return err
	}
	x := tx.transaction()
	if x == nil && cursor == nil {
		return nil
	}
	if x == nil {
		x = &store.Transaction{}
	}
	r := t.r
	c, e := r.courier, r.courier.e
	answer := make(chan error, 1)
	e.mu.Lock()
	if r.decided || e.closing {
		e.mu.Unlock()
		return errLost
	}
	t.point = answer
	c.commitLocked(r, store.Verdict{ID: r.claim.ID, Token: r.claim.Token, Word: store.VerdictPoint, Outcome: cursor, Tx: x})
	e.mu.Unlock()
	err := t.await(ctx, func(ctx context.Context) error {
		// Not until ctx ends: what was handed over cannot be called back, and its answer is worth more.
		return <-answer
	})
	if err == nil {
		t.count = t.cfg.Retry.Begin() // what follows is a new transaction
	}
	return err
}
