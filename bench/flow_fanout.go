package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// measureFanout: fan-outs put beforehand, from the first handler's start until
// the broker has recorded the last job as done. A plain drain of as many jobs
// is measured beside it, before it in odd rounds and after it in even ones.
func measureFanout(ctx context.Context, r *Run, row *flowRow) error {
	fanouts := r.N / r.Children
	if fanouts == 0 {
		return fmt.Errorf("-n %d is less than one fan-out of %d children", r.N, r.Children)
	}
	r.Row.N = fanouts * (r.Children + 1)
	steps := []func() error{
		func() error { return r.plainDrain(ctx, row) },
		func() error { return r.fanout(ctx, fanouts) },
	}
	if r.Row.Round%2 == 0 {
		slices.Reverse(steps)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	r.note("%d children a fan-out", r.Children)
	row.share = round(r.Row.JobsPerS/row.drain, 3)
	return nil
}

// fanout drains the flows. The ledger's numbers are those of the children, and
// then those of the joins.
func (r *Run) fanout(ctx context.Context, fanouts int) (err error) {
	if err := r.Server.Flush(ctx); err != nil {
		return err
	}
	peer := newFanoutPeer(r.Children)
	run := r.beside(peer, r.Row)
	side, err := run.open(ctx, r.Server.Addr, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, side.Close()) }()
	if err := peer.fill(ctx, side, fanouts, r.Payload); err != nil {
		return fmt.Errorf("putting beforehand: %w", err)
	}
	if err := run.work(ctx, side, r.Server.Addr, r.Row.N, r.Row.N); err != nil {
		return err
	}
	return peer.check(fanouts)
}

// plainDrain drains as many jobs that belong to no flow.
func (r *Run) plainDrain(ctx context.Context, row *flowRow) error {
	if err := r.Server.Flush(ctx); err != nil {
		return err
	}
	plain := &Row{N: r.Row.N}
	if err := r.beside(r.Peer, plain).drain(ctx, r.Server.Addr, r.Row.N, r.Row.N); err != nil {
		return fmt.Errorf("the plain drain beside it: %w", err)
	}
	row.drain = plain.JobsPerS
	return nil
}

// beside is a run at the same point with another peer, for the same row or for
// one that is not printed.
func (r *Run) beside(peer Peer, row *Row) *Run {
	return &Run{Params: r.Params, Point: r.Point, Peer: peer, Server: r.Server, Log: r.Log, Row: row}
}
