package spool_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/failure"
	"github.com/spooljobs/spool/internal/redistest"
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

// More at a time than one beat tells of: all of them learn, and none is left noted as running.
func TestCancelOfMany(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		const n = 250
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ReactorSlots: n}))
		begun, told := make(chan bool, n), make(chan error, n)
		release := make(chan struct{})
		turns.HandleTx(w, func(ctx context.Context, tx *spool.Tx, i int) (int, error) {
			return spool.Await(ctx, func(ctx context.Context) (int, error) {
				begun <- true
				<-ctx.Done()
				told <- context.Cause(ctx)
				<-release
				return 0, context.Cause(ctx)
			})
		})
		work(t, w)
		jobs := putCounted(t, ctx, c, turns, n)
		for range n {
			recv(t, "a handler begins", begun)
		}
		for _, j := range jobs {
			if err := j.Cancel(ctx); err != nil {
				t.Fatal(err)
			}
		}
		for range n {
			if err := recv(t, "its context ends", told); !errors.Is(err, spool.ErrCancelled) && !errors.Is(err, spool.ErrAborted) {
				t.Errorf("the context ended with %v", err)
			}
		}
		close(release)
		allLeft(t, s)
		if counts := must(c.Queue("default").Counts(ctx))(t); counts.Cancelled != n || counts.Active != 0 || counts.Failed != 0 {
			t.Errorf("%+v", counts)
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
		work(t, w)
		eventually(t, "the other is a suspect", func() bool {
			counts := must(c.Queue("default").Counts(ctx))(t)
			return counts.Suspect+counts.Parked == 1 && counts.Active == 0
		})
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
