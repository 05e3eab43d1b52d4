package store

import (
	"context"
	"errors"
)

// Item is a job to be put.
type Item struct {
	ID       string
	Record   []byte
	Due      Moment
	Deadline Moment // relative to the due time
	New      bool   // the id was drawn for it and has not been put before
	Edge     *Edge  // it follows another job, or is one more part of a flow
}

// when is the argument that says from when on the item may begin.
func (it *Item) when(id func(string) string) string {
	if it.Edge == nil {
		return it.Due.arg()
	}
	return it.Edge.arg(id, it.Due)
}

// Moment is a time by Redis's clock: none, so many ms from now, or a fixed one.
type Moment struct {
	Set      bool
	Relative bool
	Ms       int64
}

func (m Moment) arg() string {
	switch {
	case !m.Set:
		return ""
	case m.Relative:
		return "+" + ms(m.Ms)
	}
	return "@" + ms(m.Ms)
}

// Size is what an item counts towards the bytes of a call.
func (it *Item) Size() int { return len(it.ID) + len(it.Record) }

// Plain says that an item can be put without a look at what is stored.
func (it *Item) Plain() bool {
	return it.New && !it.Due.Set && !it.Deadline.Set && it.Edge == nil && !Flow(it.Record)
}

// Put stores plain items under the number of a client's line; at most CallItems and, unless it is one, CallBytes. The
// same number must carry the same items. Timed must be set for the first call of a line and then every ten minutes.
func (q *Queue) Put(ctx context.Context, line string, n uint64, timed bool, items []Item) error {
	args := make([]any, 0, 4+2*len(items))
	args = append(args, line, n, bit(timed), len(items))
	for i := range items {
		args = append(args, PackID(items[i].ID), items[i].Record)
	}
	_, err := q.call(ctx, "put", args)
	return err
}

// Unknown marks, among indexes that were refused, those of items that follow a job nothing is stored of.
const Unknown = 1 << 20

// Schedule stores items of any kind, like Put. It returns the indexes of the items that were refused: their id bears
// other contents, or, with Unknown added, they follow what is not there.
func (q *Queue) Schedule(ctx context.Context, line string, n uint64, items []Item) (refused []int, err error) {
	args := make([]any, 0, 3+4*len(items))
	args = append(args, line, n, len(items))
	for i := range items {
		it := &items[i]
		args = append(args, PackID(it.ID), it.Record, it.when(PackID), it.Deadline.arg())
	}
	reply, err := q.call(ctx, "schedule", args)
	if err != nil {
		return nil, err
	}
	q.errand(text(reply, 3))
	return places(text(reply, 2)), nil
}

// Changes to a job that has not begun answer with one of these words.
const (
	ChangeDone    = "done"
	ChangeRaced   = "changed" // the record is no longer the one the caller saw
	ChangeBegun   = "begun"
	ChangeEnded   = "ended"
	ChangeUnknown = "unknown"
	ChangeJoined  = "joined" // it follows others, or is followed
	ChangeAway    = "away "  // cancel: the queue follows that has sent for it
)

// Edit replaces the record of a pending job, if it is still the one the caller saw, and its time if a due is set.
func (q *Queue) Edit(ctx context.Context, line string, n uint64, id, old string, record []byte, due Moment) (string, error) {
	return q.change(ctx, "edit", line, n, PackID(id), old, record, due.arg())
}

// Pull removes a pending job without a trace.
func (q *Queue) Pull(ctx context.Context, line string, n uint64, id string) (string, error) {
	return q.change(ctx, "pull", line, n, PackID(id))
}

// Fail ends a pending job with a failure: the body of an outcome, kept for so many ms.
func (q *Queue) Fail(ctx context.Context, line string, n uint64, id string, body []byte, keep int64) (string, error) {
	return q.change(ctx, "fail", line, n, PackID(id), body, keep)
}

// Cancel ends a job that has not ended: the body of an outcome, kept for so many ms.
func (q *Queue) Cancel(ctx context.Context, line string, n uint64, id string, body []byte, keep int64) (string, error) {
	return q.change(ctx, "cancel", line, n, PackID(id), body, keep)
}

func (q *Queue) change(ctx context.Context, verb string, args ...any) (string, error) {
	reply, err := q.call(ctx, verb, args)
	if err != nil {
		return "", err
	}
	q.errand(text(reply, 3))
	return text(reply, 2), nil
}

// MaybeExecuted tells whether a call that returned this error may have had its effect.
func MaybeExecuted(err error) bool {
	var away *AwayError
	return errors.As(err, &away) && away.Maybe
}
