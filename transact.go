package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spooljobs/spool/internal/store"
	"github.com/spooljobs/spool/internal/txn"
	"github.com/spooljobs/spool/retry"
)

// TxConfig is how a transaction differs from the default. The zero value is the default.
type TxConfig struct {
	// Queue is the queue whose slot the transaction lives in: in a cluster all its keys bear that queue's tag, and jobs put
	// into that queue are part of the commit; those for others go by the outbox. In a handler it is the job's queue.
	// Defaults to DefaultQueue.
	Queue string
	// Retry says what is run again. Defaults to retry.Common(): five attempts that end in a conflict, at once after each;
	// after disconnects always, waiting 5, 10 ... 60 s.
	Retry retry.Policy
	// Debug is called before an error that is not transient, or a panic, aborts the transaction, while it can still be
	// looked at. Defaults to nothing.
	Debug func(ctx context.Context, tx *Tx, err error)
	// Who and What describe the transaction in the log and in the stream Audit. Default to nothing.
	Who, What string
	// Audit is the key of a stream that each commit appends an entry to, with the fields who and what, in the same step.
	// Defaults to none.
	Audit string
}

func (cfg TxConfig) withDefaults() (TxConfig, error) {
	if cfg.Queue == "" {
		cfg.Queue = DefaultQueue
	}
	if err := checkName("TxConfig.Queue", cfg.Queue, maxQueueName); err != nil {
		return cfg, err
	}
	if err := cfg.Retry.Check(); err != nil {
		return cfg, &FieldError{"TxConfig.Retry", fmt.Sprintf("%+v", cfg.Retry.Conflicts), err.Error()}
	}
	return cfg, nil
}

func oneConfig(cfg []TxConfig) (TxConfig, error) {
	switch len(cfg) {
	case 0:
		return TxConfig{}.withDefaults()
	case 1:
		return cfg[0].withDefaults()
	}
	return TxConfig{}, &FieldError{"TxConfig", len(cfg), "may be given once"}
}

// Transact runs fn in a transaction and commits it: all it writes takes effect at once, or nothing. An error of fn drops
// everything and comes back as it is; KeepWrites(err) commits and comes back as err. A function that touches nothing
// stored takes no connection.
//
// If what fn has read was changed by others before the commit, that is a conflict, and fn runs again, at once, on fresh
// reads: it must be able to. ErrConflict says that it did so as often as the policy allows. An error or a panic of fn that
// follows from reads which no longer hold is a conflict, too. After a disconnect fn runs again, after a wait; the answer to
// a commit that was lost is settled first, so that nothing takes effect twice. ErrFull is waited out like a disconnect.
// If ctx ends, its cause comes back; ErrUnsure says that the fate of the commit was not known then.
//
// In the function of another transaction of the same client, or in a HandleTx handler, given its context, fn joins that
// one: it is part of it and nothing is committed before it is. The configuration then counts for nothing.
//
// (The loop is that of zc.twist and of dm.zodb.asynchronous: conflicts at once, disconnects after 5, 10 ... 60 s.)
func (c *Client) Transact(ctx context.Context, fn func(ctx context.Context, tx *Tx) error, cfg ...TxConfig) error {
	if ctx == nil {
		return &FieldError{"ctx", nil, "must not be nil"}
	}
	if fn == nil {
		return &FieldError{"function", nil, "must not be nil"}
	}
	one, err := oneConfig(cfg)
	if err != nil {
		return err
	}
	if tx := joined(ctx, c); tx != nil {
		return fn(ctx, tx)
	}
	if c.life.Err() != nil {
		return ErrClosed
	}
	b := &bare{c: c, cfg: one, count: one.Retry.Begin()}
	return b.run(ctx, fn)
}

// bare is a transaction that is no job's.
type bare struct {
	c     *Client
	cfg   TxConfig
	count *retry.Count
	tries atomic.Int32
	fate  []string // contested keys that the last attempt read

	opened atomic.Bool // the attempt has been given its connection
	opens  sync.Mutex  // guards begun, and link until opened
	begun  bool        // a connection was given to it before
	link   *link
}

func (b *bare) job() *run { return nil }

func (b *bare) await(ctx context.Context, fn func(ctx context.Context) error) error {
	_, err := Await(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, fn(ctx) })
	return err
}

// open takes a connection, which the attempt holds to its end. That is no attempt as long as it waits.
func (b *bare) open(ctx context.Context, key string) error {
	if b.opened.Load() {
		return nil
	}
	return b.await(ctx, func(ctx context.Context) (err error) {
		b.opens.Lock()
		defer b.opens.Unlock()
		if b.link != nil {
			return nil
		}
		if !b.begun {
			b.tries.Add(-1)
			defer b.tries.Add(1)
		}
		if b.link, err = b.c.conns.take(ctx, key); err == nil {
			b.begun = true
			b.opened.Store(true)
		}
		return err
	})
}

// close gives the connection back.
func (b *bare) close() {
	b.opens.Lock()
	defer b.opens.Unlock()
	b.opened.Store(false)
	b.link.release()
	b.link = nil
}

