package spool_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/failure"
)

type showing struct {
	Args []int
	A    string
}

var (
	takeShow   = spool.NewTask[showing, string]("take.show")
	takeBreaks = spool.NewTask[string, int]("take.breaks", spool.Knows("take.known", errKnown))
	takeSilent = spool.NewTask[int, spool.None]("take.silent")
)

// taking takes an outcome in a transaction of its own, which ends as fn says.
func taking[R any](t *testing.T, c *spool.Client, j *spool.Job[R], fn func(out spool.Outcome[R], err error) error) error {
	t.Helper()
	return c.Transact(within(t), func(ctx context.Context, tx *spool.Tx) error {
		out, err := j.Take(ctx, tx)
		return fn(out, err)
	})
}

// answers fails the test unless Take answers with an error, or with none where none is wanted.
func answers[R any](t *testing.T, c *spool.Client, j *spool.Job[R], want error) (out spool.Outcome[R]) {
	t.Helper()
	err := taking(t, c, j, func(got spool.Outcome[R], err error) error {
		if !errors.Is(err, want) || (err != nil && !strings.Contains(err.Error(), j.ID())) {
			t.Errorf("got %+v, %v; want %v", got, err, want)
		}
		out = got
		return errKnown // it is kept
	})
	if err != errKnown {
		t.Error(err)
	}
	return out
}

// D01, DZ-9 to DZ-14. The life of a scheduled call and of its outcome.
func TestScheduleLifeCycle(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		var runs []showing
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		takeShow.Handle(w, func(ctx context.Context, args showing) (string, error) {
			runs = append(runs, args)
			return "ok", nil
		})
		drained := func(want int) {
			t.Helper()
			if n := must(w.Drain(ctx))(t); n != want || len(runs) != n {
				t.Fatalf("%d jobs ran, %v", n, runs)
			}
		}
		args := showing{[]int{1, 2}, "a"}
		var job *spool.Job[string]
		schedule := func(end error) func(ctx context.Context, tx *spool.Tx) error {
			return func(ctx context.Context, tx *spool.Tx) error {
				job = must(takeShow.Put(ctx, tx, args))(t)
				if _, err := job.Take(ctx, tx); !errors.Is(err, spool.ErrIncomplete) {
					t.Errorf("put and not committed: %v", err)
				}
				if counts := must(c.Queue("default").Counts(ctx))(t); counts.Pending() != 0 {
					t.Errorf("%+v", counts)
				}
				drained(0)
				return end
			}
		}
		if err := c.Transact(ctx, schedule(errKnown)); err != errKnown {
			t.Fatal(err)
		}
		drained(0)
		answers(t, c, job, spool.ErrUnknown)
		transacted(t, c, schedule(nil))
		if !regexp.MustCompile("^[0-9a-f]{32}$").MatchString(job.ID()) {
			t.Errorf("id %q", job.ID())
		}
		answers(t, c, job, spool.ErrIncomplete)
		drained(1)
		if runs[0].A != "a" || fmt.Sprint(runs[0].Args) != "[1 2]" {
			t.Errorf("it ran with %v", runs[0])
		}
		for range 2 { // the reader's abort keeps it
			if out := answers(t, c, job, nil); out.Value != "ok" || out.Err != nil || out.JobID != job.ID() {
				t.Errorf("%+v", out)
			}
		}
		transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
			for range 2 { // it is there again before the commit, also through another handle
				out, err := takeShow.Job(c, job.ID()).Take(ctx, tx)
				if out.Value != "ok" || err != nil {
					t.Errorf("%+v, %v", out, err)
				}
			}
			return nil
		})
		answers(t, c, job, spool.ErrUnknown)
		if _, err := job.Wait(ctx); !errors.Is(err, spool.ErrUnknown) {
			t.Errorf("Wait: %v", err)
		}
		nobody := takeShow.Job(c, "nobody")
		answers(t, c, nobody, spool.ErrUnknown)
		if err := errors.Join(nobody.Forget(ctx), job.Forget(ctx), job.Forget(ctx)); err != nil {
			t.Errorf("forgetting what is not there: %v", err)
		}
	})
}

