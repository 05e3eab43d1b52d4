package spool_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/failure"
	"github.com/spooljobs/spool/internal/redistest"
	"github.com/spooljobs/spool/retry"
)

// pausedCall is a handler's call, as the test sees it: it tells that it has begun, and goes on when it is let.
type pausedCall struct {
	ctx    context.Context
	resume chan struct{}
	ended  chan struct{}
}

// holder makes calls wait for the test.
type holder struct{ calls chan *pausedCall }

func newHolder() *holder { return &holder{make(chan *pausedCall, 100)} }

// hold is called by handlers. It returns a function to be called when they return.
func (h *holder) hold(ctx context.Context) func() {
	call := &pausedCall{ctx, make(chan struct{}), make(chan struct{})}
	h.calls <- call
	<-call.resume // deaf to the end of its context
	return func() { close(call.ended) }
}

var (
	lasts  = spool.NewTask[int, int]("cancel.lasts", spool.Knows("test.known", errKnown))
	turns  = spool.NewTask[int, int]("cancel.turns", spool.OnReactor())
	writes = spool.NewTask[string, int]("cancel.writes", spool.Knows("test.known", errKnown))
)

// cancelled fails the test unless a job ended so, for everybody who looks.
func cancelled[R any](t *testing.T, c *spool.Client, j *spool.Job[R], reason string) {
	t.Helper()
	_, err := j.Wait(within(t))
	var f *failure.Failure
	if !errors.As(err, &f) || !errors.Is(err, spool.ErrCancelled) || !strings.Contains(err.Error(), reason) {
		t.Errorf("job %s: %v; want it cancelled, %s", j, err, reason)
	}
	info := must(c.Queue(j.Queue()).Get(within(t), j.ID()))(t)
	if info.State != spool.StateCompleted || info.Outcome != "cancelled" || info.KeptUntil.Sub(info.Ended) < 7*24*time.Hour {
		t.Errorf("%+v", info)
	}
	if err := j.Cancel(within(t)); !errors.Is(err, spool.ErrBadState) {
		t.Errorf("cancelled again: %v", err)
	}
}

// allLeft waits until no handler of a cancelled job is noted as running.
func allLeft(t *testing.T, s *server) {
	t.Helper()
	rdb := s.raw(t)
	eventually(t, "all have left", func() bool { return rdb.ZCard(context.Background(), s.key("default", "leaving")).Val() == 0 })
}

// A job that has not begun is cancelled wherever it waits, and does not begin.
func TestCancelBeforeItBegins(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		stranger := spool.NewTask[int, int]("cancel.stranger")
		parked := must(stranger.Put(ctx, c, 1))(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		lasts.HandleTx(w, func(ctx context.Context, tx *spool.Tx, n int) (int, error) {
			t.Errorf("job %d has begun", n)
			return 0, nil
		})
		must(w.Drain(ctx))(t)
		if counts := must(c.Queue("default").Counts(ctx))(t); counts.Parked != 1 {
			t.Fatalf("%+v", counts)
		}
		ready, due := must(lasts.Put(ctx, c, 1))(t), must(lasts.Put(ctx, c, 2, spool.Delay(time.Hour), spool.BeginBy(time.Hour)))(t)
		expiring := must(lasts.Put(ctx, c, 3, spool.BeginBy(time.Hour)))(t)
		waits := make(chan error, 1)
		go func() {
			_, err := due.Wait(ctx)
			waits <- err
		}()
		eventually(t, "somebody waits", func() bool { return s.raw(t).HLen(ctx, s.key("default", "watched")).Val() == 1 })
		for _, j := range []*spool.Job[int]{ready, due, parked, expiring} {
			if err := j.Cancel(ctx, fmt.Errorf("no longer wanted: %w", errKnown)); err != nil {
				t.Errorf("job %s: %v", j, err)
			}
			cancelled(t, c, j, "no longer wanted")
		}
		if err := recv(t, "the end of the wait", waits); !errors.Is(err, spool.ErrCancelled) || !errors.Is(err, errKnown) {
			t.Errorf("who waited got %v", err)
		}
		if n := must(w.Drain(ctx))(t); n != 0 {
			t.Errorf("%d jobs ran", n)
		}
		counts := must(c.Queue("default").Counts(ctx))(t)
		if counts.Cancelled != 4 || counts.Completed != 4 || counts.Pending() != 0 || counts.Failed != 0 {
			t.Errorf("%+v", counts)
		}
		if err := lasts.Job(c, "nobody").Cancel(ctx); !errors.Is(err, spool.ErrUnknown) {
			t.Errorf("nobody: %v", err)
		}
		mistaken(t, (*spool.Job[int])(nil).Cancel(ctx), "Job")
		mistaken(t, lasts.Job(nil, ready.ID()).Cancel(ctx), "Job")
		mistaken(t, lasts.Job(c, "a/b/c").Cancel(ctx), "ID")
		plain := must(lasts.Put(ctx, c, 9))(t)
		if err := plain.Cancel(ctx); err != nil {
			t.Error(err)
		}
		cancelled(t, c, plain, "cancelled") // no reason given
	})
}

