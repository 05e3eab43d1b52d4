package spool

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/spooljobs/spool/internal/store"
)

// changer is a client's line for changes to single jobs of a queue: one call at a time, numbered, repeated unchanged
// until it is answered.
type changer struct {
	turn   chan struct{} // holds one during a call: a line has one unanswered
	line   string
	number uint64
}

// alter makes one change and turns its word into an error.
func (c *Client) alter(ctx context.Context, queue, what, id string, call func(ctx context.Context, line string, n uint64) (string, error)) error {
	if ctx == nil {
		return &FieldError{"ctx", nil, "must not be nil"}
	}
	ctx, cancel := c.patient(ctx)
	defer cancel()
	c.mu.Lock()
	line := c.change[queue]
	if line == nil {
		line = &changer{turn: make(chan struct{}, 1), line: uuid.NewString()}
		c.change[queue] = line
	}
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return ErrClosed
	}
	select {
	case line.turn <- struct{}{}:
		defer func() { <-line.turn }()
	case <-ctx.Done():
		return c.trouble(fmt.Sprintf("%s %q", what, id), &store.AwayError{Err: context.Cause(ctx)}, false)
	}
	line.number++
	var word string
	maybe := false
	err := c.gate.do(ctx, func() error {
		var err error
		word, err = call(ctx, line.line, line.number)
		maybe = maybe || store.MaybeExecuted(err)
		return err
	})
	if err != nil {
		err = c.trouble(fmt.Sprintf("%s %q", what, id), err, maybe)
		if maybe {
			// The unanswered call is given up, and with it the line: nothing newer may go before it.
			line.line, line.number = uuid.NewString(), 0
		}
		return err
	}
	switch word {
	case store.ChangeDone:
		return nil
	case store.ChangeJoined:
		return fmt.Errorf("%w: %s %q: it follows other jobs, or is followed", ErrBadState, what, id)
	case store.ChangeUnknown:
		return fmt.Errorf("%w: %s %q", ErrUnknown, what, id)
	}
	if queue, ok := strings.CutPrefix(word, store.ChangeAway); ok {
		return &awayError{queue}
	}
	return fmt.Errorf("%w: %s %q: it has %s", ErrBadState, what, id, word)
}

// trouble says in the public words why a call failed; maybe, that it may have been executed.
func (c *Client) trouble(what string, err error, maybe bool) error {
	switch {
	case c.life.Err() != nil && maybe:
		return fmt.Errorf("%w: %w: %s", ErrUnsure, ErrClosed, what)
	case c.life.Err() != nil:
		return fmt.Errorf("%w: %s", ErrClosed, what)
	case errors.Is(err, store.ErrFull):
		return fmt.Errorf("%w: %s: %w", ErrFull, what, err)
	case maybe:
		return fmt.Errorf("%w: %s: %w", ErrUnsure, what, err)
	case errors.Is(err, store.ErrAway):
		return fmt.Errorf("%w: %s: %w", ErrDisconnected, what, err)
	}
	return fmt.Errorf("spool: %s: %w", what, err)
}

// ask makes a call that only reads, again and again while Redis is away.
func (c *Client) ask(ctx context.Context, what string, call func(ctx context.Context) error) error {
	if ctx == nil {
		return &FieldError{"ctx", nil, "must not be nil"}
	}
	ctx, cancel := c.patient(ctx)
	defer cancel()
	if c.life.Err() != nil {
		return fmt.Errorf("%w: %s", ErrClosed, what)
	}
	if err := c.gate.do(ctx, func() error { return call(ctx) }); err != nil {
		return c.trouble(what, err, false)
	}
	return nil
}
