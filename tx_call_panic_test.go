package spool_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/failure"
	"github.com/spooljobs/spool/retry"
)

// How a function may end but by returning nil: TW-10, TW-17, TW-23, PT-8.

// TW-10: an error that keeps the writes commits first, an ordinary one drops them.
func TestKeepWrites(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		rdb := s.raw(t)
		counter := spool.NewRef[int64](s.mine("n"))
		own := errors.New("it failed, and that is to be known")
		var steps callSteps
		for name, x := range map[string]struct {
			err, want error
			count     int64
			step      string
		}{
			"kept":                   {spool.KeepWrites(own), own, 1, "commit"},
			"kept, wrapped":          {fmt.Errorf("adding: %w", spool.KeepWrites(own)), own, 1, "commit"},
			"kept and final":         {spool.Final(spool.KeepWrites(own)), own, 1, "commit"},
			"dropped":                {own, own, 0, "abort"},
			"dropped, final":         {spool.Final(own), own, 0, "abort"},
			"nothing kept":           {spool.KeepWrites(nil), nil, 1, "commit"},
			"a kept conflict is one": {spool.KeepWrites(fmt.Errorf("%w: %w", own, spool.ErrConflict)), own, 1, "commit"},
		} {
			calls := 0
			must(rdb.Set(ctx, counter.Key(), 0, 0).Result())(t)
			err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
				calls++
				tx.OnCommit(steps.hook("commit"))
				tx.OnAbort(steps.hook("abort"))
				if _, err := callChange(ctx, tx, counter, 1); err != nil {
					return err
				}
				return x.err
			})
			if !errors.Is(err, x.want) || (err == nil) != (x.want == nil) || calls != 1 {
				t.Errorf("%s: %v after %d calls", name, err, calls)
			}
			if n := callCount(t, rdb, counter.Key()); n != x.count {
				t.Errorf("%s: the count is %d", name, n)
			}
			steps.want(t, x.step)
		}
		// It commits like any other: after a conflict it runs again, and when that was one too often nothing is kept.
		for collide, want := range map[int64]error{2: own, 5: spool.ErrConflict} {
			calls := int64(0)
			must(rdb.Set(ctx, counter.Key(), 0, 0).Result())(t)
			err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
				calls++
				if _, err := callChange(ctx, tx, counter, 1); err != nil {
					return err
				}
				if calls <= collide {
					must(rdb.Incr(ctx, counter.Key()).Result())(t)
				}
				return spool.KeepWrites(own)
			})
			n := callCount(t, rdb, counter.Key())
			if !errors.Is(err, want) || n != map[int64]int64{2: 3, 5: 5}[collide] {
				t.Errorf("after %d conflicts: %v, the count is %d", collide, err, n)
			}
		}
	})
}

// PT-8 for jobs: the writes of a failure that keeps them are there with the failure; its retry policy counts.
func TestJobKeepsWrites(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		rdb := s.raw(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		keeps := spool.NewTask[string, int64]("call.keeps", spool.Knows("test.known", errKnown))
		var steps callSteps
		keeps.HandleTx(w, func(ctx context.Context, tx *spool.Tx, how string) (int64, error) {
			tx.OnCommit(steps.hook("commit"))
			tx.OnAbort(steps.hook("abort"))
			n, err := callChange(ctx, tx, spool.NewRef[int64](s.mine(how)), 1)
			if err != nil {
				return 0, err
			}
			if _, err := double.Put(ctx, tx, 1, spool.In("follow-up")); err != nil {
				return 0, err
			}
			switch {
			case how == "keep", how == "again" && n < 3:
				return 0, spool.KeepWrites(fmt.Errorf("attempt %d: %w", n, errKnown))
			case how == "again":
				return n, nil
			}
			return 0, fmt.Errorf("no: %w", errKnown)
		})
		work(t, w)
		for how, x := range map[string]struct {
			opts  []spool.Option
			count int64
			err   error
			steps []string
		}{
			"keep":  {nil, 1, errKnown, []string{"commit"}},
			"drop":  {nil, 0, errKnown, []string{"abort"}},
			"again": {[]spool.Option{spool.Retry(5, retry.Constant(time.Millisecond))}, 3, nil, []string{"commit", "commit", "commit"}},
		} {
			j := must(keeps.Put(ctx, c, how, x.opts...))(t)
			n, err := j.Wait(ctx)
			if !errors.Is(err, x.err) || (err == nil) != (x.err == nil) || err == nil && n != x.count {
				t.Errorf("%s: got %d, %v", how, n, err)
			}
			if n := callCount(t, rdb, s.mine(how)); n != x.count {
				t.Errorf("%s: the count is %d", how, n)
			}
			eventually(t, "all hooks have run", func() bool {
				steps.mu.Lock()
				defer steps.mu.Unlock()
				return len(steps.steps) >= len(x.steps)
			})
			steps.want(t, x.steps...)
		}
		eventually(t, "the follow-ups arrive", func() bool { return must(c.Queue("follow-up").Counts(ctx))(t).Ready == 4 })
	})
}

