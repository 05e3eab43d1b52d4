// Twoprocess shows a producer and a worker that share nothing but Redis and a task.
//
//	go run ./examples/twoprocess              # starts both, and ends when the producer has its answers
//
// Redis is the one at SPOOL_REDIS_URL. Without that, this process serves one to both of them. They can be started by
// hand, too, in any order and any number:
//
//	SPOOL_REDIS_URL=redis://localhost:6379 go run ./examples/twoprocess work
//	SPOOL_REDIS_URL=redis://localhost:6379 go run ./examples/twoprocess produce
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/spooljobs/spool/embedded"
)

func main() {
	// SIGTERM is how service managers ask a worker to end.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	url := os.Getenv("SPOOL_REDIS_URL")
	var err error
	switch role := role(); {
	case role == "":
		err = both(ctx, url)
	case url == "":
		err = errors.New("SPOOL_REDIS_URL must name the Redis that both processes use")
	case role == "produce":
		err = produce(ctx, url)
	case role == "work":
		err = work(ctx, url)
	default:
		err = errors.New("usage: twoprocess [produce | work]")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "twoprocess:", err)
		os.Exit(1)
	}
}

func role() string {
	if len(os.Args) > 1 {
		return os.Args[1]
	}
	return ""
}

// both starts a worker and a producer, waits for the producer, and then asks the worker to end.
func both(ctx context.Context, url string) error {
	if url == "" {
		server, err := embedded.Serve()
		if err != nil {
			return err
		}
		defer server.Close()
		url = embedded.URL(server)
	}
	worker, err := start("work", url)
	if err != nil {
		return err
	}
	producer, err := start("produce", url)
	if err != nil {
		return errors.Join(err, worker.end())
	}
	select {
	case err = <-producer.ended:
		if err != nil {
			return errors.Join(fmt.Errorf("the producer: %w", err), worker.end())
		}
	case err := <-worker.ended:
		return errors.Join(fmt.Errorf("the worker ended too soon: %v", err), producer.end())
	case <-ctx.Done():
		return errors.Join(errors.New("interrupted"), producer.end(), worker.end())
	}
	if err := worker.end(); err != nil {
		return fmt.Errorf("the worker: %w", err)
	}
	fmt.Printf("%d jobs went from one process to another, and their results came back\n", jobs)
	return nil
}

// process is this program, started again in one of the two roles.
type process struct {
	cmd   *exec.Cmd
	ended chan error
}

func start(role, url string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{exec.Command(self, role), make(chan error, 1)}
	p.cmd.Env = append(os.Environ(), "SPOOL_REDIS_URL="+url)
	p.cmd.Stdout, p.cmd.Stderr = os.Stdout, os.Stderr
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.ended <- p.cmd.Wait() }()
	return p, nil
}

// end asks the process to end, and waits until it has. Where there is no SIGTERM (Windows) it is killed, and says so by
// its error.
func (p *process) end() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		if err := p.cmd.Process.Kill(); err != nil {
			return err
		}
	}
	return <-p.ended
}
