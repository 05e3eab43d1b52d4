package spool_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/retry"
)

// The acceptance cases A01 to A11 of transactional calls, to the letter.

var (
	callAnswer = spool.NewTask[spool.None, int]("call.answer")
	callAdd    = spool.NewTask[callAmount, int64]("call.add")
	callDec    = spool.NewTask[callAmount, int64]("call.dec")
	callBoth   = spool.NewTask[callPair, [2]int64]("call.both")
	callSet    = spool.NewTask[callField, string]("call.set")
)

// callAmount is a counter, and by how much it changes; nil is 1.
type callAmount struct {
	Counter spool.Ref[int64]
	By      *int64
}

type callPair struct {
	A, B spool.Ref[int64]
	By   int64
}

type callField struct {
	Map         spool.Ref[map[string]string]
	Name, Value string
}

// callChange adds to a counter and returns the new value.
func callChange(ctx context.Context, tx *spool.Tx, counter spool.Ref[int64], by int64) (int64, error) {
	n, err := counter.Load(ctx, tx)
	if err != nil && !errors.Is(err, spool.ErrNotFound) {
		return 0, err
	}
	return n + by, counter.Store(ctx, tx, n+by)
}

// callWorker has handlers of all tasks of these cases. It need not run.
func callWorker(c *spool.Client, cfg ...spool.TxConfig) *spool.Worker {
	w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 4}))
	callAnswer.Handle(w, func(context.Context, spool.None) (int, error) { return 42, nil })
	callAdd.HandleTx(w, func(ctx context.Context, tx *spool.Tx, a callAmount) (int64, error) {
		return callChange(ctx, tx, a.Counter, a.by())
	}, cfg...)
	callDec.HandleTx(w, func(ctx context.Context, tx *spool.Tx, a callAmount) (int64, error) {
		return callChange(ctx, tx, a.Counter, -a.by())
	}, cfg...)
	callBoth.HandleTx(w, func(ctx context.Context, tx *spool.Tx, p callPair) (both [2]int64, err error) {
		if both[0], err = callChange(ctx, tx, p.A, p.By); err != nil {
			return both, err
		}
		both[1], err = callChange(ctx, tx, p.B, p.By)
		return both, err
	}, cfg...)
	callSet.HandleTx(w, func(ctx context.Context, tx *spool.Tx, f callField) (string, error) {
		return f.Value, f.Map.SetField(ctx, tx, f.Name, f.Value)
	}, cfg...)
	return w
}

func (a callAmount) by() int64 {
	if a.By == nil {
		return 1
	}
	return *a.By
}

// callCount is what is stored under a key, as others see it.
func callCount(t *testing.T, rdb *redis.Client, key string) int64 {
	t.Helper()
	n, err := rdb.Get(context.Background(), key).Int64()
	if err != nil && !errors.Is(err, redis.Nil) {
		t.Fatal(err)
	}
	return n
}

// A01: a call that touches nothing stored takes no connection, makes no transaction and sends nothing [TW-2].
func TestCallOfNothingStoredTakesNoConnection(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		proxy := s.proxied(t)
		c := s.clientAt(t, proxy.Addr())
		w := callWorker(c)
		plain := spool.NewTask[int, int]("call.plain.tx")
		plain.HandleTx(w, func(ctx context.Context, tx *spool.Tx, n int) (int, error) { return 2 * n, nil })
		ctx := within(t)
		before := proxy.Stats()
		if got := must(callAnswer.With(spool.None{}).Call(ctx, w))(t); got != 42 {
			t.Errorf("got %d", got)
		}
		if got := must(plain.With(21).Call(ctx, w))(t); got != 42 {
			t.Errorf("of a transactional handler: got %d", got)
		}
		got := 0
		hooks := 0
		err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			got = 42
			tx.OnCommit(func(context.Context) { hooks++ })
			return nil
		})
		if err != nil || got != 42 || hooks != 1 {
			t.Errorf("Transact: %v, got %d, %d hooks", err, got, hooks)
		}
		failed := errors.New("it went wrong")
		if err := c.Transact(ctx, func(context.Context, *spool.Tx) error { return failed }); err != failed {
			t.Errorf("Transact: %v", err)
		}
		after := proxy.Stats()
		if after.Commands != before.Commands || after.Connections != before.Connections {
			t.Errorf("%d commands on %d connections", after.Commands-before.Commands, after.Connections-before.Connections)
		}
		if used, _, beyond := c.Connections(); used != 0 || beyond != 0 {
			t.Errorf("%d connections in use, %d beyond", used, beyond)
		}
		if commits, conflicts := c.Transactions(); commits != 0 || conflicts != 0 {
			t.Errorf("%d transactions, %d conflicts", commits, conflicts)
		}
	})
}

