package spool_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool"
)

// What a function sees: reads that repeat, no worlds that never were, no torn pairs.

// callImpossible reads two keys that are always equal. Between the reads, at the first attempt, others change both.
func callImpossible(ctx context.Context, tx *spool.Tx, rdb *redis.Client, a, b string) (first, second int64, err error) {
	if first, err = tx.Do(ctx, "GET", a).Int64(); err != nil {
		return 0, 0, err
	}
	if tx.Attempts() == 1 {
		if err := rdb.MSet(ctx, a, first+1, b, first+1).Err(); err != nil {
			return 0, 0, err
		}
	}
	second, err = tx.Do(ctx, "GET", b).Int64()
	return first, second, err
}

// A function that sees an impossible pair and fails of it is run again: that was a conflict.
func TestErrorOfAnImpossibleWorldIsAConflict(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		rdb := s.raw(t)
		a, b := s.mine("a"), s.mine("b")
		must(rdb.MSet(ctx, a, 0, b, 0).Result())(t)
		own := errors.New("the two differ, which cannot be")
		for name, fail := range map[string]func() error{
			"error": func() error { return own },
			"panic": func() error { panic(own) },
			"final": func() error { return spool.Final(own) },
		} {
			calls := 0
			_, before := c.Transactions()
			debugged := false
			err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
				calls++
				first, second, err := callImpossible(ctx, tx, rdb, a, b)
				if err == nil && first != second {
					return fail()
				}
				return err
			}, spool.TxConfig{Debug: func(context.Context, *spool.Tx, error) { debugged = true }})
			_, after := c.Transactions()
			if err != nil || calls != 2 || after-before != 1 || debugged {
				t.Errorf("%s: %v after %d calls, %d conflicts, debugged %v", name, err, calls, after-before, debugged)
			}
		}
		// What holds is an error: it comes at once, from one attempt.
		calls := 0
		err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			calls++
			if err := errors.Join(tx.Do(ctx, "GET", a).Err(), tx.Do(ctx, "GET", b).Err()); err != nil {
				return err
			}
			must(rdb.Set(ctx, s.mine("unrelated"), calls, 0).Result())(t)
			return own
		})
		if err != own || calls != 1 {
			t.Errorf("%v after %d calls", err, calls)
		}
		// Others touch what was read, and leave it as it was: the error stands.
		calls = 0
		err = c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			calls++
			old, err := tx.Do(ctx, "GET", a).Text()
			if err != nil {
				return err
			}
			must(rdb.Set(ctx, a, "else", 0).Result())(t)
			must(rdb.Set(ctx, a, old, 0).Result())(t)
			return own
		})
		if err != own || calls != 1 {
			t.Errorf("touched and put back: %v after %d calls", err, calls)
		}
	})
}

// The same for jobs, where an error, a panic, a time-out and a snooze that follow from an impossible pair count for nothing.
func TestJobInAnImpossibleWorld(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		rdb := s.raw(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 8, ReactorSlots: 8}))
		type seen struct{ First, Second, Attempts, Tries int64 }
		tasks := map[string]spool.Task[string, seen]{}
		for _, lane := range []string{"thread", "reactor"} {
			var opts []spool.TaskOption
			if lane == "reactor" {
				opts = append(opts, spool.OnReactor())
			}
			tasks[lane] = spool.NewTask[string, seen]("call.impossible."+lane, opts...)
			tasks[lane].HandleTx(w, func(ctx context.Context, tx *spool.Tx, how string) (seen, error) {
				a, b := s.mine(lane+how+"a"), s.mine(lane+how+"b")
				first, second, err := callImpossible(ctx, tx, rdb, a, b)
				if err != nil || first == second {
					return seen{first, second, int64(spool.Running(ctx).Attempt()), int64(tx.Attempts())}, err
				}
				switch how {
				case "panic":
					panic("the two differ")
				case "time-out":
					return seen{}, callUntilDone(ctx)
				case "final":
					return seen{}, spool.Final(errKnown)
				case "snooze":
					return seen{}, spool.Snooze(time.Hour)
				case "cancelled":
					return seen{}, spool.Cancelled(errKnown)
				}
				return seen{}, errKnown
			})
		}
		work(t, w)
		for lane, task := range tasks {
			for _, how := range []string{"error", "panic", "time-out", "final", "snooze", "cancelled"} {
				must(rdb.MSet(ctx, s.mine(lane+how+"a"), 7, s.mine(lane+how+"b"), 7).Result())(t)
				j := must(task.Put(ctx, c, how, spool.Timeout(150*time.Millisecond)))(t)
				if got, err := j.Wait(ctx); err != nil || got != (seen{8, 8, 1, 2}) {
					t.Errorf("%s, %s: got %+v, %v", lane, how, got, err)
				}
			}
		}
	})
}