// ended says how an attempt ended, beside its error.
type ended int

const (
	endedForGood ended = iota
	endedConflict
	endedDisconnect
	endedTrouble
	endedAgain // run again, at once: the wait was before
)

func (b *bare) run(ctx context.Context, fn func(context.Context, *Tx) error) error {
	for {
		b.tries.Add(1)
		tx := &Tx{c: b.c, queue: b.cfg.Queue, owner: b, tries: &b.tries}
		if len(b.fate) > 0 {
			tx.queueUp(ctx, b.c.turns.contested(b.fate, nil))
		}
		how, err := b.attempt(ctx, tx, fn)
		var wait time.Duration
		again := false
		switch how {
		case endedConflict:
			wait, again = b.count.Conflict()
		case endedDisconnect:
			wait, again = b.count.Disconnect()
		case endedTrouble:
			wait, again = b.count.Trouble()
		case endedAgain:
			again = true
		}
		if !again || tx.partial {
			if how == endedConflict && tx.Attempts() > 1 {
				err = fmt.Errorf("%w, after %d attempts", err, tx.Attempts())
			}
			return err
		}
		if err := b.pause(ctx, wait, err); err != nil {
			return err
		}
	}
}

// pause waits before what failed is tried again.
func (b *bare) pause(ctx context.Context, wait time.Duration, why error) error {
	level := slog.LevelDebug
	if wait > 0 || b.cfg.Retry.ConflictWaits != nil {
		level = slog.LevelError // somebody waits
	}
	b.c.cfg.Logger.LogAttrs(ctx, level, "retrying a transaction", slog.Int("attempt", int(b.tries.Load())), slog.Duration("after", wait),
		slog.String("who", b.cfg.Who), slog.String("what", b.cfg.What), slog.Any("err", why))
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case b.c.life.Err() != nil:
		return ErrClosed
	case wait <= 0:
		return nil
	}
	return b.await(ctx, func(ctx context.Context) error {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-b.c.life.Done():
			return ErrClosed
		}
	})
}

// attempt runs the function once and commits.
func (b *bare) attempt(ctx context.Context, tx *Tx, fn func(context.Context, *Tx) error) (how ended, err error) {
	within := &txContext{ctx, tx.c, tx}
	committed := false
	defer func() {
		b.fate = tx.contestedReads()
		hooks := tx.end(errTxOver, committed)
		b.close() // before the hooks: they may begin transactions of their own
		for _, hook := range hooks {
			hook(ctx)
		}
	}()
	err = guarded(within, tx, fn)
	kept := keptError(err)
	switch done := err == nil || kept != nil; {
	case tx.unsure != nil:
		// A part may have taken effect: nothing is done again, whatever fn made of it.
		if done {
			err = tx.unsure
		}
	case done:
		if how, err = b.finish(within, tx); err == nil {
			committed = true
			return how, kept
		}
	default:
		how, err = b.judge(ctx, tx, err)
	}
	if how == endedForGood {
		if b.cfg.Debug != nil && ctx.Err() == nil && !errors.Is(err, ErrUnsure) {
			b.cfg.Debug(within, tx, err)
		}
		if p := (*panicked)(nil); errors.As(err, &p) {
			panic(p.value)
		}
	}
	return how, err
}

// panicked is a panic of the function, kept until it is known whether its reads hold.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// guarded calls the function.
func guarded(ctx context.Context, tx *Tx, fn func(context.Context, *Tx) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicked{v, debug.Stack()}
		}
	}()
	return fn(ctx, tx)
}

// judge says what an error of the function means.
func (b *bare) judge(ctx context.Context, tx *Tx, err error) (ended, error) {
	switch {
	case ctx.Err() != nil:
		return endedForGood, err
	case errors.Is(err, ErrConflict):
		if !tx.clashed {
			b.conflict(nil)
		}
		return endedConflict, err
	case errors.Is(err, ErrDisconnected), errors.Is(err, ErrFull):
		return endedDisconnect, err
	}
	holds, keys, asked := tx.holds(ctx)
	switch {
	case errors.Is(asked, ErrDisconnected) && ctx.Err() == nil:
		return endedDisconnect, asked // whether the error counts is not known
	case asked == nil && !holds:
		b.conflict(keys)
		return endedConflict, conflictOver(keys)
	}
	return endedForGood, err
}

func (b *bare) conflict(keys []string) {
	b.c.conflicts.Add(1)
	b.c.turns.contest(keys)
}

func conflictOver(keys []string) error {
	if len(keys) == 0 {
		return ErrConflict
	}
	return fmt.Errorf("%w: %q", ErrConflict, keys)
}

// contestedReads is what the transaction has read that others want, too.
func (tx *Tx) contestedReads() []string {
	tx.mu.Lock()
	var keys []string
	for _, r := range tx.log.Reads() {
		keys = append(keys, r.Keys...)
	}
	tx.mu.Unlock()
	return tx.c.turns.contested(keys, nil)
}

