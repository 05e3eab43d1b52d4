package spool_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/failure"
	"github.com/spooljobs/spool/internal/redistest"
	"github.com/spooljobs/spool/lua"
)

// callPlainFailure looks whether an error is the failure of a job: with a type, a message and frames, and plain text.
func callPlainFailure(t *testing.T, err error, kind, message string) {
	t.Helper()
	var f *failure.Failure
	if !errors.As(err, &f) {
		t.Errorf("got %#v", err)
		return
	}
	if f.Type != kind || !strings.Contains(f.Message, message) || len(f.Frames) == 0 {
		t.Errorf("type %q, message %q, %d frames", f.Type, f.Message, len(f.Frames))
	}
	text, back := must(json.Marshal(f))(t), &failure.Failure{}
	if err := json.Unmarshal(text, back); err != nil {
		t.Fatal(err)
	}
	if again := must(json.Marshal(back))(t); !bytes.Equal(again, text) {
		t.Errorf("after a round trip\n%s\nit is\n%s", text, again)
	}
}

// callLog keeps what is logged.
type callLog struct {
	mu      sync.Mutex // guards entries
	entries []callEntry
}

type callEntry struct {
	level slog.Level
	text  string
	attrs map[string]slog.Value
}

func (l *callLog) Enabled(context.Context, slog.Level) bool { return true }
func (l *callLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *callLog) WithGroup(string) slog.Handler            { return l }

func (l *callLog) Handle(_ context.Context, r slog.Record) error {
	e := callEntry{r.Level, r.Message, map[string]slog.Value{}}
	r.Attrs(func(a slog.Attr) bool {
		e.attrs[a.Key] = a.Value
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, e)
	return nil
}

func callLogger(l *callLog) *slog.Logger { return slog.New(l) }

// callSHA is how a script is called.
func callSHA(t *testing.T, verb string) string {
	t.Helper()
	return redis.NewScript(must(lua.Load(""))(t)[verb].Source).Hash()
}

// callStrictSHA is how a script is called by a strict client.
func callStrictSHA(t *testing.T, verb string) string {
	t.Helper()
	return redis.NewScript(must(lua.Load(redistest.StrictLua))(t)[verb].Source).Hash()
}

// retries are the entries about attempts that follow.
func (l *callLog) retries() (found []callEntry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if strings.HasPrefix(e.text, "retrying") {
			found = append(found, e)
		}
	}
	return found
}

// callNet is the way to the server of a bubble. It breaks on command: a function sees what is sent and decides.
type callNet struct {
	b *bubble

	mu     sync.Mutex // guards what follows
	decide func(sent string) callFate
	dials  int
	open   int
}

// callFate is what becomes of a request.
type callFate int

const (
	callPass callFate = iota
	callCut           // the connection breaks, and nothing was sent
	callLose          // it is done, and the answer is lost with the connection
)

// on sets what decides; nil passes all.
func (n *callNet) on(decide func(sent string) callFate) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.decide = decide
}

// connections are those open now, and all that were opened.
func (n *callNet) connections() (open, dials int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.open, n.dials
}

// client returns a client of Spool on this way, and what closes it.
func (n *callNet) client(t *testing.T, change ...func(*spool.ClientConfig)) (*spool.Client, func()) {
	t.Helper()
	cfg := spool.ClientConfig{Logger: quiet}
	for _, fn := range change {
		fn(&cfg)
	}
	rdb := redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:6379", MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			conn, err := n.b.mini.Dial()
			if err != nil {
				return nil, err
			}
			n.mu.Lock()
			defer n.mu.Unlock()
			n.dials++
			n.open++
			return &callConn{Conn: conn, net: n}, nil
		},
	})
	c := must(spool.New(rdb, cfg))(t)
	return c, func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		rdb.Close()
	}
}

// callConn is a connection that can break.
type callConn struct {
	net.Conn
	net *callNet

	mu     sync.Mutex // guards what follows
	lost   bool       // the answer to the last request never comes
	closed bool
}

func (c *callConn) Write(p []byte) (int, error) {
	c.net.mu.Lock()
	fate := callPass
	if c.net.decide != nil {
		fate = c.net.decide(strings.ToLower(string(p)))
	}
	c.net.mu.Unlock()
	switch fate {
	case callCut:
		c.Close()
		return 0, io.ErrClosedPipe
	case callLose:
		c.mu.Lock()
		c.lost = true
		c.mu.Unlock()
	}
	return c.Conn.Write(p)
}

func (c *callConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	lost := c.lost
	c.mu.Unlock()
	if !lost {
		return n, err
	}
	// All of it is done before the connection breaks.
	_ = c.Conn.SetReadDeadline(time.Now().Add(1)) // on a fake clock that is when nobody does anything
	for err == nil {
		_, err = c.Conn.Read(p)
	}
	c.Close()
	return 0, io.EOF
}

func (c *callConn) Close() error {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	c.mu.Unlock()
	if first {
		c.net.mu.Lock()
		c.net.open--
		c.net.mu.Unlock()
	}
	return c.Conn.Close()
}

// inCallBubble runs a test on a fake clock, with a way to the server that breaks on command.
func inCallBubble(t *testing.T, test func(t *testing.T, n *callNet)) {
	t.Helper()
	inBubble(t, func(t *testing.T, b *bubble) { test(t, &callNet{b: b}) })
}

// callRun is a call of Transact that goes on beside the test, on a fake clock.
type callRun struct {
	began time.Time
	done  chan struct{}
	err   error // when done is closed

	mu    sync.Mutex // guards tries
	tries []time.Duration
}

// callGo begins a transaction.
func callGo(ctx context.Context, c *spool.Client, fn func(ctx context.Context, tx *spool.Tx) error, cfg ...spool.TxConfig) *callRun {
	r := &callRun{began: time.Now(), done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			r.mu.Lock()
			r.tries = append(r.tries, time.Since(r.began))
			r.mu.Unlock()
			return fn(ctx, tx)
		}, cfg...)
	}()
	return r
}

// settled says whether it has ended.
func (r *callRun) settled() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// begun is when the function began, each time.
func (r *callRun) begun() []time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	tries := make([]time.Duration, len(r.tries))
	for i, at := range r.tries {
		tries[i] = at.Round(time.Millisecond)
	}
	return tries
}

// callExit ends the goroutine.
func callExit() { runtime.Goexit() }
