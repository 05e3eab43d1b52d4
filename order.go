package spool

import "time"

// staleLook is for how long the answer to a question holds, beside a few round trips for each queue that is asked: the
// lane may have been full meanwhile.
const staleLook = 10 * time.Millisecond

// roomLocked is how many jobs of a lane this courier may claim: none while a queue before it has work, or has not
// been asked for this very claim. The question counts from when it was first put, so that it is answered by one call,
// however slow the server is.
func (c *courier) roomLocked(which Lane, now time.Time) int {
	if c.e.stopped {
		return 0
	}
	room := max(0, c.e.lanes[which].roomLocked(c.flight, c.backlog[which])-c.crowdLocked(which, now))
	if room == 0 || c.rank == 0 {
		return room
	}
	if c.asked[which].IsZero() {
		c.asked[which] = now
	}
	for _, higher := range c.e.couriers[:c.rank] {
		if now.Before(higher.until) {
			continue
		}
		if higher.seat == nil || higher.work[which] {
			return 0 // its answer, and trouble, kick those below it
		}
		stale := now.Sub(higher.heard[which]) > staleLook+4*time.Duration(c.rank)*higher.flight
		if stale && !higher.looked[which].Before(c.asked[which]) {
			c.asked[which] = now
		}
		if higher.looked[which].Before(c.asked[which]) {
			if !c.work[which] {
				c.asked[which] = time.Time{}
				return 0 // nothing is expected here: not worth asking there
			}
			// It asks those before it for the same claim: what they have answered to that holds for both.
			higher.work[which], higher.asked[which] = true, c.asked[which]
			higher.kick()
			return 0
		}
	}
	c.asked[which] = time.Time{}
	return room
}
