package spool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool/internal/store"
	"github.com/spooljobs/spool/internal/txn"
)

// Tx is an optimistic transaction: what it reads is remembered, what it writes is buffered. At the end Redis asks, in one
// step, whether everything read still answers as it did and whether every write can succeed; only then are the writes
// done, the jobs put, and, in a handler of a job, the job is finished. If something has changed, that is a conflict:
// nothing was done, and the function runs again.
//
// A Tx is given to a function by Client.Transact or Task.HandleTx and is of no use after that function has returned. It
// is safe for concurrent use within it. Jobs put to it start only if, and after, it commits.
type Tx struct {
	c     *Client
	queue string // whose slot it lives in
	owner txOwner
	tries *atomic.Int32

	encoding sync.Mutex // held while Refs created here are encoded; before mu

	mu         sync.Mutex // guards what follows; not held while Redis is asked
	log        txn.Log
	puts       []store.Item
	outs       []store.Out
	ids        map[string]string       // digests of jobs put here under ids of the user's
	done       []func(context.Context) // OnCommit
	undone     []func(context.Context) // OnAbort
	born       []*birth                // Refs created here
	taken      [][]string              // writes to keys of Spool's own
	turns      []heldTurn              // at contested keys
	waits      bool                    // somebody waits for a turn on its behalf
	asks       int                     // calls that have read
	over       error                   // why it can no longer be used; nil while it can
	partial    bool                    // a part of it has been committed
	committing bool                    // a part of it is being committed
	described  bool                    // it is in the audit stream
	clashed    bool                    // a part of it was not, for a conflict that has been counted
	unsure     error                   // of a commit in the middle that may have taken effect: nothing can follow it
}

// txOwner is what a transaction runs under: a call of Transact, or a run of a job.
type txOwner interface {
	// open is called before Redis is first asked or told something.
	open(ctx context.Context, key string) error
	// commit makes what has been done so far take effect while the function goes on; cursor only for jobs.
	commit(ctx context.Context, tx *Tx, cursor []byte) error
	// await does what may block; the reactor goes on meanwhile.
	await(ctx context.Context, fn func(ctx context.Context) error) error
	// job is the run it belongs to, or nil.
	job() *run
}

var (
	errTxOver     = fmt.Errorf("%w: the transaction has ended", ErrBadState)
	errCommitting = fmt.Errorf("%w: a part of the transaction is being committed", ErrBadState)
	errNoCursor   = fmt.Errorf("%w: only the transaction of a job has a checkpoint", ErrBadState)
	errOutOfSlot  = "is in another slot of the cluster than the transaction: begin the key with the tag of its queue, Queue.Tag"
	errOwnKeys    = "is a key of Spool's own"
	maxTxCommand  = 1000 // arguments of one command
	errManyValues = "too many arguments in one command, at most 1000"
)

// Do does a command of one of two tables, which docs/exactly-once.md lists. A command that reads is answered by Redis, or
// from what this transaction has read or written before: it never shows what this transaction has overwritten, and
// where that cannot be told the error is ErrReadAfterWrite. One that writes is buffered, and its reply is not known
// before the commit: the value is "QUEUED". What Redis would refuse is refused here. A key that holds nothing is
// redis.Nil, as with go-redis; a value of a wrong type is Redis's WRONGTYPE. Any other command is an error that says why
// it is in neither table.
//
// ErrDisconnected: Redis could not be reached; return it, and the function runs again. If ctx ends, its cause comes back.
func (tx *Tx) Do(ctx context.Context, args ...any) *redis.Cmd {
	cmd := redis.NewCmd(ctx, args...)
	reply, err := tx.do(ctx, args)
	if reply == nil && err == nil {
		err = redis.Nil
	}
	cmd.SetVal(reply)
	cmd.SetErr(err)
	return cmd
}

func (tx *Tx) do(ctx context.Context, args []any) (any, error) {
	if err := tx.usable(ctx); err != nil {
		return nil, err
	}
	if len(args) > maxTxCommand {
		return nil, &FieldError{"command", args[0], errManyValues}
	}
	command, err := txn.Parse(args...)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	for _, key := range command.Keys {
		if err := tx.checkKey(key, command.Reads()); err != nil {
			return nil, err
		}
	}
	return tx.perform(ctx, command)
}

