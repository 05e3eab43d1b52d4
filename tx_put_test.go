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

	"github.com/spooljobs/spool"
)

// adding is the counter of B04 as a job: it adds, 1 if nothing is said, and returns the new value.
type adding struct {
	Key string
	By  int64
}

var adds = spool.NewTask[adding, int64]("txput.add")

func add(ctx context.Context, tx *spool.Tx, a adding) (int64, error) {
	ref := spool.NewRef[int64](a.Key)
	if a.By == 0 {
		a.By = 1
	}
	if err := ref.Update(ctx, tx, func(n int64) (int64, error) { return n + a.By, nil }); err != nil {
		return 0, err
	}
	return ref.Load(ctx, tx)
}

// B04, DM-12 to DM-14, TW-40. A job put to a transaction is there with its commit, not before; without one there is no
// trace of it.
func TestPutAndCommit(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		adds.HandleTx(w, add)
		q := c.Queue("default")
		nothing := func(when string) {
			t.Helper()
			if n := must(w.Drain(ctx))(t); n != 0 {
				t.Errorf("%s: %d jobs ran", when, n)
			}
			if counts := must(q.Counts(ctx))(t); counts.Pending()+counts.Active != 0 {
				t.Errorf("%s: %+v", when, counts)
			}
		}
		var job *spool.Job[int64]
		transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
			var err error
			job, err = adds.Put(ctx, tx, adding{Key: s.mine("n")})
			for i := range 3 {
				nothing(fmt.Sprint("open, poll ", i))
			}
			return err
		})
		for i, want := range []int64{1, 6, 16} {
			if n := must(w.Drain(ctx))(t); n != 1 {
				t.Errorf("%d jobs ran", n)
			}
			if got := must(job.Wait(ctx))(t); got != want {
				t.Errorf("the counter is at %d, want %d", got, want)
			}
			transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
				var err error
				job, err = adds.Put(ctx, tx, adding{s.mine("n"), []int64{5, 10, 0}[i]})
				return err
			})
		}
		must(w.Drain(ctx))(t)
		err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			job = must(adds.Put(ctx, tx, adding{Key: s.mine("n")}))(t)
			return errKnown
		})
		if err != errKnown {
			t.Error(err)
		}
		nothing("rolled back")
		if _, err := job.Wait(ctx); !errors.Is(err, spool.ErrUnknown) {
			t.Errorf("rolled back: %v", err)
		}
		if got := must(s.raw(t).Get(ctx, s.mine("n")).Int())(t); got != 17 {
			t.Errorf("the counter is at %d", got)
		}
	})
}

// DZ-9. A commit that fails forgets the jobs; the attempt that succeeds puts its own. An aborted job, too.
func TestFailedCommitForgetsJobs(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c, rdb := s.client(t), s.raw(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		adds.HandleTx(w, add)
		var ids []string
		transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
			if _, err := spool.NewRef[int](s.mine("seen")).Load(ctx, tx); err != nil && !errors.Is(err, spool.ErrNotFound) {
				return err
			}
			if tx.Attempts() < 3 {
				rdb.Incr(ctx, s.mine("seen"))
			}
			job := must(adds.Put(ctx, tx, adding{Key: s.mine("n")}))(t)
			must(adds.Put(ctx, tx, adding{Key: s.mine("there")}, spool.In("there")))(t)
			ids = append(ids, job.ID())
			return nil
		})
		if len(ids) != 3 || must(w.Drain(ctx))(t) != 1 {
			t.Errorf("%d attempts", len(ids))
		}
		for i, id := range ids {
			if _, err := c.Queue("default").Get(ctx, id); errors.Is(err, spool.ErrUnknown) != (i < 2) {
				t.Errorf("the job of attempt %d: %v", i, err)
			}
		}
		eventually(t, "the other queue has its one", func() bool { return must(c.Queue("there").Counts(ctx))(t).Ready == 1 })
		// Refused for a write, with a job beside it.
		rdb.RPush(ctx, s.mine("list"), "a")
		mistaken(t, c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			must(adds.Put(ctx, tx, adding{Key: s.mine("n")}))(t)
			must(adds.Put(ctx, tx, adding{Key: s.mine("n")}, spool.In("there")))(t)
			return spool.NewRef[int](s.mine("list")).Add(ctx, tx, 1)
		}), s.mine("list"))
		// And by a handler, which fails after it.
		follow := spool.NewTask[int, int]("txput.follow")
		follow.HandleTx(w, func(ctx context.Context, tx *spool.Tx, n int) (int, error) {
			must(adds.Put(ctx, tx, adding{Key: s.mine("n")}))(t)
			must(adds.Put(ctx, tx, adding{Key: s.mine("n")}, spool.In("there")))(t)
			if n == 1 {
				return 0, spool.KeepWrites(errKnown)
			}
			return 0, errKnown
		})
		must(follow.Put(ctx, c, 0))(t)
		if n := must(w.Drain(ctx))(t); n != 1 {
			t.Errorf("%d jobs ran", n)
		}
		must(follow.Put(ctx, c, 1))(t)
		if n := must(w.Drain(ctx))(t); n != 2 {
			t.Errorf("%d jobs ran after a failure that keeps its writes", n)
		}
		eventually(t, "the other queue has two", func() bool { return must(c.Queue("there").Counts(ctx))(t).Ready == 2 })
	})
}

