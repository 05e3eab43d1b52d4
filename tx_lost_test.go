package spool_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
	"github.com/spooljobs/spool/retry"
)

// patient runs again at once after disconnects and conflicts, however many.
var patient = spool.TxConfig{Retry: retry.Policy{Conflicts: retry.Unlimited, Disconnects: retry.Constant(time.Millisecond)}}

// steps names what a client sends for its transactions, as a proxy sees it. It follows one transaction at a time.
type steps struct {
	verb    func(cmd []string) string
	watched bool // WATCH was sent
	multi   bool // MULTI was sent
}

// of names a command: read, watch, look, multi, queue, exec, settle; others by their script, or not at all.
func (s *steps) of(cmd []string) string {
	verb := s.verb(cmd)
	switch {
	case cmd[0] == "WATCH":
		s.watched = true
		return "watch"
	case cmd[0] == "MULTI":
		s.multi = true
		return "multi"
	case cmd[0] == "EXEC":
		s.over()
		return "exec"
	case verb == "transact" && s.multi:
		return "queue"
	case verb == "transact":
		return "settle"
	case verb == "read" && s.watched:
		return "look"
	}
	return verb
}

// over: the connection was cut, or the transaction has ended.
func (s *steps) over() { s.watched, s.multi = false, false }

// fate is what meets a step of a transaction, so many times in a row.
type fate struct {
	step   string
	action redistest.Action
	times  int
}

// strikes lets each fate meet its step when armed, and counts what was lost.
type strikes struct {
	mu    sync.Mutex
	fates []fate // yet to come
	lost  int
}

func (k *strikes) arm(fates ...fate) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fates = fates
}

func (k *strikes) meet(step string) (action redistest.Action, hit bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.fates {
		if f := &k.fates[i]; f.step == step && f.times > 0 {
			f.times--
			k.lost++
			return f.action, true
		}
	}
	return redistest.Pass(), false
}

func (k *strikes) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.lost
}

// strike makes a proxy let fates meet the steps of one client's transactions.
func strike(t *testing.T, s *server, proxy *redistest.Proxy) *strikes {
	t.Helper()
	k, at := &strikes{}, &steps{verb: s.verbs(t)}
	proxy.OnRequest(func(cmd []string) redistest.Action {
		action, hit := k.meet(at.of(cmd))
		if hit {
			at.over()
		}
		return action
	})
	return k
}

// toll is what a transaction of these tests leaves: a counter that goes up by one, a job in its own queue and one in
// another, and a hook.
type toll struct {
	key       string
	committed atomic.Int64
	aborted   atomic.Int64
	attempts  int // of the last call
}

func (l *toll) pay(ctx context.Context, c *spool.Client) (n int64, err error) {
	err = c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
		l.attempts = tx.Attempts()
		tx.OnCommit(func(context.Context) { l.committed.Add(1) })
		tx.OnAbort(func(context.Context) { l.aborted.Add(1) })
		var err error
		if n, err = addTo(ctx, tx, credits{l.key, 1}); err != nil {
			return err
		}
		return putBoth(ctx, tx)
	}, patient)
	return n, err
}

// putBoth puts a job that is due in an hour into the transaction's queue, and one into another.
func putBoth(ctx context.Context, tx *spool.Tx) error {
	_, err := note.Put(ctx, tx, "here", spool.Delay(time.Hour))
	if err != nil {
		return err
	}
	_, err = note.Put(ctx, tx, "there", spool.In("others"))
	return err
}

// paid checks that so many transactions have had their effect, each once.
func paid(t *testing.T, c *spool.Client, rdb *redis.Client, key string, want int) {
	t.Helper()
	ctx := within(t)
	if got := must(rdb.Get(ctx, key).Int())(t); got != want {
		t.Errorf("%d after %d transactions", got, want)
	}
	if n := must(c.Queue("default").Counts(ctx))(t); n.Due != want {
		t.Errorf("%d jobs in the queue of %d transactions", n.Due, want)
	}
	eventually(t, "the outbox is empty", func() bool {
		return must(c.Queue("others").Counts(ctx))(t).Ready >= want && must(rdb.Exists(ctx, outboxOf(c)).Result())(t) == 0
	})
	if n := must(c.Queue("others").Counts(ctx))(t); n.Ready != want {
		t.Errorf("%d jobs in the other queue of %d transactions", n.Ready, want)
	}
}

func outboxOf(c *spool.Client) string { return c.Queue("default").Tag() + ":outbox" }

// At each step of Transact the reply is lost, or the request, two hundred times: always plus one (G3).
func TestTransactLosesEachStep(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"read", "watch", "look", "multi", "queue", "exec", "settle"} {
		for what, action := range map[string]redistest.Action{"reply": redistest.DropReply(), "request": redistest.CutBefore()} {
			t.Run(what+" of "+step, func(t *testing.T) {
				t.Parallel()
				realServer(t, func(t *testing.T, s *server) { loseStep(t, s, step, action) })
			})
		}
	}
}

