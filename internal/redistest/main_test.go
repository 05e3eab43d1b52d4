package redistest

import (
	"context"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

// parentEnv turns the test binary into a program that launches a server, says
// which, and waits to be killed.
const parentEnv = "REDISTEST_BE_A_PARENT"

func TestMain(m *testing.M) {
	if os.Getenv(parentEnv) != "" {
		s, err := Launch(context.Background())
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(s.PID())
		select {}
	}
	goleak.VerifyTestMain(m)
}

// dial returns a client of one connection that neither retries nor waits long.
func dial(t *testing.T, addr string, change ...func(*redis.Options)) *redis.Client {
	t.Helper()
	o := &redis.Options{
		Addr:                  addr,
		MaxRetries:            -1,
		PoolSize:              1,
		DialerRetries:         1,
		ContextTimeoutEnabled: true,
		DisableIdentity:       true,
	}
	for _, c := range change {
		c(o)
	}
	c := redis.NewClient(o)
	t.Cleanup(func() { c.Close() })
	return c
}

// within bounds one call.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// wantInt fails unless the counter key has the value, asked past any proxy.
func wantInt(t *testing.T, s *Server, key string, want int) {
	t.Helper()
	got, err := dial(t, s.Addr()).Get(t.Context(), key).Int()
	if err == redis.Nil {
		got, err = 0, nil
	}
	if err != nil || got != want {
		t.Fatalf("%s = %d (%v), want %d", key, got, err, want)
	}
}

// eventually waits for a condition that has no signal of its own: what another
// process does, or the kernel.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 5s: %s", what)
		}
	}
}

// wantRefused fails if somebody listens at addr.
func wantRefused(t *testing.T, addr string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err == nil {
		conn.Close()
		t.Errorf("%s accepts connections", addr)
	}
}
