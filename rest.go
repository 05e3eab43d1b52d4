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

// stallTime is how long a job that was claimed ahead may wait for a slot before it is given back for others.
const stallTime = 50 * time.Millisecond

func (c *courier) stallLocked() time.Time {
	var first time.Time
	for lane := range c.e.lanes {
		if t := c.e.lanes[lane].oldestLocked(); !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	if first.IsZero() {
		return first
	}
	return first.Add(stallTime)
}

// relieve gives back what was claimed ahead and has waited too long: the handlers before it turned out slow.
func (c *courier) relieve() {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	for lane := range c.e.lanes {
		l := &c.e.lanes[lane]
		if t := l.oldestLocked(); !t.IsZero() && time.Since(t) >= stallTime && l.running >= l.size {
			l.took = max(l.took, stallTime)
			l.giveBackLocked()
			c.e.kickLocked(nil)
		}
	}
}
