package spool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
	"github.com/spooljobs/spool/retry"
)

// lengthy is a job in chunks: each appends its number to a list, and counts.
type lengthy struct {
	Key    string
	Chunks int
	Pause  time.Duration // in each
}

// progress is its cursor.
type progress struct{ Next int }

var chunks = spool.NewTask[lengthy, int]("checkpoint.chunks", spool.Interruptions(spool.Unlimited))

// inChunks runs a lengthy job. It tells of each chunk it begins.
func inChunks(ctx context.Context, tx *spool.Tx, job lengthy, begins func(i int)) (int, error) {
	at := progress{}
	if _, err := tx.Resume(ctx, &at); err != nil {
		return 0, err
	}
	sum := spool.NewRef[int](job.Key + "-sum")
	for ; at.Next < job.Chunks; at.Next++ {
		begins(at.Next)
		if err := sum.Update(ctx, tx, func(n int) (int, error) { return n + 1, nil }); err != nil {
			return 0, err
		}
		if err := tx.Do(ctx, "RPUSH", job.Key, at.Next).Err(); err != nil {
			return 0, err
		}
		if job.Pause > 0 {
			select {
			case <-time.After(job.Pause):
			case <-ctx.Done():
				return 0, context.Cause(ctx)
			}
		}
		if err := tx.Checkpoint(ctx, progress{at.Next + 1}); err != nil {
			return 0, err
		}
	}
	return at.Next, nil
}

// once reports every chunk that did not take effect exactly once, and in order.
func (job lengthy) once(t *testing.T, s *server) {
	t.Helper()
	var want []string
	for i := range job.Chunks {
		want = append(want, strconv.Itoa(i))
	}
	got := must(s.raw(t).LRange(context.Background(), job.Key, 0, -1).Result())(t)
	if !slices.Equal(got, want) {
		t.Errorf("%s: chunks %v", job.Key, got)
	}
	if sum := s.raw(t).Get(context.Background(), job.Key+"-sum").Val(); sum != strconv.Itoa(job.Chunks) {
		t.Errorf("%s: sum %s", job.Key, sum)
	}
}

// noCursor fails the test if a checkpoint is still stored.
func noCursor(t *testing.T, s *server) {
	t.Helper()
	if n := s.raw(t).HLen(context.Background(), s.key("default", "checkpoints")).Val(); n != 0 {
		t.Errorf("%d cursors are left", n)
	}
}

