package spool_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/embedded"
	"github.com/spooljobs/spool/internal/redistest"
)

// real is the Redis server that this run of the tests has started, or nil where there is none.
var real *redistest.Server

// ran counts the tests that each ran, by server, and those that need a real one.
var ran struct{ embedded, redis, onlyRedis, places atomic.Int64 }

func TestMain(m *testing.M) {
	if child := os.Getenv("SPOOL_TEST_CHILD"); child != "" {
		runChild(child)
		return
	}
	server, err := redistest.Launch(context.Background())
	switch {
	case err == nil:
		real = server
	case errors.Is(err, redistest.ErrMissing):
	default:
		fmt.Fprintln(os.Stderr, "starting redis-server:", err)
		os.Exit(1)
	}
	code := m.Run()
	if real != nil {
		real.Stop()
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	report := fmt.Sprintf("suite: %d tests on embedded, %d on redis, and %d that need redis",
		ran.embedded.Load(), ran.redis.Load(), ran.onlyRedis.Load())
	fmt.Println(report)
	// go test shows what a package prints only if it fails or is the only one. A file gets through.
	if path := os.Getenv("SPOOL_SUITE_REPORT"); path != "" {
		if err := os.WriteFile(path, []byte(report+"\n"), 0o600); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if real == nil {
		fmt.Println("skipped: every test on a real Redis. Install redis-server to run them; SPOOL_REQUIRE_REDIS=1 makes its absence an error.")
	}
	os.Exit(code)
}

// server is where a test runs, and the prefix that is its own there.
type server struct {
	name   string // "embedded" or "redis"
	addr   string
	prefix string
}

// each runs a test on the embedded server and on a real one, each under a prefix of its own, and checks the keyspace
// when the test has ended.
func each(t *testing.T, test func(t *testing.T, s *server)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		mini, err := embedded.Serve()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(mini.Close)
		ran.embedded.Add(1)
		on(t, &server{"embedded", mini.Addr(), embedded.Prefix(t)}, test)
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		needRedis(t)
		ran.redis.Add(1)
		on(t, &server{"redis", real.Addr(), embedded.Prefix(t)}, test)
	})
}

// needRedis skips the test where there is no real server, or fails it where there must be one.
func needRedis(t *testing.T) {
	t.Helper()
	if real == nil {
		if os.Getenv("SPOOL_REQUIRE_REDIS") == "1" {
			t.Fatal("redis-server is not installed and SPOOL_REQUIRE_REDIS=1")
		}
		t.Skip("SKIPPED: redis-server is not installed; this test needs it")
	}
}

func on(t *testing.T, s *server, test func(t *testing.T, s *server)) {
	s.prefix = fmt.Sprintf("%s-%d", s.prefix, ran.places.Add(1)) // run again, a test finds nothing of the time before
	t.Cleanup(func() { s.check(t) })
	test(t, s)
}

// check reports every inconsistency of the test's keyspace.
func (s *server) check(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := spool.Open(ctx, "redis://"+s.addr, spool.ClientConfig{Prefix: s.prefix, Logger: quiet})
	if err != nil {
		t.Errorf("checking the keyspace: %v", err)
		return
	}
	defer c.Close()
	if err := c.Check(ctx); err != nil {
		t.Errorf("the keyspace is inconsistent:\n%v", err)
	}
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// client opens a client that is closed with the test.
func (s *server) client(t *testing.T, change ...func(*spool.ClientConfig)) *spool.Client {
	t.Helper()
	return s.clientAt(t, s.addr, change...)
}

// clientAt opens a client through another address, such as a proxy's.
func (s *server) clientAt(t *testing.T, addr string, change ...func(*spool.ClientConfig)) *spool.Client {
	t.Helper()
	cfg := spool.ClientConfig{Prefix: s.prefix, Logger: logTo(t)}
	for _, fn := range change {
		fn(&cfg)
	}
	c, err := spool.Open(t.Context(), "redis://"+addr, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("closing the client: %v", err)
		}
	})
	if err := spool.Strict(c); err != nil {
		t.Fatal(err)
	}
	return c
}

// raw is a plain Redis client, for looking at and breaking what is stored.
func (s *server) raw(t *testing.T) *redis.Client {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: s.addr})
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

// key is the full name of a key of a queue.
func (s *server) key(queue, name string) string { return "{" + s.prefix + ":" + queue + "}:" + name }

// proxied returns the same place, reached through a proxy that can lose things.
func (s *server) proxied(t *testing.T) *redistest.Proxy {
	t.Helper()
	return redistest.NewProxy(t, s.addr)
}

// logTo sends a log to the test's, so that it is shown when the test fails.
func logTo(t *testing.T) *slog.Logger {
	w := &testWriter{t: t}
	t.Cleanup(func() { w.done.Store(true) })
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type testWriter struct {
	t    *testing.T
	done atomic.Bool
}

func (w *testWriter) Write(p []byte) (int, error) {
	if !w.done.Load() {
		w.t.Log(string(p))
	}
	return len(p), nil
}

// fast are the settings of workers in tests: beats and death in fractions of a second.
func fast(cfg spool.WorkerConfig) spool.WorkerConfig {
	cfg.Beat, cfg.DeadAfter = 50*time.Millisecond, 250*time.Millisecond
	return cfg
}

// work runs a worker until the test ends, or until stop is called, which returns Run's error.
func work(t *testing.T, w *spool.Worker) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	var err error
	stopped := false
	stop = func() error {
		cancel()
		if !stopped {
			err, stopped = <-done, true
		}
		return err
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return stop
}

// within bounds what a test waits for.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// eventually waits for something that no signal tells of.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("still not so: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
