package future_test

import (
	"context"
	"errors"
	"fmt"
)

var (
	errFull    = errors.New("the queue is full")
	errTooMany = errors.New("too many wait already")
)

// queue has a limit at both ends: how many items it keeps, and how many may wait for one.
// Channels do it all. Who waits is served in the order of arrival, and one who gives up
// takes no item along: a receive happens or does not.
type queue[T any] struct {
	items   chan T
	backlog chan struct{} // one for each that waits
}

func newQueue[T any](size, backlog int) *queue[T] {
	return &queue[T]{make(chan T, size), make(chan struct{}, backlog)}
}

// put serves one who waits, or keeps the item.
func (q *queue[T]) put(item T) error {
	select {
	case q.items <- item:
		return nil
	default:
		return errFull
	}
}

// get gives the oldest item, or waits for one.
func (q *queue[T]) get(ctx context.Context) (item T, err error) {
	select {
	case item = <-q.items:
		return item, nil
	default:
	}
	select {
	case q.backlog <- struct{}{}:
		defer func() { <-q.backlog }()
	default:
		return item, errTooMany
	}
	select {
	case item = <-q.items:
		return item, nil
	case <-ctx.Done():
		return item, ctx.Err()
	}
}

// Two channels are a queue whose get waits, with an error where it is full and where too
// many wait. (DeferredQueue.)
func Example_queue() {
	q := newQueue[string](2, 0)
	fmt.Println(q.put("first"), q.put("second"), q.put("third"))
	for range 2 {
		item, err := q.get(context.Background())
		fmt.Println(item, err)
	}
	_, err := q.get(context.Background())
	fmt.Println(err)
	// Output:
	// <nil> <nil> the queue is full
	// first <nil>
	// second <nil>
	// too many wait already
}
