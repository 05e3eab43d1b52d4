package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

func chainPoints(p Params) []Point {
	var list []Point
	for _, n := range p.LinkSlots {
		list = append(list, Point{Slots: n})
	}
	return list
}

// measureChain: callbacks, each of the one before. The first follows a job that
// holds its slot until all of them are there; job 0 is that one.
func measureChain(ctx context.Context, r *Run, row *flowRow) (err error) {
	broker, err := openSpool(ctx, r.Server.Addr, &r.Requests)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, broker.Close()) }()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	c := newChain(r.Links, r.Point.Slots)
	stop := c.work(ctx, broker, r.Point.Slots, fail)
	err = r.chain(ctx, broker, c)
	c.open() // if it has failed, the gate's handler is still there
	if err = errors.Join(err, stop()); err != nil {
		return err
	}
	if err := c.book.check(0); err != nil {
		return err
	}
	links, err := c.links()
	if err != nil {
		return err
	}
	slices.Sort(links)
	row.p50, row.p99 = millis(quantile(links, 0.50)), millis(quantile(links, 0.99))
	return nil
}

func (r *Run) chain(ctx context.Context, broker *spoolBroker, c *chain) error {
	if err := c.put(ctx, broker, r.Payload); err != nil {
		return fmt.Errorf("putting beforehand: %w", err)
	}
	if err := pause(ctx, chainSettle); err != nil {
		return err
	}
	before, err := r.read(ctx)
	if err != nil {
		return err
	}
	c.open()
	if err := c.book.wait(ctx); err != nil {
		return err
	}
	after, err := r.read(ctx)
	if err != nil {
		return err
	}
	last := len(c.ends) - 1
	r.Row.N = r.Links
	r.Row.time(c.ends[last].Sub(c.ends[0]))
	r.Row.cost(before, after)
	_, err = rest(ctx, broker, 0)
	return err
}

// chainSettle lets a worker come to rest once all is put.
const chainSettle = 500 * time.Millisecond

// times are when the handlers of the jobs 0 to n began and ended.
type times struct{ starts, ends []time.Time }

// links are the times from the end of each handler to the start of the next.
func (t times) links() ([]time.Duration, error) {
	var list []time.Duration
	for i := 1; i < len(t.starts); i++ {
		link := t.starts[i].Sub(t.ends[i-1])
		if link < 0 {
			return nil, fmt.Errorf("callback %d began %v before the job that it follows had ended", i, -link)
		}
		list = append(list, link)
	}
	return list, nil
}
