package spool

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/spooljobs/spool/internal/store"
)

// courier is an engine's line into one queue. It has one call in flight: while it flies, finished jobs pile up; the
// next call finishes them all and claims as many as there is room for. Handlers never talk to Redis for bookkeeping.
type courier struct {
	e      *engine
	q      *store.Queue
	reader *reader // of the transactions in this queue
	rank   int     // among the engine's queues; lower first
	wake   chan struct{}
	parked chan struct{} // jobs are parked: a beat is to look whether handlers here know them

	// Used by the courier's goroutine alone.
	number uint64 // of the last call under this registration
	kept   uint64 // of the last call that was answered

	// Guarded by engine.mu.
	seat      *store.Engine   // the registration; nil while there is none
	runs      map[string]*run // what it holds, by stored id
	plain     []store.Verdict // not yet told: plain ones,
	others    []store.Verdict // and the others
	inCall    int             // verdicts in the call that flies
	commits   []*run          // whose transactions wait for a call
	full      time.Time       // Redis is full: until then no transaction that adds to it is sent
	fullFor   time.Duration   // of that wait
	work      [2]bool         // claimable work is expected, by lane
	backlog   [2]bool         // the last answer left more than it took
	looked    [2]time.Time    // when the call was made in which this queue last said that it has nothing,
	heard     [2]time.Time    // and when it was answered
	asked     [2]time.Time    // when the queues before this one were to be asked, for a claim that is yet to be made
	flying    bool            // a call is under way
	sent      uint64          // calls so far
	acts      uint64          // calls so far that said or claimed something
	due       [2]time.Time    // when the next job is due, by the local clock
	owed      bool            // a call is owed, whatever there is to say: a marker was taken
	kinds     []string        // of parked jobs that handlers here know
	refused   int             // verdicts that a former registration could not deliver
	reconcile bool            // what Redis says it holds and what it runs may differ
	mismatch  int             // beats in a row that said so
	flight    time.Duration   // of a call, a decaying mean
	clock     serverClock     // what is known of the server's clock
	until     time.Time       // no call before this: the server answered with an error
	gone      bool            // the goroutine has ended
	stalled   time.Duration   // of the wait after an error
}

func newCourier(e *engine, rank int, q *store.Queue) *courier {
	return &courier{e: e, q: q, reader: e.client.reader(q.Name()), rank: rank, wake: make(chan struct{}, 1), parked: make(chan struct{}, 1), runs: map[string]*run{},
		work: [2]bool{true, true}, owed: true}
}

// kick makes the courier look whether there is something to do.
func (c *courier) kick() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// owe makes the courier call: work is expected in a lane.
func (c *courier) owe(lane Lane) {
	c.e.mu.Lock()
	c.owed, c.work[lane] = true, true
	c.e.mu.Unlock()
	c.kick()
}

// run is the courier's goroutine.
func (c *courier) run() {
	defer func() {
		c.e.mu.Lock()
		c.gone = true
		c.abandonLocked()
		c.e.mu.Unlock()
		c.e.signal()
	}()
	for {
		if !c.ready() {
			return
		}
		c.gather()
		call := c.compose()
		if call != nil {
			c.exchange(call)
			continue
		}
		c.e.mu.Lock()
		end := c.e.closing && c.undelivered() == 0
		c.e.mu.Unlock()
		if end {
			c.leave()
			return
		}
		c.rest()
	}
}

// ready sees to it that there is a registration, and waits out an error of the server. It returns false when the
// engine has no more use for the courier.
func (c *courier) ready() bool {
	for {
		c.e.mu.Lock()
		seat, pause := c.seat, time.Until(c.until)
		idle := c.e.closing && (c.seat == nil || c.undelivered() == 0)
		c.e.mu.Unlock()
		switch {
		case c.e.calls.Err() != nil, seat == nil && idle:
			return false
		case pause > 0 && !idle:
			c.sleep(pause)
		case seat == nil:
			c.register()
		default:
			return true
		}
	}
}

func (c *courier) sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.e.calls.Done():
	}
}

