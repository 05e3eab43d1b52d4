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

// putter puts into one queue for all callers of a client. A line has one call in flight: jobs put meanwhile pile up
// and share the next one. There is no timer, so a Put that finds a line idle leaves at once, and busy lines make their
// own batches. (Group commit, as databases write their logs.)
//
// A caller that finds a line idle makes the call itself: handing it to a goroutine and being woken by it costs as
// much as Redis does. What has piled up by then, or is to be repeated, goes to a goroutine.
//
// There are two lines, so that one call is being made ready while the other flies. What one caller puts in several
// calls goes through the first, in order.
type putter struct {
	c *Client

	mu    sync.Mutex
	waits []*parcel // not yet in a call
	lines [2]putLine
}

// putLine is one line of numbered calls. But for what is fixed from the start it is guarded by putter.mu.
type putLine struct {
	p    *putter
	wire *wire
	q    *store.Queue // on the wire
	id   string
	one  bool // takes only what its caller puts in one call

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
	maybe   bool // an attempt may have been executed
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
	if p := c.putters[queue]; p != nil {
		return p, nil
	}
	if c.closed {
		return nil, ErrClosed
	}
	p := &putter{c: c}
	for i := range p.lines {
		w := &wire{}
		var err error
		if w.rdb, err = aside(c.rdb, putTimeout, &w.stop); err != nil {
			return nil, err
		}
		p.lines[i] = putLine{p: p, wire: w, q: q.On(w.rdb), id: uuid.NewString(), one: i > 0}
	}
	c.putters[queue] = p
	return p, nil
}

// close ends the calls that are being made, for good or, with the client's goroutines gone, altogether.
func (p *putter) close(gone bool) {
	for i := range p.lines {
		if w := p.lines[i].wire; gone || !w.stop.cut() {
			w.rdb.Close()
		}
	}
}

// putTimeout is how long a call waits for its answer before it is repeated.
const putTimeout = 5 * time.Second

// add queues a parcel. It returns the line, if any, on which the caller is to make the next call.
func (p *putter) add(parcel *parcel) *putLine {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waits = append(p.waits, parcel)
	for i := range p.lines {
		l := &p.lines[i]
		if !l.busy && (!l.one || parcel.one) {
			l.busy = true
			return l
		}
	}
	return nil
}

// lead makes one call in the caller's goroutine. If ctx ends meanwhile the call is interrupted, and a goroutine
// repeats it: others may share it, and it may have been executed.
func (l *putLine) lead(ctx context.Context) {
	call := l.load()
	if call == nil {
		return
	}
	if l.p.c.gate.away() || (ctx.Done() != nil && !l.wire.stop.tracks()) {
		l.handOver(call)
		return
	}
	release := context.AfterFunc(ctx, l.wire.stop.interrupt)
	refused, err := l.attempt(ctx, call)
	release()
	if errors.Is(err, store.ErrAway) && l.p.c.life.Err() == nil {
		if ctx.Err() == nil {
			l.p.c.gate.report(false, err)
		}
		l.handOver(call)
		return
	}
	l.settle(call, refused, l.verdict(call, err))
	if l.waiting() {
		l.handOver(nil)
	}
}

// waiting tells whether there is more to send; if not, the line is idle from here on.
func (l *putLine) waiting() bool {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.busy = false
	for _, parcel := range l.p.waits {
		l.busy = l.busy || parcel.one || !l.one
	}
	return l.busy
}

// handOver lets a goroutine go on with a call, if there is one, and with what waits.
func (l *putLine) handOver(call *putCall) {
	if l.p.c.spawn(func() { l.run(call) }) {
		return
	}
	if call == nil {
		call = l.load()
	}
	for ; call != nil; call = l.load() {
		l.settle(call, nil, l.verdict(call, ErrClosed))
	}
}

// run makes calls until nothing waits.
func (l *putLine) run(call *putCall) {
	for {
		if call != nil {
			var refused []int
			err := l.p.c.gate.do(l.p.c.life, func() (err error) {
				refused, err = l.attempt(l.p.c.life, call)
				return err
			})
			l.settle(call, refused, l.verdict(call, err))
		}
		// Those who have just been answered may have more: let them come first, and share the next call.
		runtime.Gosched()
		if call = l.load(); call == nil {
			return
		}
	}
}

