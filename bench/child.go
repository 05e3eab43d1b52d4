package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// childFlag, as the first argument, makes this program the worker of another
// of its kind. The parent writes one childConfig to standard input and closes it
// to end the worker; thus a child never outlives its parent. The child writes
// reports to standard output: one when it works, one a job, one when it ends.
const childFlag = "-bench-worker"

type childConfig struct {
	Peer  string
	Addr  string
	Slots int
	// Waiting, if not 0, makes it the worker of so many reactor jobs that wait at
	// once. Then Peer and Slots are not looked at.
	Waiting int
}

// report is one line from the child.
type report struct {
	Index    int            // of the job; -1 when the report is not of a job
	Start    int64          // of the handler, ns since 1970
	Requests int64          // sent by the child so far
	Reactor  *reactorReport `json:",omitempty"`
}

// childMain is the whole life of a worker process.
func childMain(ctx context.Context, in io.Reader, out, stderr io.Writer) int {
	if err := childWork(ctx, in, out); err != nil {
		fmt.Fprintln(stderr, "bench: worker:", err)
		return 1
	}
	return 0
}

func childWork(ctx context.Context, in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	first, err := lines.ReadBytes('\n')
	if err != nil {
		return err
	}
	var cfg childConfig
	if err := json.Unmarshal(first, &cfg); err != nil {
		return err
	}
	var mu sync.Mutex // one report at a time
	tell := func(r report) error {
		mu.Lock()
		defer mu.Unlock()
		return json.NewEncoder(out).Encode(r)
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	go func() { // ends with the process at the latest
		_, _ = io.Copy(io.Discard, lines)
		fail(nil)
	}()
	var requests atomic.Int64
	if cfg.Waiting > 0 {
		err = childReactor(ctx, cfg, &requests, tell, fail)
	} else {
		err = childDrain(ctx, cfg, &requests, tell, fail)
	}
	return errors.Join(err, tell(report{Index: -1, Requests: requests.Load()}))
}

// childDrain runs jobs and reports each, until ctx ends.
func childDrain(ctx context.Context, cfg childConfig, requests *atomic.Int64, tell func(report) error, fail func(error)) error {
	peer, ok := peerNamed(cfg.Peer)
	if !ok {
		return fmt.Errorf("no peer %q", cfg.Peer)
	}
	broker, err := peer.Open(ctx, cfg.Addr, requests)
	if err != nil {
		return err
	}
	stop, err := broker.Work(ctx, WorkConfig{
		Slots: cfg.Slots, Queues: []string{mainQueue}, Fail: fail,
		Handle: func(index int, err error) {
			start := time.Now().UnixNano()
			if err == nil {
				err = tell(report{Index: index, Start: start})
			}
			if err != nil {
				fail(err)
			}
		},
	})
	if err != nil {
		return errors.Join(err, broker.Close())
	}
	if err := tell(report{Index: -1}); err != nil {
		fail(err)
	}
	<-ctx.Done()
	return errors.Join(mishap(ctx), stop(), broker.Close())
}

// mishap is why ctx has ended, nil if somebody just ended it.
func mishap(ctx context.Context) error {
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// child is the parent's end of a worker process.
type child struct {
	cmd      *exec.Cmd
	stdin    io.Closer
	reports  chan report
	requests int64 // set when stop has returned
}

// startChild starts this program again as a worker and waits until it works.
func startChild(ctx context.Context, cfg childConfig) (*child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(exe, childFlag), reports: make(chan report, 16)}
	c.cmd.Stderr = os.Stderr
	// A Ctrl-C is for the parent, which then ends the child.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	c.stdin = stdin
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("worker process: %w", err)
	}
	go func() { // ends when the child's output does; stop waits for it
		defer close(c.reports)
		for dec := json.NewDecoder(stdout); ; {
			var r report
			if dec.Decode(&r) != nil {
				return
			}
			c.reports <- r
		}
	}()
	if err := json.NewEncoder(stdin).Encode(cfg); err != nil {
		_, err = c.stop(err)
		return nil, err
	}
	if _, err := c.next(ctx, -1); err != nil {
		_, err = c.stop(err)
		return nil, err
	}
	return c, nil
}

// next waits for the report of job index and returns when its handler began.
func (c *child) next(ctx context.Context, index int) (int64, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, sampleLimit, fmt.Errorf("job %d did not start within %v", index, sampleLimit))
	defer cancel()
	r, err := c.receive(ctx)
	if err == nil && r.Index != index {
		err = fmt.Errorf("not exactly once: job %d ran when %d was awaited", r.Index, index)
	}
	return r.Start, err
}

// receive waits for a report, whatever it is.
func (c *child) receive(ctx context.Context) (report, error) {
	select {
	case r, ok := <-c.reports:
		if !ok {
			return report{}, errors.New("the worker process ended")
		}
		return r, nil
	case <-ctx.Done():
		return report{}, context.Cause(ctx)
	}
}

// stop ends the process, by force if it takes too long, and returns the
// processor time it took. It joins what it finds wrong to err.
func (c *child) stop(err error) (time.Duration, error) {
	err = errors.Join(err, c.stdin.Close())
	kill := time.AfterFunc(sampleLimit, func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	for r := range c.reports {
		if r.Index >= 0 {
			err = errors.Join(err, fmt.Errorf("not exactly once: job %d ran again", r.Index))
		}
		c.requests = r.Requests
	}
	if werr := c.cmd.Wait(); werr != nil {
		err = errors.Join(err, fmt.Errorf("worker process: %w", werr))
	}
	return c.cmd.ProcessState.UserTime() + c.cmd.ProcessState.SystemTime(), err
}
