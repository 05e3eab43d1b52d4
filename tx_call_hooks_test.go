package spool_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/retry"
)

// Nested transactions, hooks, what is logged: the acceptance case D03, and DZ-1 to DZ-8.

// callSteps notes what happens, in order.
type callSteps struct {
	mu    sync.Mutex // guards steps
	steps []string
}

// hook notes a name when it is called.
func (s *callSteps) hook(name string) func(context.Context) {
	return func(context.Context) { s.add(name) }
}

func (s *callSteps) add(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps = append(s.steps, name)
}

// want looks at the steps and forgets them.
func (s *callSteps) want(t *testing.T, steps ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.steps, steps) {
		t.Errorf("steps %q, want %q", s.steps, steps)
	}
	s.steps = nil
}

// D03: f calls g, both in transactions. g joins: one commit, and then the hooks, in order.
func TestNestedTransactJoins(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		rdb := s.raw(t)
		var steps callSteps
		g := func(ctx context.Context) (n int64, err error) {
			err = c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
				steps.add("g")
				tx.OnCommit(steps.hook("commit g"))
				tx.OnAbort(steps.hook("abort g"))
				n, err = callChange(ctx, tx, spool.NewRef[int64](s.mine("n")), 1)
				return err
			}, spool.TxConfig{Retry: retry.Never(), Queue: "counts-for-nothing"})
			return n, err
		}
		f := func(ctx context.Context, fail error) (n int64, err error) {
			err = c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
				steps.add("f")
				tx.OnCommit(steps.hook("commit f"))
				tx.OnAbort(steps.hook("abort f"))
				if n, err = callChange(ctx, tx, spool.NewRef[int64](s.mine("n")), 1); err != nil {
					return err
				}
				if n, err = g(ctx); err != nil {
					return err
				}
				n++
				steps.add("rest of f")
				if stored := callCount(t, rdb, s.mine("n")); stored != 0 {
					t.Errorf("in the middle the count is %d", stored)
				}
				return fail
			})
			return n, err
		}
		own := errors.New("an error of f")
		if _, err := f(ctx, own); err != own {
			t.Errorf("got %v", err)
		}
		steps.want(t, "f", "g", "rest of f", "abort f", "abort g")
		if n := callCount(t, rdb, s.mine("n")); n != 0 {
			t.Errorf("after an error the count is %d", n)
		}
		if n, err := f(ctx, nil); n != 3 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
		steps.want(t, "f", "g", "rest of f", "commit f", "commit g")
		if commits, conflicts := c.Transactions(); commits != 1 || conflicts != 0 {
			t.Errorf("%d commits, %d conflicts", commits, conflicts)
		}
		if n, err := g(ctx); n != 3 || err != nil {
			t.Errorf("g alone: %d, %v", n, err)
		}
		steps.want(t, "g", "commit g")
		if commits, _ := c.Transactions(); commits != 2 {
			t.Errorf("%d commits", commits)
		}
	})
}

// D03: the first call conflicts, the second returns: an abort hook, one error in the log, one wait in [0, 1] s, a commit.
func TestOneTransientError(t *testing.T) {
	t.Parallel()
	for _, drawn := range []float64{0, 0.3, 1} {
		for _, whose := range []string{"of the commit", "of the function"} {
			t.Run(fmt.Sprint(drawn, " ", whose), func(t *testing.T) {
				inCallBubble(t, func(t *testing.T, n *callNet) {
					log := &callLog{}
					c, closed := n.client(t, func(cfg *spool.ClientConfig) { cfg.Logger = callLogger(log) })
					defer closed()
					var steps callSteps
					value := int64(0)
					r := callGo(t.Context(), c, func(ctx context.Context, tx *spool.Tx) (err error) {
						steps.add("f")
						tx.OnCommit(steps.hook("commit"))
						tx.OnAbort(steps.hook("abort"))
						if value, err = callChange(ctx, tx, spool.NewRef[int64]("n"), 1); err != nil || tx.Attempts() > 1 {
							return err
						}
						if whose == "of the function" {
							return fmt.Errorf("seen by the function: %w", spool.ErrConflict)
						}
						return n.b.mini.Set("n", "5")
					}, spool.TxConfig{Retry: retry.PatientFrom(func() float64 { return drawn }), Who: "ada", What: "adds one"})
					wait := time.Duration((1 - drawn) * float64(time.Second)) // what is drawn is taken off
					synctest.Wait()
					if wait > 0 {
						time.Sleep(wait - 3*time.Millisecond)
						synctest.Wait()
						steps.want(t, "f", "abort")
					} else {
						steps.want(t, "f", "abort", "f", "commit")
					}
					<-r.done
					if wait > 0 {
						steps.want(t, "f", "commit")
					}
					took := time.Since(r.began)
					if r.err != nil || took < wait-2*time.Millisecond || took > time.Second {
						t.Errorf("%v after %v", r.err, took)
					}
					if want := map[string]int64{"of the commit": 6, "of the function": 1}[whose]; value != want {
						t.Errorf("value %d", value)
					}
					entries := log.retries()
					if len(entries) != 1 {
						t.Fatalf("%d entries in the log", len(entries))
					}
					e := entries[0]
					if e.level != slog.LevelError || e.attrs["who"].String() != "ada" || e.attrs["what"].String() != "adds one" || !strings.Contains(e.attrs["err"].String(), "conflict") {
						t.Errorf("logged is %+v", e)
					}
				})
			})
		}
	}
}

