package spool

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool/internal/store"
)

// putter is a client's line into one queue. It has one call in flight: jobs put meanwhile pile up and share the next
// one. There is no timer, so a Put that finds the line idle leaves at once, and a busy line makes its own batches.
// (Group commit, as databases write their logs.)
//
// A caller that finds the line idle makes the call itself: handing it to a goroutine and being woken by it costs as
// much as Redis does. What has piled up by then, or is to be repeated, goes to a goroutine.
type putter struct {
	c    *Client
	q    *store.Queue
	wire *wire // its own connection
	line string

	mu     sync.Mutex
	waits  []*parcel // not yet in a call
	busy   bool      // somebody is making calls
	number uint64    // of the last call
	timed  time.Time // when a call last noted the line's time
}

// putCall is one numbered call.
type putCall struct {
	number  uint64
	parcels []*parcel
	items   []store.Item
	plain   bool
	timed   bool // it notes the line's time
	sent    bool // it may have reached the server: its contents are fixed; guarded by putter.mu
}

// wire is a connection of one's own whose calls can be interrupted.
type wire struct {
	rdb  redis.UniversalClient
	stop interruptible
}

func (c *Client) putter(queue string) (*putter, error) {
	q := c.queue(queue)
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.putters[queue]
	if p == nil {
		if c.closed {
			return nil, ErrClosed
		}
		p = &putter{c: c, wire: &wire{}, line: uuid.NewString()}
		var err error
		if p.wire.rdb, err = aside(c.rdb, putTimeout, &p.wire.stop); err != nil {
			return nil, err
		}
		p.q = q.On(p.wire.rdb)
		c.putters[queue] = p
	}
	return p, nil
}

// putTimeout is how long a call waits for its answer before it is repeated.
const putTimeout = 5 * time.Second

// add queues a parcel. It returns true if the caller is to make the next call.
func (p *putter) add(parcel *parcel) (lead bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waits = append(p.waits, parcel)
	lead = !p.busy
	p.busy = true
	return lead
}

// lead makes one call in the caller's goroutine. If ctx ends meanwhile the call is interrupted, and a goroutine
// repeats it: others may share it, and it may have been executed.
func (p *putter) lead(ctx context.Context) {
	call := p.load()
	if call == nil {
		return
	}
	if !p.c.gate.up() || (ctx.Done() != nil && !p.wire.stop.tracks()) {
		p.handOver(call)
		return
	}
	release := context.AfterFunc(ctx, p.wire.stop.interrupt)
	refused, err := p.attempt(call)
	release()
	if errors.Is(err, store.ErrAway) && p.c.life.Err() == nil {
		if ctx.Err() == nil {
			p.c.gate.report(false, err)
		}
		p.handOver(call)
		return
	}
	p.settle(call, refused, p.verdict(call, err))
	if p.waiting() {
		p.handOver(nil)
	}
}

// waiting tells whether there is more to send; if not, the line is idle from here on.
func (p *putter) waiting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy = len(p.waits) > 0
	return p.busy
}

// handOver lets a goroutine go on with a call, if there is one, and with what waits.
func (p *putter) handOver(call *putCall) {
	if p.c.spawn(func() { p.run(call) }) {
		return
	}
	for ; call != nil; call = p.load() {
		p.settle(call, nil, p.verdict(call, ErrClosed))
	}
}

// run makes calls until nothing waits.
func (p *putter) run(call *putCall) {
	for {
		if call != nil {
			var refused []int
			err := p.c.gate.do(p.c.life, func() (err error) {
				refused, err = p.attempt(call)
				return err
			})
			p.settle(call, refused, p.verdict(call, err))
		}
		// Those who have just been answered may have more: let them come first, and share the next call.
		runtime.Gosched()
		if call = p.load(); call == nil {
			return
		}
	}
}

// lineTime is how often a line's time is noted; lines that were silent for a day are dropped.
const lineTime = 10 * time.Minute

// load takes whole parcels of one kind, as many as fit a call, or makes the line idle and returns nil.
func (p *putter) load() *putCall {
	p.mu.Lock()
	defer p.mu.Unlock()
	items, size, n := 0, 0, 0
	for n < len(p.waits) {
		next := p.waits[n]
		if n > 0 && (next.plain != p.waits[0].plain || items+len(next.items) > store.CallItems || size+next.size > store.CallBytes) {
			break
		}
		items, size = items+len(next.items), size+next.size
		n++
	}
	if p.busy = n > 0; !p.busy {
		return nil
	}
	p.number++
	call := &putCall{number: p.number, plain: p.waits[0].plain, parcels: make([]*parcel, n), items: make([]store.Item, 0, items)}
	if call.plain && time.Since(p.timed) > lineTime {
		call.timed, p.timed = true, time.Now()
	}
	copy(call.parcels, p.waits)
	rest := copy(p.waits, p.waits[n:])
	clear(p.waits[rest:])
	p.waits = p.waits[:rest]
	return call
}

// attempt makes the call once. As long as the server has not seen it, those who gave up are left out.
func (p *putter) attempt(call *putCall) (refused []int, err error) {
	p.mu.Lock()
	fixed := call.sent
	if !fixed {
		call.items = call.items[:0]
		for _, parcel := range call.parcels {
			if parcel.out = parcel.gone; parcel.out {
				continue
			}
			for _, it := range parcel.items {
				call.items = append(call.items, it.item)
			}
		}
		call.sent = true
		for _, parcel := range call.parcels {
			parcel.sent = !parcel.out
		}
	}
	p.mu.Unlock()
	if len(call.items) == 0 {
		return nil, nil
	}
	if call.plain {
		err = p.q.Put(p.c.life, p.line, call.number, call.timed, call.items)
	} else {
		refused, err = p.q.Schedule(p.c.life, p.line, call.number, call.items)
	}
	// That this attempt was not executed says nothing of those before it.
	if !fixed && errors.Is(err, store.ErrAway) && !store.MaybeExecuted(err) {
		p.mu.Lock()
		call.sent = false
		for _, parcel := range call.parcels {
			parcel.sent = false
		}
		p.mu.Unlock()
	}
	return refused, err
}

// verdict says in the public words why a call failed.
func (p *putter) verdict(call *putCall, err error) error {
	p.mu.Lock()
	sent := call.sent
	p.mu.Unlock()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrFull):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case errors.Is(err, store.ErrStale):
		return fmt.Errorf("%w: %w", ErrUnsure, err)
	case p.c.life.Err() != nil && sent:
		return fmt.Errorf("%w: %w", ErrUnsure, ErrClosed)
	case p.c.life.Err() != nil:
		return ErrClosed
	}
	return fmt.Errorf("spool: putting into queue %s: %w", p.q.Name(), err)
}

// settle gives every parcel of a call its answer.
func (p *putter) settle(call *putCall, refused []int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var taken map[int]bool
	for _, i := range refused {
		if taken == nil {
			taken = make(map[int]bool)
		}
		taken[i] = true
	}
	at := 0
	for _, parcel := range call.parcels {
		parcel.settle(err, func(i int) bool { return taken[at+i] })
		if !parcel.out {
			at += len(parcel.items)
		}
	}
}
