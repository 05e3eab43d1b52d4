package spool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
)

// Connections of transactions: the acceptance case A14, and TW-32 to TW-34.

func callConnections(n int) func(*spool.ClientConfig) {
	return func(cfg *spool.ClientConfig) { cfg.Connections = n }
}

// callHold begins a transaction that keeps its connection until let is called.
func callHold(ctx context.Context, c *spool.Client, key string) (let func(), r *callRun) {
	has, release := make(chan struct{}), make(chan struct{})
	r = callGo(ctx, c, func(ctx context.Context, tx *spool.Tx) error {
		if err := tx.Do(ctx, "INCRBY", key, 1).Err(); err != nil {
			return err
		}
		close(has)
		<-release
		return nil
	})
	<-has
	return func() { close(release) }, r
}

// callWaiting begins a transaction that adds one, and tells its attempts.
func callWaiting(ctx context.Context, c *spool.Client, key string, cfg ...spool.TxConfig) (r *callRun, attempts func() int) {
	given := make(chan *spool.Tx, 100)
	r = callGo(ctx, c, func(ctx context.Context, tx *spool.Tx) error {
		given <- tx
		_, err := callChange(ctx, tx, spool.NewRef[int64](key), 1)
		return err
	}, cfg...)
	tx := <-given
	return r, tx.Attempts
}

// A14: one connection, in use; then room for two.
func TestFullPoolThatGrows(t *testing.T) {
	t.Parallel()
	inCallBubble(t, func(t *testing.T, n *callNet) {
		c, closed := n.client(t, callConnections(1))
		defer closed()
		let, held := callHold(t.Context(), c, "held")
		r, attempts := callWaiting(t.Context(), c, "count")
		synctest.Wait()
		time.Sleep(125 * time.Millisecond)
		synctest.Wait()
		if r.settled() || attempts() != 0 {
			t.Errorf("after 0.125 s: settled %v, Attempts %d", r.settled(), attempts())
		}
		if used, limit, beyond := c.Connections(); used != 1 || limit != 1 || beyond != 0 {
			t.Errorf("%d of %d connections in use, %d beyond", used, limit, beyond)
		}
		if err := c.ResizeConnections(2); err != nil {
			t.Fatal(err)
		}
		time.Sleep(250 * time.Millisecond)
		synctest.Wait()
		if !r.settled() || r.err != nil || attempts() != 1 {
			t.Errorf("after a further 0.25 s: settled %v, %v, Attempts %d", r.settled(), r.err, attempts())
		}
		if got := must(n.b.mini.Get("count"))(t); got != "1" {
			t.Errorf("the count is %s", got)
		}
		let()
		<-held.done
		if used, _, beyond := c.Connections(); held.err != nil || used != 0 || beyond != 0 {
			t.Errorf("%v, %d connections in use, %d beyond", held.err, used, beyond)
		}
	})
}

// Who waits in vain is given one beyond the limit after 1.1 to 1.75 s; it is counted, and closed after use [TW-34].
func TestPatienceWithAFullPool(t *testing.T) {
	t.Parallel()
	inCallBubble(t, func(t *testing.T, n *callNet) {
		c, closed := n.client(t, callConnections(1))
		defer closed()
		if err := callStore(c, "other", 1); err != nil { // all usual connections are there
			t.Fatal(err)
		}
		let, held := callHold(t.Context(), c, "held")
		open, _ := n.connections()
		for round := 1; round <= 3; round++ {
			r, attempts := callWaiting(t.Context(), c, "count")
			time.Sleep(1100*time.Millisecond - time.Millisecond)
			synctest.Wait()
			if r.settled() || attempts() != 0 {
				t.Errorf("after 1.1 s: settled %v, Attempts %d", r.settled(), attempts())
			}
			<-r.done
			if took := time.Since(r.began); r.err != nil || took > 1750*time.Millisecond || attempts() != 1 {
				t.Errorf("%v after %v, Attempts %d", r.err, took, attempts())
			}
			if used, limit, beyond := c.Connections(); used != 1 || limit != 1 || beyond != round {
				t.Errorf("%d of %d connections in use, %d beyond", used, limit, beyond)
			}
			synctest.Wait()
			if now, _ := n.connections(); now != open {
				t.Errorf("%d connections are open, there were %d", now, open)
			}
		}
		let()
		<-held.done
		if got := must(n.b.mini.Get("count"))(t); got != "3" {
			t.Errorf("the count is %s", got)
		}
	})
}