// A conflict in a chunk runs the handler again from the last checkpoint; nothing before it is done again. The count of
// conflicts starts anew after each checkpoint.
func TestConflictInAChunk(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c, rdb := s.client(t), s.raw(t)
		ctx := within(t)
		job := lengthy{Key: s.mine("list"), Chunks: 6}
		clashes := map[int]int{1: 1, 2: 1, 4: 1} // of each chunk
		begun := map[int]int{}
		runs := 0
		var committed, aborted []int
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		chunks.HandleTx(w, func(ctx context.Context, tx *spool.Tx, job lengthy) (int, error) {
			if runs++; tx.Attempts() != runs || spool.Running(ctx).Attempt() != 1 {
				t.Errorf("run %d: attempt %d of the transaction, %d of the job", runs, tx.Attempts(), spool.Running(ctx).Attempt())
			}
			return inChunks(ctx, tx, job, func(i int) {
				begun[i]++
				tx.OnCommit(func(context.Context) { committed = append(committed, i) })
				tx.OnAbort(func(context.Context) { aborted = append(aborted, i) })
				if clashes[i]--; clashes[i] >= 0 {
					if _, err := spool.NewRef[int](job.Key+"-sum").Load(ctx, tx); err != nil && !errors.Is(err, spool.ErrNotFound) {
						t.Error(err)
					}
					// A change and the change back would be none: the answer counts. So it stays for a moment.
					n, _ := rdb.Get(ctx, job.Key+"-sum").Int()
					rdb.Set(ctx, job.Key+"-sum", -1, 0)
					tx.OnAbort(func(context.Context) { rdb.Set(context.Background(), job.Key+"-sum", n, 0) })
				}
			})
		}, spool.TxConfig{Retry: retry.Policy{Conflicts: 2}})
		handle := must(chunks.Put(ctx, c, job))(t)
		must(w.Drain(ctx))(t)
		must(handle.Wait(ctx))(t)
		job.once(t, s)
		noCursor(t, s)
		if want := map[int]int{0: 1, 1: 2, 2: 2, 3: 1, 4: 2, 5: 1}; !cmp.Equal(begun, want) || runs != 4 {
			t.Errorf("%d runs, chunks begun %v", runs, begun)
		}
		if !cmp.Equal(committed, []int{0, 1, 2, 3, 4, 5}) || !cmp.Equal(aborted, []int{1, 2, 4}) {
			t.Errorf("hooks of commits %v, of aborts %v", committed, aborted)
		}
		if _, conflicts := c.Transactions(); conflicts != 3 {
			t.Errorf("%d conflicts counted", conflicts)
		}

		// Two in one chunk are one too many. What was committed before stands.
		lost := lengthy{Key: s.mine("lost"), Chunks: 6}
		clashes = map[int]int{3: 2}
		runs = 0
		handle = must(chunks.Put(ctx, c, lost))(t)
		must(w.Drain(ctx))(t)
		if _, err := handle.Wait(ctx); err == nil || !strings.Contains(err.Error(), spool.ErrConflict.Error()) {
			t.Errorf("two conflicts in one chunk: %v", err)
		}
		lost.Chunks = 3
		lost.once(t, s)
		noCursor(t, s)
	})
}

// The cursor outlives what does not end the job: a failed attempt that is retried, a snooze, a shutdown. It does not
// outlive the job.
func TestCursorOutlivesAttempts(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		type step struct {
			name string
			end  func() (int, error)
		}
		steps := []step{
			{"none", func() (int, error) { return 0, errKnown }},
			{"an error", func() (int, error) { panic("oh no") }},
			{"a panic", func() (int, error) { return 0, spool.Snooze(time.Millisecond) }},
			{"a snooze", func() (int, error) { return 0, spool.KeepWrites(errKnown) }},
			{"a failure that keeps", func() (int, error) { return 0, nil }},
		}
		task := spool.NewTask[bool, int]("checkpoint.outlives", spool.Retry(10, retry.Constant(time.Millisecond)))
		i := 0
		handle := func(w *spool.Worker) {
			task.HandleTx(w, func(ctx context.Context, tx *spool.Tx, fails bool) (int, error) {
				var at string
				found, err := tx.Resume(ctx, &at)
				if err != nil || found != (i > 0) || (found && at != steps[i].name) {
					t.Errorf("step %d, after %s: resumed %v %q, %v", i, steps[i].name, found, at, err)
				}
				now := steps[i]
				if i++; i < len(steps) {
					if err := tx.Checkpoint(ctx, steps[i].name); err != nil {
						return 0, err
					}
				}
				return now.end()
			})
		}
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		handle(w)
		job := must(task.Put(ctx, c, false))(t)
		stop := work(t, w)
		must(job.Wait(ctx))(t)
		if i != len(steps) {
			t.Errorf("%d steps", i)
		}
		noCursor(t, s)
		if err := stop(); err != nil {
			t.Error(err)
		}

		// The end of a worker, and a failure for good.
		steps = []step{{"none", nil}, {"the shutdown", func() (int, error) { return 0, spool.Final(errKnown) }}}
		i = 0
		began := make(chan bool)
		w = spool.NewWorker(c, fast(spool.WorkerConfig{ShutdownGrace: time.Millisecond}))
		task.HandleTx(w, func(ctx context.Context, tx *spool.Tx, fails bool) (int, error) {
			i++
			if err := tx.Checkpoint(ctx, "the shutdown"); err != nil {
				return 0, err
			}
			began <- true
			<-ctx.Done()
			return 0, context.Cause(ctx)
		})
		job = must(task.Put(ctx, c, true))(t)
		stop = work(t, w)
		recv(t, "it begins", began)
		if err := stop(); err != nil {
			t.Error(err)
		}
		w = spool.NewWorker(c, fast(spool.WorkerConfig{}))
		handle(w)
		must(w.Drain(ctx))(t)
		if _, err := job.Wait(ctx); err == nil || i != 2 {
			t.Errorf("%v after %d steps", err, i)
		}
		noCursor(t, s)
	})
}