// A plain job that runs, on either lane: its context ends, who waits learns at once, and its slot stays taken until it
// returns. What it returns counts for nothing. (F07)
func TestCancelWhileItRuns(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		threads, reactors := newHolder(), newHolder()
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 2, ReactorSlots: 2}))
		lasts.Handle(w, func(ctx context.Context, n int) (int, error) {
			defer threads.hold(ctx)()
			return n, nil
		})
		turns.Handle(w, func(ctx context.Context, n int) (int, error) {
			return spool.Await(ctx, func(ctx context.Context) (int, error) {
				defer reactors.hold(ctx)()
				return n, errKnown
			})
		})
		work(t, w)
		cancelOnLane(ctx, t, s, c, lasts, threads)
		cancelOnLane(ctx, t, s, c, turns, reactors)
		counts := must(c.Queue("default").Counts(ctx))(t)
		if counts.Cancelled != 4 || counts.Succeeded != 1 || counts.Failed != 1 || counts.Refused != 0 || counts.Active != 0 {
			t.Errorf("%+v", counts)
		}
	})
}

func cancelOnLane(ctx context.Context, t *testing.T, s *server, c *spool.Client, task spool.Task[int, int], h *holder) {
	var jobs []*spool.Job[int]
	var calls []*pausedCall
	for i := range 3 {
		jobs = append(jobs, must(task.Put(ctx, c, i))(t))
	}
	for range 2 {
		calls = append(calls, recv(t, "a handler begins", h.calls))
	}
	for _, j := range jobs[:2] {
		if err := j.Cancel(ctx, errKnown); err != nil {
			t.Error(err)
		}
		cancelled(t, c, j, errKnown.Error())
	}
	for _, call := range calls {
		<-call.ctx.Done()
		if cause := context.Cause(call.ctx); !errors.Is(cause, spool.ErrCancelled) {
			t.Errorf("the context ended with %v", cause)
		}
	}
	// Their slots are taken: the third waits.
	if n := s.raw(t).ZCard(ctx, s.key("default", "leaving")).Val(); n != 2 {
		t.Errorf("%d handlers are noted as leaving", n)
	}
	select {
	case <-h.calls:
		t.Error("a third handler runs in two slots")
	case <-time.After(120 * time.Millisecond): // beats enough to go wrong
	}
	close(calls[0].resume)
	third := recv(t, "the third begins", h.calls)
	close(calls[1].resume)
	allLeft(t, s)
	if err := third.ctx.Err(); err != nil {
		t.Errorf("the third's context: %v", err)
	}
	close(third.resume)
	_, _ = jobs[2].Wait(ctx)
	for _, j := range jobs[:2] {
		cancelled(t, c, j, errKnown.Error())
	}
}

// cancelBed is a worker behind a proxy whose transactional handler waits at each step for the test.
type cancelBed struct {
	s             *server
	c             *spool.Client
	proxy         *redistest.Proxy
	verb          func(cmd []string) string
	read, written *holder
	done, undone  atomic.Int32 // hooks
	clash         atomic.Bool  // the next attempt is to be in conflict
}

