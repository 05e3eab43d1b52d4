package spool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
	"github.com/spooljobs/spool/retry"
)

// Transactional jobs: conflicts, limits, hooks, and the reactor.

// A04 for jobs: after so many conflicts the job fails with ErrConflict, and nothing is written. None was a failed attempt.
func TestJobConflictLimits(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		ctx := within(t)
		rdb := s.raw(t)
		for _, x := range []struct {
			name     string
			policy   retry.Policy
			collide  int64
			calls    int64
			conflict bool
		}{
			{"five", retry.Policy{}, 5, 5, true},
			{"ten", retry.Policy{Conflicts: 10}, 10, 10, true},
			{"unlimited", retry.Policy{Conflicts: retry.Unlimited}, 30, 31, false},
			{"four of five", retry.Policy{}, 4, 5, false},
			{"never", retry.Never(), 1, 1, true},
		} {
			c := s.client(t)
			w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
			key := s.mine(x.name)
			must(rdb.Set(ctx, key, -1, 0).Result())(t)
			var calls int64
			var attempts []int
			var steps callSteps
			task := spool.NewTask[string, int64]("call.collides." + strings.ReplaceAll(x.name, " ", "-"))
			task.HandleTx(w, func(ctx context.Context, tx *spool.Tx, key string) (int64, error) {
				calls++
				attempts = append(attempts, spool.Running(ctx).Attempt())
				if tx.Attempts() != int(calls) {
					t.Errorf("%s: call %d has Attempts %d", x.name, calls, tx.Attempts())
				}
				tx.OnAbort(steps.hook("abort"))
				tx.OnCommit(steps.hook("commit"))
				if _, err := double.Put(ctx, tx, 1, spool.In("follow-up-"+strings.ReplaceAll(x.name, " ", "-"))); err != nil {
					return 0, err
				}
				n, err := callChange(ctx, tx, spool.NewRef[int64](key), 1)
				if err == nil && calls <= x.collide {
					err = rdb.Set(ctx, key, calls-1, 0).Err()
				}
				return n, err
			}, spool.TxConfig{Retry: x.policy})
			j := must(task.Put(ctx, c, key))(t)
			must(w.Drain(ctx))(t)
			n, err := j.Wait(ctx)
			stored := callCount(t, rdb, key)
			want := slices.Repeat([]string{"abort"}, int(x.collide))
			if x.conflict {
				if !errors.Is(err, spool.ErrConflict) || stored != x.collide-1 {
					t.Errorf("%s: %v, the count is %d", x.name, err, stored)
				}
				if _, err := task.Job(s.client(t), j.ID()).Wait(ctx); !errors.Is(err, spool.ErrConflict) {
					t.Errorf("%s: to another client it is %v", x.name, err)
				}
			} else {
				want = append(want, "commit")
				if err != nil || n != x.collide || stored != x.collide {
					t.Errorf("%s: got %d, %v, the count is %d", x.name, n, err, stored)
				}
			}
			if calls != x.calls || slices.ContainsFunc(attempts, func(n int) bool { return n != 1 }) {
				t.Errorf("%s: %d calls, attempts of the job %v", x.name, calls, attempts)
			}
			eventually(t, "all hooks have run", func() bool {
				steps.mu.Lock()
				defer steps.mu.Unlock()
				return len(steps.steps) == len(want)
			})
			steps.want(t, want...)
			if _, conflicts := c.Transactions(); conflicts != x.collide {
				t.Errorf("%s: %d conflicts were counted", x.name, conflicts)
			}
			info := must(c.Queue("default").Get(ctx, j.ID()))(t)
			if info.Attempts != 1 || info.Interruptions != 0 {
				t.Errorf("%s: the job has %d attempts, %d interruptions", x.name, info.Attempts, info.Interruptions)
			}
			ready := must(c.Queue("follow-up-" + strings.ReplaceAll(x.name, " ", "-")).Counts(ctx))(t).Ready
			if x.conflict && ready != 0 {
				t.Errorf("%s: %d follow-ups", x.name, ready)
			}
		}
	})
}

