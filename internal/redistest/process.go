package redistest

import (
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// process is one run of redis-server.
type process struct {
	cmd  *exec.Cmd
	log  *tail
	done chan struct{} // closed when the process is gone and reaped
	err  error         // how it ended; read after done
}

// startProcess runs the binary, and owns it until it ends.
//
// The goroutine keeps its OS thread for as long as the child lives. Linux kills
// the child when the thread that made it dies (see childAttr), not when the
// process does, and a Go thread may die at any time: when a goroutine locked to
// it returns. A thread of its own makes the two the same.
func startProcess(binary string, args []string) (*process, error) {
	p := &process{cmd: exec.Command(binary, args...), log: new(tail), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = childAttr()
	// A child of the server, as one that rewrites the append-only file, inherits
	// its log and may outlive it. Wait must not wait for that.
	p.cmd.WaitDelay = time.Second

	started := make(chan error, 1)
	go func() {
		defer close(p.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		<-p.done
		return nil, err
	}
	return p, nil
}

// kill ends the process at once and waits until it is gone. That the signal
// fails can only mean that it is gone already.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// terminate asks the process to end, kills it after limit, and waits until it
// is gone. A stopped process sees SIGTERM only once it is continued.
func (p *process) terminate(limit time.Duration) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.resume()
	select {
	case <-p.done:
	case <-time.After(limit):
		p.kill()
	}
}

// tail keeps the last part of a log.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 8 << 10

// Write takes the log of the process. It never fails.
func (l *tail) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, b...)
	if over := len(l.text) - tailSize; over > 0 {
		l.text = append(l.text[:0], l.text[over:]...)
	}
	return len(b), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// signalError names the signal that could not be sent.
func signalError(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("redistest: %s: %w", what, err)
}