// The last conflict is raised after three retries, with waits that grow [DZ-4, DZ-5].
func TestPatienceEnds(t *testing.T) {
	t.Parallel()
	inCallBubble(t, func(t *testing.T, n *callNet) {
		c, closed := n.client(t)
		defer closed()
		debugged := 0
		r := callGo(t.Context(), c, func(ctx context.Context, tx *spool.Tx) error {
			if _, err := callChange(ctx, tx, spool.NewRef[int64]("n"), 1); err != nil {
				return err
			}
			return n.b.mini.Set("n", fmt.Sprint(10*tx.Attempts()))
		}, spool.TxConfig{Retry: retry.PatientFrom(func() float64 { return 0.5 }), Debug: func(context.Context, *spool.Tx, error) { debugged++ }})
		<-r.done
		begun := r.begun()
		for i := range begun {
			begun[i] = begun[i].Round(time.Millisecond)
		}
		if want := []time.Duration{0, 500 * time.Millisecond, 1500 * time.Millisecond, 3500 * time.Millisecond}; !errors.Is(r.err, spool.ErrConflict) || !slices.Equal(begun, want) {
			t.Errorf("%v, begun at %v", r.err, begun)
		}
		if debugged != 0 {
			t.Errorf("the debug hook was called %d times", debugged)
		}
	})
}

