package spool

import (
	"time"

	"github.com/spooljobs/spool/internal/store"
)

// beatTimeout is how long a beat waits for its answer.
const beatTimeout = 3 * time.Second

// beat says, at every interval, that the engine lives; and sees to what others left lying. It travels on its own
// connection and never stands in the way of starting or finishing jobs.
func (e *engine) beat() {
	tick := time.NewTicker(e.cfg.Beat)
	defer tick.Stop()
	pulses := make([]pulse, len(e.couriers))
	queues := make([]*store.Queue, len(e.couriers))
	for i, c := range e.couriers {
		queues[i] = c.q.On(e.beats)
	}
	for {
		select {
		case <-tick.C:
		case <-e.calls.Done():
			return
		}
		e.loop.watch()
		for i, c := range e.couriers {
			e.beatOnce(c, queues[i], &pulses[i])
		}
	}
}

// pulse is what an engine remembers of its beats in one queue.
type pulse struct {
	number int64     // of the registration
	since  time.Time // beats have been unbroken since; zero if the last failed
	last   time.Time // of the last beat, by the local clock
	server int64     // and by the server's
}

// beatOnce beats in one queue. Only an engine whose own beats were unbroken for DeadAfter may judge others: after an
// outage, or a jump of the server's clock, everybody first has a chance to beat.
func (e *engine) beatOnce(c *courier, q *store.Queue, p *pulse) {
	e.mu.Lock()
	seat, closing, flying, number := c.seat, e.closing, c.flying, c.sent
	e.mu.Unlock()
	if seat == nil || closing {
		p.since = time.Time{}
		return
	}
	now := time.Now()
	if p.number != seat.Number || now.Sub(p.last) > e.cfg.DeadAfter/2 {
		p.number, p.since = seat.Number, time.Time{}
	}
	judge := !p.since.IsZero() && now.Sub(p.since) >= e.cfg.DeadAfter
	var answer *store.Pulse
	err := e.gate.do(e.calls, func() (err error) {
		answer, err = q.Beat(e.calls, seat, e.cfg.DeadAfter.Milliseconds(), judge)
		return err
	})
	if err != nil {
		// Gone: the courier is told by its next call, which it owes now.
		p.since = time.Time{}
		c.note("beating", err)
		c.owe(Thread)
		return
	}
	elapsed, jumped := time.Since(p.last), time.Duration(answer.Now-p.server)*time.Millisecond
	if p.since.IsZero() || jumped-elapsed > e.cfg.DeadAfter/2 {
		p.since = time.Now()
	}
	p.last, p.server = time.Now(), answer.Now
	e.learn(c, answer)
	e.compare(c, answer.Held, !flying && number > 0, number)
	for _, dying := range answer.Dying {
		e.slices(c, "sweeping", func() (bool, error) {
			moved, more, err := q.Sweep(e.calls, dying, e.cfg.KeepFailures.Milliseconds())
			if moved > 0 {
				e.log.Warn("jobs of a dead worker were taken over", "queue", q.Name(), "engine", dying, "jobs", moved)
			}
			return more, err
		})
	}
	if answer.Untidy {
		e.slices(c, "tidying", func() (bool, error) {
			_, more, err := q.Tidy(e.calls)
			return more, err
		})
	}
}

// slices repeats a call until it says that there is no more.
func (e *engine) slices(c *courier, what string, slice func() (more bool, err error)) {
	for {
		var more bool
		err := e.gate.do(e.calls, func() (err error) {
			more, err = slice()
			return err
		})
		if err != nil {
			// Gone: somebody else has done it.
			if err != store.ErrGone {
				c.note(what, err)
			}
			return
		}
		if !more {
			return
		}
	}
}

// learn takes in what a beat says beside the lease.
func (e *engine) learn(c *courier, answer *store.Pulse) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c.kinds = nil
	for _, kind := range answer.Parked {
		if len(kind) > 2 && e.handlers[kind[2:]] != nil {
			c.kinds = append(c.kinds, kind)
			lane := Thread
			if kind[0] == store.LaneReactor {
				lane = Reactor
			}
			c.work[lane], c.owed = true, true
			c.kick()
		}
	}
}

// compare holds what Redis says the engine has against what it runs or has yet to tell. It says something only if no
// call was under way meanwhile; twice in a row different, the courier looks into it.
func (e *engine) compare(c *courier, held int, still bool, number uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !still || c.flying || c.sent != number {
		return
	}
	if held == len(c.runs)+c.undelivered() {
		c.mismatch = 0
		return
	}
	if c.mismatch++; c.mismatch >= 2 {
		c.reconcile = true
		c.kick()
	}
}
