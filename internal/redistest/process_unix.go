//go:build unix

package redistest

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// pause stops the process and waits until it stands. The signal is asynchronous:
// the process may execute a few more commands before it takes effect.
func (p *process) pause() error {
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return signalError("pause", err)
	}
	for deadline := time.Now().Add(stopLimit); !standing(p.cmd.Process.Pid); {
		select {
		case <-p.done:
			return signalError("pause", os.ErrProcessDone)
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(deadline) {
			return signalError("pause", errors.New("the process does not stop"))
		}
	}
	return nil
}

// resume lets a stopped process go on.
func (p *process) resume() error {
	return signalError("continue", p.cmd.Process.Signal(syscall.SIGCONT))
}
