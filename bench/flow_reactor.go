package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// reactorReport is what the worker process tells of its waiting jobs.
type reactorReport struct {
	Before, After footprint     // before the first was claimed, and when all waited
	Took          time.Duration // until all waited, and from their release until all had returned
	Step          time.Duration // the longest that a handler held the loop
	Gap           time.Duration // the longest that the loop did not change hands while the probe wanted it
	Blocks        blocks
}

// block is one wait of the probe for its turn on the loop.
type block struct {
	Waited time.Duration
	Turns  int64 // that handlers had meanwhile
}

func (b block) String() string { return fmt.Sprintf("%v and %d turns", b.Waited, b.Turns) }

// blocks are the longest waits of each phase.
type blocks [phases]block

func (b *blocks) note(phase int64, one block) {
	if one.Waited > b[phase].Waited {
		b[phase] = one
	}
}

func (b *blocks) longest() (l block) {
	for _, one := range b {
		if one.Waited > l.Waited {
			l = one
		}
	}
	return l
}

// The phases of a reactor run.
const (
	beginning = iota // jobs are claimed and begin to wait
	resting          // all of them wait
	releasing        // all of them are ready at the same moment
	phases
)

// measureReactor: many reactor jobs that wait at once, in a process of its own.
// A process that has had as many goroutines before would have kept some of what
// they take, and so tell too little.
func measureReactor(ctx context.Context, r *Run, row *flowRow) (err error) {
	n := r.Waiting
	broker, err := openWaiting(ctx, r.Server.Addr, new(atomic.Int64))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, broker.Close()) }()
	before, err := r.read(ctx)
	if err != nil {
		return err
	}
	worker, err := startChild(ctx, childConfig{Addr: r.Server.Addr, Waiting: n})
	if err != nil {
		return err
	}
	told, err := fillAndWait(ctx, r, broker, worker, n)
	cpu, err := worker.stop(err)
	if err != nil {
		return err
	}
	r.Requests.Add(worker.requests)
	after, err := r.read(ctx)
	if err != nil {
		return err
	}
	after.clientCPU += cpu.Seconds()
	r.Row.N = n
	r.Row.time(told.Took)
	r.Row.cost(before, after)
	r.Row.Settings = fmt.Sprintf("%s, ReactorSlots=slots, ThreadSlots=1 for the probe, result None, payload %d",
		spoolVersions(), r.Payload)
	each := func(bytes int64) float64 { return round(float64(bytes)/float64(n), 1) }
	row.bytesPerJob = each(told.After.InUse - told.Before.InUse)
	row.rssPerJob = each(told.After.RSS - told.Before.RSS)
	row.step = millis(told.Step)
	longest := told.Blocks.longest()
	row.block, row.wait, row.turns = millis(told.Gap), millis(longest.Waited), longest.Turns
	row.resting = millis(told.Blocks[resting].Waited)
	fmt.Fprintf(r.Log, "bench: the probe waited longest while jobs began: %v; waited: %v; were released: %v\n",
		told.Blocks[beginning], told.Blocks[resting], told.Blocks[releasing])
	return nil
}

// fillAndWait gives the worker its jobs and waits for what it has to tell.
func fillAndWait(ctx context.Context, r *Run, b Broker, worker *child, n int) (*reactorReport, error) {
	if err := r.fill(ctx, b, n); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 2*stall, fmt.Errorf("%d jobs did not wait and end within %v", n, 2*stall))
	defer cancel()
	told, err := worker.receive(ctx)
	if err != nil {
		return nil, err
	}
	if told.Reactor == nil {
		return nil, errors.New("the worker process told nothing of its reactor")
	}
	_, err = rest(ctx, b, 0)
	return told.Reactor, err
}
