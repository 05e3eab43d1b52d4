package spool_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
)

// bulk is a transaction that is too large for a shared call.
type bulk struct {
	Key   string // a hash with the counter in field n; its list bears the same name and ".list"
	Bytes bool   // too large by its bytes rather than by its arguments
}

var (
	haul    = spool.NewTask[bulk, int64]("tx.haul")
	chunk   = strings.Repeat("0123456789", 12<<10)
	entries = 4 * 900
)

// move reads the counter, adds one and writes a list anew.
func move(ctx context.Context, tx *spool.Tx, b bulk) (int64, error) {
	n, err := tx.Do(ctx, "HGET", b.Key, "n").Int64()
	if err != nil && !errors.Is(err, redis.Nil) {
		return 0, err
	}
	if err := tx.Do(ctx, "DEL", b.Key+".list").Err(); err != nil {
		return 0, err
	}
	if b.Bytes {
		for i := range 10 {
			if err := tx.Do(ctx, "RPUSH", b.Key+".list", fmt.Sprint(n+1, " ", i), chunk).Err(); err != nil {
				return 0, err
			}
		}
	} else {
		args := []any{"RPUSH", b.Key + ".list"}
		for range entries / 4 {
			args = append(args, n+1)
		}
		for range 4 {
			if err := tx.Do(ctx, args...).Err(); err != nil {
				return 0, err
			}
		}
	}
	return n + 1, tx.Do(ctx, "HSET", b.Key, "n", n+1).Err()
}

// moved checks what so many of these leave.
func moved(t *testing.T, rdb *redis.Client, b bulk, want int) {
	t.Helper()
	ctx := within(t)
	if got := must(rdb.HGet(ctx, b.Key, "n").Int())(t); got != want {
		t.Errorf("%d after %d transactions", got, want)
	}
	list := must(rdb.LRange(ctx, b.Key+".list", 0, -1).Result())(t)
	if b.Bytes && (len(list) != 20 || list[18] != fmt.Sprint(want, " ", 9)) || !b.Bytes && (len(list) != entries || list[entries-1] != fmt.Sprint(want)) {
		t.Errorf("a list of %d entries", len(list))
	}
}

// Large transactions of jobs lose each step of their own way: WATCH, the second look, EXEC, and the call that is sent
// again.
func TestLargeTransactionsLoseEachStep(t *testing.T) {
	t.Parallel()
	for _, byBytes := range []bool{false, true} {
		for what, action := range map[string]redistest.Action{"reply": redistest.DropReply(), "request": redistest.CutBefore()} {
			t.Run(fmt.Sprint(what, ", by bytes ", byBytes), func(t *testing.T) {
				t.Parallel()
				realServer(t, func(t *testing.T, s *server) {
					proxy, straight, ctx := s.proxied(t), s.client(t), within(t)
					at, rounds := &steps{verb: s.verbs(t)}, 0
					order := []string{"watch", "look", "multi", "queued commit", "exec", "commit"}
					met := map[string]int{}
					var jobs atomic.Int64
					proxy.OnRequest(func(cmd []string) redistest.Action {
						name := at.of(cmd)
						if name == "commit" && at.multi {
							name = "queued commit"
						}
						next := order[rounds%len(order)]
						if name == "exec" && next == "commit" {
							next = "exec" // what is sent again is what was lost in EXEC
						}
						if name != next || jobs.Load() == 0 {
							return redistest.Pass()
						}
						met[next]++
						if next != "exec" || order[rounds%len(order)] == "exec" {
							rounds++
							jobs.Add(-1)
						}
						at.over()
						return action
					})
					w := spool.NewWorker(s.clientAt(t, proxy.Addr(), silent), spool.WorkerConfig{Beat: 100 * time.Millisecond, DeadAfter: 30 * time.Second})
					haul.HandleTx(w, move, patient)
					work(t, w)
					b := bulk{s.mine("bulk"), byBytes}
					const n = 36
					for i := range n {
						jobs.Store(1)
						if got := must(must(haul.Put(ctx, straight, b))(t).Wait(ctx))(t); got != int64(i+1) {
							t.Errorf("job %d: %d", i, got)
						}
					}
					proxy.OnRequest(nil)
					moved(t, s.raw(t), b, n)
					for _, step := range order {
						if met[step] < n/len(order)-1 {
							t.Errorf("step %s was lost %d times", step, met[step])
						}
					}
					t.Log(met)
				})
			})
		}
	}
}

