package spool_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
)

// G12: workers shut down one after the other, each with reads, handlers and commits under way. Nothing is lost, nothing
// is doubled, and of what has committed every hook has run.
func TestShutdownWhileCommitsFly(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		const n, rounds = 400, 6
		proxy, chance, straight, ctx, rdb := s.proxied(t), seeded(t), s.client(t), within(t), s.raw(t)
		var ps []spool.Partial[int64]
		for i := range n {
			ps = append(ps, deeds.With(deed{s.mine(fmt.Sprint("n", i%16)), s.mine("ledger"), "", i}))
		}
		results := must(spool.PutMany(ctx, straight, ps))(t)
		proxy.SetLatency(3 * time.Millisecond)
		var committed, aborted, attempts atomic.Int64
		for round := range rounds {
			c := s.clientAt(t, proxy.Addr(), silent)
			w := spool.NewWorker(c, spool.WorkerConfig{ThreadSlots: 6, Beat: 100 * time.Millisecond, DeadAfter: 30 * time.Second})
			deeds.HandleTx(w, func(ctx context.Context, tx *spool.Tx, d deed) (int64, error) {
				attempts.Add(1)
				tx.OnCommit(func(context.Context) { committed.Add(1) })
				tx.OnAbort(func(context.Context) { aborted.Add(1) })
				return do(ctx, tx, d, func(deed) {})
			})
			if round == rounds-1 {
				must(w.Drain(ctx))(t)
				break
			}
			running, stop := context.WithTimeout(ctx, time.Duration(20+chance.IntN(40))*time.Millisecond)
			if err := w.Run(running); err != nil {
				t.Errorf("round %d: %v", round, err)
			}
			stop()
			done, _ := c.Transactions()
			if n := must(straight.Queue("default").Counts(ctx))(t); n.Active != 0 || n.Workers != 0 {
				t.Errorf("after round %d, with %d commits: %+v", round, done, n)
			}
		}
		for i, r := range results {
			if _, err := r.Job.Wait(ctx); err != nil {
				t.Fatalf("job %d: %v", i, err)
			}
		}
		sum := 0
		for i := range 16 {
			sum += must(strconv.Atoi(rdb.Get(ctx, s.mine(fmt.Sprint("n", i))).Val()))(t)
		}
		if entries := must(rdb.HLen(ctx, s.mine("ledger")).Result())(t); sum != n || entries != n {
			t.Errorf("%d counted and %d in the ledger after %d jobs", sum, entries, n)
		}
		counts := must(straight.Queue("default").Counts(ctx))(t)
		if counts.Succeeded != n || counts.Failed+counts.Retried+counts.Interrupted+counts.Refused != 0 {
			t.Errorf("%+v", counts)
		}
		if committed.Load() != n || committed.Load()+aborted.Load() != attempts.Load() {
			t.Errorf("%d attempts, %d commits and %d aborts were told of", attempts.Load(), committed.Load(), aborted.Load())
		}
		t.Logf("%d attempts", attempts.Load())
	})
}