// A02: stored objects as arguments, what a reader sees, and several objects in one commit [TW-3 to TW-8].
func TestCallsOnStoredObjects(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		w := callWorker(c)
		ctx := within(t)
		rdb := s.raw(t)
		counter, other := spool.NewRef[int64](s.mine("a")), spool.NewRef[int64](s.mine("b"))
		fields := spool.NewRef[map[string]string](s.mine("map"))
		must(rdb.MSet(ctx, counter.Key(), 0, other.Key(), 0).Result())(t)
		by := func(n int64) *int64 { return &n }
		add := func(p spool.Partial[int64], want int64) {
			t.Helper()
			if got := must(p.Call(ctx, w))(t); got != want {
				t.Errorf("got %d, want %d", got, want)
			}
			if got := callCount(t, rdb, counter.Key()); got != want {
				t.Errorf("stored is %d, want %d", got, want)
			}
		}
		// The reader has read 0; what others commit it sees only when it begins anew.
		err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			if n := must(counter.Load(ctx, tx))(t); n != 0 {
				t.Errorf("the reader sees %d", n)
			}
			add(callAdd.With(callAmount{Counter: counter}), 1)
			if n := must(counter.Load(ctx, tx))(t); n != 0 {
				t.Errorf("the reader sees %d before it refreshes", n)
			}
			if err := tx.Commit(ctx); err != nil {
				return err
			}
			if n := must(counter.Load(ctx, tx))(t); n != 1 {
				t.Errorf("the reader sees %d after it refreshed", n)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		add(callDec.With(callAmount{Counter: counter}), 0)
		add(callAdd.With(callAmount{counter, by(2)}), 2)
		add(callDec.With(callAmount{Counter: counter, By: by(2)}), 0)
		bound := callAdd.With(callAmount{counter, by(3)})
		add(bound, 3)
		add(callDec.With(callAmount{Counter: counter, By: by(3)}), 0)
		add(bound, 3) // a second call has the same arguments, once (TW-11)
		add(callDec.With(callAmount{Counter: counter, By: by(3)}), 0)

		both := must(callBoth.With(callPair{counter, other, 4}).Call(ctx, w))(t)
		if both != [2]int64{4, 4} {
			t.Errorf("got %v", both)
		}
		if got := must(callSet.With(callField{fields, "foo", "bar"}).Call(ctx, w))(t); got != "bar" {
			t.Errorf("got %q", got)
		}
		if got := must(rdb.HGet(ctx, fields.Key(), "foo").Result())(t); got != "bar" {
			t.Errorf("stored is %q", got)
		}
	})
}

// A02: the two counters change in one commit: no observer ever sees (4, 0).
func TestTwoObjectsChangeInOneCommit(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		w := callWorker(c)
		ctx := within(t)
		rdb := s.raw(t)
		a, b := spool.NewRef[int64](s.mine("a")), spool.NewRef[int64](s.mine("b"))
		over := make(chan struct{})
		torn := make(chan any, 1)
		go func() {
			defer close(torn)
			for seen := 0; ; seen++ {
				select {
				case <-over:
					return
				default:
				}
				pair, err := rdb.MGet(ctx, a.Key(), b.Key()).Result()
				if err != nil || pair[0] != pair[1] {
					torn <- fmt.Sprint(pair, err)
					return
				}
			}
		}()
		const rounds = 40
		work(t, w)
		for i := range int64(rounds) {
			var both [2]int64
			if i%2 == 0 {
				both = must(callBoth.With(callPair{a, b, 4}).Call(ctx, w))(t)
			} else {
				both = must(must(callBoth.Put(ctx, c, callPair{a, b, 4}))(t).Wait(ctx))(t)
			}
			if want := 4 * (i + 1); both != [2]int64{want, want} {
				t.Errorf("got %v, want %d", both, want)
			}
		}
		close(over)
		if seen, ok := <-torn; ok {
			t.Errorf("an observer saw %v", seen)
		}
	})
}