// D01, DZ-13. A call that fails is logged with its frames, once, and its outcome is text. Reading it is no error: the
// reader's own transaction commits.
func TestTakeFailure(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		var log bytes.Buffer
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))}))
		takeBreaks.HandleTx(w, func(ctx context.Context, tx *spool.Tx, how string) (int, error) {
			if err := spool.NewRef[int](s.mine("dropped")).Add(ctx, tx, 1); err != nil {
				return 0, err
			}
			if how == "panic" {
				panic("oh no")
			}
			return 7, fmt.Errorf("it went wrong: %w", errKnown)
		})
		for _, how := range []string{"error", "panic"} {
			log.Reset()
			job := must(takeBreaks.Put(ctx, c, how))(t)
			must(w.Drain(ctx))(t)
			if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
				t.Errorf("%d errors in the log:\n%s", n, &log)
			}
			transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
				if err := spool.NewRef[string](s.mine(how)).Store(ctx, tx, "read"); err != nil {
					return err
				}
				out, err := job.Take(ctx, tx)
				var f *failure.Failure
				if err != nil || out.Value != 0 || !errors.As(out.Err, &f) || f.Panic != (how == "panic") || len(f.Frames) == 0 {
					t.Errorf("%s: %+v, %v", how, out, err)
					return err
				}
				if (how == "error") != errors.Is(out.Err, errKnown) {
					t.Errorf("%s: %v", how, out.Err)
				}
				// Nothing but text.
				b := must(json.Marshal(f))(t)
				var back failure.Failure
				if err := json.Unmarshal(b, &back); err != nil || !bytes.Equal(b, must(json.Marshal(&back))(t)) {
					t.Errorf("%s: %v", b, err)
				}
				return err
			})
			answers(t, c, job, spool.ErrUnknown)
			if n := must(s.raw(t).Exists(ctx, s.mine(how), s.mine("dropped")).Result())(t); n != 1 {
				t.Errorf("%d keys: the reader's is one, the job's would be two", n)
			}
		}
	})
}

// Every way to end is an outcome; what leaves nothing is unknown.
func TestTakeOfEachEnd(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		takeSilent.Handle(w, func(ctx context.Context, n int) (spool.None, error) {
			if n > 0 {
				return spool.None{}, spool.Cancelled(errKnown)
			}
			return spool.None{}, nil
		})
		nothing := must(takeSilent.Put(ctx, c, 0))(t)
		kept := must(takeSilent.Put(ctx, c, 0, spool.Keep(time.Hour)))(t)
		itself := must(takeSilent.Put(ctx, c, 1))(t)
		must(w.Drain(ctx))(t)
		cancelled := must(takeShow.Put(ctx, c, showing{}))(t)
		if err := cancelled.Cancel(ctx, errKnown); err != nil {
			t.Fatal(err)
		}
		failed := must(takeShow.Put(ctx, c, showing{}, spool.In("elsewhere")))(t)
		if err := c.Queue("elsewhere").Fail(ctx, failed.ID(), errKnown); err != nil {
			t.Fatal(err)
		}
		answers(t, c, nothing, spool.ErrUnknown)
		if out := answers(t, c, kept, nil); out.Err != nil {
			t.Errorf("%+v", out)
		}
		for what, err := range map[string]error{"itself": answers(t, c, itself, nil).Err, "cancelled": answers(t, c, cancelled, nil).Err} {
			var f *failure.Failure
			if !errors.As(err, &f) || !errors.Is(err, spool.ErrCancelled) || !strings.Contains(err.Error(), errKnown.Error()) {
				t.Errorf("%s: %#v", what, err)
			}
		}
		// Of another queue, too, in one transaction with others.
		transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
			out, err := failed.Take(ctx, tx)
			if out.Err == nil || !strings.Contains(out.Err.Error(), errKnown.Error()) {
				t.Errorf("%+v", out)
			}
			_, err2 := kept.Take(ctx, tx)
			return errors.Join(err, err2)
		})
		answers(t, c, failed, spool.ErrUnknown)
		answers(t, c, kept, spool.ErrUnknown)
		transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
			_, err := (*spool.Job[int])(nil).Take(ctx, tx)
			mistaken(t, err, "Task.Job")
			_, err = takeShow.Job(c, "no/such/id").Take(ctx, tx)
			mistaken(t, err, "ID")
			_, err = cancelled.Take(ctx, nil)
			mistaken(t, err, "Transact")
			return nil
		})
	})
}

// After a commit in the middle an outcome that was taken is gone, for the same transaction, too.
func TestTakeAndCommitInTheMiddle(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		job := must(takeShow.Put(ctx, c, showing{}))(t)
		if err := job.Cancel(ctx); err != nil {
			t.Fatal(err)
		}
		err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			if _, err := job.Take(ctx, tx); err != nil {
				return err
			}
			if err := tx.Commit(ctx); err != nil {
				return err
			}
			if _, err := job.Take(ctx, tx); !errors.Is(err, spool.ErrUnknown) {
				t.Errorf("after the commit: %v", err)
			}
			return errKnown
		})
		if err != errKnown {
			t.Error(err)
		}
		answers(t, c, job, spool.ErrUnknown)
	})
}