// A commit is on the wire when the shutdown begins, and what it has read changes. The job is given back, uncounted, its
// abort hook runs, and Run returns without an error.
func TestConflictAtShutdownIsGivenBack(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		proxy, straight, ctx, rdb := s.proxied(t), s.client(t), within(t), s.raw(t)
		ice := freezer(t, s, proxy)
		ice.when("commit", false)
		f, w := newFenced(), spool.NewWorker(s.clientAt(t, proxy.Addr()), mortal("ends"))
		f.handle(w)
		running, cancel := context.WithCancel(ctx)
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- w.Run(running) }()
		must(credit.Put(ctx, straight, credits{s.mine("n"), 1}))(t)
		recv(t, "the commit is on the wire", ice.froze)
		must(rdb.Set(ctx, s.mine("n"), 10, 0).Result())(t)
		cancel()
		ice.thaw()
		if err := recv(t, "the end of Run", ended); err != nil {
			t.Error(err)
		}
		// It may have had the time for another attempt before the shutdown was noticed.
		if f.committed.Load()+f.aborted.Load() != int64(len(f.began)) || f.aborted.Load() == 0 {
			t.Errorf("%d attempts, %d commits and %d aborts were told of", len(f.began), f.committed.Load(), f.aborted.Load())
		}
		n := must(straight.Queue("default").Counts(ctx))(t)
		if int64(n.Ready)+f.committed.Load() != 1 || n.Active+n.Workers != 0 || n.Failed+n.Retried+n.Interrupted+n.Refused != 0 {
			t.Errorf("%+v", n)
		}
		next, w := newFenced(), spool.NewWorker(straight, spool.WorkerConfig{})
		next.handle(w)
		must(w.Drain(ctx))(t)
		if got := rdb.Get(ctx, s.mine("n")).Val(); got != "11" || f.committed.Load()+next.committed.Load() != 1 {
			t.Errorf("%q after %d commits", got, f.committed.Load()+next.committed.Load())
		}
	})
}

// A run comes back from a conflict and finds no slot, since there are fewer now. It is given back for others, and its
// abort hook has run.
func TestConflictWithoutASlotIsGivenBack(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		proxy, straight, ctx, rdb := s.proxied(t), s.client(t), within(t), s.raw(t)
		ice := freezer(t, s, proxy)
		c := s.clientAt(t, proxy.Addr())
		w := spool.NewWorker(c, spool.WorkerConfig{ThreadSlots: 2, Beat: time.Second, DeadAfter: 30 * time.Second})
		began, first := make(chan string, 9), make(chan struct{})
		var committed, aborted atomic.Int64
		credit.HandleTx(w, func(ctx context.Context, tx *spool.Tx, args credits) (int64, error) {
			tx.OnCommit(func(context.Context) { committed.Add(1) })
			tx.OnAbort(func(context.Context) { aborted.Add(1) })
			n, err := addTo(ctx, tx, args)
			began <- args.Key
			if tx.Attempts() == 1 {
				<-first
			} else {
				<-spool.Running(ctx).Stopping()
			}
			return n, err
		})
		stop := work(t, w)
		for _, key := range []string{"a", "b"} {
			must(credit.Put(ctx, straight, credits{s.mine(key), 1}))(t)
			recv(t, "both begin", began)
		}
		ice.when("commit", false)
		close(first)
		recv(t, "a commit is on the wire", ice.froze)
		must(rdb.MSet(ctx, s.mine("a"), 10, s.mine("b"), 10).Result())(t)
		if err := w.Resize(spool.Thread, 1); err != nil {
			t.Fatal(err)
		}
		ice.thaw()
		eventually(t, "one is given back", func() bool { return must(straight.Queue("default").Counts(ctx))(t).Ready == 1 })
		eventually(t, "both were told of the abort", func() bool { return aborted.Load() == 2 })
		if err := stop(); err != nil {
			t.Error(err)
		}
		if a, b := rdb.Get(ctx, s.mine("a")).Val(), rdb.Get(ctx, s.mine("b")).Val(); a+b != "1011" && a+b != "1110" || committed.Load() != 1 || aborted.Load() != 2 {
			t.Errorf("%s and %s; %d commits and %d aborts were told of", a, b, committed.Load(), aborted.Load())
		}
		if n := must(straight.Queue("default").Counts(ctx))(t); n.Ready != 1 || n.Active+n.Workers != 0 || n.Failed+n.Retried+n.Interrupted != 0 {
			t.Errorf("%+v", n)
		}
	})
}

var errands = spool.NewTask[string, int]("tx.errands")