// DZ-9. The job sees all that its transaction has written, also after the call of Put.
func TestJobSeesWhatWasWrittenAfterPut(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{Queues: []string{"default", "there"}, ThreadSlots: 4}))
		reads := spool.NewTask[string, int]("txput.reads")
		reads.HandleTx(w, func(ctx context.Context, tx *spool.Tx, key string) (int, error) {
			return spool.NewRef[int](key).Load(ctx, tx)
		})
		work(t, w)
		for i := range 20 {
			var jobs []*spool.Job[int]
			transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
				key := s.mine(strconv.Itoa(i))
				jobs = append(jobs, must(reads.Put(ctx, tx, key))(t), must(reads.Put(ctx, tx, key, spool.In("there")))(t))
				return spool.NewRef[int](key).Store(ctx, tx, i)
			})
			for k, j := range jobs {
				if got := must(j.Wait(ctx))(t); got != i {
					t.Errorf("job %d of %d saw %d", k, i, got)
				}
			}
		}
	})
}

// The options of a job mean in a transaction what they mean elsewhere, from the commit on.
func TestOptionsOfJobsInTransactions(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		q := c.Queue("default")
		at := time.Now().Add(time.Hour).Truncate(time.Second)
		const lag = 150 * time.Millisecond
		var delayed, due, late, own, light2 *spool.Job[int]
		var begun time.Time
		transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
			delayed = must(double.Put(ctx, tx, 1, spool.Delay(time.Minute), spool.Priority(-5), spool.Meta("a", "b")))(t)
			due = must(double.Put(ctx, tx, 2, spool.Due(at)))(t)
			late = must(double.Put(ctx, tx, 3, spool.BeginBy(time.Millisecond)))(t)
			own = must(double.Put(ctx, tx, 4, spool.ID("own")))(t)
			light2 = must(light.Put(ctx, tx, 5))(t)
			again := must(double.Put(ctx, tx, 4, spool.ID("own")))(t) // the same once more
			if again.ID() != own.ID() {
				t.Errorf("%s, %s", again, own)
			}
			time.Sleep(lag) // it is the time until the commit that must not count
			begun = time.Now()
			return nil
		})
		info := must(q.Get(ctx, delayed.ID()))(t)
		if wait := info.Due.Sub(begun); wait < time.Minute-20*time.Millisecond || wait > time.Minute+5*time.Second || info.Priority != -5 || info.Meta["a"] != "b" {
			t.Errorf("due %v after the commit: %+v", wait, info)
		}
		if info := must(q.Get(ctx, due.ID()))(t); !info.Due.Equal(at) {
			t.Errorf("due %v, want %v", info.Due, at)
		}
		time.Sleep(5 * time.Millisecond) // past the deadline of one of them
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		double.Handle(w, func(ctx context.Context, n int) (int, error) { return 2 * n, nil })
		light.Handle(w, func(ctx context.Context, n int) (int, error) { return n + 1, nil })
		if n := must(w.Drain(ctx))(t); n != 2 {
			t.Errorf("%d jobs ran", n)
		}
		if got := must(own.Wait(ctx))(t); got != 8 {
			t.Errorf("own id: %d", got)
		}
		if got := must(light2.Wait(ctx))(t); got != 6 {
			t.Errorf("reactor: %d", got)
		}
		if _, err := late.Wait(ctx); !errors.Is(err, spool.ErrExpired) {
			t.Errorf("past its deadline: %v", err)
		}
		// The outcome is kept: the same contents are left alone.
		transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
			must(double.Put(ctx, tx, 4, spool.ID("own")))(t)
			return nil
		})
		if counts := must(q.Counts(ctx))(t); counts.Ready != 0 || counts.Due != 2 {
			t.Errorf("%+v", counts)
		}
		// Mistakes are refused at the call.
		transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
			_, err := double.Put(ctx, tx, 1, spool.Delay(-1))
			mistaken(t, err, "Delay")
			_, err = note.Put(ctx, tx, string(make([]byte, 2<<20)))
			if !errors.Is(err, spool.ErrTooLarge) {
				t.Errorf("too large: %v", err)
			}
			_, err = double.Put(ctx, (*spool.Tx)(nil), 1)
			mistaken(t, err, "nil")
			_, err = double.Put(ctx, tx.Via("x", nil), 1)
			mistaken(t, err, "nil")
			_, err = double.Put(ctx, tx.Via("{}", c), 1)
			mistaken(t, err, "name")
			return nil
		})
	})
}

