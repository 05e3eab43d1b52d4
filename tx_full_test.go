package spool_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
	"github.com/spooljobs/spool/retry"
)

// fullServer runs a test on a server of its own that evicts nothing.
func fullServer(t *testing.T, test func(t *testing.T, s *server)) {
	t.Helper()
	own := redistest.Start(t, redistest.Args("--maxmemory-policy", "noeviction"))
	ran.onlyRedis.Add(1)
	on(t, &server{"redis", own.Addr(), "full"}, test)
}

// g7: Redis is full when a transaction commits. The finished transaction waits and is sent again; the function runs again
// only if what it has read has changed meanwhile. What only removes is not refused, whatever its size.
func TestTransactWaitsForMemory(t *testing.T) {
	t.Parallel()
	fullServer(t, func(t *testing.T, s *server) {
		proxy, rdb, ctx := s.proxied(t), s.raw(t), within(t)
		c := s.clientAt(t, proxy.Addr(), silent)
		key, other := s.mine("n"), s.mine("other")
		var execs atomic.Int64
		proxy.OnRequest(func(cmd []string) redistest.Action {
			if cmd[0] == "EXEC" {
				execs.Add(1)
			}
			return redistest.Pass()
		})
		begin := func(fn func(ctx context.Context, tx *spool.Tx) error) (runs *atomic.Int64, ended chan error) {
			runs, ended = new(atomic.Int64), make(chan error, 1)
			before := execs.Load()
			go func() {
				ended <- c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
					runs.Add(1)
					return fn(ctx, tx)
				}, patient)
			}()
			eventually(t, "the commit was refused three times", func() bool { return execs.Load() >= before+3 })
			return runs, ended
		}
		add := func(ctx context.Context, tx *spool.Tx) error {
			_, err := addTo(ctx, tx, credits{key, 1})
			return err
		}
		empty := fill(t, rdb)
		runs, ended := begin(add)
		empty()
		if err := recv(t, "the transaction", ended); err != nil || runs.Load() != 1 || rdb.Get(ctx, key).Val() != "1" {
			t.Errorf("%v after %d runs: %q", err, runs.Load(), rdb.Get(ctx, key).Val())
		}

		// What it reads is removed meanwhile.
		empty = fill(t, rdb)
		runs, ended = begin(add)
		must(rdb.Del(ctx, key).Result())(t)
		eventually(t, "it runs again", func() bool { return runs.Load() == 2 })
		empty()
		if err := recv(t, "the transaction", ended); err != nil || runs.Load() != 2 || rdb.Get(ctx, key).Val() != "1" {
			t.Errorf("%v after %d runs: %q", err, runs.Load(), rdb.Get(ctx, key).Val())
		}

		// Jobs and results add, too; and who does not wait is told.
		empty = fill(t, rdb)
		for what, fn := range map[string]func(ctx context.Context, tx *spool.Tx) error{
			"a write": add,
			"a job":   func(ctx context.Context, tx *spool.Tx) error { _, err := double.Put(ctx, tx, 1); return err },
			"a job for another": func(ctx context.Context, tx *spool.Tx) error {
				_, err := double.Put(ctx, tx, 1, spool.In("o"))
				return err
			},
			"a removal and a job":    func(ctx context.Context, tx *spool.Tx) error { tx.Do(ctx, "DEL", key); return putBoth(ctx, tx) },
			"a commit in the middle": func(ctx context.Context, tx *spool.Tx) error { _ = add(ctx, tx); return tx.Commit(ctx) },
		} {
			err := c.Transact(ctx, fn, spool.TxConfig{Retry: retry.Policy{NoDisconnects: true}})
			if !errors.Is(err, spool.ErrFull) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if got := rdb.Get(ctx, key).Val(); got != "1" {
			t.Errorf("what was refused has left %q", got)
		}
		if n := must(c.Queue("default").Counts(ctx))(t); n.Pending() != 0 {
			t.Errorf("what was refused has left %+v", n)
		}

		// Reading and removing go on.
		err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			if n, err := spool.NewRef[int](key).Load(ctx, tx); err != nil || n != 1 {
				t.Errorf("read %d, %v", n, err)
			}
			return tx.Do(ctx, "DEL", key).Err()
		})
		if err != nil || rdb.Exists(ctx, key).Val() != 0 {
			t.Errorf("removing: %v", err)
		}
		if err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error { return removeMany(ctx, tx, other) }); err != nil {
			t.Errorf("removing much: %v", err)
		}
		empty()
	})
}

