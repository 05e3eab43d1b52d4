package spool_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
)

// ice keeps back all that passes a proxy, from the moment on at which a step comes or the test says so, and until it
// thaws: to others its clients are as dead.
type ice struct {
	mu      sync.Mutex
	at      string // freezes when this step comes; "" for never
	replyOf bool   // of that step the answer is held, not the request
	frozen  chan struct{}
	thawed  bool
	froze   chan string // tells of it
}

func freezer(t *testing.T, s *server, proxy *redistest.Proxy) *ice {
	t.Helper()
	f := &ice{froze: make(chan string, 1)}
	verb := s.verbs(t)
	proxy.OnRequest(func(cmd []string) redistest.Action {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.at != "" && f.frozen == nil && verb(cmd) == f.at {
			f.frozen = make(chan struct{})
			f.froze <- f.at
			if f.replyOf {
				return redistest.HoldReply(f.frozen)
			}
		}
		if f.frozen == nil || f.thawed {
			return redistest.Pass()
		}
		return redistest.Hold(f.frozen)
	})
	t.Cleanup(f.thaw)
	return f
}

func (f *ice) when(step string, reply bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at, f.replyOf = step, reply
}

func (f *ice) now() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.frozen == nil {
		f.frozen = make(chan struct{})
	}
}

func (f *ice) thaw() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.frozen != nil && !f.thawed {
		f.thawed = true
		close(f.frozen)
	}
}

// fenced is a worker that adds up, and tells how its attempts and contexts ended.
type fenced struct {
	began, read        chan string
	cause              chan error // of the context's end, if the handler waited for it
	committed, aborted atomic.Int64
	hold               chan struct{} // handlers wait for it, or for the end of their context, after their reads
	point              bool          // they commit a part before
}

func newFenced() *fenced {
	return &fenced{began: make(chan string, 100), read: make(chan string, 100), cause: make(chan error, 100)}
}

func (f *fenced) handle(w *spool.Worker) {
	credit.HandleTx(w, func(ctx context.Context, tx *spool.Tx, args credits) (int64, error) {
		tx.OnCommit(func(context.Context) { f.committed.Add(1) })
		tx.OnAbort(func(context.Context) { f.aborted.Add(1) })
		f.began <- args.Key
		n, err := addTo(ctx, tx, args)
		f.read <- args.Key
		if f.point && err == nil {
			err = tx.Commit(ctx)
		}
		if f.hold != nil {
			select {
			case <-f.hold:
			case <-ctx.Done():
				f.cause <- context.Cause(ctx)
				return n, nil // what it has done must not count all the same
			}
		}
		if err != nil {
			return 0, err
		}
		return n, putBoth(ctx, tx)
	}, patient)
}

// mortal are the settings of workers that may be declared dead here, but not for being slow.
func mortal(name string) spool.WorkerConfig {
	return spool.WorkerConfig{ThreadSlots: 4, Identity: name, Beat: 80 * time.Millisecond, DeadAfter: 700 * time.Millisecond}
}

