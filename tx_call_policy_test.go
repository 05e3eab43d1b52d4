package spool_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/retry"
)

// What policies make of odd errors of the commit, and how jobs wait: RP-2 to RP-4, RP-7, DZ-4, DZ-6.

// An odd error of the commit, neither conflict nor disconnect, ends a call by default; for ever it is tried again after
// 0, 1, 2 ... s [RP-3].
func TestTroubleAtTheCommit(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		policy retry.Policy
		begun  []time.Duration
	}{
		"common":  {retry.Common(), callSeconds(0)},
		"never":   {retry.Never(), callSeconds(0)},
		"forever": {retry.Forever(), callSeconds(0, 0, 1, 3, 6)},
	} {
		t.Run(name, func(t *testing.T) {
			inCallBubble(t, func(t *testing.T, n *callNet) {
				c, closed := n.client(t)
				defer closed()
				if err := callStore(c, "count", 3); err != nil {
					t.Fatal(err)
				}
				calls := 0
				r := callGo(t.Context(), c, func(ctx context.Context, tx *spool.Tx) error {
					calls++
					n.b.mini.SetError("")
					if _, err := callChange(ctx, tx, spool.NewRef[int64]("count"), 1); err != nil {
						return err
					}
					if calls < 5 {
						n.b.mini.SetError("ERR something odd")
					}
					return nil
				}, spool.TxConfig{Retry: x.policy})
				<-r.done
				n.b.mini.SetError("")
				if want := len(x.begun) == 1; (r.err != nil) != want || want && !strings.Contains(r.err.Error(), "something odd") {
					t.Errorf("got %v", r.err)
				}
				if !slices.Equal(r.begun(), x.begun) {
					t.Errorf("begun at %v", r.begun())
				}
				if got := must(n.b.mini.Get("count"))(t); got != map[bool]string{true: "3", false: "4"}[r.err != nil] {
					t.Errorf("the count is %s", got)
				}
			})
		})
	}
}

// Where Redis will not tell whether the reads hold, an error of the function is one. It is not asked for ever.
func TestErrorWhereReadsCannotBeAskedAgain(t *testing.T) {
	t.Parallel()
	inCallBubble(t, func(t *testing.T, n *callNet) {
		c, closed := n.client(t)
		defer closed()
		if err := callStore(c, "count", 3); err != nil {
			t.Fatal(err)
		}
		r := callGo(t.Context(), c, func(ctx context.Context, tx *spool.Tx) error {
			if _, err := callChange(ctx, tx, spool.NewRef[int64]("count"), 1); err != nil {
				return err
			}
			n.b.mini.SetError("NOPERM this user has no permissions")
			return errKnown
		})
		<-r.done
		n.b.mini.SetError("")
		if !errors.Is(r.err, errKnown) || time.Since(r.began) > 0 {
			t.Errorf("%v after %v", r.err, time.Since(r.began))
		}
		// If it is only away, it is asked when it is back: whether the error counts is then known.
		calls := 0
		r = callGo(t.Context(), c, func(ctx context.Context, tx *spool.Tx) error {
			calls++
			if _, err := callChange(ctx, tx, spool.NewRef[int64]("count"), 1); err != nil {
				return err
			}
			if calls == 1 {
				n.on(callOnce(callCut, "evalsha"))
			}
			return errKnown
		})
		<-r.done
		if !errors.Is(r.err, errKnown) || calls != 2 || time.Since(r.began) != 5*time.Second {
			t.Errorf("%v after %v and %d calls", r.err, time.Since(r.began), calls)
		}
	})
}