// What a cursor may be, and where there is none.
func TestCursors(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t, func(cfg *spool.ClientConfig) { cfg.MaxPayload = 100_000 })
		ctx := within(t)
		task := spool.NewTask[string, int]("checkpoint.cursors")
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		task.HandleTx(w, func(ctx context.Context, tx *spool.Tx, how string) (int, error) {
			for _, wrong := range []any{strings.Repeat("x", 100_001), make([]int64, 100_001)} {
				if err := tx.Checkpoint(ctx, wrong); !errors.Is(err, spool.ErrTooLarge) {
					t.Errorf("too large: %v", err)
				}
			}
			mistaken(t, tx.Checkpoint(ctx, func() {}), "cursor")
			mistaken(t, tx.Checkpoint(ctx, make(chan int)), "cursor")
			// None of this has done harm.
			var text string
			if found, err := tx.Resume(ctx, &text); found || err != nil {
				t.Errorf("nothing was stored: %v, %v", found, err)
			}
			large := strings.Repeat("x", 99_990)
			if err := errors.Join(tx.Checkpoint(ctx, nil), tx.Checkpoint(ctx, 0), tx.Checkpoint(ctx, large)); err != nil {
				return 0, err
			}
			if found, err := tx.Resume(ctx, &text); !found || err != nil || text != large {
				t.Errorf("a large one: %v, %v, %d bytes", found, err, len(text))
			}
			var number int
			if _, err := tx.Resume(ctx, &number); err == nil || !strings.Contains(err.Error(), "*int") {
				t.Errorf("as a number: %v", err)
			}
			made := must(spool.Create(ctx, tx, 3))(t)
			if err := tx.Checkpoint(ctx, map[string]spool.Ref[int]{"a": made}); err != nil {
				return 0, err
			}
			var refs map[string]spool.Ref[int]
			if found, err := tx.Resume(ctx, &refs); !found || err != nil || refs["a"].Key() != made.Key() {
				t.Errorf("a Ref: %v, %v, %v", found, err, refs)
			}
			_, err := refs["a"].Load(ctx, tx)
			return 1, err
		})
		job := must(task.Put(ctx, c, ""))(t)
		must(w.Drain(ctx))(t)
		must(job.Wait(ctx))(t)
		noCursor(t, s)
		transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
			var text string
			if _, err := tx.Resume(ctx, &text); !errors.Is(err, spool.ErrBadState) {
				t.Errorf("Resume without a job: %v", err)
			}
			if err := tx.Checkpoint(ctx, text); !errors.Is(err, spool.ErrBadState) {
				t.Errorf("Checkpoint without a job: %v", err)
			}
			return nil
		})
	})
}

