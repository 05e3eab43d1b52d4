package spool

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/spooljobs/spool/internal/store"
)

// reader asks what transactions read, for all transactions of a client in one queue's slot. It has one call in flight;
// what is asked meanwhile shares the next one. Nobody waits for others: an idle reader asks at once.
type reader struct {
	c *Client
	q *store.Queue

	mu    sync.Mutex    // guards what follows
	busy  bool          // a goroutine is asking
	ready chan struct{} // closed when the call in flight is answered; nil if none is
	waits []*inquiry
}

// inquiry is what one caller asks: questions that are to see one state of Redis.
type inquiry struct {
	questions []store.Question
	size      int // arguments
	answers   []store.Reading
	err       error
	done      chan struct{} // closed when it is answered
}

// readArguments bounds the arguments of one call.
const readArguments = 3000

func (c *Client) reader(queue string) *reader {
	q := c.queue(queue)
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.readers[queue]
	if r == nil {
		r = &reader{c: c, q: q}
		c.readers[queue] = r
	}
	return r
}

// ask returns the answers to questions, as one state of Redis gives them. If ctx ends first its cause comes back. It
// tries once: what to do while Redis is away is the caller's policy.
func (r *reader) ask(ctx context.Context, questions ...store.Question) ([]store.Reading, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	in := &inquiry{questions: questions, done: make(chan struct{})}
	for i := range questions {
		in.size += 2 + len(questions[i].Args) + len(questions[i].Keys)
	}
	r.mu.Lock()
	r.waits = append(r.waits, in)
	start := !r.busy
	r.busy = true
	r.mu.Unlock()
	if start && !r.c.spawn(r.run) {
		r.mu.Lock()
		r.busy = false
		r.mu.Unlock()
		return nil, ErrClosed
	}
	select {
	case <-in.done:
		return in.answers, in.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-r.c.life.Done():
		return nil, ErrClosed
	}
}

// run asks until nothing waits.
func (r *reader) run() {
	for {
		r.mu.Lock()
		n, size := 0, 0
		for n < len(r.waits) && (n == 0 || size+r.waits[n].size <= readArguments) {
			size += r.waits[n].size
			n++
		}
		batch := r.waits[:n:n]
		r.waits = r.waits[n:]
		r.busy = n > 0
		var ready chan struct{}
		if n > 0 {
			ready = make(chan struct{})
		}
		r.ready = ready
		r.mu.Unlock()
		if n == 0 {
			return
		}
		r.exchange(batch)
		close(ready)
	}
}

func (r *reader) exchange(batch []*inquiry) {
	questions := batch[0].questions
	if len(batch) > 1 {
		questions = nil
		for _, in := range batch {
			questions = append(questions, in.questions...)
		}
	}
	answers, err := r.q.Ask(r.c.life, questions)
	for _, in := range batch {
		if err == nil {
			n := len(in.questions)
			in.answers, answers = answers[:n:n], answers[n:]
		} else {
			in.err = r.c.away("reading", err)
		}
		close(in.done)
	}
}

// away says in the public words why a call that only asks, or that was not executed, failed.
func (c *Client) away(what string, err error) error {
	switch {
	case c.life.Err() != nil:
		return ErrClosed
	case errors.Is(err, store.ErrFull):
		return fmt.Errorf("%w: %s: %w", ErrFull, what, err)
	case errors.Is(err, store.ErrAway):
		return fmt.Errorf("%w: %s: %w", ErrDisconnected, what, err)
	}
	return fmt.Errorf("spool: %s: %w", what, err)
}

// settled returns a channel that is closed when the call in flight is answered, or nil if there is none.
func (r *reader) settled() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ready
}