// A job waits between its attempts like a bare transaction, in its slot, with one error in the log; it is still attempt 1.
func TestJobWithPatience(t *testing.T) {
	t.Parallel()
	inCallBubble(t, func(t *testing.T, n *callNet) {
		log := &callLog{}
		c, closed := n.client(t, func(cfg *spool.ClientConfig) { cfg.Logger = callLogger(log) })
		defer closed()
		w := spool.NewWorker(c, spool.WorkerConfig{Logger: callLogger(log)})
		var steps callSteps
		debugged := 0
		credit.HandleTx(w, func(ctx context.Context, tx *spool.Tx, args credits) (int64, error) {
			steps.add(fmt.Sprint("f ", tx.Attempts(), " of ", spool.Running(ctx).Attempt()))
			tx.OnCommit(steps.hook("commit"))
			tx.OnAbort(steps.hook("abort"))
			v, err := addTo(ctx, tx, args)
			if err == nil && tx.Attempts() == 1 {
				err = n.b.mini.Set(args.Key, "5")
			}
			if args.By == 0 {
				return 0, errKnown
			}
			return v, err
		}, spool.TxConfig{Retry: retry.PatientFrom(func() float64 { return 0.5 }), Who: "ada", What: "credits",
			Debug: func(ctx context.Context, tx *spool.Tx, err error) { debugged++ }})
		cancel, done := run(w)
		j := must(credit.Put(t.Context(), c, credits{"count", 1}))(t)
		time.Sleep(400 * time.Millisecond)
		synctest.Wait()
		steps.want(t, "f 1 of 1", "abort")
		began := time.Now()
		if v := must(j.Wait(t.Context()))(t); v != 6 {
			t.Errorf("got %d", v)
		}
		if took := time.Since(began); took > 200*time.Millisecond {
			t.Errorf("it took another %v", took)
		}
		synctest.Wait()
		steps.want(t, "f 2 of 1", "commit")
		entries := log.retries()
		if len(entries) != 1 || entries[0].level != slog.LevelError || entries[0].attrs["who"].String() != "ada" || entries[0].attrs["what"].String() != "credits" {
			t.Errorf("logged is %+v", entries)
		}
		if debugged != 0 {
			t.Error("the debug hook was called for a conflict")
		}
		// An error that stands is debugged once: the first attempt failed of what no longer held.
		if _, err := must(credit.Put(t.Context(), c, credits{"other", 0}))(t).Wait(t.Context()); err == nil {
			t.Error("no error")
		}
		if debugged != 1 {
			t.Errorf("the debug hook was called %d times", debugged)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// The debug hook of a job sees what the job has read and written; its panic is nobody's end.
func TestDebugHookOfAJob(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		counter := spool.NewRef[int64](s.mine("n"))
		var steps callSteps
		var tasks []spool.Task[string, int64]
		for name, opts := range map[string][]spool.TaskOption{"thread": nil, "reactor": {spool.OnReactor()}} {
			task := spool.NewTask[string, int64]("call.debug."+name, opts...)
			tasks = append(tasks, task)
			task.HandleTx(w, func(ctx context.Context, tx *spool.Tx, how string) (int64, error) {
				tx.OnAbort(steps.hook("abort"))
				if _, err := callChange(ctx, tx, counter, 7); err != nil {
					return 0, err
				}
				switch how {
				case "panic":
					panic("oh no")
				case "snooze":
					return 0, spool.Snooze(time.Hour)
				}
				return 0, errKnown
			}, spool.TxConfig{Debug: func(ctx context.Context, tx *spool.Tx, err error) {
				n, loaded := counter.Load(ctx, tx)
				steps.add(fmt.Sprint("debug ", n, " ", loaded == nil, " ", err != nil))
				panic("of the debug hook")
			}})
		}
		work(t, w)
		for _, task := range tasks {
			for how, want := range map[string][]string{"error": {"debug 7 true true", "abort"}, "panic": {"debug 7 true true", "abort"}, "snooze": {"abort"}} {
				j := must(task.Put(ctx, c, how))(t)
				if how == "snooze" {
					eventually(t, "it is put off", func() bool { return must(c.Queue("default").Counts(ctx))(t).Due > 0 })
					if err := c.Queue("default").Pull(ctx, j.ID()); err != nil {
						t.Error(err)
					}
				} else if _, err := j.Wait(ctx); err == nil {
					t.Error("no error")
				}
				steps.want(t, want...)
			}
		}
	})
}

// A commit that is refused replaces what the handler returned; the handler does not run again for it [RP-7].
func TestRefusedCommitIsTheResult(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		rdb := s.raw(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		must(rdb.Set(ctx, s.mine("text"), "seven", 0).Result())(t)
		calls := 0
		var steps callSteps
		task := spool.NewTask[string, int64]("call.refused")
		task.HandleTx(w, func(ctx context.Context, tx *spool.Tx, how string) (int64, error) {
			calls++
			tx.OnCommit(steps.hook("commit"))
			tx.OnAbort(steps.hook("abort"))
			if err := errors.Join(tx.Do(ctx, "INCRBY", s.mine("n"), 1).Err(), tx.Do(ctx, "INCRBY", s.mine("text"), 1).Err()); err != nil {
				return 0, err
			}
			if how == "keep" {
				return 0, spool.KeepWrites(errKnown)
			}
			return 42, nil
		})
		for i, how := range []string{"succeed", "keep"} {
			j := must(task.Put(ctx, c, how))(t)
			must(w.Drain(ctx))(t)
			if _, err := j.Wait(ctx); err == nil || !strings.Contains(err.Error(), "text") || !strings.Contains(err.Error(), "no number") {
				t.Errorf("%s: %v", how, err)
			}
			if n := callCount(t, rdb, s.mine("n")); n != 0 || calls != i+1 {
				t.Errorf("%s: the count is %d after %d calls", how, n, calls)
			}
			steps.want(t, "abort")
		}
	})
}

// What became of a part is not known: then the rest is not committed either, whatever the function returns.
func TestNothingFollowsAnUnknownPart(t *testing.T) {
	t.Parallel()
	inCallBubble(t, func(t *testing.T, n *callNet) {
		c, closed := n.client(t)
		defer closed()
		if err := callStore(c, "count", 3); err != nil {
			t.Fatal(err)
		}
		for _, fate := range []callFate{callLose, callCut} {
			n.on(callOnce(fate, "multi"))
			before := must(n.b.mini.Get("count"))(t)
			var part error
			r := callGo(t.Context(), c, func(ctx context.Context, tx *spool.Tx) error {
				if err := tx.Do(ctx, "INCRBY", "count", 1).Err(); err != nil {
					return err
				}
				part = tx.Commit(ctx)
				_ = tx.Do(ctx, "INCRBY", "count", 10)
				return nil // it does not look
			}, spool.TxConfig{Retry: retry.Never()})
			<-r.done
			if !errors.Is(part, spool.ErrUnsure) || !errors.Is(r.err, spool.ErrUnsure) {
				t.Errorf("the part: %v, all: %v", part, r.err)
			}
			if got, want := must(n.b.mini.Get("count"))(t), map[callFate]string{callLose: "4", callCut: before}[fate]; got != want {
				t.Errorf("the count is %s", got)
			}
		}
	})
}