// Two read an outcome at the same time: one has it. The other's transaction is in conflict and, run again, finds nothing.
func TestTwoTakers(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		ctx := within(t)
		clients := []*spool.Client{s.client(t), s.client(t)}
		w := spool.NewWorker(clients[0], fast(spool.WorkerConfig{}))
		takeShow.Handle(w, func(ctx context.Context, args showing) (string, error) { return "ok", nil })
		for round := range 5 {
			job := must(takeShow.Put(ctx, clients[0], showing{}))(t)
			must(w.Drain(ctx))(t)
			var both, wg sync.WaitGroup
			both.Add(len(clients))
			var mu sync.Mutex
			attempts, unknown := 0, 0
			for i, c := range clients {
				wg.Go(func() {
					err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
						out, err := takeShow.Job(c, job.ID()).Take(ctx, tx)
						if tx.Attempts() == 1 {
							both.Done()
							both.Wait()
						}
						mu.Lock()
						defer mu.Unlock()
						attempts++
						if errors.Is(err, spool.ErrUnknown) {
							unknown++
							return nil
						}
						if out.Value != "ok" {
							t.Errorf("%+v", out)
						}
						return errors.Join(err, spool.NewRef[int](s.mine("takers")).Add(ctx, tx, 1))
					})
					if err != nil {
						t.Errorf("taker %d: %v", i, err)
					}
				})
			}
			wg.Wait()
			if attempts != 3 || unknown != 1 {
				t.Errorf("%d attempts, %d in vain", attempts, unknown)
			}
			if n := must(s.raw(t).Get(ctx, s.mine("takers")).Int())(t); n != round+1 {
				t.Errorf("%d had it", n)
			}
		}
		if _, conflicts := clients[0].Transactions(); conflicts > 5 {
			t.Errorf("%d conflicts", conflicts)
		}
	})
}

// A job may collect what others have left, and does so exactly once: its own end and the taking are one step.
func TestTakeInsideOfAJob(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 8}))
		collect := spool.NewTask[[]*spool.Job[int], int]("take.collect")
		double.Handle(w, func(ctx context.Context, n int) (int, error) { return 2 * n, nil })
		collect.HandleTx(w, func(ctx context.Context, tx *spool.Tx, jobs []*spool.Job[int]) (int, error) {
			sum := 0
			for _, j := range jobs {
				out, err := j.Take(ctx, tx)
				if errors.Is(err, spool.ErrIncomplete) {
					return 0, spool.Snooze(10 * time.Millisecond)
				}
				if err != nil {
					return 0, err
				}
				sum += out.Value
			}
			return sum, nil
		})
		work(t, w)
		var jobs []*spool.Job[int]
		for i := range 20 {
			jobs = append(jobs, must(double.Put(ctx, c, i))(t))
		}
		if sum := must(must(collect.Put(ctx, c, jobs))(t).Wait(ctx))(t); sum != 380 {
			t.Errorf("the sum is %d", sum)
		}
		for _, j := range jobs {
			answers(t, c, j, spool.ErrUnknown)
		}
	})
}

// DZ-12. What nobody takes is kept for its time, 3600 s from the end as a rule, and never less.
func TestOutcomesAreKept(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 2}))
		takeShow.HandleTx(w, func(ctx context.Context, tx *spool.Tx, args showing) (string, error) { return "ok", nil })
		double.Handle(w, func(ctx context.Context, n int) (int, error) { return 2 * n, nil })
		work(t, w)
		standard, brief := must(takeShow.Put(ctx, c, showing{}))(t), must(takeShow.Put(ctx, c, showing{}, spool.Keep(time.Second)))(t)
		// Nobody waits for them: an outcome that is waited for is kept for a minute at least.
		eventually(t, "both have ended", func() bool { return must(c.Queue("default").Counts(ctx))(t).Succeeded == 2 })
		info := must(c.Queue("default").Get(ctx, standard.ID()))(t)
		if kept := info.KeptUntil.Sub(info.Ended); kept != time.Hour {
			t.Errorf("kept for %v", kept)
		}
		// That of the other one goes, not before its time.
		until := must(c.Queue("default").Get(ctx, brief.ID()))(t).KeptUntil
		eventually(t, "the outcome is gone", func() bool {
			// A worker that does nothing at all looks only every ten minutes.
			must(must(double.Put(ctx, c, 1))(t).Wait(ctx))(t)
			_, err := c.Queue("default").Get(ctx, brief.ID())
			return errors.Is(err, spool.ErrUnknown)
		})
		if early := time.Until(until); early > 0 {
			t.Errorf("it went %v before its time", early)
		}
		answers(t, c, brief, spool.ErrUnknown)
		answers(t, c, standard, nil)
	})
}

var takeActs = spool.NewTask[string, string]("take.acts")