// RA-1 to RA-3, G2, G3: a worker is cut off for longer than its DeadAfter, at each step of a transactional job. Another
// one runs the job. Then what the first one had sent arrives, and it sends the rest: nothing of it counts.
func TestFencedOff(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		at   string // the step that is held: "" for none, the handler runs
		wake bool   // the handler returns before the worker is back
		jobs int
	}{
		{"read on the wire", "read", false, 1},
		{"handler running, returns before", "", true, 1},
		{"handler running, told", "", false, 1},
		{"commit on the wire", "commit", false, 1},
		{"commits behind it", "commit", false, 4},
		{"commit in the middle on the wire", "commit", false, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			realServer(t, func(t *testing.T, s *server) {
				proxy, straight, ctx, rdb := s.proxied(t), s.client(t), within(t), s.raw(t)
				ice := freezer(t, s, proxy)
				old, jobs := newFenced(), max(c.jobs, 1)
				old.point = c.jobs < 0
				if c.at == "" || jobs > 1 {
					old.hold = make(chan struct{})
				}
				frozen := spool.NewWorker(s.clientAt(t, proxy.Addr()), mortal("old"))
				old.handle(frozen)
				stop := work(t, frozen)
				ice.when(c.at, false)
				var put []*spool.Job[int64]
				for i := range jobs {
					put = append(put, must(credit.Put(ctx, straight, credits{s.mine(fmt.Sprint("n", i)), 1}))(t))
					recv(t, "it begins", old.began)
				}
				if jobs > 1 {
					old.hold <- struct{}{} // one commits, and the others behind it
				}
				if c.at == "" {
					recv(t, "the handler has read", old.read)
					ice.now()
				} else {
					recv(t, "it freezes", ice.froze)
				}
				if jobs > 1 {
					close(old.hold)
				}
				next := newFenced()
				w := spool.NewWorker(straight, mortal("new"))
				next.handle(w)
				work(t, w)
				for i, j := range put {
					if got := must(j.Wait(ctx))(t); got != 1 {
						t.Errorf("job %d: %d", i, got)
					}
				}
				if c.wake {
					close(old.hold)
				}
				ice.thaw()
				if c.at == "" && !c.wake {
					if cause := recv(t, "the handler is told", old.cause); !errors.Is(cause, spool.ErrAborted) {
						t.Errorf("its context ended with %v", cause)
					}
				}
				q := straight.Queue("default")
				eventually(t, "what came too late is counted", func() bool { return must(q.Counts(ctx))(t).Refused >= int64(jobs) })
				eventually(t, "it is back", func() bool { return must(q.Counts(ctx))(t).Workers == 2 })
				// It works on, with all of its slots.
				if old.hold == nil {
					for range 4 {
						must(must(credit.Put(ctx, straight, credits{s.mine("after"), 1}))(t).Wait(ctx))(t)
					}
				}
				if err := stop(); err != nil {
					t.Error(err)
				}
				for i, j := range put {
					if got := rdb.Get(ctx, s.mine(fmt.Sprint("n", i))).Val(); got != "1" {
						t.Errorf("job %d has left %q", i, got)
					}
					if info := must(q.Get(ctx, j.ID()))(t); info.Worker != "new" || info.Interruptions != 1 || info.Attempts != 1 {
						t.Errorf("job %d: %+v", i, info)
					}
				}
				extra := int(must(q.Counts(ctx))(t).Succeeded) - jobs
				if n := must(q.Counts(ctx))(t); n.Due != jobs+extra || n.Refused != int64(jobs) || n.Failed+n.Retried != 0 {
					t.Errorf("%+v", n)
				}
				if done := old.committed.Load() + next.committed.Load(); done != int64(jobs+extra) || next.committed.Load() < int64(jobs) || old.aborted.Load() != int64(jobs) || next.aborted.Load() != 0 {
					t.Errorf("hooks: old %d and %d aborts, new %d and %d", old.committed.Load(), old.aborted.Load(), next.committed.Load(), next.aborted.Load())
				}
			})
		})
	}
}

// The commit took effect, its answer did not arrive, and the worker is cut off until it is dead to the others. Nobody
// runs the job again. Back again the worker cannot learn what became of its commit: it runs neither of the hooks.
func TestFencedOffAfterItsCommit(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		proxy, straight, ctx := s.proxied(t), s.client(t), within(t)
		ice := freezer(t, s, proxy)
		ice.when("commit", true)
		old, next := newFenced(), newFenced()
		frozen := spool.NewWorker(s.clientAt(t, proxy.Addr()+"?read_timeout=200ms"), mortal("old"))
		old.handle(frozen)
		stop := work(t, frozen)
		j := must(credit.Put(ctx, straight, credits{s.mine("n"), 1}))(t)
		recv(t, "it freezes", ice.froze)
		if got := must(j.Wait(ctx))(t); got != 1 {
			t.Errorf("got %d", got)
		}
		w := spool.NewWorker(straight, mortal("new"))
		next.handle(w)
		work(t, w)
		q := straight.Queue("default")
		eventually(t, "it is declared dead", func() bool {
			return must(s.raw(t).ZCard(ctx, s.key("default", "engines")).Result())(t) == 1 && must(s.raw(t).Exists(ctx, s.key("default", "dying")).Result())(t) == 0
		})
		ice.thaw()
		eventually(t, "it is back", func() bool { return must(q.Counts(ctx))(t).Workers == 2 })
		if err := stop(); err != nil {
			t.Error(err)
		}
		if got := s.raw(t).Get(ctx, s.mine("n")).Val(); got != "1" {
			t.Errorf("it has left %q", got)
		}
		if n := must(q.Counts(ctx))(t); n.Succeeded != 1 || n.Due != 1 || n.Interrupted+n.Failed+n.Retried != 0 {
			t.Errorf("%+v", n)
		}
		if len(next.began) > 0 || old.committed.Load()+old.aborted.Load() != 0 {
			t.Errorf("%d runs elsewhere; %d commits and %d aborts were told of", len(next.began), old.committed.Load(), old.aborted.Load())
		}
	})
}