// runErrands adds to a counter in three parts, with a checkpoint behind each.
func runErrands(ctx context.Context, tx *spool.Tx, key string, at func(part int)) (int, error) {
	part := 0
	if _, err := tx.Resume(ctx, &part); err != nil {
		return 0, err
	}
	for part < 3 {
		if err := tx.Do(ctx, "INCRBY", key, 1).Err(); err != nil {
			return 0, err
		}
		part++
		at(part)
		if err := tx.Checkpoint(ctx, part); err != nil {
			return 0, err
		}
	}
	return part, nil
}

// The worker shuts down while a checkpoint is on the wire. Its job is given back behind it, and goes on from there
// elsewhere.
func TestShutdownInACheckpoint(t *testing.T) {
	t.Parallel()
	for what, reply := range map[string]bool{"request": false, "reply": true} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			realServer(t, func(t *testing.T, s *server) {
				proxy, straight, ctx, rdb := s.proxied(t), s.client(t), within(t), s.raw(t)
				ice := freezer(t, s, proxy)
				w := spool.NewWorker(s.clientAt(t, proxy.Addr()), spool.WorkerConfig{ShutdownGrace: -1, Beat: time.Second, DeadAfter: 30 * time.Second})
				errands.HandleTx(w, func(ctx context.Context, tx *spool.Tx, key string) (int, error) {
					return runErrands(ctx, tx, key, func(part int) {
						if part == 2 {
							ice.when("commit", reply)
						}
					})
				})
				running, cancel := context.WithCancel(ctx)
				defer cancel()
				ended := make(chan error, 1)
				go func() { ended <- w.Run(running) }()
				j := must(errands.Put(ctx, straight, s.mine("n")))(t)
				recv(t, "the checkpoint is on the wire", ice.froze)
				cancel()
				time.Sleep(1200 * time.Millisecond) // longer than handlers are given to heed the end of their context
				ice.thaw()
				recv(t, "the end of Run", ended) // it may name the handler
				next := spool.NewWorker(straight, spool.WorkerConfig{})
				parts := 0
				errands.HandleTx(next, func(ctx context.Context, tx *spool.Tx, key string) (int, error) {
					return runErrands(ctx, tx, key, func(int) { parts++ })
				})
				must(next.Drain(ctx))(t)
				if got := must(j.Wait(ctx))(t); got != 3 || parts != 1 {
					t.Errorf("%d, %d parts were done elsewhere", got, parts)
				}
				if got := rdb.Get(ctx, s.mine("n")).Val(); got != "3" {
					t.Errorf("%q after three parts", got)
				}
				if n := must(straight.Queue("default").Counts(ctx))(t); n.Failed+n.Retried+n.Interrupted != 0 || n.Succeeded != 1 {
					t.Errorf("%+v", n)
				}
			})
		})
	}
}

