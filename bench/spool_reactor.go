package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spooljobs/spool"
)

func waitTask() spool.Task[Raw, spool.None] {
	return spool.NewTask[Raw, spool.None]("wait", spool.OnReactor())
}

func probeTask() spool.Task[spool.None, spool.None] {
	return spool.NewTask[spool.None, spool.None]("probe")
}

// openWaiting connects Spool; the jobs that are put are reactor jobs that wait.
func openWaiting(ctx context.Context, addr string, requests *atomic.Int64) (*spoolBroker, error) {
	b, err := openSpool(ctx, addr, requests)
	if err == nil {
		b.noop = waitTask()
	}
	return b, err
}

const (
	reactorSettle = 500 * time.Millisecond // for what a worker does once, uncounted
	reactorRest   = time.Second            // how long the probe looks at a loop that has nothing to do
	probePause    = 50 * time.Microsecond  // between two turns of the probe
)

// childReactor is the worker process of measureReactor. It reports when it is
// ready for the jobs, and once more when all have waited and returned.
func childReactor(ctx context.Context, cfg childConfig, requests *atomic.Int64, tell func(report) error, fail func(error)) (err error) {
	b, err := openWaiting(ctx, cfg.Addr, requests)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	w := newWatch(cfg.Waiting)
	// Without grace: if the run is interrupted, handlers still wait.
	worker := spool.NewWorker(b.client, spool.WorkerConfig{ThreadSlots: 1, ReactorSlots: cfg.Waiting, ShutdownGrace: -1})
	b.noop.Handle(worker, w.wait)
	probe := probeTask()
	probe.Handle(worker, func(ctx context.Context, _ spool.None) (spool.None, error) { return spool.None{}, w.probe(ctx) })
	stop := runSpool(ctx, worker, fail)
	defer func() { err = errors.Join(err, mishap(ctx), stop()) }()

	if _, err := probe.Put(ctx, b.client, spool.None{}); err != nil {
		return err
	}
	if err := w.watch(ctx, func() error { return tell(report{Index: -1}) }); err != nil {
		if ctx.Err() != nil {
			return nil // mishap tells why
		}
		return err
	}
	if err := tell(report{Index: -1, Reactor: &w.report}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// watch measures the handlers that wait and the loop that they wait on.
type watch struct {
	book    *ledger
	n       int64
	away    atomic.Int64  // handlers that have left the loop to wait
	all     chan struct{} // closed when all have
	release chan struct{} // closed to let them go on
	turns   atomic.Int64  // of handlers
	phase   atomic.Int64
	probing chan struct{} // closed when the probe has had its first turn
	probed  chan struct{} // closed when it has had its last
	quiet   sync.Mutex    // held by the probe while it waits for a turn, and to keep it from asking
	asked   atomic.Int64  // when the probe began to wait for its turn; 0 while it does not
	last    int64         // when the last turn ended; on the loop
	report  reactorReport // its steps, blocks and gap are written on the loop only
}

func newWatch(n int) *watch {
	return &watch{book: newLedger(n, n, n), n: int64(n), all: make(chan struct{}), release: make(chan struct{}),
		probing: make(chan struct{}), probed: make(chan struct{})}
}

// wait is the handler that is measured. Its work is the bookkeeping.
func (w *watch) wait(ctx context.Context, arg Raw) (spool.None, error) {
	begin := time.Now()
	w.book.begin()
	w.step(begin)
	_, err := spool.Await(ctx, func(ctx context.Context) (spool.None, error) {
		if w.away.Add(1) == w.n {
			close(w.all)
		}
		select {
		case <-w.release:
			return spool.None{}, nil
		case <-ctx.Done():
			return spool.None{}, context.Cause(ctx)
		}
	})
	begin = time.Now()
	if err == nil {
		w.book.count(indexOf(arg))
	}
	w.step(begin)
	w.book.end(err == nil) // after which the report may be read
	return spool.None{}, err
}

// step notes how long a handler held the loop. It is on the loop, alone.
func (w *watch) step(begin time.Time) {
	w.turns.Add(1)
	w.report.Step = max(w.report.Step, time.Since(begin))
	w.pass()
}

// pass notes that a turn ends, and how long somebody who wanted the loop has not seen it change hands.
func (w *watch) pass() {
	now := time.Now().UnixNano()
	if asked := w.asked.Load(); asked != 0 {
		w.report.Gap = max(w.report.Gap, time.Duration(now-max(asked, w.last)))
	}
	w.last = now
}

// probe asks for a turn again and again, and notes the longest wait for it. It
// is a thread handler: who is on the loop can not ask for a turn.
func (w *watch) probe(ctx context.Context) error {
	defer close(w.probed)
	for first := true; ; first = false {
		if err := w.ask(ctx); err != nil {
			return err
		}
		if first {
			close(w.probing)
		}
		select {
		case <-w.book.reached:
			return nil
		case <-time.After(probePause):
		}
	}
}

func (w *watch) ask(ctx context.Context) error {
	w.quiet.Lock()
	defer w.quiet.Unlock()
	phase, turns, asked := w.phase.Load(), w.turns.Load(), time.Now()
	w.asked.Store(asked.UnixNano())
	defer w.asked.Store(0)
	return spool.OnLoop(ctx, func() {
		w.pass()
		w.report.Blocks.note(phase, block{time.Since(asked), w.turns.Load() - turns})
	})
}

// footprint is read while the probe stands still: its cost and its memory are
// not those of the jobs, and the collector's pauses not those of the loop.
func (w *watch) footprint() footprint {
	w.quiet.Lock()
	defer w.quiet.Unlock()
	return readFootprint()
}

// watch goes through the phases. It calls ready when the jobs may come.
func (w *watch) watch(ctx context.Context, ready func() error) error {
	if err := until(ctx, w.probing); err != nil {
		return err
	}
	if err := pause(ctx, reactorSettle); err != nil {
		return err
	}
	w.report.Before = w.footprint()
	if err := ready(); err != nil {
		return err
	}
	if err := until(ctx, w.all); err != nil {
		return err
	}
	w.report.Took = time.Since(w.book.start())
	if err := pause(ctx, reactorSettle); err != nil {
		return err
	}
	w.report.After = w.footprint()
	w.phase.Store(resting)
	if err := pause(ctx, reactorRest); err != nil {
		return err
	}
	w.phase.Store(releasing)
	released := time.Now()
	close(w.release)
	if err := until(ctx, w.book.reached); err != nil {
		return err
	}
	w.report.Took += time.Since(released)
	if err := until(ctx, w.probed); err != nil {
		return err
	}
	return w.book.check(0)
}

// until waits for a channel to be closed, or fails with the cause of ctx's end.
func until(ctx context.Context, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