func newCancelBed(t *testing.T, s *server, cfg ...spool.TxConfig) *cancelBed {
	b := &cancelBed{s: s, c: s.client(t), proxy: s.proxied(t), verb: s.verbs(t), read: newHolder(), written: newHolder()}
	w := spool.NewWorker(s.clientAt(t, b.proxy.Addr()), fast(spool.WorkerConfig{ThreadSlots: 1}))
	writes.HandleTx(w, func(ctx context.Context, tx *spool.Tx, key string) (int, error) {
		tx.OnCommit(func(context.Context) { b.done.Add(1) })
		tx.OnAbort(func(context.Context) { b.undone.Add(1) })
		b.read.hold(ctx)()
		// As if it were not told: its context is not the call's.
		deaf := context.WithoutCancel(ctx)
		ref := spool.NewRef[int](key)
		if err := ref.Update(deaf, tx, func(n int) (int, error) { return n + 1, nil }); err != nil {
			return 0, err
		}
		if _, err := double.Put(deaf, tx, 1, spool.Delay(time.Hour)); err != nil {
			return 0, err
		}
		if b.clash.Swap(false) {
			s.raw(t).Set(deaf, key, 41, 0)
		}
		b.written.hold(ctx)()
		return 7, nil
	}, cfg...)
	work(t, w)
	return b
}

// verdict looks whether all or nothing was written, and how the job ended.
func (b *cancelBed) verdict(t *testing.T, ctx context.Context, j *spool.Job[int], err error, key string, follow int64) {
	t.Helper()
	_, ended := j.Wait(ctx)
	n := b.s.raw(t).Exists(ctx, key).Val()
	due := must(b.c.Queue("default").Counts(ctx))(t).Due
	switch {
	case err == nil:
		if !errors.Is(ended, spool.ErrCancelled) || n != 0 || int64(due) != follow {
			t.Errorf("cancelled: %v, %d keys written, %d jobs put", ended, n, due)
		}
	case errors.Is(err, spool.ErrBadState):
		if ended != nil || n != 1 || int64(due) != follow+1 {
			t.Errorf("too late: %v, %d keys written, %d jobs put", ended, n, due)
		}
	default:
		t.Errorf("Cancel: %v", err)
	}
}

// A transactional job is cancelled at each moment. The answer is definite: nothing was written, or all of it was.
func TestCancelOfATransactionAtEachMoment(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		b := newCancelBed(t, s)
		ctx := within(t)
		put := func(key string) *spool.Job[int] { return must(writes.Put(ctx, b.c, s.mine(key)))(t) }
		hooks := func(done, undone int32) {
			t.Helper()
			eventually(t, fmt.Sprintf("%d commits, %d aborts told", done, undone), func() bool { return b.done.Load() == done && b.undone.Load() == undone })
			allLeft(t, s)
		}

		job := put("before its reads")
		call := recv(t, "it begins", b.read.calls)
		err := job.Cancel(ctx)
		<-call.ctx.Done()
		close(call.resume)
		close(recv(t, "it has written", b.written.calls).resume)
		hooks(0, 1)
		b.verdict(t, ctx, job, err, s.mine("before its reads"), 0)

		job = put("before its commit")
		close(recv(t, "it begins", b.read.calls).resume)
		call = recv(t, "it has written", b.written.calls)
		err = job.Cancel(ctx)
		<-call.ctx.Done()
		if cause := context.Cause(call.ctx); !errors.Is(cause, spool.ErrCancelled) {
			t.Errorf("the context ended with %v", cause)
		}
		close(call.resume)
		hooks(0, 2)
		b.verdict(t, ctx, job, err, s.mine("before its commit"), 0)

		job = put("at once") // nobody has told the handler yet
		close(recv(t, "it begins", b.read.calls).resume)
		call = recv(t, "it has written", b.written.calls)
		err = job.Cancel(ctx)
		close(call.resume)
		hooks(0, 3)
		b.verdict(t, ctx, job, err, s.mine("at once"), 0)

		for i, test := range []struct {
			name   string
			action func(release <-chan struct{}) redistest.Action
		}{{"before it arrives", redistest.Hold}, {"before it is answered", redistest.HoldReply}} {
			job = put(test.name)
			close(recv(t, "it begins", b.read.calls).resume)
			call = recv(t, "it has written", b.written.calls)
			release, flies := make(chan struct{}), make(chan bool, 1)
			b.proxy.OnRequest(func(cmd []string) redistest.Action {
				if b.verb(cmd) != "commit" {
					return redistest.Pass()
				}
				flies <- true
				return test.action(release)
			})
			close(call.resume)
			recv(t, "the commit flies", flies)
			b.proxy.OnRequest(nil)
			if i == 1 {
				eventually(t, "it is executed", func() bool { return s.raw(t).Exists(ctx, s.mine(test.name)).Val() == 1 })
			}
			err = job.Cancel(ctx)
			close(release)
			hooks(int32(i), 4)
			b.verdict(t, ctx, job, err, s.mine(test.name), 0)
			if (err == nil) != (i == 0) {
				t.Errorf("%s: %v", test.name, err)
			}
		}

		// After it.
		job = put("after")
		close(recv(t, "it begins", b.read.calls).resume)
		close(recv(t, "it has written", b.written.calls).resume)
		must(job.Wait(ctx))(t)
		err = job.Cancel(ctx)
		hooks(2, 4)
		b.verdict(t, ctx, job, err, s.mine("after"), 1)
		if !errors.Is(err, spool.ErrBadState) {
			t.Errorf("after: %v", err)
		}
	})
}