// Redis is away for good while a worker shuts down with a checkpoint and a commit to be delivered. Run says so; no
// handler waits for ever, no turn is kept; and others do the jobs, each part once.
func TestShutdownWithoutRedis(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		proxy, straight, ctx, rdb := s.proxied(t), s.client(t), within(t), s.raw(t)
		c := s.clientAt(t, proxy.Addr(), silent)
		cfg := mortal("cut off")
		cfg.ShutdownGrace = -1
		w := spool.NewWorker(c, cfg)
		returned, ready, down := make(chan error, 1), make(chan bool, 2), make(chan struct{})
		errands.HandleTx(w, func(ctx context.Context, tx *spool.Tx, key string) (int, error) {
			n, err := runErrands(ctx, tx, key, func(part int) {
				if part == 2 {
					ready <- true
					<-down
				}
			})
			returned <- err
			return n, err
		})
		credit.HandleTx(w, func(ctx context.Context, tx *spool.Tx, args credits) (int64, error) {
			n, err := addTo(ctx, tx, args)
			ready <- true
			<-down
			return n, err
		})
		running, cancel := context.WithCancel(ctx)
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- w.Run(running) }()
		j, k := must(errands.Put(ctx, straight, s.mine("n")))(t), must(credit.Put(ctx, straight, credits{s.mine("m"), 1}))(t)
		recv(t, "a handler is at its checkpoint", ready)
		recv(t, "a handler is at its end", ready)
		proxy.Down()
		close(down)
		cancel()
		if err := recv(t, "the end of Run", ended); !errors.Is(err, spool.ErrDisconnected) {
			t.Errorf("Run: %v", err)
		}
		if err := recv(t, "the handler has returned", returned); err == nil {
			t.Error("a checkpoint that did not reach Redis returned no error")
		}
		next := spool.NewWorker(straight, mortal("new"))
		errands.HandleTx(next, func(ctx context.Context, tx *spool.Tx, key string) (int, error) {
			return runErrands(ctx, tx, key, func(int) {})
		})
		credit.HandleTx(next, addTo)
		work(t, next)
		if a, b := must(j.Wait(ctx))(t), must(k.Wait(ctx))(t); a != 3 || b != 1 {
			t.Errorf("%d, %d", a, b)
		}
		if a, b := rdb.Get(ctx, s.mine("n")).Val(), rdb.Get(ctx, s.mine("m")).Val(); a != "3" || b != "1" {
			t.Errorf("%q after three parts, %q after one", a, b)
		}
		if err := proxy.Up(); err != nil {
			t.Fatal(err)
		}
	})
}

// An engine holds the same job twice: Redis went back in time and gave it once more. The old handler goes on, deaf, and
// returns when the new one has committed, or before: its token cannot commit.
func TestOldTokenOfTheSameEngine(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"the old one", "the new one"} {
		t.Run(first+" returns first", func(t *testing.T) {
			t.Parallel()
			ownServer(t, func(t *testing.T, s *server, r *redistest.Server) {
				c, ctx, rdb := s.client(t, silent), within(t), s.raw(t)
				g := newGates()
				w := spool.NewWorker(c, spool.WorkerConfig{ThreadSlots: 3, Beat: 50 * time.Millisecond, DeadAfter: 10 * time.Second})
				g.handle(w, gated)
				var runs, committed, aborted atomic.Int64
				began := make(chan int64, 10)
				gates := []chan struct{}{make(chan struct{}), make(chan struct{})}
				causes := make(chan error, 2)
				credit.HandleTx(w, func(ctx context.Context, tx *spool.Tx, args credits) (int64, error) {
					run := runs.Add(1)
					tx.OnCommit(func(context.Context) { committed.Add(run) })
					tx.OnAbort(func(context.Context) { aborted.Add(run) })
					n, err := addTo(ctx, tx, args)
					began <- run
					<-gates[run-1]
					causes <- context.Cause(ctx)
					return n, err
				})
				stop := work(t, w)
				// As one job fills the only slot Redis takes its picture: the registration is older, the other claim is not.
				if err := w.Resize(spool.Thread, 1); err != nil {
					t.Fatal(err)
				}
				filler := must(gated.Put(ctx, c, "filler"))(t)
				await(t, "began", g.began, "filler")
				j := must(credit.Put(ctx, c, credits{s.mine("n"), 1}))(t)
				must(rdb.Save(ctx).Result())(t)
				if err := w.Resize(spool.Thread, 4); err != nil {
					t.Fatal(err)
				}
				recv(t, "the job begins", began)
				r.Kill()
				if err := r.Restart(ctx); err != nil {
					t.Fatal(err)
				}
				recv(t, "the job begins again", began)
				if first == "the old one" {
					close(gates[0])
					if cause := recv(t, "the old one ends", causes); !errors.Is(cause, spool.ErrAborted) {
						t.Errorf("its context: %v", cause)
					}
					eventually(t, "its hook runs", func() bool { return aborted.Load() == 1 })
					if rdb.Exists(ctx, s.mine("n")).Val() != 0 {
						t.Error("the old one has written")
					}
				}
				close(gates[1])
				if got := must(j.Wait(ctx))(t); got != 1 {
					t.Errorf("got %d", got)
				}
				if first != "the old one" {
					close(gates[0])
				}
				g.release("filler")
				must(filler.Wait(ctx))(t)
				if err := stop(); err != nil {
					t.Error(err)
				}
				if got := rdb.Get(ctx, s.mine("n")).Val(); got != "1" || runs.Load() != 2 || committed.Load() != 2 || aborted.Load() != 1 {
					t.Errorf("%q after %d runs; hooks %d and %d", got, runs.Load(), committed.Load(), aborted.Load())
				}
				if n := must(c.Queue("default").Counts(ctx))(t); n.Succeeded != 2 || n.Interrupted+n.Failed+n.Retried != 0 {
					t.Errorf("%+v", n)
				}
			})
		})
	}
}