// removeMany is too large for a shared call and adds nothing.
func removeMany(ctx context.Context, tx *spool.Tx, key string) error {
	if err := tx.Do(ctx, "EXISTS", key).Err(); err != nil {
		return err
	}
	for at := range 4 {
		args := []any{"DEL", key}
		for i := range 940 {
			args = append(args, fmt.Sprint(key, at, i))
		}
		if err := tx.Do(ctx, args...).Err(); err != nil {
			return err
		}
	}
	return nil
}

// Jobs whose transactions add to full memory wait; their handlers do not run again, unless what they have read was
// removed. Beside them jobs without writes, and removals, go on finishing, large ones too.
func TestJobsWaitForMemory(t *testing.T) {
	t.Parallel()
	fullServer(t, func(t *testing.T, s *server) {
		c, rdb, ctx := s.client(t), s.raw(t), within(t)
		const n = 5
		steady, gone, large, pointed := s.mine("steady"), s.mine("gone"), s.mine("large"), s.mine("pointed")
		runs := map[string]*atomic.Int64{steady: {}, gone: {}, large: {}, pointed: {}}
		begun, held := make(chan string, 100), make(chan struct{})
		wait := func() { <-held } // until memory is full
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 12}))
		credit.HandleTx(w, func(ctx context.Context, tx *spool.Tx, args credits) (int64, error) {
			begun <- args.Key
			runs[args.Key].Add(1)
			n, err := addTo(ctx, tx, args)
			wait()
			if args.Key == pointed && err == nil {
				err = tx.Checkpoint(ctx, n)
			}
			return n, err
		}, patient)
		haul.HandleTx(w, func(ctx context.Context, tx *spool.Tx, b bulk) (int64, error) {
			begun <- large
			runs[large].Add(1)
			wait()
			return move(ctx, tx, b)
		}, patient)
		reads := spool.NewTask[string, spool.None]("tx.reads")
		reads.HandleTx(w, func(ctx context.Context, tx *spool.Tx, key string) (spool.None, error) {
			return spool.None{}, tx.Do(ctx, "EXISTS", key).Err()
		})
		removes := spool.NewTask[string, int]("tx.removes")
		removes.HandleTx(w, func(ctx context.Context, tx *spool.Tx, key string) (int, error) {
			return 7, tx.Do(ctx, "DEL", key).Err()
		})
		many := spool.NewTask[string, int]("tx.many")
		many.HandleTx(w, func(ctx context.Context, tx *spool.Tx, key string) (int, error) { return 8, removeMany(ctx, tx, key) })
		double.Handle(w, func(ctx context.Context, n int) (int, error) { return 2 * n, nil })
		must(rdb.Set(ctx, gone, 100, 0).Result())(t)
		work(t, w)

		var waiting []*spool.Job[int64]
		for range n {
			waiting = append(waiting, must(credit.Put(ctx, c, credits{steady, 1}))(t))
		}
		waiting = append(waiting, must(credit.Put(ctx, c, credits{gone, 1}))(t), must(credit.Put(ctx, c, credits{pointed, 1}))(t),
			must(haul.Put(ctx, c, bulk{Key: large}))(t))
		for range waiting {
			recv(t, "all have begun", begun)
		}
		// Those that go on are put before memory is full, due a little later.
		var going []func() error
		for i := range n {
			after := spool.Delay(time.Duration(300+100*i) * time.Millisecond)
			a, b := must(reads.Put(ctx, c, steady, after, spool.Keep(time.Hour)))(t), must(removes.Put(ctx, c, s.mine("x"), after))(t)
			m, d := must(many.Put(ctx, c, s.mine("y"), after))(t), must(double.Put(ctx, c, i, after))(t)
			going = append(going, func() error { _, err := a.Wait(ctx); return err }, func() error { _, err := b.Wait(ctx); return err },
				func() error { _, err := m.Wait(ctx); return err }, func() error { _, err := d.Wait(ctx); return err })
		}
		empty := fill(t, rdb)
		close(held)
		for i, wait := range going {
			if err := wait(); err != nil {
				t.Errorf("job %d of those that need no memory: %v", i, err)
			}
		}
		counts := must(c.Queue("default").Counts(ctx))(t)
		if counts.Active != len(waiting) || counts.Workers != 1 || counts.Interrupted+counts.Failed+counts.Retried != 0 {
			t.Errorf("while memory is full: %+v", counts)
		}
		for key, times := range runs {
			if want := map[string]int64{steady: n}[key]; times.Load() != max(want, 1) {
				t.Errorf("%s: %d runs", key, times.Load())
			}
		}
		must(rdb.Del(ctx, gone).Result())(t)
		empty()
		for i, j := range waiting {
			if _, err := j.Wait(ctx); err != nil {
				t.Errorf("job %d: %v", i, err)
			}
		}
		for key, want := range map[string]string{steady: fmt.Sprint(n), gone: "1", pointed: "1"} {
			if got := rdb.Get(ctx, key).Val(); got != want {
				t.Errorf("%s: %s", key, got)
			}
		}
		moved(t, rdb, bulk{Key: large}, 1)
		if runs[gone].Load() != 2 || runs[pointed].Load() != 1 || runs[large].Load() != 1 {
			t.Errorf("runs: %d whose reads changed, %d with a checkpoint, %d large", runs[gone].Load(), runs[pointed].Load(), runs[large].Load())
		}
		if n := must(c.Queue("default").Counts(ctx))(t); n.Failed+n.Retried+n.Interrupted+n.Refused != 0 || n.Active+n.Pending() != 0 {
			t.Errorf("%+v", n)
		}
	})
}