// TW-41, DZ-7. A commit in the middle is there for others at once, with the jobs it puts; what follows is a transaction
// of its own. Hooks run with the part they were given in, outside of any transaction.
func TestCommitInTheMiddleOfAJob(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c, rdb := s.client(t), s.raw(t)
		ctx := within(t)
		task := spool.NewTask[bool, int]("checkpoint.parts")
		var told []string
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		double.Handle(w, func(ctx context.Context, n int) (int, error) { return 2 * n, nil })
		task.HandleTx(w, func(ctx context.Context, tx *spool.Tx, fails bool) (int, error) {
			n := spool.NewRef[int](s.mine("n"))
			for i := range 3 {
				if got, err := n.Load(ctx, tx); got != 10*i || (err != nil && i > 0) {
					t.Errorf("part %d reads %d, %v", i, got, err)
				}
				if err := n.Add(ctx, tx, 1); err != nil {
					return 0, err
				}
				must(double.Put(ctx, tx, i))(t)
				tx.OnCommit(func(ctx context.Context) {
					told = append(told, fmt.Sprint("commit ", i))
					// One of its own: that of the job must not swallow it.
					_ = c.Transact(ctx, func(ctx context.Context, other *spool.Tx) error {
						if other == tx {
							t.Errorf("hook %d joined", i)
						}
						return nil
					})
				})
				tx.OnAbort(func(context.Context) { told = append(told, fmt.Sprint("abort ", i)) })
				if fails && i == 2 {
					return 0, errKnown
				}
				if err := tx.Commit(ctx); err != nil {
					return 0, err
				}
				if got := rdb.Get(ctx, s.mine("n")).Val(); got != strconv.Itoa(10*i+1) {
					t.Errorf("part %d shows as %s", i, got)
				}
				rdb.Set(ctx, s.mine("n"), 10*i+10, 0) // no conflict: it is not read yet
				if err := tx.Commit(ctx); err != nil {
					t.Errorf("with nothing to commit: %v", err)
				}
			}
			return 7, nil
		})
		for _, fails := range []bool{false, true} {
			rdb.Set(ctx, s.mine("n"), 0, 0)
			told = nil
			job := must(task.Put(ctx, c, fails))(t)
			ran := must(w.Drain(ctx))(t)
			_, err := job.Wait(ctx)
			want := []string{"commit 0", "commit 1", "commit 2"}
			if fails {
				want[2] = "abort 2"
			}
			if (err != nil) != fails || !cmp.Equal(told, want) || ran != map[bool]int{false: 4, true: 3}[fails] {
				t.Errorf("%v, %v, %d jobs ran", err, told, ran)
			}
		}
	})
}

// A reactor's loop goes on while a checkpoint flies.
func TestCheckpointOnTheReactor(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		proxy := s.proxied(t)
		verb := s.verbs(t)
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(s.clientAt(t, proxy.Addr()), fast(spool.WorkerConfig{}))
		release, flies := make(chan struct{}), make(chan bool, 10)
		parts := spool.NewTask[string, int]("checkpoint.reactor", spool.OnReactor())
		shared, ran := 0, make(chan bool, 1) // without a lock: handlers of a reactor take turns
		parts.HandleTx(w, func(ctx context.Context, tx *spool.Tx, key string) (int, error) {
			for range 3 {
				if err := spool.NewRef[int](key).Add(ctx, tx, 1); err != nil {
					return 0, err
				}
				tx.OnCommit(func(context.Context) { shared++ })
				if err := tx.Checkpoint(ctx, 1); err != nil {
					return 0, err
				}
				shared++
			}
			return shared, nil
		})
		light.Handle(w, func(ctx context.Context, n int) (int, error) {
			shared++
			ran <- true
			return n, nil
		})
		job, beside := must(parts.Put(ctx, c, s.mine("n")))(t), must(light.Put(ctx, c, 1, spool.Priority(1)))(t)
		proxy.OnRequest(func(cmd []string) redistest.Action {
			if verb(cmd) != "commit" {
				return redistest.Pass()
			}
			select {
			case flies <- true:
			default:
			}
			return redistest.Hold(release)
		})
		work(t, w)
		recv(t, "the checkpoint flies", flies)
		recv(t, "the other one runs", ran)
		close(release)
		if got := must(job.Wait(ctx))(t); got != 7 {
			t.Errorf("%d steps", got)
		}
		must(beside.Wait(ctx))(t)
	})
}
