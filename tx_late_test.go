package spool_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
	"github.com/spooljobs/spool/retry"
)

// hasty opens a client that waits for no answer longer than that, whatever Spool says.
func (s *server) hasty(t *testing.T, addr string, patience time.Duration, change ...func(*spool.ClientConfig)) *spool.Client {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, PoolSize: 1000, Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return &hastyConn{conn, patience}, err
	}})
	cfg := spool.ClientConfig{Prefix: s.prefix, Logger: quiet}
	for _, fn := range change {
		fn(&cfg)
	}
	c := must(spool.New(rdb, cfg))(t)
	t.Cleanup(func() {
		if err := errors.Join(c.Close(), rdb.Close()); err != nil {
			t.Errorf("closing the client: %v", err)
		}
	})
	if err := spool.Strict(c); err != nil {
		t.Fatal(err)
	}
	return c
}

type hastyConn struct {
	net.Conn
	patience time.Duration
}

func (c *hastyConn) SetReadDeadline(at time.Time) error {
	if soon := time.Now().Add(c.patience); at.IsZero() || at.After(soon) {
		at = soon
	}
	return c.Conn.SetReadDeadline(at)
}

// An EXEC is stuck in the network. Its client gives up, asks, and is told that it has had no effect; then it arrives.
// It must have none, also where nothing was read, so that no watched key speaks against it. A question that is stuck
// does no harm either.
func TestDelayedExecHasNoEffect(t *testing.T) {
	t.Parallel()
	ownServer(t, func(t *testing.T, s *server, _ *redistest.Server) {
		const waves, n = 8, 25
		proxy, rdb, ctx := s.proxied(t), s.raw(t), within(t)
		c := s.hasty(t, proxy.Addr(), 60*time.Millisecond, func(cfg *spool.ClientConfig) { cfg.Connections = 2 * n })
		verb := s.verbs(t)
		key := func(i int) string { return s.mine(fmt.Sprint("n", i)) }
		each := func(want int) {
			t.Helper()
			for i := range n {
				if got := must(rdb.Get(ctx, key(i)).Int())(t); got != want {
					t.Errorf("transaction %d has made it %d, not %d", i, got, want)
				}
			}
		}
		for wave := range waves {
			release := make(chan struct{})
			execs, asks := 0, 0
			proxy.OnRequest(func(cmd []string) redistest.Action {
				switch {
				case cmd[0] == "EXEC" && execs < n:
					execs++
					return redistest.Hold(release)
				case verb(cmd) == "transact" && isQuestion(cmd) && asks < n/2:
					asks++
					return redistest.Hold(release)
				}
				return redistest.Pass()
			})
			together(n, func(i int) {
				err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
					if i%2 == 0 {
						return tx.Do(ctx, "INCR", key(i)).Err()
					}
					_, err := addTo(ctx, tx, credits{key(i), 1})
					return err
				}, patient)
				if err != nil {
					t.Errorf("transaction %d: %v", i, err)
				}
			})
			before := executed(t, rdb, "exec")
			each(2*wave + 1)
			proxy.OnRequest(nil)
			close(release)
			eventually(t, "what was held has arrived", func() bool { return executed(t, rdb, "exec") >= before+n })
			each(2*wave + 1)
			// The lines are used again, whatever has arrived of old numbers.
			together(n, func(i int) {
				if err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
					return tx.Do(ctx, "INCR", key(i)).Err()
				}, patient); err != nil {
					t.Error(err)
				}
			})
			each(2*wave + 2)
			if execs != n || asks != n/2 {
				t.Fatalf("%d were held, and %d questions", execs, asks)
			}
		}
	})
}

// together calls fn n times at once and waits.
func together(n int, fn func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { fn(i) })
	}
	all.Wait()
}

// isQuestion tells a call of transact that only asks from one that does something.
func isQuestion(cmd []string) bool {
	keys := 30 // of transact itself: a question names none of the caller
	return len(cmd) > 5+keys && cmd[2] == fmt.Sprint(keys) && cmd[3+keys+2] == "1"
}

// executed is how many commands of a kind a server has executed.
func executed(t *testing.T, rdb *redis.Client, command string) int {
	t.Helper()
	stats := must(rdb.Info(context.Background(), "commandstats").Result())(t)
	_, rest, ok := strings.Cut(stats, "cmdstat_"+command+":calls=")
	if !ok {
		return 0
	}
	var n int
	_, _ = fmt.Sscan(strings.SplitN(rest, ",", 2)[0], &n)
	return n
}

// The answer to EXEC is on its way for longer than it is waited for. The question finds that it took effect: nothing
// runs again.
func TestDelayedAnswerOfExecIsSettled(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		const waves, n = 8, 25
		proxy, ctx := s.proxied(t), within(t)
		c := s.hasty(t, proxy.Addr(), 60*time.Millisecond, func(cfg *spool.ClientConfig) { cfg.Connections = 2 * n })
		asked := 0
		for wave := range waves {
			release := make(chan struct{})
			held := 0
			verb := s.verbs(t)
			proxy.OnRequest(func(cmd []string) redistest.Action {
				if cmd[0] == "EXEC" && held < n {
					held++
					return redistest.HoldReply(release)
				}
				if verb(cmd) == "transact" && isQuestion(cmd) {
					asked++
				}
				return redistest.Pass()
			})
			var runs atomic.Int64
			together(n, func(i int) {
				err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
					runs.Add(1)
					return tx.Do(ctx, "INCR", s.mine(fmt.Sprint("n", i))).Err()
				}, patient)
				if err != nil {
					t.Errorf("transaction %d: %v", i, err)
				}
			})
			proxy.OnRequest(nil)
			close(release)
			for i := range n {
				if got := must(s.raw(t).Get(ctx, s.mine(fmt.Sprint("n", i))).Int())(t); got != wave+1 {
					t.Errorf("transaction %d had its effect %d times in %d calls", i, got, wave+1)
				}
			}
			// But where a command before EXEC was late, on a busy machine.
			if extra := runs.Load() - n; extra > n/2 {
				t.Errorf("%d runs of %d transactions", runs.Load(), n)
			}
		}
		if asked < waves*n {
			t.Errorf("%d questions", asked)
		}
	})
}

// The answer is lost and the policy does not wait for another: the caller is told that it may have been done. Nothing
// runs a second time, whatever was lost (G3).
func TestUnsureIsSaidAndNothingRunsAgain(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		proxy, ctx, rdb := s.proxied(t), within(t), s.raw(t)
		c := s.clientAt(t, proxy.Addr(), silent)
		k := strike(t, s, proxy)
		for i := range 200 {
			action, effects := redistest.DropReply(), 1
			if rand.IntN(2) == 0 {
				action, effects = redistest.CutBefore(), 0
			}
			k.arm(fate{"exec", action, 1})
			key, runs := s.mine(fmt.Sprint("n", i)), 0
			err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
				runs++
				if _, err := addTo(ctx, tx, credits{key, 1}); err != nil {
					return err
				}
				if i%2 == 0 {
					return tx.Commit(ctx) // in the middle, where the answer goes through the function
				}
				return nil
			}, spool.TxConfig{Retry: retry.Policy{Conflicts: retry.Unlimited, NoDisconnects: true}})
			if !errors.Is(err, spool.ErrUnsure) || runs != 1 {
				t.Errorf("transaction %d: %d runs, %v", i, runs, err)
			}
			if got, _ := rdb.Get(ctx, key).Int(); got != effects {
				t.Errorf("transaction %d had its effect %d times, not %d", i, got, effects)
			}
		}
	})
}