// A transaction that waits between attempts is told, too: it does not begin another, and its slot is free at once.
func TestCancelBetweenAttempts(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		b := newCancelBed(t, s, spool.TxConfig{Retry: retry.Policy{ConflictWaits: retry.Constant(time.Hour)}})
		ctx := within(t)
		b.clash.Store(true)
		job := must(writes.Put(ctx, b.c, s.mine("key")))(t)
		close(recv(t, "it begins", b.read.calls).resume)
		close(recv(t, "it has written", b.written.calls).resume)
		eventually(t, "it was in conflict", func() bool { return b.undone.Load() == 1 })
		if err := job.Cancel(ctx); err != nil {
			t.Fatal(err)
		}
		cancelled(t, b.c, job, "cancelled")
		next := must(writes.Put(ctx, b.c, s.mine("next")))(t)
		close(recv(t, "the slot is free", b.read.calls).resume)
		close(recv(t, "it has written", b.written.calls).resume)
		must(next.Wait(ctx))(t)
		allLeft(t, s)
		if got := must(s.raw(t).Get(ctx, s.mine("key")).Int())(t); got != 41 {
			t.Errorf("the key holds %d", got)
		}
	})
}

// A commit in the middle of a cancelled job fails. Its context ends for that reason, and nothing more is written; what
// was committed before stands.
func TestCancelBetweenCheckpoints(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 1}))
		h := newHolder()
		causes := make(chan error, 2)
		writes.HandleTx(w, func(ctx context.Context, tx *spool.Tx, key string) (int, error) {
			defer h.hold(ctx)()
			ref := spool.NewRef[int](key)
			deaf := context.WithoutCancel(ctx)
			for i := range 3 {
				if err := ref.Add(deaf, tx, 1); err != nil {
					return 0, err
				}
				if i == 1 {
					h.hold(ctx)()
				}
				if err := tx.Checkpoint(deaf, i); err != nil {
					causes <- err
					if leaving := s.raw(t).ZCard(deaf, s.key("default", "leaving")).Val(); leaving != 1 {
						t.Errorf("%d are leaving while it runs", leaving)
					}
					<-ctx.Done()
					causes <- context.Cause(ctx)
					return 0, err
				}
			}
			return 1, nil
		})
		work(t, w)
		job := must(writes.Put(ctx, c, s.mine("n")))(t)
		close(recv(t, "it begins", h.calls).resume)
		call := recv(t, "it is in the middle", h.calls)
		if err := job.Cancel(ctx); err != nil {
			t.Fatal(err)
		}
		close(call.resume)
		if err := recv(t, "the checkpoint", causes); !errors.Is(err, spool.ErrAborted) {
			t.Errorf("the checkpoint: %v", err)
		}
		if err := recv(t, "the cause", causes); !errors.Is(err, spool.ErrCancelled) {
			t.Errorf("the context ended with %v", err)
		}
		allLeft(t, s)
		cancelled(t, c, job, "cancelled")
		if got := must(s.raw(t).Get(ctx, s.mine("n")).Int())(t); got != 1 {
			t.Errorf("%d parts were committed", got)
		}
		if n := must(s.raw(t).Exists(ctx, s.key("default", "checkpoints")).Result())(t); n != 0 {
			t.Error("the cursor is still there")
		}
	})
}

