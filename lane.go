package spool

import "time"

// lane is the slots of one kind. Every field is guarded by engine.mu.
//
// A slot is taken when the room for a claim is reserved, before the call that claims is sent, and given up when the
// handler has returned: of all couriers together no more is ever reserved than there is. Where handlers are shorter
// than a round trip, a little more is claimed than there are slots, to be at hand when a slot is free; running
// handlers never exceed the slots.
type lane struct {
	which   Lane
	size    int
	taken   int    // reserved, waiting or running
	running int    // runners: goroutines that run handlers, at most size
	fresh   bool   // one of them has just been started and has not taken a job yet
	waiting []*run // claimed, not begun, in order
	head    int    // of waiting

	took   time.Duration   // what a handler takes, a decaying mean that is quick to rise
	ahead  int             // claimed beyond the slots of late; it may double from claim to claim
	hungry []chan struct{} // signals to the lane's wakers that it may be time to wait for work; capacity 1; fixed before they start
}

func newLane(which Lane, size int) lane {
	return lane{which: which, size: size}
}

// maxAhead bounds what is claimed beyond the slots: two full calls, one that is being worked off and one that flies.
const maxAhead = 1000

// roomLocked is how many jobs may be claimed. Beyond free slots it counts about what the slots will finish during one
// round trip, if there is more to claim than fits. It gets there by doubling, so that other workers have their share
// of a backlog that is not a long one.
func (l *lane) roomLocked(roundTrip time.Duration, backlog bool) int {
	if !backlog || l.size == 0 || roundTrip == 0 {
		l.ahead = 0
		return max(0, l.size-l.taken)
	}
	ahead := maxAhead
	if l.took > 0 {
		ahead = int(min(maxAhead, int64(l.size)*int64(roundTrip)/int64(l.took)))
	}
	l.ahead = min(ahead, max(l.size, 2*l.ahead))
	return max(0, l.size+l.ahead-l.taken)
}

func (l *lane) observeLocked(took time.Duration) {
	if took > l.took {
		l.took = (l.took + took + 1) / 2
	} else {
		l.took -= (l.took - took) / 16
	}
}

func (l *lane) pushLocked(r *run) {
	if l.head > 0 && len(l.waiting) == cap(l.waiting) {
		n := copy(l.waiting, l.waiting[l.head:])
		clear(l.waiting[n:])
		l.waiting, l.head = l.waiting[:n], 0
	}
	l.waiting = append(l.waiting, r)
}

// pushFrontLocked puts a run before all that wait.
func (l *lane) pushFrontLocked(r *run) {
	if l.head == 0 {
		l.waiting = append(l.waiting, nil)
		copy(l.waiting[1:], l.waiting)
	} else {
		l.head--
	}
	l.waiting[l.head] = r
}

// popLocked returns the next run that is still wanted, or nil.
func (l *lane) popLocked() *run {
	for l.head < len(l.waiting) {
		r := l.waiting[l.head]
		l.waiting[l.head] = nil
		l.head++
		if r.decided {
			l.taken-- // lost or given back while it waited
			r.courier.strandedLocked(r)
			continue
		}
		return r
	}
	l.waiting, l.head = l.waiting[:0], 0
	return nil
}

func (l *lane) waitsLocked() bool { return l.head < len(l.waiting) }

// startLocked starts a runner if there is work for one. Runners are started one after the other: each starts the next
// when it takes a job and leaves others. So handlers that block soon have a runner each, and those that are shorter
// than the start of a goroutine are run by few.
func (l *lane) startLocked(e *engine) {
	if l.waitsLocked() && l.running < l.size && !l.fresh {
		l.running++
		l.fresh = true
		go e.runner(l)
	}
}

// giveBackLocked gives back all that waits.
func (l *lane) giveBackLocked() {
	l.giveBackOnlyLocked(func(*run) bool { return true })
}

// giveBackOnlyLocked gives back some of what waits. The others stay as they are.
func (l *lane) giveBackOnlyLocked(which func(*run) bool) {
	var stay []*run
	for r := l.popLocked(); r != nil; r = l.popLocked() {
		if !which(r) {
			stay = append(stay, r)
			continue
		}
		l.taken--
		r.courier.decideLocked(r, backVerdict(r))
		r.courier.strandedLocked(r)
	}
	for _, r := range stay {
		l.pushLocked(r)
	}
}

// stallLocked is when something that waits has waited too long; the zero time if nothing waits.
func (l *lane) stallLocked() (first time.Time) {
	for _, r := range l.waiting[l.head:] {
		if t := r.stall(); first.IsZero() || t.Before(first) {
			first = t
		}
	}
	return first
}