// An id that bears another job refuses the whole transaction, wherever that job is: stored, ended, or put to the same
// transaction.
func TestTakenIDRefusesTheTransaction(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c, rdb := s.client(t), s.raw(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		double.Handle(w, func(ctx context.Context, n int) (int, error) { return 2 * n, nil })
		must(double.Put(ctx, c, 1, spool.ID("ended")))(t)
		must(w.Drain(ctx))(t)
		must(double.Put(ctx, c, 1, spool.ID("due"), spool.Delay(time.Hour)))(t)
		must(double.Put(ctx, c, 1, spool.ID("ready")))(t)
		before := must(c.Queue("default").Counts(ctx))(t)
		for _, id := range []string{"ended", "due", "ready"} {
			attempts := 0
			err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
				attempts++
				must(double.Put(ctx, tx, 7))(t)
				must(double.Put(ctx, tx, 1, spool.ID("fine")))(t)
				must(double.Put(ctx, tx, 7, spool.In("there")))(t)
				must(double.Put(ctx, tx, 2, spool.ID(id)))(t)
				return spool.NewRef[int](s.mine("n")).Add(ctx, tx, 1)
			})
			if !errors.Is(err, spool.ErrIDTaken) || attempts != 1 {
				t.Errorf("%s: %v after %d attempts", id, err, attempts)
			}
		}
		follow := spool.NewTask[string, int]("txput.taken")
		follow.HandleTx(w, func(ctx context.Context, tx *spool.Tx, id string) (int, error) {
			must(double.Put(ctx, tx, 2, spool.ID(id)))(t)
			return 0, spool.NewRef[int](s.mine("n")).Add(ctx, tx, 1)
		})
		job := must(follow.Put(ctx, c, "due", spool.Priority(-1)))(t)
		must(w.Drain(ctx))(t)
		if _, err := job.Wait(ctx); err == nil || !strings.Contains(err.Error(), "bears another job") {
			t.Errorf("in a job: %v", err)
		}
		transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
			for _, opts := range [][]spool.Option{{}, {spool.In("there")}} {
				must(double.Put(ctx, tx, 1, append(opts, spool.ID("twice"))...))(t)
				_, err := double.Put(ctx, tx, 2, append(opts, spool.ID("twice"))...)
				if !errors.Is(err, spool.ErrIDTaken) {
					t.Errorf("twice: %v", err)
				}
			}
			return nil
		})
		if n := must(rdb.Exists(ctx, s.mine("n")).Result())(t); n != 0 {
			t.Error("a refused transaction has written")
		}
		counts := must(c.Queue("default").Counts(ctx))(t)
		if counts.Ready != before.Ready || counts.Due != before.Due { // "ready" has run, "twice" is new
			t.Errorf("%+v, before %+v", counts, before)
		}
		eventually(t, "the other queue has one", func() bool { return must(c.Queue("there").Counts(ctx))(t).Ready == 1 })
	})
}

// Many jobs of one transaction, more than fit a call: all of them, in order, or none.
func TestPutManyToATransaction(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		n := map[string]int{"embedded": 300, "redis": 1200}[s.name]
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{Queues: []string{"default", "there"}}))
		var last atomic.Int64
		count := spool.NewTask[int, spool.None]("txput.count")
		count.Handle(w, func(ctx context.Context, i int) (spool.None, error) {
			if !last.CompareAndSwap(int64(i), int64(i)+1) {
				t.Errorf("%d ran after %d", i, last.Load())
			}
			return spool.None{}, nil
		})
		batch := func(opts ...spool.Option) (ps []spool.Partial[spool.None]) {
			for i := range n {
				ps = append(ps, count.With(i, opts...))
			}
			return ps
		}
		for _, end := range []error{errKnown, nil} {
			last.Store(0)
			err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
				for i, r := range must(spool.PutMany(ctx, tx, batch()))(t) {
					if r.Err != nil || r.Job.ID() == "" {
						t.Fatalf("item %d: %v", i, r.Err)
					}
				}
				return end
			})
			if err != end {
				t.Fatal(err)
			}
			ran := must(w.Drain(ctx))(t)
			if want := map[bool]int{true: n}[end == nil]; ran != want || int(last.Load()) != want {
				t.Errorf("%d jobs ran after %v", ran, end)
			}
		}
		// Into another queue, a hundred at a time, and in order, too.
		last.Store(0)
		transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
			for _, r := range must(spool.PutMany(ctx, tx, batch(spool.In("there"))[:150]))(t) {
				if r.Err != nil {
					return r.Err
				}
			}
			return nil
		})
		work(t, w)
		eventually(t, "all have run", func() bool { return last.Load() == 150 })
	})
}

// A Partial that was put to a transaction that was aborted can be put again, and is then a job like any other.
func TestPartialOfAnAbortedTransaction(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		double.Handle(w, func(ctx context.Context, n int) (int, error) { return 2 * n, nil })
		for i, end := range []error{errKnown, nil} {
			p := double.With(i)
			_ = c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
				must(p.Put(ctx, tx))(t)
				return end
			})
			job := must(p.Put(ctx, c))(t)
			if n := must(w.Drain(ctx))(t); n != 1 {
				t.Errorf("after %v: %d jobs ran", end, n)
			}
			if got := must(job.Wait(ctx))(t); got != 2*i {
				t.Errorf("got %d", got)
			}
		}
	})
}