// trouble notes an error with which the server answered. Nothing was done; after a pause it is tried again. Lower
// queues do not wait for this one meanwhile.
func (c *courier) trouble(what string, err error) {
	if c.e.calls.Err() != nil {
		return
	}
	c.e.mu.Lock()
	c.stalled = min(max(2*c.stalled, 100*time.Millisecond), 2*time.Second)
	c.until = time.Now().Add(c.stalled)
	c.work, c.owed = [2]bool{}, true
	for lane := range c.e.lanes {
		if c.e.idleLocked(Lane(lane)) {
			c.e.hungerLocked(&c.e.lanes[lane]) // this queue no longer keeps the waker from waiting for the others
		}
	}
	c.e.kickLocked(c)
	c.e.mu.Unlock()
	c.e.signal()
	c.e.log.LogAttrs(context.Background(), slog.LevelError, "redis refused a call", slog.String("queue", c.q.Name()),
		slog.String("what", what), slog.Any("err", err))
}

// letter is one call in the making: what it says, and the room it has reserved.
type letter struct {
	store.Advance
	room   [2]int
	marked bool // it answers a marker

	maybe   bool   // an attempt may have been executed
	runs    []*run // that are committed, at the places of their verdicts; nil if there are none
	alone   bool   // it carries one transaction that is too large for a shared call
	whole   bool   // that one is sent with its reads, however large
	changed int    // the read that a second look found changed
}

// compose decides what the next call says, and reserves its room. It returns nil if there is nothing to say.
func (c *courier) compose() *letter {
	e := c.e
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing && now.Before(c.until) {
		return nil // the server answered with an error, and nothing is left to be told: it is not asked again
	}
	for lane := range c.due {
		if due := c.due[lane]; !due.IsZero() && !now.Before(due) {
			c.due[lane] = time.Time{}
			c.work[lane] = true
		}
	}
	var room [2]int
	wanted := c.owed || c.refused > 0 || len(c.plain)+len(c.others) > 0 || c.committableLocked(now)
	for lane := range room {
		room[lane] = c.roomLocked(Lane(lane), now)
		wanted = wanted || (c.work[lane] && room[lane] > 0)
	}
	if c.reconcile {
		return &letter{}
	}
	if !wanted {
		return nil
	}
	call := &letter{room: room, marked: c.owed}
	call.Engine, call.Expired, call.Refused = c.seat, e.cfg.KeepFailures.Milliseconds(), c.refused
	call.Suspect, call.Kinds = e.suspects == 0, c.kinds
	if call.Suspect {
		e.suspects++ // reserved, like the room
	}
	c.takeLocked(call, now)
	left := store.CallItems
	for lane := range room {
		call.room[lane] = min(room[lane], left)
		left -= call.room[lane]
		e.lanes[lane].taken += call.room[lane]
	}
	call.Thread, call.Reactor = call.room[Thread], call.room[Reactor]
	c.owed, c.flying, c.refused, c.inCall = false, true, 0, len(call.Verdicts)
	c.number++
	for c.tokenInUseLocked() {
		c.number++
	}
	call.Number, c.sent = c.number, c.sent+1
	return call
}

// tokenInUseLocked: claim numbers wrap after 2^24 calls; one that names a run which still goes on is passed over.
func (c *courier) tokenInUseLocked() bool {
	if c.number < 1<<24 {
		return false
	}
	token := c.seat.Token(c.number)
	for _, r := range c.runs {
		if r.claim.Token == token {
			return true
		}
	}
	return false
}

