//go:build !linux

package redistest

import "time"

// alarm waits with the precision of the runtime's timers.
type alarm struct{}

func (*alarm) sleep(d time.Duration, done <-chan struct{}) bool {
	return d <= 0 || sleepTimer(d, done)
}

func (*alarm) stop() {}