// perform does a command whose keys have been looked at.
func (tx *Tx) perform(ctx context.Context, command *txn.Command) (any, error) {
	if err := tx.usable(ctx); err != nil {
		return nil, err
	}
	if command.Reads() {
		return tx.read(ctx, command)
	}
	if err := tx.owner.open(ctx, command.Keys[0]); err != nil {
		return nil, err
	}
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if err := tx.usableLocked(); err != nil {
		return nil, err
	}
	if err := tx.log.Write(command); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	return "QUEUED", nil
}

func (tx *Tx) usable(ctx context.Context) error {
	if tx == nil {
		return &FieldError{"Tx", nil, "must come from Transact or HandleTx"}
	}
	if ctx == nil {
		return &FieldError{"ctx", nil, "must not be nil"}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	tx.mu.Lock()
	defer tx.mu.Unlock()
	return tx.usableLocked()
}

func (tx *Tx) usableLocked() error {
	switch {
	case tx.unsure != nil:
		return tx.unsure
	case tx.over == nil && tx.committing:
		return errCommitting
	}
	return tx.over
}

// checkKey refuses keys that the transaction cannot have.
func (tx *Tx) checkKey(key string, reads bool) error {
	if !reads && strings.HasPrefix(key, "{"+tx.c.cfg.Prefix+":") && strings.Contains(key, "}:") {
		return &FieldError{"key", key, errOwnKeys}
	}
	if _, cluster := tx.c.rdb.(*redis.ClusterClient); cluster && hashTag(key) != tx.c.cfg.Prefix+":"+tx.queue {
		return &FieldError{"key", key, errOutOfSlot}
	}
	return nil
}

// hashTag is the part of a key that decides its slot.
func hashTag(key string) string {
	if _, rest, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(rest, "}"); ok && tag != "" {
			return tag
		}
	}
	return key
}

func (tx *Tx) read(ctx context.Context, command *txn.Command) (any, error) {
	for {
		tx.mu.Lock()
		if tx.over != nil {
			tx.mu.Unlock()
			return nil, tx.over
		}
		reply, known, err := tx.log.Answer(command)
		contested := tx.c.turns.contested(command.Keys, tx.turns)
		mayWait := len(tx.turns) == 0 && !tx.waits && tx.log.Empty()
		tx.waits = tx.waits || (!known && err == nil && mayWait && len(contested) > 0)
		tx.mu.Unlock()
		switch {
		case errors.Is(err, txn.ErrReadAfterWrite):
			return nil, fmt.Errorf("%w: %s", ErrReadAfterWrite, strings.Join(command.Args, " "))
		case err != nil:
			return nil, fmt.Errorf("spool: %w", err)
		case known:
			return value(reply)
		}
		if len(contested) > 0 && mayWait {
			tx.queueUp(ctx, contested[:1])
			continue
		}
		break
	}
	// Only now, after its turn has come: were connections held by those who wait for a turn, whose turn it is might wait
	// for a connection.
	if err := tx.owner.open(ctx, command.Keys[0]); err != nil {
		return nil, err
	}
	var answers []store.Reading
	err := tx.owner.await(ctx, func(ctx context.Context) (err error) {
		answers, err = tx.c.reader(tx.queue).ask(ctx, store.Question{Order: command.Order(), Args: command.Args, Keys: command.Keys})
		return err
	})
	if err != nil {
		return nil, err
	}
	tx.mu.Lock()
	defer tx.mu.Unlock()
	tx.asks++
	// Another goroutine may have asked the same, or written meanwhile: what is remembered counts.
	if reply, known, err := tx.log.Answer(command); err != nil || known {
		if err != nil {
			return nil, fmt.Errorf("%w: %s", ErrReadAfterWrite, strings.Join(command.Args, " "))
		}
		return value(reply)
	}
	tx.log.Remember(command, answers[0].Reply, answers[0].Mark)
	return value(answers[0].Reply)
}