// callUntilDone waits for the end of a context as a handler does.
func callUntilDone(ctx context.Context) error {
	_, err := spool.Await(ctx, func(ctx context.Context) (spool.None, error) {
		<-ctx.Done()
		return spool.None{}, ctx.Err()
	})
	return err
}

// A transaction that only reads never returns a torn pair, and neither does a job.
func TestReadOnlyTransactionIsNotTorn(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		rdb := s.raw(t)
		a, b := s.mine("a"), s.mine("b")
		must(rdb.MSet(ctx, a, 0, b, 0).Result())(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 4}))
		pairs := spool.NewTask[int, [2]int64]("call.pairs")
		unlimited := spool.TxConfig{}
		unlimited.Retry.Conflicts = -1
		read := func(ctx context.Context, tx *spool.Tx) (pair [2]int64, err error) {
			if pair[0], err = tx.Do(ctx, "GET", a).Int64(); err == nil {
				pair[1], err = tx.Do(ctx, "GET", b).Int64()
			}
			return pair, err
		}
		pairs.HandleTx(w, func(ctx context.Context, tx *spool.Tx, _ int) ([2]int64, error) { return read(ctx, tx) }, unlimited)
		work(t, w)
		over := make(chan struct{})
		var all sync.WaitGroup
		all.Go(func() {
			for i := 1; ; i++ {
				select {
				case <-over:
					return
				default:
				}
				if err := rdb.MSet(ctx, a, i, b, i).Err(); err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Millisecond)
			}
		})
		var readers sync.WaitGroup
		for range 3 {
			readers.Go(func() {
				for i := range 40 {
					var pair [2]int64
					err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) (err error) {
						pair, err = read(ctx, tx)
						return err
					}, unlimited)
					if err != nil || pair[0] != pair[1] {
						t.Errorf("read %v, %v", pair, err)
					}
					if i%4 == 0 {
						pair, err := must(pairs.Put(ctx, c, i))(t).Wait(ctx)
						if err != nil || pair[0] != pair[1] {
							t.Errorf("a job read %v, %v", pair, err)
						}
					}
				}
			})
		}
		readers.Wait()
		close(over)
		all.Wait()
		if _, conflicts := c.Transactions(); conflicts == 0 {
			t.Log("there was no conflict: the test has shown nothing this time")
		}
	})
}

// Reads repeat within a transaction, whatever others do, and see what the transaction has written; the rest is refused.
func TestReadsRepeat(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		rdb := s.raw(t)
		key, list := s.mine("n"), s.mine("list")
		must(rdb.Set(ctx, key, "old", 0).Result())(t)
		must(rdb.RPush(ctx, list, "x").Result())(t)
		calls := 0
		err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			calls++
			want := map[int]string{1: "old", 2: "new"}[calls]
			for range 3 {
				if got, err := tx.Do(ctx, "GET", key).Text(); got != want || err != nil {
					t.Errorf("attempt %d: read %q, %v", calls, got, err)
				}
				must(rdb.Set(ctx, key, "new", 0).Result())(t)
			}
			must(tx.Do(ctx, "SET", key, "mine").Result())(t)
			if got, err := tx.Do(ctx, "GET", key).Text(); got != "mine" || err != nil {
				t.Errorf("its own write reads %q, %v", got, err)
			}
			must(tx.Do(ctx, "LPUSH", list, "y").Result())(t)
			if err := tx.Do(ctx, "LRANGE", list, 0, -1).Err(); !errors.Is(err, spool.ErrReadAfterWrite) {
				t.Errorf("a list it has written reads %v", err)
			}
			return nil
		})
		if err != nil || calls != 2 {
			t.Errorf("%v after %d calls", err, calls)
		}
	})
}

