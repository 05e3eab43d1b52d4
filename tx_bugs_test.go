package spool_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
	"github.com/spooljobs/spool/retry"
)

// disturb lets a transaction that has read a key meet a conflict, in its first attempts.
func (s *server) disturb(t *testing.T, key string) func(tx *spool.Tx) {
	rdb := s.raw(t)
	return func(tx *spool.Tx) {
		if tx.Attempts() <= 2 {
			if err := rdb.Incr(context.Background(), key).Err(); err != nil {
				t.Error(err)
			}
		}
	}
}

// However a transactional handler ends that had the turn at a contested key, it leaves the turn to others.
func TestNoTurnIsLeftBehind(t *testing.T) {
	t.Parallel()
	oops := errors.New("oops")
	ways := map[string]func(ctx context.Context, tx *spool.Tx) error{
		"success":  func(context.Context, *spool.Tx) error { return nil },
		"error":    func(context.Context, *spool.Tx) error { return oops },
		"kept":     func(context.Context, *spool.Tx) error { return spool.KeepWrites(oops) },
		"final":    func(context.Context, *spool.Tx) error { return spool.Final(oops) },
		"snooze":   func(context.Context, *spool.Tx) error { return spool.Snooze(time.Hour) },
		"panic":    func(context.Context, *spool.Tx) error { panic(oops) },
		"goexit":   func(context.Context, *spool.Tx) error { runtime.Goexit(); return nil },
		"time-out": func(ctx context.Context, _ *spool.Tx) error { <-ctx.Done(); return ctx.Err() },
		"deaf":     func(ctx context.Context, _ *spool.Tx) error { <-ctx.Done(); return nil },
		"commit":   func(ctx context.Context, tx *spool.Tx) error { return errors.Join(tx.Commit(ctx), oops) },
		"conflict": func(context.Context, *spool.Tx) error { return spool.ErrConflict },
		"refused": func(ctx context.Context, tx *spool.Tx) error {
			return tx.Do(ctx, "INCR", tx.Queue().Tag()+"/text").Err()
		},
	}
	for _, task := range []spool.Task[string, int]{spool.NewTask[string, int]("tx.ways"), spool.NewTask[string, int]("tx.ways", spool.OnReactor())} {
		each(t, func(t *testing.T, s *server) {
			c, ctx, rdb := s.client(t, silent), within(t), s.raw(t)
			must(rdb.Set(ctx, c.Queue("default").Tag()+"/text", "no number", time.Minute).Result())(t)
			w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 3}))
			touch := s.disturb(t, s.mine("n"))
			var turns atomic.Int64
			task.HandleTx(w, func(ctx context.Context, tx *spool.Tx, how string) (int, error) {
				if err := tx.Do(ctx, "GET", s.mine("n")).Err(); err != nil {
					return 0, err
				}
				if err := tx.Do(ctx, "SET", s.mine("other"), how).Err(); err != nil {
					return 0, err
				}
				if touch(tx); tx.Attempts() <= 2 {
					return 0, nil
				}
				turns.Add(int64(spool.HeldTurns(c)))
				return 0, ways[how](ctx, tx)
			}, spool.TxConfig{Retry: retry.Policy{Conflicts: 4}})
			work(t, w)
			must(rdb.Set(ctx, s.mine("n"), 1, 0).Result())(t)
			for how := range ways {
				had := turns.Load()
				j := must(task.Put(ctx, c, how, spool.Timeout(100*time.Millisecond)))(t)
				if how != "snooze" {
					_, _ = j.Wait(ctx)
				} else {
					eventually(t, "it snoozes", func() bool { return must(c.Queue("default").Counts(ctx))(t).Due == 1 })
				}
				if turns.Load() == had {
					t.Errorf("%s: it had no turn", how)
				}
				eventually(t, how+" leaves its turn", func() bool { return spool.HeldTurns(c) == 0 })
			}
		})
	}
}

// A goroutine of a function waits for a turn that it is given only when the transaction has ended. It does not keep it.
func TestTurnThatComesTooLate(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		c, ctx, rdb := s.client(t, silent), within(t), s.raw(t)
		key, touch := s.mine("n"), s.disturb(t, s.mine("n"))
		must(rdb.Set(ctx, key, 1, 0).Result())(t)
		var late sync.WaitGroup
		err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			if err := tx.Do(ctx, "GET", key).Err(); err != nil {
				return err
			}
			if touch(tx); tx.Attempts() <= 2 {
				return tx.Do(ctx, "SET", s.mine("other"), 1).Err()
			}
			// This one has the turn. Another one asks for it, and ends before it comes.
			reads := make(chan bool)
			other := context.Background()
			err := c.Transact(other, func(ctx context.Context, tx *spool.Tx) error {
				late.Go(func() {
					close(reads)
					_ = tx.Do(ctx, "GET", key).Err()
				})
				<-reads
				time.Sleep(20 * time.Millisecond) // it waits by now
				return nil
			})
			return err
		}, patient)
		if err != nil {
			t.Error(err)
		}
		late.Wait()
		if n := spool.HeldTurns(c); n != 0 {
			t.Errorf("%d turns are held", n)
		}
	})
}