// Redis goes back in time at random moments, with transactions under way. What they wrote and that they were done is
// forgotten together: each entry is counted once, and every job from before has its entry (c6, G3).
func TestTransactionsAreForgottenWhole(t *testing.T) {
	t.Parallel()
	ownServer(t, func(t *testing.T, s *server, r *redistest.Server) {
		c, ctx, rdb, chance := s.client(t, silent), within(t), s.raw(t), seeded(t)
		w := spool.NewWorker(c, spool.WorkerConfig{ThreadSlots: 4, Beat: 50 * time.Millisecond, DeadAfter: 20 * time.Second})
		deeds.HandleTx(w, func(ctx context.Context, tx *spool.Tx, d deed) (int64, error) {
			return do(ctx, tx, d, func(deed) {})
		}, patient)
		stop := work(t, w)
		over, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			for entry := 1_000_000; ; entry++ {
				select {
				case <-over:
					ended <- nil
					return
				default:
				}
				err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
					_, err := do(ctx, tx, deed{s.mine("n"), s.mine("ledger"), "", entry}, func(deed) {})
					return err
				}, patient)
				if err != nil {
					ended <- err
					return
				}
			}
		}()
		var kept []*spool.Job[int64]
		entry := 0
		put := func(n int) (jobs []*spool.Job[int64]) {
			for range n {
				entry++
				jobs = append(jobs, must(deeds.Put(ctx, c, deed{s.mine("n"), s.mine("ledger"), "", entry}))(t))
			}
			return jobs
		}
		for range 3 {
			kept = append(kept, put(100)...)
			time.Sleep(time.Duration(chance.IntN(40)) * time.Millisecond) // the moment is what is drawn
			must(rdb.Save(ctx).Result())(t)
			put(30) // forgotten, most likely
			time.Sleep(time.Duration(chance.IntN(60)) * time.Millisecond)
			r.Kill()
			if err := r.Restart(ctx); err != nil {
				t.Fatal(err)
			}
		}
		for i, j := range kept {
			if _, err := j.Wait(ctx); err != nil {
				t.Errorf("job %d: %v", i, err)
			}
		}
		close(over)
		if err := recv(t, "the plain transactions end", ended); err != nil {
			t.Error(err)
		}
		eventually(t, "everything has ended", func() bool {
			n := must(c.Queue("default").Counts(ctx))(t)
			return n.Pending()+n.Active == 0
		})
		if err := stop(); err != nil {
			t.Error(err)
		}
		ledger := must(rdb.HGetAll(ctx, s.mine("ledger")).Result())(t)
		for entry, times := range ledger {
			if times != "1" {
				t.Errorf("entry %s was made %s times", entry, times)
			}
		}
		if n := must(rdb.Get(ctx, s.mine("n")).Int())(t); n != len(ledger) || n < len(kept) {
			t.Errorf("%d counted, %d in the ledger", n, len(ledger))
		}
		for i := range kept {
			if at := strconv.Itoa(i%100 + 1 + i/100*130); ledger[at] != "1" {
				t.Errorf("entry %s of a job is missing", at)
			}
		}
	})
}