// queueUp takes turns at contested keys, in their order.
func (tx *Tx) queueUp(ctx context.Context, keys []string) {
	var got []heldTurn
	_ = tx.owner.await(ctx, func(ctx context.Context) error {
		for _, key := range keys {
			if turn, ok := tx.c.turns.take(ctx, key); ok {
				got = append(got, turn)
			}
		}
		return nil
	})
	tx.mu.Lock()
	defer tx.mu.Unlock()
	tx.turns = append(tx.turns, got...)
	if tx.over != nil {
		tx.releaseLocked() // it has ended meanwhile
	}
}

// value tells a reply that is an error from one that is none.
func value(reply any) (any, error) {
	if e, ok := reply.(txn.ReplyError); ok {
		return nil, e
	}
	return reply, nil
}

// put takes jobs in: To.
func (tx *Tx) put(ctx context.Context, items []putItem) error {
	if err := tx.usable(ctx); err != nil {
		return err
	}
	for i := range items {
		items[i].err = tx.take(ctx, &items[i], "")
	}
	return nil
}

// take takes in one job, for the queues of a store: "" is that of the transaction.
func (tx *Tx) take(ctx context.Context, it *putItem, name string) error {
	if err := tx.c.fits(it.item.Record); err != nil {
		return err
	}
	if stored, err := it.fate.known(ctx, tx.c); stored || err != nil {
		return err
	}
	if err := tx.owner.open(ctx, tx.c.queue(tx.queue).Key("jobs")); err != nil {
		return err
	}
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if err := tx.usableLocked(); err != nil {
		return err
	}
	to := it.queue
	if name != "" {
		to += "@" + name
	}
	// An id of the user's stands for one job, here as in Redis.
	if digest := store.DigestOf(string(it.item.Record)); digest != "" {
		switch old := tx.ids[to+"/"+it.item.ID]; old {
		case "":
			if tx.ids == nil {
				tx.ids = map[string]string{}
			}
			tx.ids[to+"/"+it.item.ID] = digest
		case digest:
			return nil
		default:
			return fmt.Errorf("%w: %q", ErrIDTaken, it.item.ID)
		}
	}
	if to == tx.queue {
		tx.puts = append(tx.puts, it.item)
		return nil
	}
	// They are delivered in the order of the commits, those of one commit in the order of their ids.
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("spool: drawing an id: %w", err)
	}
	tx.outs = append(tx.outs, store.Out{ID: hexID(id), To: to, Item: it.item})
	return nil
}

// OnCommit runs fn once the transaction has committed: after the commit, in the order of these calls, outside of the
// transaction. If the process dies in between, it does not run; what must happen is put as a job.
func (tx *Tx) OnCommit(fn func(ctx context.Context)) {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	tx.done = append(tx.done, fn)
}

// OnAbort runs fn if what was done so far will not take effect: after an error, and after each conflict, before the
// function runs again.
func (tx *Tx) OnAbort(fn func(ctx context.Context)) {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	tx.undone = append(tx.undone, fn)
}

// Attempts is how many times the function has been begun, this one included: 1 and one more for each conflict and each
// disconnect. While the first attempt waits for a connection it is 0. It may be asked from any goroutine.
func (tx *Tx) Attempts() int { return int(tx.tries.Load()) }

// Queue is the queue whose slot the transaction lives in: in a cluster all its keys bear that queue's tag.
func (tx *Tx) Queue() *Queue { return tx.c.Queue(tx.queue) }

// Commit makes what was done so far take effect, and goes on with a new transaction in the same Tx: what is read from
// here on is read anew. In a job it does not end the job. An error says that it did not take effect: ErrConflict, which
// is to be returned; the function then runs again from its beginning if it is a job, where a checkpoint tells how far it
// has come. In Transact nothing is run again after a part has taken effect: the error is the caller's. After ErrUnsure,
// when it may have taken effect, the Tx is of no more use, and nothing is run again. While it is under way other uses of
// the Tx are ErrBadState.
func (tx *Tx) Commit(ctx context.Context) error { return tx.commit(ctx, nil) }

