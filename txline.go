package spool

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/spooljobs/spool/internal/store"
)

// manyTouches is how often a watched key may be touched although what was read of it is as it was. Whoever writes
// another field of a hash all the time would keep a WATCH from ever succeeding; the script asks the reads itself.
const manyTouches = 3

// once looks and commits, one time. Without watching the script does all in one call.
func (b *bare) once(ctx context.Context, q *store.Queue, line *txLine, t *store.Transaction, watch bool) (refusal *store.Refusal, changed int, err error) {
	if !watch {
		refusal, err = q.Transact(ctx, line.id, line.number, t)
		return refusal, -1, err
	}
	if b.link == nil {
		key := q.Key("lines")
		if b.link, err = b.c.conns.take(ctx, key); err != nil {
			return nil, -1, err
		}
	}
	if changed, err = q.Look(ctx, b.link.conn, t); err != nil || changed >= 0 {
		if errors.Is(err, store.ErrAway) {
			err = &store.AwayError{Err: err} // nothing was done yet, whatever became of the question
		}
		return nil, changed, err
	}
	refusal, err = q.TransactWatched(ctx, b.link.conn, line.id, line.number, t)
	return refusal, -1, err
}

// settle asks what became of a commit whose answer was lost.
func (b *bare) settle(ctx context.Context, q *store.Queue, line *txLine, lost error) (applied bool, refusal *store.Refusal, err error) {
	for {
		wait, again := b.count.Disconnect()
		if !again {
			return false, nil, fmt.Errorf("%w: committing", ErrUnsure)
		}
		if err := b.pause(ctx, wait, lost); err != nil {
			return false, nil, fmt.Errorf("%w: committing: %w", ErrUnsure, err)
		}
		applied, refusal, err = q.Settle(ctx, line.id, line.number)
		switch {
		case err == nil:
			return applied, refusal, nil
		case !errors.Is(err, store.ErrAway):
			return false, nil, fmt.Errorf("%w: committing: %w", ErrUnsure, err)
		}
		lost = err
	}
}

// txLine is a line of numbered transactions of a client. One transaction at a time has it.
type txLine struct {
	id     string
	number uint64
}

func (c *Client) txLine(queue string) *txLine {
	c.mu.Lock()
	defer c.mu.Unlock()
	free := c.txLines[queue]
	if len(free) == 0 {
		return &txLine{id: uuid.NewString()}
	}
	line := free[len(free)-1]
	c.txLines[queue] = slices.Delete(free, len(free)-1, len(free))
	return line
}

func (c *Client) giveLine(queue string, line *txLine) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.txLines[queue] = append(c.txLines[queue], line)
}
