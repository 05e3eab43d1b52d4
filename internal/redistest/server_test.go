//go:build unix

package redistest

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestStartServesWithoutPersistence(t *testing.T) {
	t.Parallel()
	s := Start(t)
	o, err := redis.ParseURL(s.URL())
	if err != nil || o.Addr != s.Addr() {
		t.Fatalf("URL %s: %v", s.URL(), err)
	}
	c := dial(t, s.Addr())
	for name, want := range map[string]string{"save": "", "appendonly": "no", "dir": s.dir} {
		if got := c.ConfigGet(t.Context(), name).Val()[name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestStopLeavesNothing(t *testing.T) {
	t.Parallel()
	s := Start(t)
	pid := s.PID()
	var wg sync.WaitGroup
	for range 3 { // the second call, and calls at once
		wg.Go(s.Stop)
	}
	wg.Wait()
	if alive(pid) || s.PID() != 0 {
		t.Errorf("process %d is still there", pid)
	}
	if _, err := os.Stat(s.dir); !os.IsNotExist(err) {
		t.Errorf("directory is still there: %v", err)
	}
	wantRefused(t, s.Addr())
	if s.Pause() == nil || s.Continue() == nil {
		t.Error("a stopped server can be paused")
	}
	s.Kill() // nothing to do, nothing to break
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantInt(t, s, "n", 0)
}

func TestRestartForgets(t *testing.T) {
	t.Parallel()
	s := Start(t)
	addr, pid := s.Addr(), s.PID()
	c := dial(t, addr)
	c.Set(t.Context(), "n", 1, 0)
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.Addr() != addr || s.PID() == pid {
		t.Errorf("address %s, process %d; before %s, %d", s.Addr(), s.PID(), addr, pid)
	}
	wantInt(t, s, "n", 0)
}

func TestKillAndRestartWithAppendOnly(t *testing.T) {
	t.Parallel()
	s := Start(t, AppendOnly(t.TempDir()))
	if err := dial(t, s.Addr()).Set(t.Context(), "n", 7, 0).Err(); err != nil {
		t.Fatal(err)
	}
	pid := s.PID()
	s.Kill()
	if alive(pid) {
		t.Errorf("process %d survived", pid)
	}
	wantRefused(t, s.Addr())
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantInt(t, s, "n", 7)
}

// Paused, a server takes commands and answers none; continued, it executes
// them, though the client has given up.
func TestPauseContinue(t *testing.T) {
	t.Parallel()
	s := Start(t)
	c := dial(t, s.Addr())
	c.Ping(t.Context())
	for range 2 {
		if err := s.Pause(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Incr(within(t, 50*time.Millisecond), "n").Err(); err == nil {
		t.Fatal("a paused server answered")
	}
	if err := s.Continue(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the command is executed", func() bool { return dial(t, s.Addr()).Get(t.Context(), "n").Val() == "1" })
}

// A paused server must not make its test wait for a signal it cannot take.
func TestStopPaused(t *testing.T) {
	t.Parallel()
	s := Start(t)
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	s.Stop()
	if took := time.Since(begin); took > stopLimit/2 {
		t.Errorf("took %v", took)
	}
}

func TestPassword(t *testing.T) {
	t.Parallel()
	s := Start(t, Password("p@ss word"))
	o, err := redis.ParseURL(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(o)
	defer c.Close()
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Error(err)
	}
	if err := dial(t, s.Addr()).Ping(t.Context()).Err(); err == nil {
		t.Error("the server does not ask for the password")
	}
}

// Many at once, as parallel test binaries do: none may end up with the port of
// another, or talk to the server of another.
func TestLaunchRace(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]int{}
	for range 12 {
		wg.Go(func() {
			s, err := Launch(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Stop()
			mu.Lock()
			seen[s.Addr()]++
			mu.Unlock()
			if err := probe(t.Context(), s.Addr(), "", s.PID()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(seen) != 12 && !t.Failed() {
		// A port may be used again after Stop, but that is rare.
		t.Logf("ports: %v", seen)
	}
}

// A server that loses the race for its port is told from one that is ready,
// although something answers PING there.
func TestPortTakenByAnotherServer(t *testing.T) {
	t.Parallel()
	first := Start(t)
	second := &Server{binary: first.binary, dir: t.TempDir(), port: first.port}
	if err := second.start(t.Context()); !errors.Is(err, errPortTaken) {
		t.Fatalf("got %v, want errPortTaken", err)
	}
	if err := probe(t.Context(), first.Addr(), "", 1); err == nil {
		t.Error("the server of another is taken for ours")
	}
}

// Restart waits for its port while somebody else has it, and obeys its context.
func TestRestartWaitsForPort(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.Kill()
	l, err := net.Listen("tcp4", s.Addr())
	if err != nil {
		t.Skip(err) // another test probes it just now
	}
	if err := s.Restart(within(t, 100*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
	l.Close()
	if err := s.Restart(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestLaunchFailsWithLog(t *testing.T) {
	t.Parallel()
	_, err := Launch(t.Context(), Args("--no-such-setting", "1"))
	if err == nil || !strings.Contains(err.Error(), "no-such-setting") {
		t.Fatalf("got %v, want the server's complaint", err)
	}
}

func TestLaunchCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Launch(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want context.Canceled", err)
	}
}

// stub records how Start ends a test.
type stub struct {
	testing.TB
	verdict string
}

func (s *stub) Helper()                   { /* not a test */ }
func (s *stub) Skipf(f string, _ ...any)  { s.verdict = "skip: " + f; runtime.Goexit() }
func (s *stub) Fatalf(f string, _ ...any) { s.verdict = "fatal: " + f; runtime.Goexit() }

func TestMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := Launch(t.Context()); !errors.Is(err, ErrMissing) || !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("got %v, want ErrMissing", err)
	}
	for env, want := range map[string]string{"": "skip: SKIPPED", "1": "fatal: SPOOL_REQUIRE_REDIS"} {
		t.Setenv("SPOOL_REQUIRE_REDIS", env)
		fake := &stub{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			Start(fake)
		}()
		<-done
		if !strings.HasPrefix(fake.verdict, want) {
			t.Errorf("SPOOL_REQUIRE_REDIS=%q: %q, want %q", env, fake.verdict, want)
		}
	}
}

// The server dies with its parent, not with the thread that asked for it.
func TestOutlivesCallersThread(t *testing.T) {
	t.Parallel()
	onLinux(t)
	got := make(chan *Server)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends here
		s, err := Launch(context.Background())
		if err != nil {
			t.Error(err)
		}
		got <- s
	}()
	s := <-got
	if s == nil {
		return
	}
	defer s.Stop()
	for range 20 {
		time.Sleep(time.Millisecond) // the signal would be on its way
		if err := probe(t.Context(), s.Addr(), "", s.PID()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDiesWithParent(t *testing.T) {
	t.Parallel()
	onLinux(t)
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip(err)
	}
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), parentEnv+"=1", "TMPDIR="+t.TempDir())
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	pid, convErr := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || convErr != nil {
		t.Errorf("the parent says %q: %v", line, err)
	} else if !alive(pid) {
		t.Errorf("no server %d while its parent lives", pid)
	}
	parent.Process.Kill()
	parent.Wait()
	if pid != 0 {
		eventually(t, "the server is gone", func() bool { return !alive(pid) })
	}
}

func TestLogKeepsItsEnd(t *testing.T) {
	t.Parallel()
	var l tail
	for range 3 * tailSize / 10 {
		l.Write([]byte("0123456789"))
	}
	l.Write([]byte("end"))
	if s := l.String(); len(s) != tailSize || !strings.HasSuffix(s, "789end") {
		t.Errorf("%d bytes, ending %q", len(s), s[len(s)-6:])
	}
}

func onLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ties the server to its parent")
	}
}

// alive reports whether a process runs. One that is dead and not yet reaped by
// whoever inherited it does not count.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