// A nested transaction of another client is one of its own. One of the first client, further inside, joins the first.
func TestNestedTransactOfAnotherClient(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c, other := s.client(t), s.client(t)
		ctx := within(t)
		rdb := s.raw(t)
		outer, inner := spool.NewRef[int64](s.mine("outer")), spool.NewRef[int64](s.mine("inner"))
		var steps callSteps
		own := errors.New("the outer one fails")
		attempts := 0
		call := func(fail error) error {
			return c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
				attempts++
				tx.OnAbort(steps.hook("abort outer"))
				tx.OnCommit(steps.hook("commit outer"))
				if _, err := callChange(ctx, tx, outer, 1); err != nil {
					return err
				}
				err := other.Transact(ctx, func(ctx context.Context, second *spool.Tx) error {
					if second == tx {
						t.Error("it joins the transaction of another client")
					}
					second.OnCommit(steps.hook("commit inner"))
					if _, err := callChange(ctx, second, inner, 1); err != nil {
						return err
					}
					return c.Transact(ctx, func(ctx context.Context, third *spool.Tx) error {
						if third != tx {
							t.Error("it does not join the transaction of its client")
						}
						_, err := callChange(ctx, third, outer, 1)
						return err
					})
				})
				if err != nil {
					return err
				}
				if n := callCount(t, rdb, inner.Key()); n != int64(attempts) {
					t.Errorf("the inner count is %d", n)
				}
				return fail
			})
		}
		if err := call(own); err != own {
			t.Errorf("got %v", err)
		}
		steps.want(t, "commit inner", "abort outer")
		if err := call(nil); err != nil {
			t.Error(err)
		}
		steps.want(t, "commit inner", "commit outer")
		if n, m := callCount(t, rdb, outer.Key()), callCount(t, rdb, inner.Key()); n != 2 || m != 2 {
			t.Errorf("the counts are %d and %d", n, m)
		}
		if _, conflicts := c.Transactions(); conflicts != 0 {
			t.Errorf("%d conflicts", conflicts)
		}
	})
}

// Many reads, more than one call holds, are validated all the same.
func TestManyReads(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		rdb := s.raw(t)
		const fields, each = 4000, 100
		hash := s.mine("hash")
		for name, write := range map[string]bool{"reads only": false, "writes": true} {
			calls := 0
			var all []any
			for i := range fields {
				all = append(all, strconv.Itoa(i), 1)
			}
			must(rdb.HSet(ctx, hash, all...).Result())(t)
			sum := 0
			err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
				calls++
				sum = 0
				for i := 0; i < fields; i += each {
					args := []any{"HMGET", hash}
					for k := range each {
						args = append(args, i+k)
					}
					values, err := tx.Do(ctx, args...).StringSlice()
					if err != nil {
						return err
					}
					for _, v := range values {
						n, _ := strconv.Atoi(v)
						sum += n
					}
				}
				if calls == 1 {
					must(rdb.HSet(ctx, hash, strconv.Itoa(fields-2), 3).Result())(t)
				}
				if write {
					return tx.Do(ctx, "SET", s.mine("sum"), sum).Err()
				}
				return nil
			})
			if err != nil || calls != 2 || sum != fields+2 {
				t.Errorf("%s: %v after %d calls, the sum is %d", name, err, calls, sum)
			}
		}
		if n := callCount(t, rdb, s.mine("sum")); n != fields+2 {
			t.Errorf("the sum is %d", n)
		}
	})
}