// takeLocked takes the verdicts for one call: at most so many, and so many arguments and bytes. Plain ones come first.
func (c *courier) takeLocked(call *letter, now time.Time) {
	n := min(len(c.plain), store.CallItems)
	if len(c.commits) > 0 && c.commits[0].tx.large() && !now.Before(c.full) {
		n = 0 // it travels alone, and must not wait for ever
	}
	verdicts := make([]store.Verdict, n, n+min(len(c.others)+len(c.commits), store.CallItems))
	copy(verdicts, c.plain)
	c.plain = append(c.plain[:0], c.plain[n:]...)
	arguments, size, k := 2*n, 0, 0
	if len(c.commits) > 0 {
		var plain, others []*run
		plain, others, call.alone = c.pickLocked(now, store.CallItems-n, arguments, size)
		if len(plain)+len(others) > 0 {
			call.runs = make([]*run, n, n+len(plain)+len(others))
		}
		for _, r := range append(plain, others...) {
			verdicts, call.runs = append(verdicts, r.tx.verdict), append(call.runs, r)
			arguments, size = arguments+r.tx.verdict.Fields(), size+r.tx.verdict.Size()
		}
		n = len(verdicts)
	}
	for k < len(c.others) && n+k < store.CallItems {
		v := &c.others[k]
		if arguments += v.Fields(); arguments > store.AdvanceArguments {
			break
		}
		if size += v.Size(); size > store.CallBytes && k > 0 {
			break
		}
		verdicts = append(verdicts, *v)
		k++
	}
	rest := copy(c.others, c.others[k:])
	clear(c.others[rest:])
	c.others = c.others[:rest]
	call.Verdicts = verdicts
}

// exchange makes a call until it is answered, and acts on the answer.
func (c *courier) exchange(call *letter) {
	if call.Engine == nil {
		c.settleAccounts()
		return
	}
	sent := time.Now()
	var answer *store.Advanced
	err := c.e.gate.do(c.e.calls, func() (err error) {
		switch {
		case call.alone:
			answer, err = c.alone(call)
		case call.runs != nil:
			answer, err = c.q.Commit(c.e.calls, &call.Advance)
		default:
			answer, err = c.q.Advance(c.e.calls, &call.Advance)
		}
		call.maybe = call.maybe || store.MaybeExecuted(err)
		return err
	})
	switch {
	case err == nil:
		c.apply(call, answer, sent)
	case errors.Is(err, errChanged):
		c.overtaken(call)
	case errors.Is(err, store.ErrFull) && call.runs != nil && call.adds():
		c.takeBack(call)
		c.e.mu.Lock()
		c.fullLocked()
		c.owed = true
		c.e.mu.Unlock()
	case errors.Is(err, store.ErrGone), errors.Is(err, store.ErrStale):
		c.expelled(call, err)
	default:
		c.takeBack(call)
		c.trouble("advance", err)
	}
}

// vacateLocked gives up what compose has reserved.
func (c *courier) vacateLocked(call *letter) {
	for lane, room := range call.room {
		c.e.lanes[lane].taken -= room
	}
	if call.Suspect {
		c.e.suspects--
	}
}

// takeBack undoes compose: the call was not executed.
func (c *courier) takeBack(call *letter) {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	c.vacateLocked(call)
	call.doubt()
	for i, v := range call.Verdicts {
		if r := call.run(i); r != nil {
			c.commits = append(c.commits, r)
		} else if v.Word == store.VerdictPlain {
			c.plain = append(c.plain, v)
		} else {
			c.others = append(c.others, v)
		}
	}
	c.flying, c.inCall, c.refused = false, 0, c.refused+call.Refused
}

// longFlight bounds what a call may seem to take: while Redis is away it says nothing about round trips.
const longFlight = 250 * time.Millisecond

