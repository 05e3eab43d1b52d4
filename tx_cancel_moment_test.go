package spool_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
	"github.com/spooljobs/spool/retry"
)

// cancelBed is a worker behind a proxy whose transactional handler waits at each step for the test.
type cancelBed struct {
	s             *server
	c             *spool.Client
	w             *spool.Worker
	proxy         *redistest.Proxy
	verb          func(cmd []string) string
	read, written *holder
	done, undone  atomic.Int32 // hooks
	clash         atomic.Bool  // the next attempt is to be in conflict
}

func newCancelBed(t *testing.T, s *server, cfg ...spool.TxConfig) *cancelBed {
	b := &cancelBed{s: s, c: s.client(t), proxy: s.proxied(t), verb: s.verbs(t), read: newHolder(), written: newHolder()}
	b.w = spool.NewWorker(s.clientAt(t, b.proxy.Addr()), fast(spool.WorkerConfig{ThreadSlots: 1}))
	writes.HandleTx(b.w, func(ctx context.Context, tx *spool.Tx, key string) (int, error) {
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
	work(t, b.w)
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

// A transaction that was in conflict and finds no slot to run again is given back, and may be cancelled there. It is told
// that its attempt was not to be.
func TestCancelWithoutASlot(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		b := newCancelBed(t, s)
		ctx := within(t)
		for round := range 2 {
			key := s.mine(fmt.Sprint(round))
			b.clash.Store(true)
			job := must(writes.Put(ctx, b.c, key))(t)
			close(recv(t, "it begins", b.read.calls).resume)
			call := recv(t, "it has written", b.written.calls)
			if err := b.w.Resize(spool.Thread, 0); err != nil {
				t.Fatal(err)
			}
			close(call.resume)
			eventually(t, "its hook ran", func() bool { return int(b.undone.Load()) == round+1 })
			if err := job.Cancel(ctx); err != nil {
				t.Error(err)
			}
			allLeft(t, s)
			cancelled(t, b.c, job, "cancelled")
			if got := must(s.raw(t).Get(ctx, key).Int())(t); got != 41 {
				t.Errorf("the key holds %d", got)
			}
			if err := b.w.Resize(spool.Thread, 1); err != nil {
				t.Fatal(err)
			}
		}
		next := must(writes.Put(ctx, b.c, s.mine("next")))(t)
		close(recv(t, "it begins", b.read.calls).resume)
		close(recv(t, "it has written", b.written.calls).resume)
		must(next.Wait(ctx))(t)
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
