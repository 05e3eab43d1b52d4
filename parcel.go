package spool

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/spooljobs/spool/internal/store"
)

// parcel is what one caller puts, at most one call's worth. Its fields are guarded by putter.mu once it was added.
type parcel struct {
	items []*putItem
	fates []*fate // of the same Partials, for when the items are no longer ours
	size  int
	one   bool          // its caller puts nothing else
	plain bool          // store.Item.Plain of all
	gone  bool          // its caller has given up
	out   bool          // the call was made without it
	sent  bool          // the call it is in may have reached the server
	done  chan struct{} // closed when every item's fate is known
}

// fate is what a Partial knows of its own Puts.
type fate struct {
	put  atomic.Bool            // there was one, or an attempt at one
	open atomic.Pointer[parcel] // the one that was given up and may have been executed, until it is answered
	late atomic.Bool            // it has been answered since: the job was stored
}

// known tells whether a Put that was given up has stored the job after all. If it is not answered yet it waits for
// that: were the same put again beside it, the job might run, end and be put a second time.
func (f *fate) known(ctx context.Context, c *Client) (stored bool, err error) {
	if open := f.open.Load(); open != nil {
		ctx, cancel := c.patient(ctx)
		defer cancel()
		select {
		case <-open.done:
			f.open.CompareAndSwap(open, nil)
		case <-ctx.Done():
			return false, fmt.Errorf("%w: %w", ErrUnsure, context.Cause(ctx))
		}
	}
	return f.late.CompareAndSwap(true, false), nil
}

// settle notes every item's fate. The items of a caller who has gone are his. He was told that he may put the same
// Partial again: if the job has run by then and left nothing, it must not run a second time, so the Partial remembers.
// refused is why an item was not taken, or nil.
func (parcel *parcel) settle(err error, refused func(i int) error) {
	for i, it := range parcel.items {
		switch {
		case parcel.gone:
			if !parcel.out && err == nil && refused(i) == nil {
				parcel.fates[i].late.Store(true)
			}
		case err != nil:
			it.err = err
		default:
			if it.err = refused(i); it.err != nil {
				it.err = fmt.Errorf("%w: %q", it.err, it.item.ID)
			}
		}
	}
	close(parcel.done)
}

// lastMoment is for how long a caller who gives up still waits for an attempt that is under way: to know that nothing
// was done is worth it.
const lastMoment = 20 * time.Millisecond

// giveUp ends a caller's wait.
func (p *putter) giveUp(parcel *parcel, cause error) {
	for end := time.Now().Add(lastMoment); !p.abandon(parcel, cause, time.Now().After(end)); {
		select {
		case <-parcel.done:
		case <-time.After(lastMoment / 10):
		}
	}
}

// abandon ends a caller's wait, unless an attempt is under way and this is not the last moment. What has not been sent
// will not be; of what has, the caller is not sure.
func (p *putter) abandon(parcel *parcel, cause error, last bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-parcel.done:
		return true
	default:
	}
	if parcel.sent && !last {
		return false
	}
	kind := ErrDisconnected
	if parcel.sent {
		kind = ErrUnsure
		for _, f := range parcel.fates {
			f.open.Store(parcel)
		}
	}
	err := fmt.Errorf("%w: %w", kind, cause)
	for _, it := range parcel.items {
		it.err = err
	}
	parcel.gone = true
	return true
}

// errPatience is why a call without a deadline was given up.
var errPatience = errors.New("no answer within ClientConfig.Patience")

// put stores items, in their order within each queue, and notes each one's error.
func (c *Client) put(ctx context.Context, items []putItem) error {
	var refused error
	if c.life.Err() != nil {
		refused = ErrClosed
	} else if ctx.Err() != nil {
		refused = fmt.Errorf("%w: %w", ErrDisconnected, context.Cause(ctx))
	}
	if refused != nil {
		for i := range items {
			items[i].err = refused
		}
		return refused
	}
	type sent struct {
		p *putter
		*parcel
	}
	var one [1]sent
	parcels := one[:0]
	for i := range items {
		it := &items[i]
		if it.err = c.fits(it.item.Record); it.err != nil {
			continue
		}
		if stored, err := it.fate.known(ctx, c); stored || err != nil {
			it.err = err
			continue
		}
		p, err := c.putter(it.queue)
		if err != nil {
			it.err = err
			continue
		}
		// Items of one queue that follow each other share parcels; their order is kept.
		var last *parcel
		for k := len(parcels) - 1; k >= 0 && last == nil; k-- {
			if parcels[k].p == p {
				last = parcels[k].parcel
			}
		}
		plain := it.item.Plain()
		if size := it.item.Size(); last == nil || last.plain != plain || len(last.items) == store.CallItems || last.size+size > store.CallBytes {
			last = &parcel{plain: plain, done: make(chan struct{})}
			parcels = append(parcels, sent{p, last})
		}
		last.items, last.fates = append(last.items, it), append(last.fates, it.fate)
		last.size += it.item.Size()
	}
	var leads []*putLine
	for _, s := range parcels {
		s.one = len(parcels) == 1
		if l := s.p.add(s.parcel); l != nil {
			leads = append(leads, l)
		}
	}
	for i, l := range leads {
		if i < len(leads)-1 {
			l.handOver(nil)
		} else {
			l.lead(ctx)
		}
	}
	var unsure error
	for _, s := range parcels {
		c.await(ctx, s.p, s.parcel)
		for _, it := range s.items {
			if errors.Is(it.err, ErrUnsure) {
				unsure = it.err
			}
		}
	}
	return unsure
}

// flowPayload is how many times as large as a job a flow may be.
const flowPayload = 16

// fits says whether a record is small enough.
func (c *Client) fits(record []byte) error {
	limit, what := c.cfg.MaxPayload, "job"
	if store.Flow(record) {
		limit, what = flowPayload*limit, "flow"
	}
	if len(record) > limit {
		return fmt.Errorf("%w: the %s has %d bytes, at most %d are allowed", ErrTooLarge, what, len(record), limit)
	}
	return nil
}

// await waits for a parcel's fate until ctx ends, or patience if it has no deadline.
func (c *Client) await(ctx context.Context, p *putter, parcel *parcel) {
	select {
	case <-parcel.done:
		return
	default:
	}
	var patience <-chan time.Time
	if _, ok := ctx.Deadline(); !ok {
		timer := time.NewTimer(c.cfg.Patience)
		defer timer.Stop()
		patience = timer.C
	}
	select {
	case <-parcel.done:
	case <-ctx.Done():
		p.giveUp(parcel, context.Cause(ctx))
	case <-patience:
		p.giveUp(parcel, errPatience)
	}
}
