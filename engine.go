package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// engine is one run of a worker: couriers that talk to the queues, lanes that run jobs, beats and wakers.
type engine struct {
	w        *Worker
	cfg      WorkerConfig
	client   *Client
	handlers map[string]*handler
	log      *slog.Logger
	gate     *outage
	loop     *loop
	drain    bool
	couriers []*courier // in the order of the queues

	beats   redis.UniversalClient // beats travel on their own connection
	markers redis.UniversalClient // blocked calls, too
	blocked interruptible         // ends them
	wakers  sync.WaitGroup
	hooks   sync.WaitGroup // of transactions
	hooking atomic.Int64   // how many of them run

	calls    context.Context // of calls to Redis; outlives Run's context
	endCalls context.CancelFunc
	waits    context.Context // of wakers: ends before the last calls
	endWaits context.CancelFunc
	jobs     context.Context // of handlers
	endJobs  context.CancelCauseFunc
	stopping chan struct{}  // closed when shutdown begins
	loops    sync.WaitGroup // couriers and beats
	quiet    chan struct{}  // a signal that something has ended; capacity 1

	mu       sync.Mutex // guards what follows, and the fields of lanes, couriers and runs that say so; nothing slow happens under it
	lanes    [2]lane
	stopped  bool            // claims nothing more
	closing  bool            // the last outcomes are being delivered
	suspects int             // held, or reserved by a call that flies: at most one, of all queues together
	ran      int             // jobs that have ended here
	strange  map[string]bool // tasks without a handler that the log has named
}

func newEngine(w *Worker, drain bool) (*engine, error) {
	e := &engine{w: w, cfg: w.cfg, client: w.client, handlers: w.handlers, drain: drain,
		log:      w.cfg.Logger.With("worker", w.cfg.Identity),
		stopping: make(chan struct{}), quiet: make(chan struct{}, 1),
		strange: map[string]bool{}}
	var err error
	if e.beats, err = aside(w.client.rdb, beatTimeout, nil); err != nil {
		return nil, err
	}
	if e.markers, err = aside(w.client.rdb, 2*blockTime, &e.blocked); err != nil {
		e.beats.Close()
		return nil, err
	}
	e.gate = &outage{log: e.log}
	e.loop = &loop{log: e.log}
	e.calls, e.endCalls = context.WithCancel(context.Background())
	e.waits, e.endWaits = context.WithCancel(e.calls)
	e.jobs, e.endJobs = context.WithCancelCause(context.Background())
	e.lanes[Thread] = newLane(Thread, w.cfg.ThreadSlots)
	e.lanes[Reactor] = newLane(Reactor, w.cfg.ReactorSlots)
	for i, name := range w.cfg.Queues {
		e.couriers = append(e.couriers, newCourier(e, i, w.client.queue(name)))
	}
	return e, nil
}

