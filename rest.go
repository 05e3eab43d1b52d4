package spool

import "time"

// rest waits for something to do: a kick, a due time, or claimed jobs that find no slot.
func (c *courier) rest() {
	const longest = time.Minute
	c.e.mu.Lock()
	next := time.Now().Add(longest)
	for _, due := range c.due {
		if !due.IsZero() && due.Before(next) {
			next = due
		}
	}
	if len(c.commits) > 0 && c.full.Before(next) {
		next = c.full
	}
	if stall := c.stallLocked(); !stall.IsZero() && stall.Before(next) {
		// Not at once, should it be past: a runner may be on its way to what waits.
		next = later(stall, time.Now().Add(stallTime/10))
	}
	c.e.mu.Unlock()
	timer := time.NewTimer(time.Until(next))
	defer timer.Stop()
	select {
	case <-c.wake:
	case <-timer.C:
		c.relieve()
	case <-c.e.calls.Done():
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

const (
	// stallTime is how long a job that was claimed ahead may wait for a slot before it is given back for others.
	stallTime = 50 * time.Millisecond
	// againTime is the same for a transaction that is to run again after a conflict. Given back, it would count its
	// conflicts from the start; but nor may it wait for as long as handlers like to take.
	againTime = time.Second
)

// stall is when a run that waits has waited too long.
func (r *run) stall() time.Time {
	if r.tx != nil {
		return r.queued.Add(againTime)
	}
	return r.queued.Add(stallTime)
}

func (c *courier) stallLocked() time.Time {
	var first time.Time
	for lane := range c.e.lanes {
		if t := c.e.lanes[lane].stallLocked(); !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// relieve gives back what has waited too long, and what was claimed ahead with it: the handlers before it turned out
// slow.
func (c *courier) relieve() {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	now := time.Now()
	for lane := range c.e.lanes {
		l := &c.e.lanes[lane]
		if t := l.stallLocked(); !t.IsZero() && !now.Before(t) && l.running >= l.size {
			l.took = max(l.took, stallTime)
			l.giveBackOnlyLocked(func(r *run) bool { return r.tx == nil || !now.Before(r.stall()) })
			c.e.kickLocked(nil)
		}
	}
}