// The cache of scripts is emptied before any step, and between the commands of a MULTI: nothing is torn, nothing is
// lost (G3).
func TestScriptsFlushedBetweenSteps(t *testing.T) {
	t.Parallel()
	ownServer(t, func(t *testing.T, s *server, _ *redistest.Server) {
		proxy, rdb, ctx, chance := s.proxied(t), s.raw(t), within(t), seeded(t)
		c := s.clientAt(t, proxy.Addr(), silent)
		flushes := 0
		proxy.OnRequest(func(cmd []string) redistest.Action {
			if chance.IntN(3) > 0 {
				return redistest.Pass()
			}
			flushes++
			if cmd[0] == "MULTI" || cmd[0] == "EXEC" || chance.IntN(2) == 0 {
				// What came before has arrived by then.
				flushed := make(chan struct{})
				go func() { rdb.ScriptFlush(ctx); close(flushed) }()
				return redistest.Hold(flushed)
			}
			rdb.ScriptFlush(ctx)
			return redistest.Pass()
		})
		l := &toll{key: s.mine("n")}
		const n = 100
		for i := range n {
			if got, err := l.pay(ctx, c); err != nil || got != int64(i+1) {
				t.Fatalf("transaction %d: %d, %v", i, got, err)
			}
		}
		w := spool.NewWorker(c, spool.WorkerConfig{ThreadSlots: 2})
		haul.HandleTx(w, move)
		credit.HandleTx(w, addTo)
		work(t, w)
		b := bulk{Key: s.mine("bulk")}
		const jobs = 20
		for i := range jobs {
			large := must(haul.Put(ctx, c, b))(t)
			if got := must(must(credit.Put(ctx, c, credits{s.mine("m"), 1}))(t).Wait(ctx))(t); got != int64(i+1) {
				t.Errorf("job %d: %d", i, got)
			}
			if got := must(large.Wait(ctx))(t); got != int64(i+1) {
				t.Errorf("large job %d: %d", i, got)
			}
		}
		proxy.OnRequest(nil)
		if flushes < 200 {
			t.Errorf("%d flushes", flushes)
		}
		paid(t, c, rdb, l.key, n)
		moved(t, rdb, b, jobs)
		if _, conflicts := c.Transactions(); conflicts != 0 || l.committed.Load() != n || l.aborted.Load() != 0 {
			t.Errorf("%d conflicts, %d commits and %d aborts were told of", conflicts, l.committed.Load(), l.aborted.Load())
		}
	})
}