// commit is a commit in the middle.
func (b *bare) commit(ctx context.Context, tx *Tx, cursor []byte) error {
	if cursor != nil {
		return errNoCursor
	}
	_, err := b.finish(ctx, tx)
	return err
}

// finish makes what the transaction has written take effect.
func (b *bare) finish(ctx context.Context, tx *Tx) (how ended, err error) {
	if err := tx.describe(&b.cfg); err != nil {
		return endedForGood, err
	}
	t := tx.transaction()
	if t == nil {
		return endedForGood, nil
	}
	defer func() {
		if err == nil {
			b.c.commits.Add(1)
		}
	}()
	if len(t.Writes)+len(t.Puts)+len(t.Outs) == 0 {
		return b.confirm(ctx, tx)
	}
	err = b.await(ctx, func(ctx context.Context) error {
		how, err = b.tell(ctx, t)
		return err
	})
	if err == nil && len(t.Outs) > 0 {
		b.c.post(b.cfg.Queue)
	}
	return how, err
}

// describe appends to the audit stream, if there is one and something is written.
func (tx *Tx) describe(cfg *TxConfig, more ...any) error {
	if cfg.Audit == "" {
		return nil
	}
	command, err := txn.Parse(append([]any{"XADD", cfg.Audit, "*", "who", cfg.Who, "what", cfg.What}, more...)...)
	if err == nil {
		err = tx.checkKey(cfg.Audit, false)
	}
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.described || len(tx.log.Writes())+len(tx.puts)+len(tx.outs)+len(tx.taken) == 0 {
		return nil
	}
	if err == nil {
		err = tx.log.Write(command)
	}
	if err != nil {
		return fmt.Errorf("spool: TxConfig.Audit: %w", err)
	}
	tx.described = true
	return nil
}

// confirm sees to it that what a transaction that only reads has read is of one moment. One call is.
func (b *bare) confirm(ctx context.Context, tx *Tx) (ended, error) {
	tx.mu.Lock()
	asks := tx.asks
	tx.mu.Unlock()
	if asks <= 1 {
		return endedForGood, nil
	}
	var holds bool
	var keys []string
	err := b.await(ctx, func(ctx context.Context) (err error) {
		holds, keys, err = tx.holds(ctx)
		return err
	})
	switch {
	case errors.Is(err, ErrDisconnected):
		return endedDisconnect, err
	case err != nil:
		return endedForGood, err
	case !holds:
		b.conflict(keys)
		return endedConflict, conflictOver(keys)
	}
	return endedForGood, nil
}

// tell commits by WATCH, a second look at all reads, and one script as the only command of a MULTI. That a watched key was
// touched is no conflict while what was read of it is as it was: the look is repeated, and where that does not help the
// script looks by itself. (Late watching: no connection is needed before the function has returned, and the keys are
// watched for two round trips only.)
func (b *bare) tell(ctx context.Context, t *store.Transaction) (ended, error) {
	q := b.c.queue(b.cfg.Queue)
	line := b.c.txLine(b.cfg.Queue)
	for touched := 0; ; {
		line.number++
		refusal, changed, err := b.once(ctx, q, line, t, touched < manyTouches)
		if store.MaybeExecuted(err) {
			// Did it? The answer comes by its number, which is closed if it did not.
			b.link.release()
			b.link = nil
			var applied bool
			if applied, refusal, err = b.settle(ctx, q, line, err); err != nil {
				return endedForGood, err // the line is given up with the call
			}
			if !applied {
				b.c.giveLine(b.cfg.Queue, line)
				return endedAgain, fmt.Errorf("%w: committing", ErrDisconnected)
			}
			err = nil
		}
		switch {
		case errors.Is(err, store.ErrTouched) && ctx.Err() == nil:
			touched++
			continue
		case errors.Is(err, store.ErrTouched):
			err = context.Cause(ctx)
		case errors.Is(err, store.ErrFull):
			// The finished transaction waits: the function runs again only if its reads have changed.
			if wait, again := b.count.Disconnect(); again {
				if err := b.pause(ctx, wait, err); err != nil {
					return endedForGood, err
				}
				continue
			}
		}
		b.c.giveLine(b.cfg.Queue, line)
		if refusal != nil && refusal.Word == store.RefusedConflict {
			changed = refusal.Index
		}
		switch {
		case errors.Is(err, store.ErrAway):
			return endedDisconnect, b.c.away("committing", err)
		case err != nil:
			return endedTrouble, b.c.away("committing", err)
		case changed >= 0:
			b.conflict(t.Reads[changed].Keys)
			return endedConflict, conflictOver(t.Reads[changed].Keys)
		case refusal != nil:
			return endedForGood, refusalError(refusal, t)
		}
		return endedForGood, nil
	}
}

// Transactions tells how many transactions of this client have committed, those of its workers' jobs included, and how
// many conflicts there were.
func (c *Client) Transactions() (commits, conflicts int64) {
	return c.commits.Load(), c.conflicts.Load()
}
