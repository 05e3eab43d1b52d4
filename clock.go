package spool

import "time"

// serverTime is a local time by the server's clock, in milliseconds: for people to read, not to decide by.
func (c *courier) serverTime(t time.Time) int64 {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	return c.clock.at(t)
}

// serverClock is what the server's clock said once. It goes on by the local monotonic clock: a step of the local wall
// clock means nothing.
type serverClock struct {
	ms    int64
	local time.Time
}

func (s serverClock) known() bool { return s.ms != 0 }

func (s serverClock) at(t time.Time) int64 { return s.ms + t.Sub(s.local).Milliseconds() }