// lineTime is how often a line's time is noted; lines that were silent for a day are dropped.
const lineTime = 10 * time.Minute

// load takes whole parcels of one kind, as many as fit a call, or makes the line idle and returns nil.
func (l *putLine) load() *putCall {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	var call *putCall
	rest := l.p.waits[:0]
	items, size, full := 0, 0, false
	for _, next := range l.p.waits {
		switch {
		case full, l.one && !next.one:
		case call == nil:
			l.number++
			call = &putCall{number: l.number, plain: next.plain}
		case next.plain != call.plain, items+len(next.items) > store.CallItems, size+next.size > store.CallBytes:
			full = true
		}
		if call == nil || full || (l.one && !next.one) {
			rest = append(rest, next)
			continue
		}
		call.parcels = append(call.parcels, next)
		items, size = items+len(next.items), size+next.size
	}
	clear(l.p.waits[len(rest):])
	l.p.waits = rest
	if l.busy = call != nil; !l.busy {
		return nil
	}
	call.items = make([]store.Item, 0, items)
	if call.plain && time.Since(l.timed) > lineTime {
		call.timed, l.timed = true, time.Now()
	}
	return call
}

// attempt makes the call once. As long as the server has not seen it, those who gave up are left out.
func (l *putLine) attempt(ctx context.Context, call *putCall) (refused []int, err error) {
	l.wire.stop.arm()
	l.p.mu.Lock()
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
	l.p.mu.Unlock()
	if len(call.items) == 0 {
		return nil, nil
	}
	if call.plain {
		err = l.q.Put(ctx, l.id, call.number, call.timed, call.items)
	} else {
		refused, err = l.q.Schedule(ctx, l.id, call.number, call.items)
	}
	call.maybe = call.maybe || store.MaybeExecuted(err)
	// That this attempt was not executed says nothing of those before it.
	if !fixed && errors.Is(err, store.ErrAway) && !store.MaybeExecuted(err) {
		l.p.mu.Lock()
		call.sent = false
		for _, parcel := range call.parcels {
			parcel.sent = false
		}
		l.p.mu.Unlock()
	}
	return refused, err
}

// verdict says in the public words why a call failed.
func (l *putLine) verdict(call *putCall, err error) error {
	l.p.mu.Lock()
	sent := call.sent
	l.p.mu.Unlock()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrFull):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case errors.Is(err, store.ErrStale), call.maybe && l.p.c.life.Err() == nil:
		return fmt.Errorf("%w: %w", ErrUnsure, err)
	case l.p.c.life.Err() != nil && sent:
		return fmt.Errorf("%w: %w", ErrUnsure, ErrClosed)
	case l.p.c.life.Err() != nil:
		return ErrClosed
	}
	return fmt.Errorf("spool: putting into queue %s: %w", l.q.Name(), err)
}

// settle gives every parcel of a call its answer.
func (l *putLine) settle(call *putCall, refused []int, err error) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	var why map[int]error
	for _, i := range refused {
		if why == nil {
			why = make(map[int]error)
		}
		why[i%store.Unknown] = refusedPut(&call.items[i%store.Unknown], i >= store.Unknown)
	}
	at := 0
	for _, parcel := range call.parcels {
		parcel.settle(err, func(i int) error { return why[at+i] })
		if !parcel.out {
			at += len(parcel.items)
		}
	}
}

// refusedPut is why an item was not taken in.
func refusedPut(it *store.Item, unknown bool) error {
	switch {
	case unknown && it.Edge != nil && it.Edge.Further:
		return fmt.Errorf("%w: the flow %q waits for nothing more", ErrBadState, it.Edge.Job)
	case unknown && it.Edge != nil:
		return fmt.Errorf("%w: %q, which was to be followed", ErrUnknown, it.Edge.Job)
	}
	return ErrIDTaken
}
