package main

import (
	"context"
	"errors"
	"fmt"
)

// drainCase: jobs put beforehand, from the first handler's start until the
// broker has recorded the last one.
var drainCase = Case{
	Name:    "drain",
	Points:  slotPoints,
	Measure: func(ctx context.Context, r *Run) error { return r.drain(ctx, r.Server.Addr, r.N, r.N) },
}

// drain puts total jobs and measures a worker, connected to addr, that runs n
// of them. With n == total it checks that each job ran exactly once; otherwise
// that none ran twice and none is missing from the broker.
func (r *Run) drain(ctx context.Context, addr string, total, n int) (err error) {
	// Prepares and observes; never through the worker's connections, and never
	// through a proxy.
	side, err := r.open(ctx, r.Server.Addr, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, side.Close()) }()
	if err := r.fill(ctx, side, total); err != nil {
		return err
	}
	return r.work(ctx, side, addr, total, n)
}

// work is drain for jobs that are there already.
func (r *Run) work(ctx context.Context, side Broker, addr string, total, n int) (err error) {
	broker, err := r.open(ctx, addr, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, broker.Close()) }()
	before, err := r.read(ctx)
	if err != nil {
		return err
	}

	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	book := newLedger(total, n, r.Point.Slots)
	stop, err := broker.Work(ctx, WorkConfig{
		Slots: r.Point.Slots, Queues: []string{mainQueue}, Handle: book.handle, Try: book.try, Fail: fail,
	})
	if err != nil {
		return err
	}
	err = r.finish(ctx, side, book, before, total-n)
	book.release()
	if err = errors.Join(err, stop()); err != nil {
		return err
	}
	if t, ok := broker.(transactor); ok {
		r.Commits, r.Conflicts = t.Transactions()
	}
	left, err := side.Unfinished(ctx)
	if err != nil {
		return err
	}
	if n == total && left != 0 {
		return fmt.Errorf("the broker holds %d jobs after a full drain", left)
	}
	return book.check(left)
}

// finish waits for the last job of the measurement and fills the row.
func (r *Run) finish(ctx context.Context, side Broker, book *ledger, before reading, left int) error {
	if err := book.wait(ctx); err != nil {
		return err
	}
	end, err := rest(ctx, side, int64(left))
	if err != nil {
		return err
	}
	after, err := r.read(ctx)
	if err != nil {
		return err
	}
	r.Row.time(end.Sub(book.start()))
	r.Row.cost(before, after)
	return nil
}