// run is the life of the engine. The numbers are those of the order of shutdown in docs/design.md.
func (e *engine) run(ctx context.Context) (int, error) {
	if !e.drain {
		e.startWakers()
	}
	for _, c := range e.couriers {
		e.loops.Go(c.run)
		e.loops.Go(func() { e.beat(c) })
	}
	if e.drain {
		e.untilDry(ctx)
	} else {
		select {
		case <-ctx.Done():
		case <-e.client.life.Done():
		}
	}

	// (1) Claim nothing more.
	e.mu.Lock()
	e.stopped = true
	e.mu.Unlock()
	// (2) Handlers learn, and have their time.
	close(e.stopping)
	e.giveBackWaiting()
	still := !e.untilReturned(e.cfg.ShutdownGrace)
	// (3) Then their contexts end. Those who heed it are given a moment to return.
	e.endJobs(fmt.Errorf("%w: the worker shuts down", ErrClosed))
	if still {
		still = !e.untilReturned(heedTime)
	}
	// (4) What still runs is given back to the front of its queue, uncounted.
	ignored := e.giveBackRunning()
	// (5) The last outcomes are delivered, (6) and each courier unregisters when it has nothing left to say. The
	// blocked calls end first: a marker taken after that would be lost.
	e.endWaits()
	if !e.blocked.cut() {
		e.markers.Close()
	}
	e.wakers.Wait()
	e.markers.Close()
	e.mu.Lock()
	e.closing = true
	e.mu.Unlock()
	for _, c := range e.couriers {
		c.kick()
	}
	undelivered := e.untilDelivered()
	e.untilHooked()
	// (7) Nothing of ours goes on, but handlers that ignore their context.
	e.endCalls()
	e.loops.Wait()
	e.hooks.Wait()
	e.beats.Close()
	var errs []error
	if undelivered > 0 {
		errs = append(errs, fmt.Errorf("%w: %d outcomes were not delivered; the jobs will run again", ErrDisconnected, undelivered))
	}
	if still && len(ignored) > 0 {
		errs = append(errs, fmt.Errorf("spool: handlers ignore the end of their context and still run: %s", strings.Join(ignored, ", ")))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.client.life.Err() != nil {
		errs = append(errs, fmt.Errorf("%w: the client was closed while the worker ran", ErrClosed))
	}
	if e.drain && ctx.Err() != nil {
		errs = append(errs, ctx.Err())
	}
	return e.ran, errors.Join(errs...)
}

const (
	heedTime    = time.Second     // from the end of a handler's context to its being given up
	deliverTime = 5 * time.Second // for the last outcomes, if Redis is away, beside the grace
)

// kickLocked makes couriers that expect work look again, all but one: there may be room for them now, or their turn.
func (e *engine) kickLocked(but *courier) {
	for _, c := range e.couriers {
		if c != but && (c.work[Thread] || c.work[Reactor]) {
			c.kick()
		}
	}
}

// signal tells those who wait for the engine's end to look again.
func (e *engine) signal() {
	select {
	case e.quiet <- struct{}{}:
	default:
	}
}

// until waits for a condition, looked at after every signal, at most so long.
func (e *engine) until(limit time.Duration, ctx context.Context, holds func() bool) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		e.mu.Lock()
		ok := holds()
		e.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-e.quiet:
		case <-timer.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

func (e *engine) untilReturned(limit time.Duration) bool {
	return e.until(limit, context.Background(), func() bool {
		return e.lanes[Thread].running == 0 && e.lanes[Reactor].running == 0
	})
}

// untilDry waits until nothing runs, and nothing comes of what flows, callbacks and outboxes have yet to bring.
func (e *engine) untilDry(ctx context.Context) {
	for ran := -1; ctx.Err() == nil; {
		e.untilIdle(ctx)
		e.mu.Lock()
		before := e.ran
		e.mu.Unlock()
		if before == ran || ctx.Err() != nil {
			return
		}
		ran = before
		for _, c := range e.couriers {
			// What cannot be done now is left, as Run leaves it to others.
			_, _ = e.client.relay(ctx, route{c.q.Name(), "", e.client})
			for more := true; more && ctx.Err() == nil; {
				if err := e.gate.do(ctx, func() (err error) {
					more, err = c.q.Resume(ctx)
					return err
				}); err != nil {
					break
				}
			}
		}
		for _, c := range e.couriers {
			c.owe(Thread)
			c.owe(Reactor)
		}
	}
}

// untilIdle waits until nothing is claimable and nothing runs.
func (e *engine) untilIdle(ctx context.Context) {
	const forEver = 1<<63 - 1
	e.until(forEver, ctx, func() bool {
		for lane := range e.lanes {
			if e.lanes[lane].taken > 0 {
				return false
			}
		}
		for _, c := range e.couriers {
			if !c.idleLocked() {
				return false
			}
		}
		return true
	})
}

// untilDelivered waits for the couriers' last calls and returns how many verdicts could not be delivered.
func (e *engine) untilDelivered() int {
	undelivered := func() (n int) {
		for _, c := range e.couriers {
			n += c.undelivered()
		}
		return n
	}
	e.until(max(e.cfg.ShutdownGrace, deliverTime), context.Background(), func() bool {
		for _, c := range e.couriers {
			// Who asks for a registration while Redis is away has nothing to deliver and nothing to unregister.
			if !c.gone && (c.seat != nil || c.undelivered() > 0 || !e.gate.away()) {
				return false
			}
		}
		return true
	})
	e.mu.Lock()
	defer e.mu.Unlock()
	return undelivered()
}

// untilHooked waits for the hooks of the last transactions: they may need Redis.
func (e *engine) untilHooked() {
	e.until(max(e.cfg.ShutdownGrace, deliverTime), context.Background(), func() bool { return e.hooking.Load() == 0 })
}

// giveBackWaiting gives back what was claimed ahead and has not begun.
func (e *engine) giveBackWaiting() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for lane := range e.lanes {
		e.lanes[lane].giveBackLocked()
	}
}

// giveBackRunning gives back what still runs and returns the names of the handlers.
func (e *engine) giveBackRunning() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	counts := make(map[string]int)
	for _, c := range e.couriers {
		for _, r := range c.runs {
			if r.committing && r.tx.point == nil {
				continue // its handler has returned; the commit will be answered
			}
			counts[r.task]++
			c.decideLocked(r, backVerdict(r))
		}
	}
	var names []string
	for name, n := range counts {
		names = append(names, fmt.Sprintf("%s (%d)", name, n))
	}
	sort.Strings(names)
	return names
}

func (e *engine) resize(which Lane, slots int) {
	e.mu.Lock()
	l := &e.lanes[which]
	l.size = slots
	l.startLocked(e)
	e.mu.Unlock()
	for _, c := range e.couriers {
		c.owe(which)
	}
}