// Two hundred races between a transaction and its cancel, among conflicts. Each answer is the truth.
func TestCancelRaces(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		const n = 200
		c := s.client(t)
		ctx, rdb, chance := within(t), s.raw(t), seeded(t)
		w := spool.NewWorker(s.client(t), fast(spool.WorkerConfig{ThreadSlots: 6}))
		var commits, aborts atomic.Int64
		writes.HandleTx(w, func(ctx context.Context, tx *spool.Tx, key string) (int, error) {
			tx.OnCommit(func(context.Context) { commits.Add(1) })
			tx.OnAbort(func(context.Context) { aborts.Add(1) })
			// A hot key that some fight for, and two of its own.
			hot := spool.NewRef[int](s.mine("hot"))
			if err := hot.Update(ctx, tx, func(n int) (int, error) { return n + 1, nil }); err != nil {
				return 0, err
			}
			return 1, errors.Join(spool.NewRef[int](key).Add(ctx, tx, 1), spool.NewRef[int](key+"-b").Add(ctx, tx, 1))
		}, spool.TxConfig{Retry: retry.Policy{Conflicts: retry.Unlimited}})
		work(t, w)
		var wg sync.WaitGroup
		var early, late atomic.Int64
		for i := range n {
			key, pause := s.mine(fmt.Sprint(i)), time.Duration(chance.IntN(4000))*time.Microsecond
			job := must(writes.Put(ctx, c, key))(t)
			wg.Go(func() {
				time.Sleep(pause) // the moment is what is drawn
				err := job.Cancel(ctx)
				_, ended := job.Wait(ctx)
				a, b := rdb.Get(ctx, key).Val(), rdb.Get(ctx, key+"-b").Val()
				switch {
				case err == nil && errors.Is(ended, spool.ErrCancelled) && a+b == "":
					early.Add(1)
				case errors.Is(err, spool.ErrBadState) && ended == nil && a == "1" && b == "1":
					late.Add(1)
				default:
					t.Errorf("Cancel: %v; Wait: %v; wrote %q and %q", err, ended, a, b)
				}
			})
			if i%4 == 3 {
				wg.Wait() // a few at a time: most are to be under way
			}
		}
		wg.Wait()
		allLeft(t, s)
		if got, _ := rdb.Get(ctx, s.mine("hot")).Int64(); got != late.Load() {
			t.Errorf("%d have written, the hot key says %d", late.Load(), got)
		}
		eventually(t, "all hooks ran", func() bool { return commits.Load() == late.Load() })
		_, conflicts := c.Transactions()
		t.Logf("%d cancelled, %d too late, %d aborts, %d conflicts", early.Load(), late.Load(), aborts.Load(), conflicts)
		if early.Load() == 0 || late.Load() == 0 {
			t.Errorf("%d cancelled, %d too late: that is no race", early.Load(), late.Load())
		}
	})
}

// An id of the user's, after a cancel: its outcome is kept, so the same contents are left alone and others refused. Once
// forgotten it may be put again, also while the handler of the cancelled run has not returned, and the two are not
// taken for one another.
func TestIDOfACancelledJob(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		h := newHolder()
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 2}))
		lasts.HandleTx(w, func(ctx context.Context, tx *spool.Tx, n int) (int, error) {
			defer h.hold(ctx)()
			return n, spool.NewRef[int](s.mine("n")).Add(context.WithoutCancel(ctx), tx, 1)
		})
		work(t, w)
		job := must(lasts.Put(ctx, c, 1, spool.ID("mine")))(t)
		first := recv(t, "it begins", h.calls)
		if err := job.Cancel(ctx); err != nil {
			t.Fatal(err)
		}
		again := must(lasts.Put(ctx, c, 1, spool.ID("mine")))(t)
		cancelled(t, c, again, "cancelled")
		if _, err := lasts.Put(ctx, c, 2, spool.ID("mine")); !errors.Is(err, spool.ErrIDTaken) {
			t.Errorf("other contents: %v", err)
		}
		if err := job.Forget(ctx); err != nil {
			t.Fatal(err)
		}
		if err := job.Cancel(ctx); !errors.Is(err, spool.ErrUnknown) {
			t.Errorf("forgotten: %v", err)
		}
		job = must(lasts.Put(ctx, c, 2, spool.ID("mine")))(t)
		second := recv(t, "the new one begins", h.calls)
		<-first.ctx.Done()
		close(first.resume)
		<-first.ended
		allLeft(t, s)
		if err := second.ctx.Err(); err != nil {
			t.Errorf("the new one's context: %v", err)
		}
		close(second.resume)
		if got := must(job.Wait(ctx))(t); got != 2 {
			t.Errorf("got %d", got)
		}
		if got := must(s.raw(t).Get(ctx, s.mine("n")).Int())(t); got != 1 {
			t.Errorf("%d have written", got)
		}
	})
}

