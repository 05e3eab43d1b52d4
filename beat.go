package spool

import (
	"errors"
	"fmt"
	"time"

	"github.com/spooljobs/spool/internal/store"
)

// beatTimeout is how long a beat waits for its answer.
const beatTimeout = 3 * time.Second

// beat says, at every interval, that the engine lives, in one queue; and sees to what others left lying. It travels on
// a connection of its own and never stands in the way of starting or finishing jobs, nor of other queues' beats.
func (e *engine) beat(c *courier) {
	tick := time.NewTicker(e.cfg.Beat)
	defer tick.Stop()
	var p pulse
	q := c.q.On(e.beats)
	for {
		select {
		case <-tick.C:
		case <-c.parked:
			p.whole = time.Time{}
		case <-e.calls.Done():
			return
		}
		if c.rank == 0 {
			e.loop.watch()
		}
		e.beatOnce(c, q, &p)
	}
}

// pulse is what an engine remembers of its beats in one queue.
type pulse struct {
	number int64     // of the registration
	since  time.Time // beats have been unbroken since; zero if the last failed
	last   time.Time // of the last beat, by the local clock
	server int64     // and by the server's
	whole  time.Time // of the last whole beat
	acts   uint64    // what the courier had done by then
	turn   int       // what a light beat looks at
	wary   time.Time // until then no light beats: an engine has died, and a marker may yet have gone to it
}

// wholeBeat is how often an idle engine makes a whole beat, for what can wait: outcomes that have had their time.
const wholeBeat = 10 * time.Minute

// beatOnce beats in one queue. An engine that holds nothing, and has done nothing since the last time, makes a light
// beat: there is nothing that its lease protects.
func (e *engine) beatOnce(c *courier, q *store.Queue, p *pulse) {
	now := time.Now()
	e.mu.Lock()
	seat, closing, acts := c.seat, e.closing, c.acts
	idle := len(c.runs) == 0 && c.undelivered() == 0 && !c.flying && !c.owed && c.clock.known() && acts == p.acts
	server := c.clock.at(now)
	e.mu.Unlock()
	if seat == nil || closing {
		p.since = time.Time{}
		return
	}
	if p.number != seat.Number {
		*p = pulse{number: seat.Number, whole: now, last: now, server: server, acts: p.acts}
	}
	if now.Sub(p.last) > e.cfg.DeadAfter/2 {
		p.since = time.Time{}
	}
	if idle && now.Sub(p.whole) < wholeBeat && now.After(p.wary) {
		var more bool
		err := e.gate.do(e.calls, func() (err error) {
			p.turn++
			more, err = q.Touch(e.calls, seat, server, e.cfg.DeadAfter.Milliseconds(), p.turn)
			return err
		})
		if err != nil {
			p.since = time.Time{}
			c.note("beating", err)
			return
		}
		if !more {
			if p.since.IsZero() {
				p.since = now
			}
			p.last, p.server = now, server
			return
		}
	}
	e.beatWhole(c, q, p, seat)
	p.whole, p.acts = now, acts
}

// beatWhole renews the lease by the server's clock and sees to everything that beats see to. Only an engine whose own
// beats were unbroken for DeadAfter may judge others: after an outage, or a jump of the server's clock, everybody
// first has a chance to beat.
func (e *engine) beatWhole(c *courier, q *store.Queue, p *pulse, seat *store.Engine) {
	e.mu.Lock()
	flying, number := c.flying, c.sent
	e.mu.Unlock()
	var answer *store.Pulse
	err := e.gate.do(e.calls, func() (err error) {
		// The last beat must be recent, too: this one may have waited out an outage, like those of all others.
		judge := int64(0)
		if unbroken := time.Since(p.last) <= e.cfg.DeadAfter/2; unbroken && !p.since.IsZero() && time.Since(p.since) >= e.cfg.DeadAfter {
			judge = p.server + (time.Since(p.last) + e.cfg.DeadAfter/2).Milliseconds()
		}
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
	if p.since.IsZero() || elapsed > e.cfg.DeadAfter/2 || jumped-elapsed > e.cfg.DeadAfter/2 {
		p.since = time.Now()
	}
	p.last, p.server = time.Now(), answer.Now
	e.learn(c, answer)
	e.client.errands(q.Name(), answer.Begun, answer.Mail)
	e.compare(c, answer.Held, !flying && number > 0, number)
	if len(answer.Dying) > 0 {
		// It may be frozen, not gone: a call of its that still blocks takes markers.
		p.wary = time.Now().Add(2 * blockTime)
	}
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

// slices repeats a call until it says that there is no more, or the next beat is near: it goes on after that.
func (e *engine) slices(c *courier, what string, slice func() (more bool, err error)) {
	for begun := time.Now(); time.Since(begun) < e.cfg.Beat/2; {
		var more bool
		err := e.gate.do(e.calls, func() (err error) {
			more, err = slice()
			return err
		})
		if err != nil {
			// Gone: somebody else has done it.
			if !errors.Is(err, store.ErrGone) {
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
	c.clock = serverClock{answer.Now, time.Now()}
	if answer.Late {
		// Nobody may have claimed for long, or nobody may be able to run what has expired: it is failed all the same.
		c.owed = true
		c.kick()
	}
	for _, held := range answer.Gone {
		// Cancelled: what the handler writes or returns no longer counts.
		if r := c.runs[store.PackID(held.ID)]; r != nil && r.claim.Token == held.Token {
			if r.cancelled = r.cancel != nil; !r.cancelled {
				c.leftLocked(r) // it has not begun
			}
			c.loseLocked(r, fmt.Errorf("%w: by Job.Cancel", ErrCancelled))
		}
	}
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
	// Runs that wait for their commit are among c.runs.
	if held == len(c.runs)+len(c.plain)+len(c.others) {
		c.mismatch = 0
		return
	}
	if c.mismatch++; c.mismatch >= 2 {
		c.reconcile = true
		c.kick()
	}
}