// Two transactions of one call: of one the reads have changed, or a write cannot succeed, or the job was cancelled. The
// other one stands.
func TestOneOfABatchIsRefused(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"conflict", "check", "lost"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			realServer(t, func(t *testing.T, s *server) {
				proxy, c, ctx, rdb := s.proxied(t), s.client(t), within(t), s.raw(t)
				first, release := make(chan bool, 1), make(chan struct{})
				verb, calls := s.verbs(t), 0
				proxy.OnRequest(func(cmd []string) redistest.Action {
					if verb(cmd) != "commit" {
						return redistest.Pass()
					}
					if calls++; calls == 1 {
						first <- true
						return redistest.Hold(release)
					}
					return redistest.Pass()
				})
				w := spool.NewWorker(s.clientAt(t, proxy.Addr()), spool.WorkerConfig{ThreadSlots: 6, Beat: 100 * time.Millisecond, DeadAfter: 30 * time.Second})
				began, returned, held := make(chan string, 20), make(chan bool, 20), make(chan struct{})
				var runs atomic.Int64
				credit.HandleTx(w, func(ctx context.Context, tx *spool.Tx, args credits) (int64, error) {
					if args.Key == s.mine("bad") {
						runs.Add(1)
					}
					n, err := addTo(ctx, tx, args)
					if err == nil && args.Key == s.mine("bad") {
						err = tx.Do(ctx, "SADD", s.mine("set"), n).Err()
					}
					if err != nil {
						return 0, err
					}
					began <- args.Key
					if args.Key != s.mine("first") {
						<-held
						defer func() { returned <- true }()
					}
					return n, putBoth(ctx, tx)
				})
				work(t, w)
				put := func(key string) *spool.Job[int64] {
					return must(credit.Put(ctx, c, credits{s.mine(key), 1}))(t)
				}
				var good []*spool.Job[int64]
				for i := range 3 {
					good = append(good, put(fmt.Sprint("good", i)))
				}
				bad := put("bad")
				for range 4 {
					recv(t, "they begin", began)
				}
				good = append(good, put("first"))
				recv(t, "a commit is on the wire", first)
				close(held)
				for range 4 {
					recv(t, "they return", returned)
				}
				switch how {
				case "conflict":
					must(rdb.Set(ctx, s.mine("bad"), 10, 0).Result())(t)
				case "check":
					must(rdb.Set(ctx, s.mine("set"), "no set", 0).Result())(t)
				case "lost":
					if err := bad.Cancel(ctx); err != nil {
						t.Error(err)
					}
				}
				close(release)
				for i, j := range good {
					if got := must(j.Wait(ctx))(t); got != 1 {
						t.Errorf("job %d: %d", i, got)
					}
				}
				got, err := bad.Wait(ctx)
				due := len(good)
				switch how {
				case "conflict":
					due++
					if err != nil || got != 11 || runs.Load() != 2 || rdb.Get(ctx, s.mine("bad")).Val() != "11" {
						t.Errorf("%d, %v after %d runs", got, err, runs.Load())
					}
				default:
					if err == nil || rdb.Exists(ctx, s.mine("bad")).Val() != 0 || runs.Load() != 1 {
						t.Errorf("%d, %v after %d runs", got, err, runs.Load())
					}
				}
				if n := must(c.Queue("default").Counts(ctx))(t); n.Due != due || n.Retried+n.Interrupted != 0 || n.Active != 0 {
					t.Errorf("%+v", n)
				}
				proxy.OnRequest(nil)
				if calls > 4 {
					t.Errorf("%d calls: nothing was shared", calls)
				}
			})
		})
	}
}

// deed adds one to a counter and notes the job in a ledger. It holds still in the middle until a key is there, if it is
// given one.
type deed struct {
	Counter, Ledger, Gate string
	Entry                 int
}

var deeds = spool.NewTask[deed, int64]("tx.deed", spool.Interruptions(spool.Unlimited))

func do(ctx context.Context, tx *spool.Tx, d deed, pause func(d deed)) (int64, error) {
	n, err := addTo(ctx, tx, credits{d.Counter, 1})
	if err != nil {
		return 0, err
	}
	pause(d)
	return n, tx.Do(ctx, "HINCRBY", d.Ledger, d.Entry, 1).Err()
}

// childFrozen runs deeds, and says how they go.
func childFrozen() error {
	ctx, c, rdb, err := childClient()
	if err != nil {
		return err
	}
	defer c.Close()
	defer rdb.Close()
	beat := time.Duration(env("SPOOL_TEST_BEAT", 80)) * time.Millisecond
	w := spool.NewWorker(c, spool.WorkerConfig{ThreadSlots: 4, Beat: beat, DeadAfter: 6 * beat, Identity: os.Getenv("SPOOL_TEST_IDENTITY")})
	deeds.HandleTx(w, func(ctx context.Context, tx *spool.Tx, d deed) (int64, error) {
		if d.Gate == "" {
			return do(ctx, tx, d, func(deed) {})
		}
		fmt.Println("began", d.Entry)
		tx.OnCommit(func(context.Context) { fmt.Println("committed", d.Entry) })
		tx.OnAbort(func(context.Context) { fmt.Println("aborted", d.Entry) })
		return do(ctx, tx, d, func(d deed) {
			for rdb.Exists(context.Background(), d.Gate).Val() == 0 {
				time.Sleep(5 * time.Millisecond)
			}
		})
	}, patient)
	fmt.Println("runs")
	return w.Run(ctx)
}
