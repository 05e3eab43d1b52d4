package spool

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/spooljobs/spool/failure"
	"github.com/spooljobs/spool/internal/codec"
	"github.com/spooljobs/spool/internal/store"
)

// Partial is a task with its arguments and settings: a call that has not been put yet. It is a value; copies are the
// same Partial. It can be encoded, and be an argument of another.
//
// When it is first put or encoded it draws its id and its arguments become bytes. Both stay with it: putting the same
// Partial again, after an error or on purpose, gives the same job. For another job, make another Partial.
type Partial[R any] struct {
	p *partial
}

// partial is the part of a Partial that knows no types.
type partial struct {
	settings settings
	home     string // the queue that its task names
	name     string
	known    *failure.Known
	answer   bool
	args     any

	inputs    bool       // the outcomes of those that it follows are inputs of its handler
	joins     bool       // as one list
	flow      []member   // jobs that are put with it, each after those it follows
	followers []follower // callbacks

	parts    sync.Once // guards what follows
	id       string
	lent     []*birth // of the jobs that are put with it; as born
	partsErr error

	seal   sync.Once // guards what follows
	fixed  atomic.Bool
	within string // the flow it was put with
	item   store.Item
	bare   []byte   // its record without its callbacks
	born   []*birth // Refs among the arguments that a transaction had created and not committed
	sealed error

	fate fate
}

// To is where jobs are put: a *Client, at once, or a *Tx, when it commits.
type To interface {
	put(ctx context.Context, items []putItem) error
}

// putItem is one job on its way.
type putItem struct {
	queue string
	item  store.Item
	fate  *fate // of the Partial
	err   error // set by put
}

// ready draws the id and encodes the record, once, and says whether it may go where tx goes; nil for elsewhere.
func (p *partial) ready(tx *Tx) error { return p.readyIn(tx, "", "") }

// readyIn is ready for a job that is put with a flow, or belongs to a queue unless it names one; if it was not made ready
// before.
func (p *partial) readyIn(tx *Tx, within, home string) error {
	p.seal.Do(func() {
		p.fixed.Store(true)
		if home != "" && !p.settings.placed {
			p.settings.queue = home
		}
		if p.sealed = p.settings.err(); p.sealed != nil {
			return
		}
		if p.sealed = p.settleParts(tx); p.sealed != nil {
			return
		}
		p.within = within
		p.born, p.sealed = tx.lending(p.encode)
		p.born = append(p.born, p.lent...)
	})
	if p.sealed != nil {
		return p.sealed
	}
	for _, b := range p.born {
		if err := b.usable(tx); err != nil {
			return fmt.Errorf("arguments of %s: %w", p.name, err)
		}
	}
	return nil
}

func (p *partial) encode() error {
	s := &p.settings
	args, err := codec.Marshal(p.args)
	if err != nil {
		return fmt.Errorf("%w: %w", &FieldError{"arguments of " + p.name, fmt.Sprintf("%T", p.args), "cannot be encoded"}, err)
	}
	record := store.Record{Lane: laneLetter(s.lane), Interruptions: s.interruptions, Answer: p.answer, Own: s.id != "",
		Deadline: s.deadline.Set, Inputs: p.inputs, Priority: s.priority, Task: p.name, Args: args}
	record.Extra = store.Extra{Timeout: roundMs(s.timeout), Retry: s.retry, Meta: s.meta, Flow: p.within, Join: p.joins}
	if s.keep != nil {
		keep := roundMs(*s.keep)
		record.Extra.Keep = &keep
	}
	if s.due.Set && !s.due.Relative {
		record.Extra.Due = s.due.Ms
	}
	if s.id != "" {
		record.Extra.Created = time.Now().UnixMilli()
	}
	p.item = store.Item{ID: p.id, Due: s.due, Deadline: s.deadline, New: s.id == ""}
	var b []byte
	if p.bare, b, err = p.records(&record); err != nil {
		return fmt.Errorf("spool: encoding the record of %s: %w", p.name, err)
	}
	p.item.Record = b
	p.args = nil
	return nil
}

// Put stores the job. When it returns without an error the job is accepted: it will run, whatever dies.
//
// ErrDisconnected, ErrFull, ErrTooLarge, ErrIDTaken and a *FieldError mean that it was not stored. ErrUnsure, or the
// context's error wrapped with it, means that it may have been: put the same Partial again. A context without a
// deadline is given ClientConfig.Patience. Concurrent Puts share calls.
func (p Partial[R]) Put(ctx context.Context, to To) (*Job[R], error) {
	if err := checkTo(ctx, to); err != nil {
		return nil, err
	}
	items := [1]putItem{}
	if err := p.prepare(&items[0], to); err != nil {
		return nil, err
	}
	if err := to.put(ctx, items[:]); err != nil {
		return nil, err
	}
	if items[0].err != nil {
		return nil, items[0].err
	}
	return p.job(to), nil
}

func (p Partial[R]) prepare(it *putItem, to To) error {
	if p.p == nil {
		return &FieldError{"Partial", nil, "must be made by Task.With"}
	}
	// What is put to a transaction may point to what it creates.
	if err := p.p.ready(txOf(to)); err != nil {
		return err
	}
	it.queue, it.item, it.fate = p.p.settings.queue, p.p.item, &p.p.fate
	it.item.New = it.item.New && !p.p.fate.put.Swap(true)
	return nil
}

func (p Partial[R]) job(to To) *Job[R] {
	ref := jobRef{queue: p.p.settings.queue, home: p.p.home, id: p.p.item.ID, known: p.p.known}
	switch to := to.(type) {
	case *Client:
		ref.client = to
	case *Tx:
		if ref.client = to.c; ref.queue != to.queue {
			ref.post = &sender{to.c, route{to.queue, "", to.c}}
		}
	case *via:
		ref.client, ref.post = to.other, &sender{to.tx.c, route{to.tx.queue, to.name, to.other}}
	}
	return &Job[R]{ref}
}