// Each hook runs once, after the outcome is known, outside of the transaction; also where hooks begin transactions.
func TestHooksRunOnceAfterTheOutcome(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t, callConnections(1))
		ctx := within(t)
		rdb := s.raw(t)
		counter := spool.NewRef[int64](s.mine("n"))
		var steps callSteps
		var used *spool.Tx
		err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			used = tx
			attempt := tx.Attempts()
			if _, err := callChange(ctx, tx, counter, 1); err != nil {
				return err
			}
			tx.OnAbort(func(context.Context) {
				steps.add(fmt.Sprint("abort ", attempt))
				if n := callCount(t, rdb, counter.Key()); n != 10 {
					t.Errorf("in the abort hook the count is %d", n)
				}
			})
			tx.OnCommit(func(ctx context.Context) {
				steps.add(fmt.Sprint("commit ", attempt))
				if n := callCount(t, rdb, counter.Key()); n != 11 {
					t.Errorf("in the commit hook the count is %d", n)
				}
				// It is no part of the transaction, but may begin one.
				if err := tx.Do(ctx, "GET", counter.Key()).Err(); !errors.Is(err, spool.ErrBadState) {
					t.Errorf("in the hook the transaction says %v", err)
				}
				err := c.Transact(ctx, func(ctx context.Context, other *spool.Tx) error {
					if other == tx {
						t.Error("a transaction of a hook joins the one that has ended")
					}
					_, err := callChange(ctx, other, counter, 100)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
			tx.OnCommit(steps.hook("last"))
			if attempt == 1 {
				return rdb.Set(ctx, counter.Key(), 10, 0).Err()
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		steps.want(t, "abort 1", "commit 2", "last")
		if n := callCount(t, rdb, counter.Key()); n != 111 {
			t.Errorf("the count is %d", n)
		}
		if _, _, beyond := c.Connections(); beyond != 0 {
			t.Error("a hook waited for the connection of its own transaction")
		}
		for what, err := range map[string]error{
			"Do": used.Do(ctx, "GET", counter.Key()).Err(), "write": used.Do(ctx, "SET", counter.Key(), 0).Err(), "Commit": used.Commit(ctx),
		} {
			if !errors.Is(err, spool.ErrBadState) {
				t.Errorf("%s after the end: %v", what, err)
			}
		}
		if _, err := double.Put(ctx, used, 1); !errors.Is(err, spool.ErrBadState) {
			t.Errorf("Put after the end: %v", err)
		}
	})
}

// Debug is called for errors that are not transient, while the transaction can still be looked at, before it is aborted.
func TestDebugHook(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		rdb := s.raw(t)
		must(rdb.Set(ctx, s.mine("text"), "seven", 0).Result())(t)
		counter := spool.NewRef[int64](s.mine("n"))
		var steps callSteps
		cfg := spool.TxConfig{Debug: func(ctx context.Context, tx *spool.Tx, err error) {
			n, loaded := counter.Load(ctx, tx)
			steps.add(fmt.Sprint("debug ", n, " ", loaded == nil, " ", err != nil))
		}}
		call := func(then func(ctx context.Context, tx *spool.Tx) error) error {
			return c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
				tx.OnAbort(steps.hook("abort"))
				if _, err := callChange(ctx, tx, counter, 7); err != nil {
					return err
				}
				return then(ctx, tx)
			}, cfg)
		}
		own := errors.New("own")
		if err := call(func(context.Context, *spool.Tx) error { return own }); err != own {
			t.Errorf("got %v", err)
		}
		steps.want(t, "debug 7 true true", "abort")
		if err := call(func(ctx context.Context, tx *spool.Tx) error { return tx.Do(ctx, "INCRBY", s.mine("text"), 1).Err() }); err == nil {
			t.Error("no error")
		}
		steps.want(t, "debug 7 true true", "abort")
		func() {
			defer func() {
				if v := recover(); v != "oh no" {
					t.Errorf("recovered %v", v)
				}
			}()
			_ = call(func(context.Context, *spool.Tx) error { panic("oh no") })
		}()
		steps.want(t, "debug 7 true true", "abort")
		if err := call(func(ctx context.Context, tx *spool.Tx) error { return spool.ErrConflict }); !errors.Is(err, spool.ErrConflict) {
			t.Errorf("got %v", err)
		}
		steps.want(t, "abort", "abort", "abort", "abort", "abort")
		if n := must(rdb.Exists(ctx, counter.Key()).Result())(t); n != 0 {
			t.Error("something was written")
		}
	})
}

// Commit, and go on: what was done takes effect, what follows is a transaction of its own [TW-41, DZ-7].
func TestCommitAndGoOn(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		rdb := s.raw(t)
		counter := spool.NewRef[int64](s.mine("n"))
		var steps callSteps
		calls := 0
		own := errors.New("own")
		err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			calls++
			for i := range int64(3) {
				tx.OnCommit(steps.hook(fmt.Sprint("commit ", i)))
				tx.OnAbort(steps.hook(fmt.Sprint("abort ", i)))
				if n, err := callChange(ctx, tx, counter, 1); n != 10*i+1 || err != nil {
					t.Errorf("%d: %d, %v", i, n, err)
				}
				if i == 2 {
					return own
				}
				if err := tx.Commit(ctx); err != nil {
					return err
				}
				if n := callCount(t, rdb, counter.Key()); n != 10*i+1 {
					t.Errorf("after commit %d the count is %d", i, n)
				}
				if err := rdb.Set(ctx, counter.Key(), 10*(i+1), 0).Err(); err != nil { // it is read anew
					return err
				}
			}
			return nil
		})
		if err != own || calls != 1 {
			t.Errorf("%v after %d calls", err, calls)
		}
		steps.want(t, "commit 0", "commit 1", "abort 2")
		if n := callCount(t, rdb, counter.Key()); n != 20 {
			t.Errorf("the count is %d", n)
		}
		if commits, conflicts := c.Transactions(); commits != 2 || conflicts != 0 {
			t.Errorf("%d commits, %d conflicts", commits, conflicts)
		}
		// A conflict after a part has taken effect is the caller's; before, the function runs again.
		for _, early := range []bool{true, false} {
			calls = 0
			must(rdb.Set(ctx, counter.Key(), 0, 0).Result())(t)
			_, before := c.Transactions()
			err = c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
				calls++
				tx.OnAbort(steps.hook("abort"))
				if !early {
					if err := errors.Join(tx.Do(ctx, "INCRBY", s.mine("part"), 1).Err(), tx.Commit(ctx)); err != nil {
						return err
					}
					tx.OnAbort(steps.hook("abort"))
				}
				if _, err := callChange(ctx, tx, counter, 1); err != nil {
					return err
				}
				if calls == 1 {
					must(rdb.Set(ctx, counter.Key(), 5, 0).Result())(t)
				}
				return tx.Commit(ctx)
			})
			_, after := c.Transactions()
			n, part := callCount(t, rdb, counter.Key()), callCount(t, rdb, s.mine("part"))
			if early && (err != nil || calls != 2 || n != 6 || part != 0) || !early && (!errors.Is(err, spool.ErrConflict) || calls != 1 || n != 5 || part != 1) {
				t.Errorf("early %v: %v after %d calls, the count is %d, the part %d", early, err, calls, n, part)
			}
			steps.want(t, "abort")
			if after-before != 1 {
				t.Errorf("one conflict was counted %d times", after-before)
			}
		}
	})
}

