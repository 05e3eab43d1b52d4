package spool_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool"
)

// process is this test binary, run again as a process of its own. It ends when its standard input does, so that it
// does not outlive the test.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan string // what it says; closed when it has ended
	err   bytes.Buffer
	ended chan struct{}
}

// spawn starts a child. Pairs of names and values are given to it in its environment.
func (s *server) spawn(t *testing.T, name, addr string, env ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0], "-test.run=^$"), lines: make(chan string, 100), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "SPOOL_TEST_CHILD="+name, "SPOOL_TEST_ADDR="+addr, "SPOOL_TEST_PREFIX="+s.prefix)
	p.cmd.Env = append(p.cmd.Env, env...)
	p.cmd.Stderr = &p.err
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for scan := bufio.NewScanner(out); scan.Scan(); {
			p.lines <- scan.Text()
		}
		close(p.lines)
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("the child %s, process %d, wrote:\n%s", name, p.cmd.Process.Pid, tailOf(p.err.String(), 4000))
		}
	})
	return p
}

func tailOf(s string, n int) string { return s[max(0, len(s)-n):] }

// line waits for the next thing the child says.
func (p *process) line(t *testing.T) string {
	t.Helper()
	select {
	case line := <-p.lines:
		return line
	case <-time.After(20 * time.Second):
		t.Fatal("the child says nothing")
		return ""
	}
}

// kill ends the child with SIGKILL and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	for range p.lines {
		// So that it is not blocked on saying something.
	}
	<-p.ended
}

// stop asks the child to end in order, and returns what it said against that.
func (p *process) stop() error {
	p.stdin.Close()
	for range p.lines {
	}
	<-p.ended
	if !p.cmd.ProcessState.Success() {
		return fmt.Errorf("%v: %s", p.cmd.ProcessState, tailOf(p.err.String(), 4000))
	}
	return nil
}

// childClient is what a child works with: a client, a plain one, and a context that ends with its standard input.
func childClient() (context.Context, *spool.Client, *redis.Client, error) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	addr := os.Getenv("SPOOL_TEST_ADDR")
	c, err := spool.Open(ctx, "redis://"+addr, spool.ClientConfig{Prefix: os.Getenv("SPOOL_TEST_PREFIX")})
	if err != nil {
		return nil, nil, nil, err
	}
	if err := spool.Strict(c); err != nil {
		return nil, nil, nil, err
	}
	return ctx, c, redis.NewClient(&redis.Options{Addr: addr}), nil
}

// env is a number or a duration a child was given.
func env(name string, standard int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return standard
}

// effects is where handlers of children note that they ran, outside of Spool's keys: a hash, id to times.
func effects() string { return "effects:" + os.Getenv("SPOOL_TEST_PREFIX") }

var (
	counted = spool.NewTask[int, int]("counted")                                     // takes some milliseconds and counts
	poison  = spool.NewTask[int, int]("poison")                                      // ends its process
	stuck   = spool.NewTask[string, string]("stuck")                                 // waits until it is let go
	tough   = spool.NewTask[int, int]("tough", spool.Interruptions(spool.Unlimited)) // as counted, whatever happens
)

// childWorker runs jobs until its standard input ends.
func childWorker() error {
	ctx, c, rdb, err := childClient()
	if err != nil {
		return err
	}
	defer c.Close()
	defer rdb.Close()
	beat := time.Duration(env("SPOOL_TEST_BEAT", 50)) * time.Millisecond
	var queues []string
	if list := os.Getenv("SPOOL_TEST_QUEUES"); list != "" {
		queues = strings.Split(list, ",")
	}
	w := spool.NewWorker(c, spool.WorkerConfig{Queues: queues, ThreadSlots: env("SPOOL_TEST_SLOTS", 10), Beat: beat,
		DeadAfter: 5 * beat, Identity: os.Getenv("SPOOL_TEST_IDENTITY")})
	pause := time.Duration(env("SPOOL_TEST_PAUSE", 10)) * time.Millisecond
	count := func(ctx context.Context, n int) (int, error) {
		if err := rdb.HIncrBy(ctx, effects(), spool.Running(ctx).ID(), 1).Err(); err != nil {
			return 0, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		return 2 * n, nil
	}
	counted.Handle(w, count)
	tough.Handle(w, count)
	poison.Handle(w, func(ctx context.Context, n int) (int, error) {
		os.Exit(3)
		return 0, nil
	})
	stuck.Handle(w, func(ctx context.Context, key string) (string, error) {
		fmt.Println("began", key, w.Identity())
		// Deaf on purpose: it learns nothing of the end of its context.
		for {
			v, err := rdb.Get(context.Background(), key).Result()
			if err == nil {
				return v + " " + w.Identity(), nil
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	fmt.Println("runs")
	return w.Run(ctx)
}

// childPutter puts one job under an id of its own, and says so.
func childPutter() error {
	ctx, c, rdb, err := childClient()
	if err != nil {
		return err
	}
	defer c.Close()
	defer rdb.Close()
	ids := strings.Split(os.Getenv("SPOOL_TEST_IDS"), ",")
	fmt.Println("putting")
	var partials []spool.Partial[int]
	for i, id := range ids {
		partials = append(partials, double.With(i, spool.ID(id)))
	}
	results, err := spool.PutMany(ctx, c, partials)
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.Err != nil {
			return r.Err
		}
	}
	fmt.Println("put")
	return nil
}

// workerFleet keeps a number of worker processes alive.
type workerFleet struct {
	t       *testing.T
	s       *server
	env     []string
	workers []*process
}

func (s *server) fleet(t *testing.T, n int, env ...string) *workerFleet {
	t.Helper()
	f := &workerFleet{t: t, s: s, env: env}
	for range n {
		f.workers = append(f.workers, s.spawn(t, "worker", s.addr, env...))
	}
	for _, p := range f.workers {
		p.line(t)
	}
	return f
}

// replace kills one worker and puts another in its place.
func (f *workerFleet) replace(i int) {
	f.workers[i].kill()
	f.workers[i] = f.s.spawn(f.t, "worker", f.s.addr, f.env...)
}

func (f *workerFleet) stop() {
	f.t.Helper()
	for _, p := range f.workers {
		if err := p.stop(); err != nil {
			f.t.Errorf("a worker: %v", err)
		}
	}
}