// What is too late is counted once for each run: also of commits that waited behind the one on the wire when the worker
// was found dead, and once where a commit in the middle is refused and the handler returns later. (See TestFencedOff.)
//
// A client is closed while a function runs: its transaction does not commit by a connection of a later date.
func TestClosedWhileAFunctionRuns(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		ctx, rdb := within(t), s.raw(t)
		for _, reads := range []bool{false, true} {
			c := must(spool.Open(ctx, "redis://"+s.addr, spool.ClientConfig{Prefix: s.prefix, Logger: quiet}))(t)
			err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
				if reads {
					if _, err := addTo(ctx, tx, credits{s.mine("n"), 1}); err != nil {
						return err
					}
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				return tx.Do(ctx, "SET", s.mine("n"), 1).Err()
			}, patient)
			if !errors.Is(err, spool.ErrClosed) {
				t.Errorf("reads %v: %v", reads, err)
			}
		}
		if rdb.Exists(ctx, s.mine("n")).Val() != 0 {
			t.Error("it has committed")
		}
	})
}

// Drain does not take a worker for idle whose only job is on its way back from a conflict, by whichever way it was found.
func TestDrainWaitsForConflicts(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		proxy, c, ctx, rdb := s.proxied(t), s.client(t), within(t), s.raw(t)
		through := s.clientAt(t, proxy.Addr(), silent)
		verb := s.verbs(t)
		for i := range 60 {
			large, key := i%2 == 0, s.mine(fmt.Sprint("n", i))
			touched := 0
			proxy.OnRequest(func(cmd []string) redistest.Action {
				if touched < 3 && (cmd[0] == "WATCH" || verb(cmd) == "commit") {
					touched++
					rdb.HIncrBy(ctx, key, "n", 100)
				}
				return redistest.Pass()
			})
			w := spool.NewWorker(through, spool.WorkerConfig{ThreadSlots: 2})
			haul.HandleTx(w, func(ctx context.Context, tx *spool.Tx, b bulk) (int64, error) {
				if large {
					return move(ctx, tx, b)
				}
				n, err := tx.Do(ctx, "HGET", b.Key, "n").Int64()
				if err != nil {
					return 0, err
				}
				return n + 1, tx.Do(ctx, "HSET", b.Key, "n", n+1).Err()
			}, patient)
			must(rdb.HSet(ctx, key, "n", 0).Result())(t)
			must(haul.Put(ctx, c, bulk{Key: key}))(t)
			if n := must(w.Drain(ctx))(t); n != 1 {
				t.Fatalf("round %d: %d jobs ran", i, n)
			}
			if got := rdb.HGet(ctx, key, "n").Val(); got != "301" {
				t.Errorf("round %d: %s", i, got)
			}
		}
	})
}

// Handlers that outrun their commits do not claim the whole queue: what waits for a commit, because it does not fit the
// next call or because Redis is full, is bounded.
func TestCommitsDoNotPileUp(t *testing.T) {
	t.Parallel()
	for _, full := range []bool{false, true} {
		t.Run(fmt.Sprint("full ", full), func(t *testing.T) {
			t.Parallel()
			fullServer(t, func(t *testing.T, s *server) {
				const n, slots = 4000, 10
				c, ctx, rdb := s.client(t, silent), within(t), s.raw(t)
				proxy := s.proxied(t)
				proxy.SetLatency(10 * time.Millisecond) // many handlers return meanwhile
				w := spool.NewWorker(s.clientAt(t, proxy.Addr(), silent), spool.WorkerConfig{ThreadSlots: slots})
				args := []any{"RPUSH", s.mine("list")}
				for range 200 {
					args = append(args, "x")
				}
				if full {
					args = args[:3]
				}
				double.HandleTx(w, func(ctx context.Context, tx *spool.Tx, n int) (int, error) {
					return n, tx.Do(ctx, args...).Err()
				})
				putCounted(t, ctx, c, double, n)
				empty := func() {}
				if full {
					empty = fill(t, rdb)
				}
				stop := work(t, w)
				most, begin := 0, time.Now()
				for done := 0; done < n/4 && time.Since(begin) < time.Second; {
					counts := must(c.Queue("default").Counts(ctx))(t)
					most, done = max(most, counts.Active), counts.Completed
				}
				empty()
				if err := stop(); err != nil {
					t.Error(err)
				}
				// A thousand may be claimed beyond the slots, and a thousand may wait for memory.
				if most > 2000+4*slots {
					t.Errorf("%d were active at a time", most)
				}
				counts := must(c.Queue("default").Counts(ctx))(t)
				if counts.Active != 0 || counts.Ready+counts.Completed != n || counts.Interrupted+counts.Failed+counts.Retried != 0 {
					t.Errorf("%+v", counts)
				}
				t.Logf("%d were active at a time", most)
			})
		})
	}
}