// A job that ran out of conflicts has failed: its own retry policy decides whether it runs again.
func TestJobThatRanOutOfConflictsIsRetried(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		rdb := s.raw(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		key := s.mine("n")
		var attempts []int
		task := spool.NewTask[string, int64]("call.collides")
		task.HandleTx(w, func(ctx context.Context, tx *spool.Tx, key string) (int64, error) {
			attempt := spool.Running(ctx).Attempt()
			attempts = append(attempts, attempt)
			n, err := callChange(ctx, tx, spool.NewRef[int64](key), 1)
			if err == nil && attempt == 1 {
				err = rdb.Incr(ctx, key).Err()
			}
			return n, err
		}, spool.TxConfig{Retry: retry.Policy{Conflicts: 3}})
		work(t, w)
		n := must(must(task.Put(ctx, c, key, spool.Retry(3, retry.Constant(time.Millisecond))))(t).Wait(ctx))(t)
		if n != 4 || !slices.Equal(attempts, []int{1, 1, 1, 2}) {
			t.Errorf("got %d, attempts %v", n, attempts)
		}
	})
}

// The handler of a job may pass Do any context that it has, or none that ends before.
func TestTimeOutOfATransactionalJob(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		rdb := s.raw(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 2}))
		key := s.mine("n")
		var calls atomic.Int64
		task := spool.NewTask[bool, int64]("call.slow")
		task.HandleTx(w, func(ctx context.Context, tx *spool.Tx, heed bool) (int64, error) {
			calls.Add(1)
			n, err := callChange(ctx, tx, spool.NewRef[int64](key), 1)
			if err != nil {
				return 0, err
			}
			<-ctx.Done()
			if heed {
				return 0, context.Cause(ctx)
			}
			return n, nil // it is done all the same
		})
		work(t, w)
		_, err := must(task.Put(ctx, c, true, spool.Timeout(50*time.Millisecond)))(t).Wait(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || calls.Load() != 1 || callCount(t, rdb, key) != 0 {
			t.Errorf("%v after %d calls", err, calls.Load())
		}
		n, err := must(task.Put(ctx, c, false, spool.Timeout(50*time.Millisecond)))(t).Wait(ctx)
		if n != 1 || err != nil || callCount(t, rdb, key) != 1 {
			t.Errorf("got %d, %v", n, err)
		}
	})
}

// The hooks of jobs run once each, after the outcome, and may begin transactions; their panics are nobody's end.
func TestHooksOfJobs(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		rdb := s.raw(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 2, ReactorSlots: 2}))
		counter := spool.NewRef[int64](s.mine("n"))
		var steps callSteps
		for _, task := range []spool.Task[int, int64]{spool.NewTask[int, int64]("call.hooks"), spool.NewTask[int, int64]("call.hooks.r", spool.OnReactor())} {
			task.HandleTx(w, func(ctx context.Context, tx *spool.Tx, fail int) (int64, error) {
				steps.add(fmt.Sprint("f ", tx.Attempts()))
				n, err := callChange(ctx, tx, counter, 1)
				tx.OnAbort(func(context.Context) { steps.add("abort"); panic("of a hook") })
				tx.OnAbort(steps.hook("abort too"))
				tx.OnCommit(func(ctx context.Context) {
					steps.add(fmt.Sprint("commit sees ", callCount(t, rdb, counter.Key()) >= n))
					err := c.Transact(ctx, func(ctx context.Context, other *spool.Tx) error {
						if other == tx {
							t.Error("a hook joins the transaction that has ended")
						}
						_, err := callChange(ctx, other, spool.NewRef[int64](s.mine("hooks")), 1)
						return err
					})
					if err != nil {
						t.Error(err)
					}
					panic("of a hook")
				})
				tx.OnCommit(steps.hook("commit too"))
				if err == nil && fail == 1 && tx.Attempts() == 1 {
					err = rdb.Incr(ctx, counter.Key()).Err()
				}
				if fail == 2 {
					return 0, errKnown
				}
				return n, err
			})
			for fail, want := range [][]string{
				{"f 1", "commit sees true", "commit too"},
				{"f 1", "abort", "abort too", "f 2", "commit sees true", "commit too"},
				{"f 1", "abort", "abort too"},
			} {
				j := must(task.Put(ctx, c, fail))(t)
				must(w.Drain(ctx))(t)
				if _, err := j.Wait(ctx); (err != nil) != (fail == 2) {
					t.Errorf("%d: %v", fail, err)
				}
				eventually(t, "all hooks have run", func() bool {
					steps.mu.Lock()
					defer steps.mu.Unlock()
					return len(steps.steps) >= len(want)
				})
				steps.want(t, want...)
			}
		}
		if n := callCount(t, rdb, s.mine("hooks")); n != 4 {
			t.Errorf("hooks have committed %d transactions", n)
		}
	})
}