// txOf is the transaction that jobs are put to, or nil.
func txOf(to To) *Tx {
	switch to := to.(type) {
	case *Tx:
		return to
	case *via:
		return to.tx
	}
	return nil
}

// arguments returns the encoded arguments.
func (p Partial[R]) arguments(tx *Tx) ([]byte, error) {
	var it putItem
	to := To(nil)
	if tx != nil {
		to = tx
	}
	if err := p.prepare(&it, to); err != nil {
		return nil, err
	}
	record, err := store.DecodeRecord(string(it.item.Record))
	if err != nil {
		return nil, fmt.Errorf("spool: arguments of %s: %w", p.p.name, err)
	}
	return record.Args, nil
}

// PutResult is what became of one Partial of PutMany.
type PutResult[R any] struct {
	Job *Job[R]
	Err error // as from Partial.Put
}

// PutMany puts many jobs in as few calls as their size allows. It reports for each what became of it, in order. Its
// own error is set only if the fate of some is unknown, or nothing could be tried; those that are known to be stored
// still have their job and no error.
func PutMany[R any](ctx context.Context, to To, ps []Partial[R]) ([]PutResult[R], error) {
	if err := checkTo(ctx, to); err != nil {
		return nil, err
	}
	results := make([]PutResult[R], len(ps))
	// While one stretch is under way the next one is encoded.
	var under sync.WaitGroup
	var unsure error
	for from := 0; from < len(ps); from += stretch {
		end := min(from+stretch, len(ps))
		items, at := prepareMany(ps[from:end], results[from:end], to)
		under.Wait()
		under.Go(func() {
			if err := to.put(ctx, items); err != nil {
				unsure = err
			}
			for k := range items {
				i := from + at[k]
				if results[i].Err = items[k].err; results[i].Err == nil {
					results[i].Job = ps[i].job(to)
				}
			}
		})
	}
	under.Wait()
	return results, unsure
}

// stretch is how many Partials PutMany encodes at a time.
const stretch = 2000

// prepareMany makes items of those that can be put, and says at which index each stood.
func prepareMany[R any](ps []Partial[R], results []PutResult[R], to To) (items []putItem, at []int) {
	items, at = make([]putItem, 0, len(ps)), make([]int, 0, len(ps))
	for i, p := range ps {
		var it putItem
		if err := p.prepare(&it, to); err != nil {
			results[i].Err = err
			continue
		}
		items, at = append(items, it), append(at, i)
	}
	return items, at
}

func checkTo(ctx context.Context, to To) error {
	if ctx == nil {
		return &FieldError{"ctx", nil, "must not be nil"}
	}
	c, isClient := to.(*Client)
	tx, isTx := to.(*Tx)
	if to == nil || (isClient && c == nil) || (isTx && tx == nil) {
		return &FieldError{"to", nil, "must not be nil"}
	}
	return nil
}

// wirePartial is how a Partial is encoded; docs/wire.md.
type wirePartial struct {
	Queue    string       `msgpack:"queue"`
	ID       string       `msgpack:"id"`
	Record   []byte       `msgpack:"record"`
	Due      store.Moment `msgpack:"due"`
	Deadline store.Moment `msgpack:"deadline"`
}

// EncodeMsgpack makes a Partial a legal argument or result. It draws the id if there is none yet.
func (p Partial[R]) EncodeMsgpack(enc *msgpack.Encoder) error {
	// Whoever decodes it may put it, too: it is no longer new.
	var it putItem
	if err := p.prepare(&it, nil); err != nil {
		return err
	}
	return enc.Encode(&wirePartial{it.queue, it.item.ID, it.item.Record, it.item.Due, it.item.Deadline})
}

// DecodeMsgpack gives the Partial back. Errors that its task declares are not known to it.
func (p *Partial[R]) DecodeMsgpack(dec *msgpack.Decoder) error {
	var w wirePartial
	if err := dec.Decode(&w); err != nil {
		return err
	}
	record, err := store.DecodeRecord(string(w.Record))
	if err != nil {
		return fmt.Errorf("partial: %w", err)
	}
	if err := checkName("partial: queue", w.Queue, maxQueueName); err != nil {
		return err
	}
	if err := checkID(w.ID); err != nil {
		return err
	}
	p.p = &partial{name: record.Task, answer: record.Answer, settings: defaultSettings(),
		item: store.Item{ID: w.ID, Record: w.Record, Due: w.Due, Deadline: w.Deadline}}
	p.p.settings.queue = w.Queue
	p.p.bare = w.Record
	p.p.fixed.Store(true)
	p.p.seal.Do(func() {})
	return nil
}

// String names the task and, once there is one, the id.
func (p Partial[R]) String() string {
	if p.p == nil {
		return "partial()"
	}
	return "partial(" + p.p.name + ")"
}

func laneLetter(l Lane) byte {
	if l == Reactor {
		return store.LaneReactor
	}
	return store.LaneThread
}

// drawID is the id of a job: the user's own, or a new one.
func drawID(own string) (string, error) {
	if own != "" {
		return own, nil
	}
	drawn, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("spool: drawing an id: %w", err)
	}
	return hexID(drawn), nil
}

// hexID is a UUID without its dashes.
func hexID(u uuid.UUID) string {
	const digits = "0123456789abcdef"
	var b [32]byte
	for i, c := range u {
		b[2*i], b[2*i+1] = digits[c>>4], digits[c&15]
	}
	return string(b[:])
}
