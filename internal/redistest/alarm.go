package redistest

import "time"

// sleepTimer waits d by a timer of the runtime. It reports false if done is
// closed first.
func sleepTimer(d time.Duration, done <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-done:
		return false
	}
}
