package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"
)

// ErrMissing says that there is no redis-server in PATH.
var ErrMissing = errors.New("redistest: no redis-server in PATH")

// errDown is what the methods that need a running server return without one.
var errDown = errors.New("redistest: the server is not running")

// errSlow says that startLimit has passed.
var errSlow = errors.New("no answer within 10s")

const (
	startLimit = 10 * time.Second // from exec to the first PONG
	stopLimit  = 5 * time.Second  // from SIGTERM to SIGKILL
)

// Server is a redis-server process that listens on a loopback port. Its methods
// may be called from any goroutine.
type Server struct {
	opts   options
	binary string
	dir    string // private working directory, removed by Stop
	port   int

	mu   sync.Mutex // guards proc; held while the process starts or ends
	proc *process   // nil when there is none
}

// Launch starts a redis-server without persistence and returns once it answers
// PING. ctx bounds the start only, and so does a limit of ten seconds. The
// caller must Stop the server.
//
// Launch returns ErrMissing if there is no redis-server in PATH. Any other
// failure carries the end of the server's own log.
//
// On Linux the server dies with this process, however it ends. Elsewhere a
// crash leaves it behind.
func Launch(ctx context.Context, opts ...Option) (*Server, error) {
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMissing, err)
	}
	dir, err := os.MkdirTemp("", "redistest-")
	if err != nil {
		return nil, fmt.Errorf("redistest: %w", err)
	}
	s := &Server{binary: binary, dir: dir}
	for _, o := range opts {
		o(&s.opts)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.launch(ctx); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
}

// launch tries ports until the server has one. A port that was free a moment
// ago may be taken by the time redis-server binds it: by another test binary,
// which does just the same. The server then exits, and another port is tried.
func (s *Server) launch(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		port, err := freePort()
		if err != nil {
			return err
		}
		s.port = port
		err = s.start(ctx)
		if err == nil || attempt == 10 || !errors.Is(err, errPortTaken) {
			return err
		}
	}
}

// Addr returns host:port. It stays the same over restarts.
func (s *Server) Addr() string {
	return net.JoinHostPort(loopback, strconv.Itoa(s.port))
}

// URL returns the address as a redis:// URL, with the password if there is one.
func (s *Server) URL() string {
	u := url.URL{Scheme: "redis", Host: s.Addr()}
	if s.opts.password != "" {
		u.User = url.UserPassword("", s.opts.password)
	}
	return u.String()
}

// PID returns the id of the server process, or 0 if none is running.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return 0
	}
	return s.proc.cmd.Process.Pid
}

// Log returns the end of what the running server has written to its log, or
// nothing if none is running.
func (s *Server) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return ""
	}
	return s.proc.log.String()
}

// Stop ends the server, waits until it is gone and removes its working
// directory. It asks with SIGTERM and kills after five seconds. A paused server
// is continued first. A second call does nothing.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.terminate()
	os.RemoveAll(s.dir)
}

// Kill ends the server with SIGKILL, without giving it a chance to tidy up, and
// waits until it is gone. Restart brings it back; Stop is still owed. Kill of a
// server that is not running does nothing.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil {
		s.proc.kill()
		s.proc = nil
	}
}

// Restart ends the server, if it is running, and starts it again on the same
// port. Its data is gone unless it was launched with AppendOnly. ctx bounds the
// start, and so does a limit of ten seconds. After an error the server is down,
// and Restart may be called again.
func (s *Server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.terminate()
	if err := os.MkdirAll(s.dir, 0o700); err != nil { // gone after Stop
		return fmt.Errorf("redistest: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, errSlow)
	defer cancel()
	for {
		err := s.start(ctx)
		if !errors.Is(err, errPortTaken) {
			return err
		}
		// Somebody probes the port, or uses it for an outgoing connection.
		select {
		case <-ctx.Done():
			return fmt.Errorf("redistest: restart: %w: %w", context.Cause(ctx), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Pause stops the process where it is (SIGSTOP), and returns once it stands.
// Connections stay open and nothing is answered, as with a frozen machine.
// Pausing twice is the same as pausing once. It fails if no server is running.
func (s *Server) Pause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return errDown
	}
	return s.proc.pause()
}

// Continue lets a paused server go on. What was sent to it meanwhile is then
// executed. It fails if no server is running.
func (s *Server) Continue() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return errDown
	}
	return s.proc.resume()
}

// terminate ends the process, if there is one. The caller holds s.mu.
func (s *Server) terminate() {
	if s.proc != nil {
		s.proc.terminate(stopLimit)
		s.proc = nil
	}
}

// start runs the process on s.port and waits until it serves. The caller holds
// s.mu.
func (s *Server) start(ctx context.Context) error {
	p, err := startProcess(s.binary, s.opts.commandLine(s.port, s.dir))
	if err != nil {
		return fmt.Errorf("redistest: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, errSlow)
	defer cancel()
	if err := awaitReady(ctx, p, s.Addr(), s.opts.password); err != nil {
		p.kill()
		return fmt.Errorf("redistest: starting redis-server: %w", err)
	}
	s.proc = p
	return nil
}