func (tx *Tx) commit(ctx context.Context, cursor []byte) error {
	if err := tx.usable(ctx); err != nil {
		return err
	}
	tx.mu.Lock()
	if err := tx.usableLocked(); err != nil {
		tx.mu.Unlock()
		return err
	}
	tx.committing = true // what is written meanwhile would be neither in this part nor in the next
	tx.mu.Unlock()
	err := tx.owner.commit(ctx, tx, cursor)
	tx.mu.Lock()
	tx.committing = false
	if err != nil {
		defer tx.mu.Unlock()
		tx.clashed = tx.clashed || errors.Is(err, ErrConflict)
		if errors.Is(err, ErrUnsure) {
			tx.unsure = err
		}
		return err
	}
	done := tx.done
	tx.reset()
	tx.partial = true
	tx.mu.Unlock()
	outside := &txContext{ctx, tx.c, nil}
	for _, fn := range done {
		fn(outside)
	}
	return nil
}

// reset forgets what was committed. The caller holds mu.
func (tx *Tx) reset() {
	for _, b := range tx.born {
		b.committed()
	}
	tx.log, tx.puts, tx.outs, tx.ids, tx.taken, tx.done, tx.undone, tx.born, tx.asks = txn.Log{}, nil, nil, nil, nil, nil, nil, nil, 0
	tx.described = false
	tx.releaseLocked()
}

func (tx *Tx) releaseLocked() {
	if len(tx.turns) > 0 {
		tx.c.turns.release(tx.turns)
		tx.turns = nil
	}
	tx.waits = false
}

// transaction is what Redis is to be told, or nil if there is nothing to tell.
func (tx *Tx) transaction() *store.Transaction {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.log.Empty() && len(tx.puts)+len(tx.outs) == 0 {
		return nil
	}
	t := &store.Transaction{Reads: tx.log.Reads(), Checks: tx.log.Checks(), Writes: tx.log.Writes(), Puts: tx.puts,
		Outs: tx.outs, Keys: tx.log.Keys()}
	for _, w := range tx.taken {
		t.Writes, t.Keys = append(t.Writes, w), append(t.Keys, w[1])
	}
	t.Adds = len(t.Puts)+len(t.Outs) > 0
	for _, w := range t.Writes {
		t.Adds = t.Adds || store.Adding(w[0])
	}
	return t
}

// end closes the Tx. It returns the hooks to run: those of a commit, or of an abort.
func (tx *Tx) end(why error, committed bool) []func(context.Context) {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.over != nil {
		return nil
	}
	tx.over = why
	hooks := tx.undone
	if committed {
		hooks = tx.done
	}
	for _, b := range tx.born {
		if committed {
			b.committed()
		} else {
			b.lost()
		}
	}
	tx.releaseLocked()
	return hooks
}

// holds asks whether everything read still answers as it did. With opacity in mind: an error that follows from reads at
// different moments, of a world that never was, is a conflict and no error.
func (tx *Tx) holds(ctx context.Context) (bool, []string, error) {
	tx.mu.Lock()
	reads := tx.log.Reads()
	tx.mu.Unlock()
	if len(reads) == 0 {
		return true, nil, nil
	}
	questions := make([]store.Question, len(reads))
	for i := range reads {
		questions[i] = store.Question{Order: reads[i].Order, Args: reads[i].Args, Keys: reads[i].Keys}
	}
	answers, err := tx.c.reader(tx.queue).ask(ctx, questions...)
	if err != nil {
		return false, nil, err
	}
	for i := range reads {
		if answers[i].Mark != reads[i].Mark {
			return false, reads[i].Keys, nil
		}
	}
	return true, nil, nil
}

// txKey is where a context has the Tx of a client.
type txKey struct{ c *Client }

// txContext carries a Tx, so that a nested Transact of the same client joins; also if one of another client is between.
// A nil Tx hides one.
type txContext struct {
	context.Context
	c  *Client
	tx *Tx
}

func (c *txContext) Value(key any) any {
	if k, ok := key.(txKey); ok && k.c == c.c {
		return c.tx
	}
	return c.Context.Value(key)
}

func joined(ctx context.Context, c *Client) *Tx {
	tx, _ := ctx.Value(txKey{c}).(*Tx)
	return tx
}