// The audit stream has one entry for each commit that writes, and none for others [DZ-8].
func TestAuditStream(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		rdb := s.raw(t)
		stream := s.mine("audit")
		counter := spool.NewRef[int64](s.mine("n"))
		cfg := spool.TxConfig{Who: "ada", What: "adds one", Audit: stream}
		entries := func() (found []string) {
			for _, m := range must(rdb.XRange(ctx, stream, "-", "+").Result())(t) {
				found = append(found, fmt.Sprint(m.Values["who"], " ", m.Values["what"]))
			}
			rdb.Del(ctx, stream)
			return found
		}
		for name, x := range map[string]struct {
			fn   func(ctx context.Context, tx *spool.Tx) error
			want int
		}{
			"writes": {func(ctx context.Context, tx *spool.Tx) error {
				_, err := callChange(ctx, tx, counter, 1)
				return err
			}, 1},
			"conflicts": {func(ctx context.Context, tx *spool.Tx) error {
				if _, err := callChange(ctx, tx, counter, 1); err != nil || tx.Attempts() > 2 {
					return err
				}
				return rdb.Incr(ctx, counter.Key()).Err()
			}, 1},
			"fails": {func(ctx context.Context, tx *spool.Tx) error {
				_, err := callChange(ctx, tx, counter, 1)
				return errors.Join(err, errors.New("no"))
			}, 0},
			"keeps": {func(ctx context.Context, tx *spool.Tx) error {
				_, err := callChange(ctx, tx, counter, 1)
				return spool.KeepWrites(errors.Join(err, errors.New("no")))
			}, 1},
			"reads": {func(ctx context.Context, tx *spool.Tx) error {
				return tx.Do(ctx, "MGET", counter.Key(), s.mine("other")).Err()
			}, 0},
			"nothing": {func(ctx context.Context, tx *spool.Tx) error { return nil }, 0},
			"in parts": {func(ctx context.Context, tx *spool.Tx) error {
				for range 2 {
					if _, err := callChange(ctx, tx, counter, 1); err != nil {
						return err
					}
					if err := tx.Commit(ctx); err != nil {
						return err
					}
				}
				_, err := callChange(ctx, tx, counter, 1)
				return err
			}, 3},
		} {
			_ = c.Transact(ctx, x.fn, cfg)
			found := entries()
			if len(found) != x.want || slices.ContainsFunc(found, func(e string) bool { return e != "ada adds one" }) {
				t.Errorf("%s: entries %q", name, found)
			}
		}
		// Of jobs each entry names the job.
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		parts := spool.NewTask[int, int]("call.parts")
		parts.HandleTx(w, func(ctx context.Context, tx *spool.Tx, n int) (int, error) {
			for i := range n {
				if _, err := callChange(ctx, tx, counter, 1); err != nil {
					return 0, err
				}
				if i < n-1 {
					if err := tx.Checkpoint(ctx, i); err != nil {
						return 0, err
					}
				}
			}
			return n, nil
		}, cfg)
		for n := range 4 {
			j := must(parts.Put(ctx, c, n))(t)
			must(w.Drain(ctx))(t)
			must(j.Wait(ctx))(t)
			found := must(rdb.XRange(ctx, stream, "-", "+").Result())(t)
			if len(found) != n {
				t.Errorf("of %d commits %d are in the stream", n, len(found))
			}
			for _, m := range found {
				if m.Values["job"] != j.ID() || m.Values["who"] != "ada" {
					t.Errorf("an entry is %v", m.Values)
				}
			}
			rdb.Del(ctx, stream)
		}
	})
}