// callParty is another one who commits. Whoever it is, the conflict is the same.
var callParties = map[string]func(t *testing.T, s *server, c *spool.Client) func(key string, value int64) error{
	"plain command": func(t *testing.T, s *server, c *spool.Client) func(string, int64) error {
		rdb := s.raw(t)
		return func(key string, value int64) error { return rdb.Set(context.Background(), key, value, 0).Err() }
	},
	"same client": func(t *testing.T, s *server, c *spool.Client) func(string, int64) error {
		return func(key string, value int64) error { return callStore(c, key, value) }
	},
	"other client": func(t *testing.T, s *server, c *spool.Client) func(string, int64) error {
		other := s.client(t)
		return func(key string, value int64) error { return callStore(other, key, value) }
	},
}

// callStore reads, then writes.
func callStore(c *spool.Client, key string, value int64) error {
	return c.Transact(context.Background(), func(ctx context.Context, tx *spool.Tx) error {
		ref := spool.NewRef[int64](key)
		if _, err := ref.Load(ctx, tx); err != nil && !errors.Is(err, spool.ErrNotFound) {
			return err
		}
		return ref.Store(ctx, tx, value)
	})
}

// A03: one conflict, its attempts observed from outside [TW-12].
func TestOneConflict(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for name, party := range callParties {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				c := s.client(t)
				set := party(t, s, c)
				ctx := within(t)
				rdb := s.raw(t)
				counter := spool.NewRef[int64](s.mine("n-" + strings.ReplaceAll(name, " ", "-")))
				must(rdb.Set(ctx, counter.Key(), 0, 0).Result())(t)
				attempts, release := make(chan *spool.Tx), make(chan struct{})
				done := make(chan error, 1)
				go func() {
					done <- c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
						if _, err := callChange(ctx, tx, counter, 1); err != nil {
							return err
						}
						attempts <- tx
						<-release
						return nil
					})
				}()
				first := <-attempts
				if n := first.Attempts(); n != 1 {
					t.Errorf("inside the first attempt Attempts is %d", n)
				}
				if err := set(counter.Key(), 5); err != nil {
					t.Fatal(err)
				}
				release <- struct{}{}
				second := <-attempts
				if n, m := first.Attempts(), second.Attempts(); n != 2 || m != 2 {
					t.Errorf("inside the second attempt Attempts is %d and %d", n, m)
				}
				if n := callCount(t, rdb, counter.Key()); n != 5 {
					t.Errorf("before the second attempt is released the count reads %d", n)
				}
				release <- struct{}{}
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				if n := second.Attempts(); n != 2 {
					t.Errorf("afterwards Attempts is %d", n)
				}
				if n := callCount(t, rdb, counter.Key()); n != 6 {
					t.Errorf("the count is %d", n)
				}
				if _, conflicts := c.Transactions(); conflicts != 1 {
					t.Errorf("%d conflicts were counted", conflicts)
				}
			})
		}
	})
}

// A04: the limits 5, 10 and none [TW-13 to TW-16].
func TestConflictLimits(t *testing.T) {
	for _, x := range []struct {
		name             string
		policy           retry.Policy
		collide          int64
		attempts, result int64 // result -1: the conflict
	}{
		{"default", retry.Policy{}, 5, 5, -1},
		{"ten", retry.Policy{Conflicts: 10}, 10, 10, -1},
		{"unlimited", retry.Policy{Conflicts: retry.Unlimited}, 50, 51, 50},
		{"four of five", retry.Policy{}, 4, 5, 4},
		{"never", retry.Never(), 1, 1, -1},
	} {
		t.Run(strings.ReplaceAll(x.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, s *server) {
				for name, party := range callParties {
					t.Run(name, func(t *testing.T) {
						c := s.client(t)
						set := party(t, s, c)
						ctx := within(t)
						rdb := s.raw(t)
						counter := spool.NewRef[int64](s.mine("n-" + strings.ReplaceAll(name, " ", "-")))
						must(rdb.Set(ctx, counter.Key(), -1, 0).Result())(t)
						var calls, result, seen int64
						start := time.Now()
						err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) (err error) {
							calls++
							seen = int64(tx.Attempts())
							if result, err = callChange(ctx, tx, counter, 1); err == nil && calls <= x.collide {
								err = set(counter.Key(), calls-1)
							}
							return err
						}, spool.TxConfig{Retry: x.policy})
						if calls != x.attempts || seen != x.attempts {
							t.Errorf("%d calls, Attempts %d; want %d", calls, seen, x.attempts)
						}
						stored := callCount(t, rdb, counter.Key())
						if x.result < 0 {
							if !errors.Is(err, spool.ErrConflict) {
								t.Errorf("the error is %v", err)
							}
							if stored != x.collide-1 {
								t.Errorf("the count is %d", stored)
							}
						} else if err != nil || result != x.result || stored != x.result {
							t.Errorf("%v, result %d, count %d", err, result, stored)
						}
						if _, conflicts := c.Transactions(); conflicts != x.collide {
							t.Errorf("%d conflicts were counted", conflicts)
						}
						if took := time.Since(start); took > 8*time.Second {
							t.Errorf("conflicts are run again at once; that took %v", took)
						}
					})
				}
			})
		})
	}
}