// Reactor handlers take turns; while one reads, or its commit is on its way, the loop goes on with the others.
func TestReactorGoesOnWhileATransactionWaits(t *testing.T) {
	for _, phase := range []string{"read", "commit"} {
		t.Run(phase, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, s *server) {
				proxy := s.proxied(t)
				c := s.clientAt(t, proxy.Addr())
				ctx := within(t)
				w := spool.NewWorker(c, fast(spool.WorkerConfig{ReactorSlots: 8}))
				slow := spool.NewTask[string, int64]("call.reactor.slow", spool.OnReactor())
				quick := spool.NewTask[int, int]("call.reactor.quick", spool.OnReactor())
				ran, let := make(chan int, 10), make(chan struct{})
				loop := 0 // only the loop touches it: the race detector looks
				slow.HandleTx(w, func(ctx context.Context, tx *spool.Tx, key string) (int64, error) {
					loop++
					n, err := callChange(ctx, tx, spool.NewRef[int64](key), 1)
					loop++
					tx.OnCommit(func(context.Context) { loop++ })
					return n, err
				})
				quick.Handle(w, func(ctx context.Context, n int) (int, error) {
					// It waits until the slow one is held, then shows that the loop is free.
					_, err := spool.Await(ctx, func(ctx context.Context) (spool.None, error) {
						select {
						case <-let:
						case <-ctx.Done():
						}
						return spool.None{}, ctx.Err()
					})
					loop++
					ran <- n
					return n, err
				})
				// The scripts are sent by name only where the server knows them.
				if err := callStore(c, s.mine("n"), 0); err != nil {
					t.Fatal(err)
				}
				warm := spool.NewWorker(c, fast(spool.WorkerConfig{}))
				credit.HandleTx(warm, addTo)
				must(credit.Put(ctx, c, credits{s.mine("warm"), 1}))(t)
				must(warm.Drain(ctx))(t)
				sha := callStrictSHA(t, phase)
				release, held := make(chan struct{}), make(chan struct{})
				var once sync.Once
				hold := func(cmd []string) redistest.Action {
					if len(cmd) > 1 && cmd[1] == sha {
						once.Do(func() { close(held) })
						return redistest.Hold(release)
					}
					return redistest.Pass()
				}
				var jobs []*spool.Job[int]
				for n := range 5 {
					jobs = append(jobs, must(quick.Put(ctx, c, n))(t))
				}
				j := must(slow.Put(ctx, c, s.mine("n")))(t)
				proxy.OnRequest(hold)
				work(t, w)
				select {
				case <-held:
				case <-ctx.Done():
					t.Fatal("nothing was held")
				}
				close(let)
				for range 5 {
					select {
					case <-ran:
					case <-ctx.Done():
						t.Fatal("the loop stands still")
					}
				}
				close(release)
				if n := must(j.Wait(ctx))(t); n != 1 {
					t.Errorf("got %d", n)
				}
				for _, j := range jobs {
					must(j.Wait(ctx))(t)
				}
			})
		})
	}
}

// Reactor handlers share memory without locks also where they read, conflict and commit.
func TestReactorTransactionsAreAloneBetweenWaits(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		rdb := s.raw(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ReactorSlots: 50}))
		shared := map[string]int{} // no lock: only the loop touches it
		task := spool.NewTask[int, int64]("call.reactor.shared", spool.OnReactor())
		const jobs, keys = 150, 3
		task.HandleTx(w, func(ctx context.Context, tx *spool.Tx, i int) (int64, error) {
			shared["begun"]++
			n, err := callChange(ctx, tx, spool.NewRef[int64](s.mine(fmt.Sprint("n", i%keys))), 1)
			shared["read"]++
			tx.OnCommit(func(context.Context) { shared["commit"]++ })
			tx.OnAbort(func(context.Context) { shared["abort"]++ })
			return n, err
		}, spool.TxConfig{Retry: retry.Forever()})
		var ps []spool.Partial[int64]
		for i := range jobs {
			ps = append(ps, task.With(i))
		}
		must(spool.PutMany(ctx, c, ps))(t)
		must(w.Drain(ctx))(t)
		sum := int64(0)
		for i := range keys {
			sum += callCount(t, rdb, s.mine(fmt.Sprint("n", i)))
		}
		if sum != jobs || shared["commit"] != jobs || shared["begun"] != jobs+shared["abort"] || shared["read"] != shared["begun"] {
			t.Errorf("the sum is %d, %v", sum, shared)
		}
	})
}