// The answer to a cancel is lost, or the question: it is asked again, and the answer is that of the first.
func TestCancelWithLostReplies(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		proxy := s.proxied(t)
		c, far := s.client(t), s.clientAt(t, proxy.Addr())
		ctx := within(t)
		verb := s.verbs(t)
		for what, action := range map[string]redistest.Action{"reply": redistest.DropReply(), "request": redistest.CutBefore()} {
			for range 10 {
				job := must(lasts.Put(ctx, c, 1))(t)
				var lost atomic.Int32
				proxy.OnRequest(func(cmd []string) redistest.Action {
					if verb(cmd) == "cancel" && lost.Add(1) == 1 {
						return action
					}
					return redistest.Pass()
				})
				if err := lasts.Job(far, job.ID()).Cancel(ctx); err != nil || lost.Load() < 2 {
					t.Errorf("%s lost %d times: %v", what, lost.Load(), err)
				}
				cancelled(t, c, job, "")
			}
		}
		if n := must(c.Queue("default").Counts(ctx))(t).Cancelled; n != 20 {
			t.Errorf("%d cancels counted", n)
		}
	})
}

// Jobs of a process that was killed: cancelled while they look active, or as suspects. They do not run again, and what
// the dead process has left is swept.
func TestCancelOfADeadProcessesJobs(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		suspect, active := must(tough.Put(ctx, c, 1))(t), (*spool.Job[int])(nil)
		for round := range int64(3) {
			p := s.spawn(t, "worker", s.addr, "SPOOL_TEST_PAUSE=60000", "SPOOL_TEST_BEAT=20")
			if round == 2 {
				// Nobody is left to sweep what the third holds.
				active = must(tough.Put(ctx, c, 2))(t)
			}
			eventually(t, "the worker holds them", func() bool {
				counts := must(c.Queue("default").Counts(ctx))(t)
				return counts.Active == 1+int(round/2) && counts.Interrupted == round
			})
			p.kill()
		}
		if err := active.Cancel(ctx); err != nil {
			t.Error(err)
		}
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		double.Handle(w, func(ctx context.Context, n int) (int, error) { return n, nil })
		stop := work(t, w)
		eventually(t, "the other is a suspect", func() bool {
			counts := must(c.Queue("default").Counts(ctx))(t)
			return counts.Suspect+counts.Parked == 1 && counts.Active == 0
		})
		if err := stop(); err != nil {
			t.Error(err)
		}
		if err := suspect.Cancel(ctx); err != nil {
			t.Error(err)
		}
		cancelled(t, c, active, "cancelled")
		cancelled(t, c, suspect, "cancelled")
		allLeft(t, s)
	})
}

// A worker that shuts down waits for the handlers of cancelled jobs as for others, and leaves nothing of them.
func TestShutdownWithACancelledJob(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		h := newHolder()
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		lasts.HandleTx(w, func(ctx context.Context, tx *spool.Tx, n int) (int, error) {
			defer h.hold(ctx)()
			return n, spool.NewRef[int](s.mine("n")).Add(context.WithoutCancel(ctx), tx, 1)
		})
		run, cancel := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- w.Run(run) }()
		job := must(lasts.Put(ctx, c, 1))(t)
		call := recv(t, "it begins", h.calls)
		if err := job.Cancel(ctx); err != nil {
			t.Fatal(err)
		}
		<-call.ctx.Done()
		cancel()
		select {
		case err := <-ended:
			t.Errorf("Run returned %v with a handler still running", err)
		case <-time.After(50 * time.Millisecond):
		}
		close(call.resume)
		if err := recv(t, "Run returns", ended); err != nil {
			t.Error(err)
		}
		for _, name := range []string{"leaving", "engines", "dying"} {
			if n := s.raw(t).ZCard(ctx, s.key("default", name)).Val(); n != 0 {
				t.Errorf("%s has %d members", name, n)
			}
		}
		if n := s.raw(t).Exists(ctx, s.mine("n")).Val(); n != 0 {
			t.Error("it has written")
		}
	})
}
