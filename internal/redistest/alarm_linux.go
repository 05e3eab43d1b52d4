package redistest

import (
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// alarm waits with the precision of the kernel's timers. The runtime's own are
// up to a millisecond late in an idle process, because its poller waits in
// whole milliseconds. That would double a simulated round trip of 1 ms. A timer
// that is a file wakes the poller as a socket does, at the right time, and ties
// up no thread.
type alarm struct {
	mu      sync.Mutex
	file    *os.File // made by the first sleep
	stopped bool
}

// sleep waits d and reports true, or false once stop was called. Only one
// goroutine may sleep. done serves where no such timer is to be had.
func (a *alarm) sleep(d time.Duration, done <-chan struct{}) bool {
	if d <= 0 {
		return true
	}
	f, ok := a.open()
	if !ok {
		return false
	}
	if f == nil || arm(f, d) != nil {
		return sleepTimer(d, done)
	}
	var expirations [8]byte
	_, err := f.Read(expirations[:])
	return err == nil
}

// stop ends a sleep and all later ones.
func (a *alarm) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stopped = true
	if a.file != nil {
		a.file.Close()
	}
}

// open returns the timer, or nil if the system has none to give, and whether
// the alarm is still in use.
func (a *alarm) open() (*os.File, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file == nil && !a.stopped {
		const monotonic = 1
		fd, _, errno := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, monotonic, syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
		if errno == 0 {
			a.file = os.NewFile(fd, "timer")
		}
	}
	return a.file, !a.stopped
}

// arm sets the timer to fire once, d from now.
func arm(f *os.File, d time.Duration) error {
	spec := struct{ interval, value syscall.Timespec }{value: syscall.NsecToTimespec(int64(d))}
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var errno syscall.Errno
	err = conn.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall6(syscall.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return err
}