// Others write other fields of a hash that a transaction has read, all the time: here before each EXEC. That is no
// conflict, nothing runs again, and it does not starve; nor do the small jobs behind a large one.
func TestPlainLoadStarvesNoTransaction(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"transact", "job"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			realServer(t, func(t *testing.T, s *server) {
				proxy, rdb, ctx := s.proxied(t), s.raw(t), within(t)
				c, b := s.clientAt(t, proxy.Addr()), bulk{Key: s.mine("bulk")}
				execs := 0
				proxy.OnRequest(func(cmd []string) redistest.Action {
					if cmd[0] == "EXEC" {
						execs++
						rdb.HSet(ctx, b.Key, "other", execs)
					}
					return redistest.Pass()
				})
				w := spool.NewWorker(c, spool.WorkerConfig{ThreadSlots: 2})
				var runs atomic.Int64
				haul.HandleTx(w, func(ctx context.Context, tx *spool.Tx, b bulk) (int64, error) {
					runs.Add(1)
					return move(ctx, tx, b)
				})
				double.Handle(w, func(ctx context.Context, n int) (int, error) { return 2 * n, nil })
				work(t, w)
				const n = 15
				for i := range n {
					if how == "job" {
						large := must(haul.Put(ctx, c, b))(t)
						must(must(double.Put(ctx, c, 1))(t).Wait(ctx))(t)
						if got := must(large.Wait(ctx))(t); got != int64(i+1) {
							t.Errorf("job %d: %d", i, got)
						}
						continue
					}
					err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
						runs.Add(1)
						_, err := move(ctx, tx, b)
						return err
					})
					if err != nil {
						t.Errorf("transaction %d: %v", i, err)
					}
				}
				proxy.OnRequest(nil)
				moved(t, rdb, b, n)
				if _, conflicts := c.Transactions(); conflicts != 0 || runs.Load() != n {
					t.Errorf("%d conflicts, %d runs of %d: nothing that was read has changed", conflicts, runs.Load(), n)
				}
				if execs == 0 || execs > 4*n {
					t.Errorf("EXEC was sent %d times for %d transactions", execs, n)
				}
			})
		})
	}
}

// The same, but what is written is what was read, now and then: those are conflicts, whichever way they are found, and
// end well.
func TestLargeTransactionsMeetConflicts(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"transact", "job"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			realServer(t, func(t *testing.T, s *server) {
				proxy, rdb, ctx, chance := s.proxied(t), s.raw(t), within(t), seeded(t)
				straight := s.client(t)
				c, b := s.clientAt(t, proxy.Addr(), silent), bulk{Key: s.mine("bulk")}
				at, added := &steps{verb: s.verbs(t)}, int64(0)
				proxy.OnRequest(func(cmd []string) redistest.Action {
					switch at.of(cmd) {
					case "read", "watch", "look", "exec", "transact", "settle", "commit":
						switch chance.IntN(12) {
						case 0, 1:
							rdb.HSet(ctx, b.Key, "other", 1)
						case 2:
							rdb.HIncrBy(ctx, b.Key, "n", 1000)
							added += 1000
						case 3:
							at.over()
							return []redistest.Action{redistest.DropReply(), redistest.CutBefore()}[chance.IntN(2)]
						}
					}
					return redistest.Pass()
				})
				w := spool.NewWorker(c, spool.WorkerConfig{Beat: 100 * time.Millisecond, DeadAfter: 30 * time.Second})
				haul.HandleTx(w, move, patient)
				stop := work(t, w)
				const n = 30
				for i := range n {
					if how == "job" {
						must(must(haul.Put(ctx, straight, b))(t).Wait(ctx))(t)
					} else if err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
						_, err := move(ctx, tx, b)
						return err
					}, patient); err != nil {
						t.Errorf("transaction %d: %v", i, err)
					}
				}
				proxy.OnRequest(nil)
				if err := stop(); err != nil {
					t.Error(err)
				}
				if got := must(rdb.HGet(ctx, b.Key, "n").Int64())(t); got != n+added {
					t.Errorf("%d after %d transactions and %d of others", got, n, added)
				}
				commits, conflicts := c.Transactions()
				if commits != n || conflicts == 0 {
					t.Errorf("%d commits, %d conflicts", commits, conflicts)
				}
			})
		})
	}
}