// Who waits longest comes first, and who gives up leaves no gap [TW-33].
func TestConnectionsComeInOrder(t *testing.T) {
	t.Parallel()
	inCallBubble(t, func(t *testing.T, n *callNet) {
		c, closed := n.client(t, callConnections(1))
		defer closed()
		let, held := callHold(t.Context(), c, "held")
		var mu sync.Mutex
		var order []int
		var runs []*callRun
		tired := errors.New("tired of waiting")
		ctx, giveUp := context.WithCancelCause(t.Context())
		for i := range 5 {
			of := t.Context()
			if i == 2 {
				of = ctx
			}
			runs = append(runs, callGo(of, c, func(ctx context.Context, tx *spool.Tx) error {
				if err := tx.Do(ctx, "RPUSH", "order", i).Err(); err != nil {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, i)
				return nil
			}))
			synctest.Wait()
		}
		giveUp(tired)
		<-runs[2].done
		if !errors.Is(runs[2].err, tired) {
			t.Errorf("who gave up got %v", runs[2].err)
		}
		let()
		for i, r := range runs {
			<-r.done
			if i != 2 && r.err != nil {
				t.Errorf("%d: %v", i, r.err)
			}
		}
		<-held.done
		if !slices.Equal(order, []int{0, 1, 3, 4}) || time.Since(held.began) > time.Second {
			t.Errorf("order %v, after %v", order, time.Since(held.began))
		}
		if used, _, beyond := c.Connections(); used != 0 || beyond != 0 {
			t.Errorf("%d connections in use, %d beyond", used, beyond)
		}
	})
}

// Fewer connections than are in use cut none, and none is given out before the number is below the new limit.
func TestFewerConnections(t *testing.T) {
	t.Parallel()
	inCallBubble(t, func(t *testing.T, n *callNet) {
		c, closed := n.client(t, callConnections(3))
		defer closed()
		var lets []func()
		var held []*callRun
		for i := range 3 {
			let, r := callHold(t.Context(), c, fmt.Sprint("held", i))
			lets, held = append(lets, let), append(held, r)
		}
		if err := c.ResizeConnections(1); err != nil {
			t.Fatal(err)
		}
		if used, limit, _ := c.Connections(); used != 3 || limit != 1 {
			t.Errorf("%d of %d connections in use", used, limit)
		}
		r, _ := callWaiting(t.Context(), c, "count")
		for i := range 2 {
			lets[i]()
			<-held[i].done
			synctest.Wait()
			if r.settled() {
				t.Fatalf("it was given a connection while %d of 1 are in use", 2-i)
			}
		}
		lets[2]()
		<-held[2].done
		<-r.done
		if _, _, beyond := c.Connections(); r.err != nil || beyond != 0 || time.Since(r.began) > 100*time.Millisecond {
			t.Errorf("%v after %v, %d beyond", r.err, time.Since(r.began), beyond)
		}
		for _, limit := range []int{0, -1} {
			if err := c.ResizeConnections(limit); err == nil {
				t.Errorf("ResizeConnections(%d) was taken", limit)
			}
		}
	})
}

// However a call ends, its connection is given back.
func TestNoConnectionStaysTaken(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t, callConnections(1))
		ctx := within(t)
		key := s.mine("n")
		use := func(ctx context.Context, tx *spool.Tx) { must(tx.Do(ctx, "INCRBY", key, 1).Result())(t) }
		for name, call := range map[string]func(){
			"error": func() {
				_ = c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error { use(ctx, tx); return errors.New("no") })
			},
			"panic": func() {
				defer func() { _ = recover() }()
				_ = c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error { use(ctx, tx); panic("no") })
			},
			"panic of a hook": func() {
				defer func() { _ = recover() }()
				_ = c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
					use(ctx, tx)
					tx.OnCommit(func(context.Context) { panic("no") })
					return nil
				})
			},
			"panic of the debug hook": func() {
				defer func() { _ = recover() }()
				_ = c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error { use(ctx, tx); return errors.New("no") },
					spool.TxConfig{Debug: func(context.Context, *spool.Tx, error) { panic("no") }})
			},
			"Goexit": func() {
				done := make(chan struct{})
				go func() {
					defer close(done)
					_ = c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error { use(ctx, tx); callExit(); return nil })
				}()
				<-done
			},
			"a hook with a transaction": func() {
				err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
					use(ctx, tx)
					tx.OnCommit(func(ctx context.Context) {
						if err := callStore(c, s.mine("m"), 1); err != nil {
							t.Error(err)
						}
						err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error { use(ctx, tx); return nil })
						if err != nil {
							t.Error(err)
						}
					})
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			},
			"cancelled": func() {
				ctx, cancel := context.WithCancel(ctx)
				_ = c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error { use(ctx, tx); cancel(); return nil })
			},
		} {
			call()
			if used, _, beyond := c.Connections(); used != 0 || beyond != 0 {
				t.Errorf("%s: %d connections in use, %d beyond", name, used, beyond)
			}
		}
	})
}