func loseStep(t *testing.T, s *server, step string, action redistest.Action) {
	const n = 200
	proxy := s.proxied(t)
	straight := s.client(t)
	c := s.clientAt(t, proxy.Addr(), silent)
	k, chance, ctx := strike(t, s, proxy), seeded(t), within(t)
	l := &toll{key: s.mine("n")}
	begun := 0
	for i := range n {
		fates := []fate{{step, action, 1 + chance.IntN(2)}}
		if step == "settle" {
			// The question comes up once the commit was lost, one way or the other.
			lost := redistest.DropReply()
			if chance.IntN(2) == 0 {
				lost = redistest.CutBefore()
			}
			fates = append(fates, fate{"exec", lost, 1})
		}
		k.arm(fates...)
		got, err := l.pay(ctx, c)
		if err != nil || got != int64(i+1) {
			t.Fatalf("transaction %d: %d, %v", i, got, err)
		}
		begun += l.attempts
	}
	if lost := k.count(); lost < n {
		t.Errorf("%d were lost", lost)
	}
	paid(t, straight, s.raw(t), l.key, n)
	if l.committed.Load() != n || l.aborted.Load() != int64(begun-n) {
		t.Errorf("%d commits and %d aborts were told of, %d attempts", l.committed.Load(), l.aborted.Load(), begun)
	}
	if commits, conflicts := c.Transactions(); commits != n || conflicts != 0 {
		t.Errorf("%d commits and %d conflicts were counted", commits, conflicts)
	}
	if used, _, beyond := c.Connections(); used != 0 || beyond != 0 {
		t.Errorf("%d connections are held, %d beyond the limit", used, beyond)
	}
	if step == "exec" && action == redistest.DropReply() && begun != n {
		t.Errorf("%d attempts: the answer to a commit that took effect is found out, nothing runs again", begun)
	}
}

func silent(cfg *spool.ClientConfig) { cfg.Logger = quiet }

// What a transaction puts into another queue goes by the outbox. Each step of that is lost, by five clients beside each
// other, and each job arrives once.
func TestOutboxLosesEachStep(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"outgoing", "deliver", "delivered"} {
		for what, action := range map[string]redistest.Action{"reply": redistest.DropReply(), "request": redistest.CutBefore()} {
			t.Run(what+" of "+step, func(t *testing.T) {
				t.Parallel()
				realServer(t, func(t *testing.T, s *server) {
					const clients, each = 5, 12
					straight, ctx, rdb := s.client(t), within(t), s.raw(t)
					together(clients, func(int) {
						proxy := s.proxied(t)
						c := s.clientAt(t, proxy.Addr(), silent)
						k := strike(t, s, proxy)
						l := &toll{key: s.mine("n")}
						for range each {
							k.arm(fate{step, action, 1})
							if _, err := l.pay(ctx, c); err != nil {
								t.Error(err)
								return
							}
							eventually(t, "the outbox is empty", func() bool { return rdb.Exists(ctx, outboxOf(straight)).Val() == 0 })
						}
					})
					paid(t, straight, rdb, s.mine("n"), clients*each)
				})
			})
		}
	}
}

// Anything is lost at any time, while several fight for one counter: a hundred times plus one each.
func TestTransactLosesAnything(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		parties, each := 4, 100
		if s.name == "embedded" {
			parties, each = 2, 60 // which is slower
		}
		proxy, chance := s.proxied(t), seeded(t)
		straight, ctx := s.client(t), within(t)
		lost := 0
		proxy.OnRequest(func(cmd []string) redistest.Action {
			switch dice := chance.IntN(24); {
			case strings.HasPrefix(cmd[0], "HELLO"), cmd[0] == "CLIENT":
			case dice == 0:
				lost++
				return redistest.DropReply()
			case dice == 1:
				lost++
				return redistest.CutBefore()
			}
			return redistest.Pass()
		})
		var all sync.WaitGroup
		var mu sync.Mutex
		seen := make(map[int64]bool)
		for range parties {
			c := s.clientAt(t, proxy.Addr(), silent, func(cfg *spool.ClientConfig) { cfg.WaitForRedis = true })
			l := &toll{key: s.mine("n")}
			all.Go(func() {
				for range each {
					n, err := l.pay(ctx, c)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					if seen[n] {
						t.Errorf("two transactions made it %d", n)
					}
					seen[n] = true
					mu.Unlock()
				}
				if l.committed.Load() != int64(each) {
					t.Errorf("%d commits were told of", l.committed.Load())
				}
			})
		}
		all.Wait()
		proxy.OnRequest(nil)
		paid(t, straight, s.raw(t), s.mine("n"), parties*each)
		if lost < parties*each/2 {
			t.Errorf("%d were lost", lost)
		}
	})
}