// TW-17: a conflict that the function raises counts like one at the commit.
func TestConflictRaisedByTheFunction(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		rdb := s.raw(t)
		counter := spool.NewRef[int64](s.mine("n"))
		for raise, want := range map[int]error{0: nil, 1: nil, 4: nil, 5: spool.ErrConflict} {
			calls := 0
			must(rdb.Set(ctx, counter.Key(), 0, 0).Result())(t)
			_, before := c.Transactions()
			err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
				calls++
				if _, err := callChange(ctx, tx, counter, 1); err != nil {
					return err
				}
				if calls > raise {
					return nil
				}
				if calls%2 == 1 {
					return fmt.Errorf("seen in attempt %d: %w", calls, spool.ErrConflict)
				}
				return rdb.Incr(ctx, counter.Key()).Err() // one at the commit
			})
			_, after := c.Transactions()
			if !errors.Is(err, want) || (err == nil) != (want == nil) || calls != min(raise+1, 5) || int(after-before) != raise {
				t.Errorf("%d conflicts: %v after %d calls, %d were counted", raise, err, calls, after-before)
			}
			// TW-15: the last one is the answer.
			if raise == 5 && !strings.Contains(err.Error(), "seen in attempt 5") {
				t.Errorf("the answer is %v", err)
			}
		}
	})
}

// TW-23: a panic aborts and goes on; if it follows from reads that no longer hold it was a conflict.
func TestPanic(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		rdb := s.raw(t)
		counter := spool.NewRef[int64](s.mine("n"))
		var steps callSteps
		type odd struct{ n int }
		for name, x := range map[string]struct {
			value any
			stale bool
			calls int
		}{
			"text":                    {"oh no", false, 1},
			"a struct":                {odd{3}, false, 1},
			"an error":                {errKnown, false, 1},
			"a conflict is no error":  {spool.ErrConflict, false, 1},
			"stale":                   {"oh no", true, 2},
			"stale, an error":         {errKnown, true, 2},
			"kept writes in a panic":  {spool.KeepWrites(errKnown), false, 1},
			"disconnected in a panic": {spool.ErrDisconnected, false, 1},
		} {
			calls := 0
			must(rdb.Set(ctx, counter.Key(), 0, 0).Result())(t)
			var recovered any
			var err error
			func() {
				defer func() { recovered = recover() }()
				err = c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
					calls++
					tx.OnCommit(steps.hook("commit"))
					tx.OnAbort(steps.hook("abort"))
					if _, err := callChange(ctx, tx, counter, 1); err != nil {
						return err
					}
					if x.stale && calls > 1 {
						return nil
					}
					if x.stale {
						must(rdb.Set(ctx, counter.Key(), 10, 0).Result())(t)
					}
					panic(x.value)
				})
			}()
			n := callCount(t, rdb, counter.Key())
			if x.stale {
				steps.want(t, "abort", "commit")
				if recovered != nil || err != nil || n != 11 {
					t.Errorf("%s: recovered %v, %v, the count is %d", name, recovered, err, n)
				}
			} else {
				steps.want(t, "abort")
				if recovered != x.value || n != 0 {
					t.Errorf("%s: recovered %v, the count is %d", name, recovered, n)
				}
			}
			if calls != x.calls {
				t.Errorf("%s: %d calls", name, calls)
			}
		}
	})
}

// Whoever ends the goroutine, as t.FailNow does, aborts, and leaves nothing behind that others wait for.
func TestGoexit(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		rdb := s.raw(t)
		counter := spool.NewRef[int64](s.mine("n"))
		var steps callSteps
		done := make(chan struct{})
		calls := 0
		go func() {
			defer close(done)
			_ = c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
				calls++
				tx.OnCommit(steps.hook("commit"))
				tx.OnAbort(steps.hook("abort"))
				if _, err := callChange(ctx, tx, counter, 1); err != nil {
					return err
				}
				if calls == 1 {
					return rdb.Set(ctx, counter.Key(), 10, 0).Err() // a conflict: now the key is contested
				}
				callExit()
				return nil
			})
			t.Error("it went on")
		}()
		<-done
		steps.want(t, "abort", "abort")
		start := time.Now()
		if err := callStore(c, counter.Key(), 1); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 300*time.Millisecond {
			t.Errorf("the next one waited for %v", took)
		}
		// A job that ends its goroutine fails, and its worker goes on.
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		exits := spool.NewTask[bool, int64]("call.exits")
		exits.HandleTx(w, func(ctx context.Context, tx *spool.Tx, exit bool) (int64, error) {
			n, err := callChange(ctx, tx, counter, 1)
			if exit && err == nil {
				callExit()
			}
			return n, err
		})
		work(t, w)
		_, err := must(exits.Put(ctx, c, true))(t).Wait(ctx)
		if err == nil || !strings.Contains(err.Error(), "Goexit") {
			t.Errorf("got %v", err)
		}
		if n := must(must(exits.Put(ctx, c, false))(t).Wait(ctx))(t); n != 2 {
			t.Errorf("got %d", n)
		}
	})
}

// A panic of a job's handler drops its writes and fails the job; the failure says where.
func TestPanicOfAJob(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		rdb := s.raw(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		counter := spool.NewRef[int64](s.mine("n"))
		panics := spool.NewTask[bool, int64]("call.panics")
		panics.HandleTx(w, func(ctx context.Context, tx *spool.Tx, stale bool) (int64, error) {
			n, err := callChange(ctx, tx, counter, 1)
			switch {
			case err != nil:
				return 0, err
			case tx.Attempts() > 1:
				return n, nil
			case stale:
				must(rdb.Set(ctx, counter.Key(), 10, 0).Result())(t)
			}
			panic("oh no")
		})
		work(t, w)
		_, err := must(panics.Put(ctx, c, false))(t).Wait(ctx)
		var f *failure.Failure
		if !errors.As(err, &f) || !f.Panic || f.Message != "oh no" || len(f.Frames) == 0 {
			t.Errorf("got %#v", err)
		}
		if n := callCount(t, rdb, counter.Key()); n != 0 {
			t.Errorf("the count is %d", n)
		}
		if n := must(must(panics.Put(ctx, c, true))(t).Wait(ctx))(t); n != 11 {
			t.Errorf("got %d", n)
		}
	})
}
