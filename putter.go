package spool

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/spooljobs/spool/internal/store"
)

// putter is a client's line into one queue. It has one call in flight: jobs put meanwhile pile up and share the next
// one. There is no timer, so a Put that finds the line idle leaves at once, and a busy line makes its own batches.
// (Group commit, as databases write their logs.)
type putter struct {
	c    *Client
	q    *store.Queue
	line string

	mu     sync.Mutex
	waits  []*parcel // not yet in a call
	flying []*parcel // in the call that is being made
	sent   bool      // that call may have reached the server: its contents are fixed
	busy   bool      // a goroutine is making calls

	number uint64 // of the last call; only that goroutine uses it
}

// parcel is what one caller puts, at most one call's worth.
type parcel struct {
	items []*putItem
	late  []*atomic.Bool // of the same Partials, for when the items are no longer ours
	size  int
	gone  bool          // its caller has given up
	out   bool          // the call was sent without it
	done  chan struct{} // closed when every item's fate is known
}

func (c *Client) putter(queue string) *putter {
	q := c.queue(queue)
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.putters[queue]
	if p == nil {
		p = &putter{c: c, q: q, line: uuid.NewString()}
		c.putters[queue] = p
	}
	return p
}

// put stores items, in their order within each queue, and notes each one's error.
func (c *Client) put(ctx context.Context, items []putItem) error {
	ctx, cancel := c.patient(ctx)
	defer cancel()
	type sent struct {
		p *putter
		*parcel
	}
	var parcels []sent
	open := make(map[string]*parcel, 1)
	for i := range items {
		it := &items[i]
		size := it.item.Size()
		if len(it.item.Record) > c.cfg.MaxPayload {
			it.err = fmt.Errorf("%w: the job has %d bytes, at most %d are allowed", ErrTooLarge, len(it.item.Record), c.cfg.MaxPayload)
			continue
		}
		last := open[it.queue]
		if last == nil || len(last.items) == store.CallItems || last.size+size > store.CallBytes {
			last = &parcel{done: make(chan struct{})}
			open[it.queue] = last
			parcels = append(parcels, sent{c.putter(it.queue), last})
		}
		last.items, last.late = append(last.items, it), append(last.late, it.late)
		last.size += size
	}
	for _, s := range parcels {
		s.p.add(s.parcel)
	}
	var unsure error
	for _, s := range parcels {
		select {
		case <-s.done:
		case <-ctx.Done():
			s.p.abandon(ctx, s.parcel)
		}
		for _, it := range s.items {
			if errors.Is(it.err, ErrUnsure) {
				unsure = it.err
			}
		}
	}
	if len(items) > 1 {
		return unsure
	}
	return nil
}

// add queues a parcel and sees to it that somebody sends it.
func (p *putter) add(parcel *parcel) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waits = append(p.waits, parcel)
	if p.busy {
		return
	}
	if !p.c.spawn(p.run) {
		p.waits = nil
		parcel.settle(ErrClosed)
		return
	}
	p.busy = true
}

// settle notes the same error for all and ends the wait.
func (parcel *parcel) settle(err error) {
	for _, it := range parcel.items {
		it.err = err
	}
	close(parcel.done)
}

// abandon ends a caller's wait. What has not been sent will not be; of what has, the caller is not sure.
func (p *putter) abandon(ctx context.Context, parcel *parcel) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-parcel.done:
		return
	default:
	}
	kind := ErrDisconnected
	waiting := false
	for _, other := range p.waits {
		waiting = waiting || other == parcel
	}
	if !waiting && p.sent {
		kind = ErrUnsure
	}
	// The items belong to the caller from here on: whoever makes the call only looks at copies.
	err := fmt.Errorf("%w: %w", kind, context.Cause(ctx))
	for _, it := range parcel.items {
		it.err = err
	}
	parcel.gone = true
}

// run makes calls until nothing waits.
func (p *putter) run() {
	for {
		batch := p.load()
		if batch == nil {
			return
		}
		p.send(batch)
	}
}

// load takes whole parcels, as many as fit a call.
func (p *putter) load() []*parcel {
	p.mu.Lock()
	defer p.mu.Unlock()
	items, size, n := 0, 0, 0
	for n < len(p.waits) {
		next := p.waits[n]
		if n > 0 && (items+len(next.items) > store.CallItems || size+next.size > store.CallBytes) {
			break
		}
		items, size = items+len(next.items), size+next.size
		n++
	}
	if n == 0 {
		p.busy = false
		return nil
	}
	p.flying = append([]*parcel(nil), p.waits[:n]...)
	p.waits = append(p.waits[:0], p.waits[n:]...)
	p.sent = false
	return p.flying
}

// send makes one numbered call, repeating it unchanged while there is no answer.
func (p *putter) send(batch []*parcel) {
	p.number++
	var items []store.Item
	var refused []int
	err := p.c.gate.do(p.c.life, func() error {
		// As long as the server has not seen the call, those who gave up can be left out of it.
		p.mu.Lock()
		if !p.sent {
			items = items[:0]
			for _, parcel := range batch {
				if parcel.out = parcel.gone; parcel.out {
					continue
				}
				for _, it := range parcel.items {
					items = append(items, it.item)
				}
			}
			p.sent = true
		}
		p.mu.Unlock()
		if len(items) == 0 {
			return nil
		}
		var err error
		refused, err = p.q.Put(p.c.life, p.line, p.number, items)
		if err != nil && errors.Is(err, store.ErrAway) && !store.MaybeExecuted(err) {
			p.mu.Lock()
			p.sent = false
			p.mu.Unlock()
		}
		return err
	})
	p.settle(batch, refused, p.verdict(err))
}

// verdict says in the public words why a call failed.
func (p *putter) verdict(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrFull):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case errors.Is(err, store.ErrStale):
		return fmt.Errorf("%w: %w", ErrUnsure, err)
	case p.c.life.Err() != nil:
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.sent {
			return fmt.Errorf("%w: %w", ErrUnsure, ErrClosed)
		}
		return ErrClosed
	}
	return fmt.Errorf("spool: %w", err)
}

// settle gives every parcel of a call its answer.
func (p *putter) settle(batch []*parcel, refused []int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flying = nil
	taken := make(map[int]bool, len(refused))
	for _, i := range refused {
		taken[i] = true
	}
	at := 0
	for _, parcel := range batch {
		for i, it := range parcel.items {
			// The items of a caller who has gone are his; their places in the call count all the same. He was told
			// that he may put the same Partial again: if the job has run by then and left nothing, it must not run
			// a second time.
			if parcel.gone {
				parcel.late[i].Store(!parcel.out && err == nil && !taken[at+i])
				continue
			}
			it.err = err
			if taken[at+i] {
				it.err = fmt.Errorf("%w: %q", ErrIDTaken, it.item.ID)
			}
		}
		if !parcel.out {
			at += len(parcel.items)
		}
		close(parcel.done)
	}
}