// A function may use its transaction from many goroutines: it is given one connection all the same.
func TestTxIsSafeForConcurrentUse(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		var tx1 *spool.Tx
		err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			tx1 = tx
			var all sync.WaitGroup
			errs := make(chan error, 100)
			for i := range 20 {
				all.Go(func() {
					ref := spool.NewRef[int64](s.mine(fmt.Sprint("n", i)))
					if _, err := callChange(ctx, tx, ref, 1); err != nil {
						errs <- err
					}
					if n, err := ref.Load(ctx, tx); n != 1 || err != nil {
						errs <- fmt.Errorf("%d: %d, %w", i, n, err)
					}
					if used, _, _ := c.Connections(); used != 1 {
						errs <- fmt.Errorf("%d connections are in use", used)
					}
					tx.OnCommit(func(context.Context) {})
					_, _ = double.Put(ctx, tx, i)
				})
			}
			all.Wait()
			close(errs)
			return <-errs
		})
		if err != nil || tx1.Attempts() != 1 {
			t.Errorf("%v, Attempts %d", err, tx1.Attempts())
		}
		counts := must(c.Queue("default").Counts(ctx))(t)
		if counts.Pending() != 20 {
			t.Errorf("counts: %+v", counts)
		}
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		double.Handle(w, func(ctx context.Context, n int) (int, error) { return n, nil })
		must(w.Drain(ctx))(t)
	})
}

// While a part is being committed nothing else can be done with the transaction: it would be in neither part.
func TestTxWhileAPartIsCommitted(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		proxy := s.proxied(t)
		c := s.clientAt(t, proxy.Addr())
		ctx := within(t)
		key := s.mine("n")
		if err := callStore(c, key, 0); err != nil {
			t.Fatal(err)
		}
		held, release := make(chan struct{}), make(chan struct{})
		var once sync.Once
		err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			must(tx.Do(ctx, "INCRBY", key, 1).Result())(t)
			proxy.OnRequest(func(cmd []string) redistest.Action {
				if cmd[0] == "EXEC" {
					once.Do(func() { close(held) })
					return redistest.Hold(release)
				}
				return redistest.Pass()
			})
			done := make(chan error, 1)
			go func() { done <- tx.Commit(ctx) }()
			<-held
			for what, err := range map[string]error{
				"Commit": tx.Commit(ctx), "a write": tx.Do(ctx, "INCRBY", key, 10).Err(), "a read": tx.Do(ctx, "GET", key).Err(),
			} {
				if !errors.Is(err, spool.ErrBadState) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if _, err := double.Put(ctx, tx, 1); !errors.Is(err, spool.ErrBadState) {
				t.Errorf("Put: %v", err)
			}
			close(release)
			if err := <-done; err != nil {
				return err
			}
			return tx.Do(ctx, "INCRBY", key, 100).Err()
		})
		if n := callCount(t, s.raw(t), key); err != nil || n != 101 {
			t.Errorf("%v, the count is %d", err, n)
		}
	})
}

// After Close a transaction takes no connection, and writes nothing.
func TestTransactAfterClose(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		ctx := within(t)
		c := must(spool.Open(ctx, "redis://"+s.addr, spool.ClientConfig{Prefix: s.prefix, Logger: quiet}))(t)
		err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			return tx.Do(ctx, "INCRBY", s.mine("n"), 1).Err()
		})
		if !errors.Is(err, spool.ErrClosed) {
			t.Errorf("closed in the middle: %v", err)
		}
		if err := c.Transact(ctx, func(context.Context, *spool.Tx) error { return nil }); !errors.Is(err, spool.ErrClosed) {
			t.Errorf("closed before: %v", err)
		}
		if n := callCount(t, s.raw(t), s.mine("n")); n != 0 {
			t.Errorf("the count is %d", n)
		}
	})
}