// Redis says for a while that it will not work just now: as a read-only replica, with and without its master, and
// while it loads. Transactions wait, and have their effect once.
func TestServerWillNotWorkForAWhile(t *testing.T) {
	t.Parallel()
	for how, change := range map[string][2]func(ctx context.Context, rdb *redis.Client) error{
		"read-only": {
			func(ctx context.Context, rdb *redis.Client) error {
				return rdb.Do(ctx, "REPLICAOF", "127.0.0.1", "1").Err()
			},
			func(ctx context.Context, rdb *redis.Client) error { return rdb.Do(ctx, "REPLICAOF", "NO", "ONE").Err() },
		},
		"without its master": {
			func(ctx context.Context, rdb *redis.Client) error {
				return errors.Join(rdb.ConfigSet(ctx, "replica-serve-stale-data", "no").Err(), rdb.Do(ctx, "REPLICAOF", "127.0.0.1", "1").Err())
			},
			func(ctx context.Context, rdb *redis.Client) error { return rdb.Do(ctx, "REPLICAOF", "NO", "ONE").Err() },
		},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			ownServer(t, func(t *testing.T, s *server, _ *redistest.Server) {
				rdb, ctx := s.raw(t), within(t)
				keepCounting(t, s, func(again func()) {
					for range 5 {
						if err := change[0](ctx, rdb); err != nil {
							t.Fatal(err)
						}
						time.Sleep(30 * time.Millisecond) // nothing goes on
						if err := change[1](ctx, rdb); err != nil {
							t.Fatal(err)
						}
						again()
					}
				})
			})
		})
	}
	t.Run("loading", func(t *testing.T) {
		t.Parallel()
		// Loading takes a while: each key takes some milliseconds.
		own := redistest.Start(t, redistest.AppendOnly(t.TempDir()), redistest.Args("--key-load-delay", "3000", "--loading-process-events-interval-bytes", "1024"))
		ran.onlyRedis.Add(1)
		on(t, &server{"redis", own.Addr(), "loading"}, func(t *testing.T, s *server) {
			keepCounting(t, s, func(again func()) {
				for range 2 {
					own.Kill()
					if err := own.Restart(within(t)); err != nil {
						t.Fatal(err)
					}
					again()
				}
			})
		})
	})
}

// keepCounting lets transactions, plain and of jobs, add up while a test disturbs the server. again waits until some
// more have committed. At the end each counts once.
func keepCounting(t *testing.T, s *server, disturb func(again func())) {
	c, ctx := s.client(t, silent), within(t)
	w := spool.NewWorker(c, spool.WorkerConfig{ThreadSlots: 2, Beat: 100 * time.Millisecond, DeadAfter: 30 * time.Second})
	credit.HandleTx(w, addTo, patient)
	stop := work(t, w)
	var bare, jobs atomic.Int64
	over := make(chan struct{})
	ended := make(chan error, 2)
	loop := func(n *atomic.Int64, step func() error) {
		for {
			select {
			case <-over:
				ended <- nil
				return
			default:
			}
			if err := step(); err != nil {
				ended <- err
				return
			}
			n.Add(1)
		}
	}
	go loop(&bare, func() error {
		return c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			_, err := addTo(ctx, tx, credits{s.mine("bare"), 1})
			return err
		}, patient)
	})
	go loop(&jobs, func() error {
		j, err := credit.Put(ctx, c, credits{s.mine("jobs"), 1})
		if err == nil {
			_, err = j.Wait(ctx)
		}
		return err
	})
	again := func() {
		b, j := bare.Load(), jobs.Load()
		eventually(t, "transactions go on", func() bool { return bare.Load() >= b+3 && jobs.Load() >= j+3 })
	}
	again()
	disturb(again)
	close(over)
	for range cap(ended) {
		if err := recv(t, "the end", ended); err != nil {
			t.Error(err)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	for key, want := range map[string]int64{"bare": bare.Load(), "jobs": jobs.Load()} {
		if got := must(s.raw(t).Get(ctx, s.mine(key)).Int64())(t); got != want {
			t.Errorf("%s: %d after %d", key, got, want)
		}
	}
}