// apply takes in an answer.
func (c *courier) apply(call *letter, answer *store.Advanced, sent time.Time) {
	e := c.e
	now := time.Now()
	flight := now.Sub(sent)
	claims := answer.Claims
	if answer.Again {
		// The first answer was lost, and with it the claims: ask for what bears the call's token.
		claims = c.adopt(call)
	} else if answer.Kept != c.kept {
		// Redis has gone back in time: it does not remember what it answered.
		e.log.Warn("redis has lost acknowledged calls", "queue", c.q.Name(), "expected", c.kept, "found", answer.Kept)
		e.mu.Lock()
		c.reconcile = true
		e.mu.Unlock()
	}
	c.kept = call.Number
	commits := c.settle(call, answer.Lost, answer.Refused)
	// What a claim holds is decoded by the runner that takes it, beside the next call.
	runs := make([]run, len(claims))
	for i := range claims {
		runs[i].take(c, &claims[i], now)
	}

	e.mu.Lock()
	c.flying, c.inCall, c.stalled = false, 0, 0
	if len(call.Verdicts)+len(claims) > 0 {
		c.acts++
	}
	c.flight += (min(flight, longFlight) - c.flight) / 4
	if !c.clock.known() || flight < 10*time.Millisecond {
		c.clock = serverClock{answer.Now, now.Add(-flight / 2)}
	}
	c.vacateLocked(call)
	c.bookLocked(commits, now)
	if call.adds() {
		c.fullFor = 0
	}
	for i := range runs {
		r := &runs[i]
		l := &e.lanes[r.lane]
		l.taken++
		if old := c.runs[r.claim.ID]; old != nil {
			// Redis has forgotten that we hold it, and gave it to us again; or it was cancelled, and put again under its id.
			c.loseLocked(old, errLost)
			old.unclear = true
		}
		c.runs[r.claim.ID] = r
		if r.suspect {
			e.suspects++
		}
		l.pushLocked(r)
	}
	for lane := range e.lanes {
		l := &e.lanes[lane]
		if answer.Again {
			c.work[lane], c.owed = true, true
		} else {
			c.learnLocked(Lane(lane), call, answer, sent, now)
		}
		if e.stopped {
			l.giveBackLocked() // what was claimed while the shutdown began does not begin
		}
		l.startLocked(e)
		if e.idleLocked(Lane(lane)) {
			e.hungerLocked(l)
		}
	}
	e.kickLocked(c)
	e.mu.Unlock()
	c.embraced(call, answer.Lost)
	if answer.Parked && call.marked {
		select {
		case c.parked <- struct{}{}:
		default:
		}
	}
	if len(answer.Lost) > 0 {
		e.log.Warn("verdicts came too late: the jobs have another owner", "queue", c.q.Name(), "jobs", len(answer.Lost))
	}
	e.signal()
}

// learnLocked notes what the answer says of a lane.
func (c *courier) learnLocked(which Lane, call *letter, answer *store.Advanced, sent, now time.Time) {
	c.work[which] = answer.More[which]
	c.backlog[which] = answer.More[which] && call.room[which] > 0
	if !answer.More[which] && call.room[which] > 0 {
		c.looked[which], c.heard[which] = sent, now
	}
	c.due[which] = time.Time{}
	const day = int64(24 * time.Hour / time.Millisecond)
	if due := answer.NextDue[which]; due > 0 {
		wait := time.Duration(min(due-answer.Now, day)) * time.Millisecond
		if !call.marked {
			// Who was woken for it comes on time; the others leave it a little ahead, so that not all come.
			wait += 2*time.Millisecond + rand.N(6*time.Millisecond)
		}
		c.due[which] = now.Add(wait)
	}
}

// suspectFrom is the number of interruptions from which on a job is claimed one at a time; see sweep.lua.
const suspectFrom = 2

// decideLocked gives a run its one verdict. A run that has one, or that is lost, is given no other.
func (c *courier) decideLocked(r *run, v store.Verdict) bool {
	if r.decided {
		return false
	}
	c.forgetLocked(r)
	if v.Word == store.VerdictPlain {
		c.plain = append(c.plain, v)
	} else {
		c.others = append(c.others, v)
	}
	c.kick()
	return true
}

func (c *courier) forgetLocked(r *run) {
	r.decided = true
	if c.runs[r.claim.ID] == r {
		delete(c.runs, r.claim.ID)
	}
	if r.suspect {
		c.e.suspects--
		for _, other := range c.e.couriers {
			if other != c {
				// Their suspects had to wait for this one.
				other.owed, other.work = true, [2]bool{true, true}
				other.kick()
			}
		}
	}
}

// undelivered is how many verdicts Redis has not been told. The caller holds engine.mu.
func (c *courier) undelivered() int {
	return len(c.plain) + len(c.others) + len(c.commits) + c.inCall
}

// idleLocked: there is nothing to say and nothing to claim.
func (c *courier) idleLocked() bool {
	if time.Now().Before(c.until) {
		return c.undelivered() == 0
	}
	for lane := range c.work {
		if c.work[lane] && c.e.lanes[lane].size > 0 {
			return false
		}
	}
	return c.seat != nil && c.undelivered() == 0 && !c.owed && !c.reconcile
}