// A11: an ordinary error comes at once, from one attempt, and changes nothing [TW-24].
func TestOrdinaryErrorOnce(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		rdb := s.raw(t)
		count := s.mine("count")
		must(rdb.MSet(ctx, count, 7, s.mine("text"), "seven").Result())(t)
		own := errors.New("a string cannot be added to a number")
		for name, x := range map[string]func(ctx context.Context, tx *spool.Tx) error{
			"refused at the call": func(ctx context.Context, tx *spool.Tx) error {
				return tx.Do(ctx, "INCRBY", count, "seven").Err()
			},
			"refused at the commit": func(ctx context.Context, tx *spool.Tx) error {
				return tx.Do(ctx, "INCRBY", s.mine("text"), 1).Err()
			},
			"of the function": func(ctx context.Context, tx *spool.Tx) error { return own },
			"wrong type": func(ctx context.Context, tx *spool.Tx) error {
				return tx.Do(ctx, "HGET", count, "f").Err()
			},
			"of no table": func(ctx context.Context, tx *spool.Tx) error { return tx.Do(ctx, "SPOP", count).Err() },
			"not found": func(ctx context.Context, tx *spool.Tx) error {
				_, err := spool.NewRef[string](s.mine("nothing")).Load(ctx, tx)
				return err
			},
			"a read of what was written": func(ctx context.Context, tx *spool.Tx) error {
				if err := tx.Do(ctx, "RPUSH", s.mine("list"), "x").Err(); err != nil {
					return err
				}
				return tx.Do(ctx, "LLEN", s.mine("list")).Err()
			},
			"a wrapped one": func(ctx context.Context, tx *spool.Tx) error { return fmt.Errorf("adding: %w", own) },
		} {
			var attempts atomic.Int32
			err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
				attempts.Store(int32(tx.Attempts()))
				if err := tx.Do(ctx, "INCRBY", count, 1).Err(); err != nil {
					return err
				}
				return x(ctx, tx)
			})
			if err == nil || errors.Is(err, spool.ErrConflict) || attempts.Load() != 1 {
				t.Errorf("%s: %v after %d attempts", name, err, attempts.Load())
			}
			if name == "a read of what was written" && !errors.Is(err, spool.ErrReadAfterWrite) {
				t.Errorf("%s: %v", name, err)
			}
			if name == "of the function" && err != own {
				t.Errorf("%s: it came back as %v", name, err)
			}
			if n := must(rdb.Get(ctx, count).Result())(t); n != "7" {
				t.Fatalf("%s: the count is %s", name, n)
			}
		}
		if n := must(rdb.Exists(ctx, s.mine("list")).Result())(t); n != 0 {
			t.Error("the list was written")
		}
		if used, _, _ := c.Connections(); used != 0 {
			t.Errorf("%d connections are in use", used)
		}
		// Of a job the failure has type, message and frames, and holds only text.
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		bad := spool.NewTask[string, int64]("call.bad")
		bad.HandleTx(w, func(ctx context.Context, tx *spool.Tx, by string) (int64, error) {
			if err := tx.Do(ctx, "INCRBY", count, 1).Err(); err != nil {
				return 0, err
			}
			_, err := strconv.ParseInt(by, 10, 64)
			return 0, err
		})
		j := must(bad.Put(ctx, c, "seven"))(t)
		must(w.Drain(ctx))(t)
		_, err := j.Wait(ctx)
		callPlainFailure(t, err, "*strconv.NumError", `parsing "seven"`)
		if n := callCount(t, rdb, count); n != 7 {
			t.Errorf("the count is %d", n)
		}
	})
}
