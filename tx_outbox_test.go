package spool_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
)

var (
	// receipt counts what has arrived, each under its number, in the transaction that ends it. It leaves nothing.
	receipt = spool.NewTask[posted, spool.None]("outbox.receipt", spool.In("there"))
	// purchase puts a receipt.
	purchase = spool.NewTask[posted, spool.None]("outbox.order")
)

type posted struct {
	Key string // a hash, number to times
	N   int
}

func received(ctx context.Context, tx *spool.Tx, p posted) (spool.None, error) {
	return spool.None{}, tx.Do(ctx, "HINCRBY", p.Key, p.N, 1).Err()
}

func ordered(ctx context.Context, tx *spool.Tx, p posted) (spool.None, error) {
	if err := tx.Do(ctx, "INCR", p.Key+"-orders").Err(); err != nil {
		return spool.None{}, err
	}
	_, err := receipt.Put(ctx, tx, p)
	return spool.None{}, err
}

// receiver runs what arrives, until the test ends.
func receiver(t *testing.T, c *spool.Client, queues ...string) {
	t.Helper()
	w := spool.NewWorker(c, fast(spool.WorkerConfig{Queues: append([]string{"there"}, queues...), ThreadSlots: 4}))
	receipt.HandleTx(w, received)
	purchase.HandleTx(w, ordered)
	work(t, w)
}

// eachOnce waits until n receipts have arrived and reports those that did so more than once, or that lie in the outbox.
func eachOnce(t *testing.T, s *server, key string, n int) {
	t.Helper()
	rdb := s.raw(t)
	ctx := context.Background()
	eventually(t, fmt.Sprintf("%d receipts", n), func() bool { return int(rdb.HLen(ctx, key).Val()) == n })
	eventually(t, "the outbox is empty", func() bool {
		return rdb.Exists(ctx, s.key("default", "outbox"), s.key("default", "outgoing")).Val() == 0
	})
	eventually(t, "nothing is under way", func() bool {
		return rdb.HLen(ctx, s.key("there", "jobs")).Val() == 0
	})
	for number, times := range must(rdb.HGetAll(ctx, key).Result())(t) {
		if times != "1" {
			t.Errorf("receipt %s arrived %s times", number, times)
		}
	}
}

// A job that a transaction puts into another queue arrives there once, from Transact and from a handler, and its handle
// is good at once: who waits for it or cancels it need not know of the way it goes.
func TestFollowUpInAnotherQueue(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		receiver(t, c, "default")
		key := s.mine("receipts")
		for i := range 10 {
			transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
				_, err := receipt.Put(ctx, tx, posted{key, i})
				return err
			})
		}
		for i := range 10 {
			must(purchase.Put(ctx, c, posted{key, 10 + i}))(t)
		}
		eachOnce(t, s, key, 20)
		elsewhere := spool.NewTask[int, int]("outbox.elsewhere", spool.In("elsewhere"))
		for range 5 {
			var job *spool.Job[int]
			transacted(t, c, func(ctx context.Context, tx *spool.Tx) (err error) {
				job, err = elsewhere.Put(ctx, tx, 1)
				if err := job.Cancel(ctx); !errors.Is(err, spool.ErrUnknown) {
					t.Errorf("not committed: %v", err)
				}
				return err
			})
			if err := job.Cancel(ctx); err != nil {
				t.Errorf("at once after the commit: %v", err)
			}
			if _, err := job.Wait(ctx); !errors.Is(err, spool.ErrCancelled) {
				t.Errorf("at once after the commit: %v", err)
			}
		}
	})
}

// Each step of the way is cut, or its answer lost, fifty times. Everything arrives exactly once.
func TestDeliveryWithLosses(t *testing.T) {
	t.Parallel()
	for what, action := range map[string]redistest.Action{"reply": redistest.DropReply(), "request": redistest.CutBefore()} {
		for _, step := range []string{"outgoing", "deliver", "delivered"} {
			t.Run(what+" of "+step, func(t *testing.T) {
				t.Parallel()
				realServer(t, func(t *testing.T, s *server) {
					proxy := s.proxied(t)
					c := s.clientAt(t, proxy.Addr())
					receiver(t, s.client(t), "default")
					l := lose(t, s, proxy, action, 50, step)
					n := 0
					for ; !l.over(); n++ {
						transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
							_, err := receipt.Put(ctx, tx, posted{s.mine("receipts"), n})
							return err
						})
					}
					eachOnce(t, s, s.mine("receipts"), n)
				})
			})
		}
	}
}

// The answer to a delivery is lost, and the job has run, and has left nothing, when it is delivered a second time.
func TestSecondDeliveryOfWhatHasEnded(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		proxy := s.proxied(t)
		verb := s.verbs(t)
		c, near := s.clientAt(t, proxy.Addr()), s.client(t)
		receiver(t, near)
		for round := range 5 {
			var deliveries atomic.Int32
			proxy.OnRequest(func(cmd []string) redistest.Action {
				if verb(cmd) == "deliver" && deliveries.Add(1) == 1 {
					return redistest.HoldReply(nil)
				}
				return redistest.Pass()
			})
			transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
				_, err := receipt.Put(ctx, tx, posted{s.mine("receipts"), round})
				return err
			})
			eventually(t, "it has ended", func() bool {
				n := must(near.Queue("there").Counts(within(t)))(t)
				return n.Succeeded == int64(round+1) && n.Active == 0
			})
			proxy.CutAll()
			eachOnce(t, s, s.mine("receipts"), round+1)
			if n := deliveries.Load(); n != 2 {
				t.Errorf("%d deliveries", n)
			}
		}
		if n := must(near.Queue("there").Counts(within(t)))(t).Succeeded; n != 5 {
			t.Errorf("%d jobs ran", n)
		}
	})
}

// childPosts commits transactions, each of which counts and puts a receipt.
func childPosts() error {
	ctx, c, rdb, err := childClient()
	if err != nil {
		return err
	}
	defer c.Close()
	defer rdb.Close()
	key := os.Getenv("SPOOL_TEST_KEY")
	for ctx.Err() == nil {
		err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			ref := spool.NewRef[int](key + "-orders")
			n := 0
			if err := ref.Update(ctx, tx, func(last int) (int, error) { n = last; return last + 1, nil }); err != nil {
				return err
			}
			_, err := receipt.Put(ctx, tx, posted{key, n})
			return err
		})
		if err != nil {
			return err
		}
		fmt.Println("committed")
	}
	return nil
}

// Processes that commit and deliver are killed, at each step and at random moments. What they have left lying is found
// by the beat of a worker of their queue, and everything arrives exactly once.
func TestDeliverersAreKilled(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		c, rdb, chance := s.client(t), s.raw(t), seeded(t)
		ctx := within(t)
		verb := s.verbs(t)
		key := s.mine("receipts")
		receiver(t, c)
		lying := int64(0)
		// At each step: before it is asked, and after it was done and before the answer.
		for _, step := range []string{"outgoing", "deliver", "delivered"} {
			for _, action := range []redistest.Action{redistest.Hold(nil), redistest.HoldReply(nil)} {
				proxy := s.proxied(t)
				reached := make(chan bool, 100)
				proxy.OnRequest(func(cmd []string) redistest.Action {
					if verb(cmd) == step {
						reached <- true
						return action
					}
					return redistest.Pass()
				})
				p := s.spawn(t, "posts", proxy.Addr(), "SPOOL_TEST_KEY="+key)
				recv(t, "it is at "+step, reached)
				p.kill()
				lying += rdb.HLen(ctx, s.key("default", "outbox")).Val()
			}
		}
		for range 12 {
			p := s.spawn(t, "posts", s.addr, "SPOOL_TEST_KEY="+key)
			for range 1 + chance.IntN(40) {
				p.line(t)
			}
			time.Sleep(time.Duration(chance.IntN(3000)) * time.Microsecond)
			p.kill()
		}
		later := rdb.HLen(ctx, s.key("default", "outbox")).Val()
		t.Logf("%d jobs lay in the outbox in all, and %d in the end", lying, later)
		if lying < 5 {
			t.Errorf("%d were left lying: that proves nothing", lying)
		}
		// A worker that has nothing else to do.
		idle := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		double.Handle(idle, func(ctx context.Context, n int) (int, error) { return n, nil })
		work(t, idle)
		n := must(rdb.Get(ctx, key+"-orders").Int())(t)
		eachOnce(t, s, key, n)
	})
}

// Without a worker, what was left lying goes with the next transaction.
func TestNextTransactionDeliversWhatIsLeft(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		proxy := s.proxied(t)
		verb := s.verbs(t)
		gone := s.clientAt(t, proxy.Addr())
		asked := make(chan bool, 10)
		proxy.OnRequest(func(cmd []string) redistest.Action {
			if verb(cmd) == "outgoing" {
				asked <- true
				return redistest.Hold(nil)
			}
			return redistest.Pass()
		})
		put := func(c *spool.Client, n int) {
			transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
				_, err := receipt.Put(ctx, tx, posted{s.mine("receipts"), n})
				return err
			})
		}
		put(gone, 0)
		recv(t, "it is about to deliver", asked)
		if err := gone.Close(); err != nil {
			t.Fatal(err)
		}
		c := s.client(t)
		if n := s.raw(t).HLen(t.Context(), s.key("default", "outbox")).Val(); n != 1 {
			t.Errorf("%d jobs lie there", n)
		}
		put(c, 1)
		receiver(t, c)
		eachOnce(t, s, s.mine("receipts"), 2)
	})
}

// Times that are relative count from the commit, however long the way is.
func TestTimesCountFromTheCommit(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		proxy := s.proxied(t)
		verb := s.verbs(t)
		c, near := s.clientAt(t, proxy.Addr()), s.client(t)
		ctx := within(t)
		release := make(chan struct{})
		proxy.OnRequest(func(cmd []string) redistest.Action {
			if verb(cmd) == "deliver" {
				return redistest.Hold(release)
			}
			return redistest.Pass()
		})
		at := time.Now().Add(time.Hour).Truncate(time.Millisecond)
		jobs := map[string]string{}
		before := time.Now()
		transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
			for name, opts := range map[string][]spool.Option{"delayed": {spool.Delay(time.Minute)}, "due": {spool.Due(at)},
				"past": {spool.Delay(10 * time.Millisecond)}, "late": {spool.BeginBy(10 * time.Millisecond)},
				"limited": {spool.Delay(time.Minute), spool.BeginBy(time.Minute)}, "now": {spool.Priority(3), spool.Meta("a", "b")}} {
				jobs[name] = must(receipt.Put(ctx, tx, posted{s.mine("receipts"), len(jobs)}, opts...))(t).ID()
			}
			return nil
		})
		after := time.Now()
		time.Sleep(150 * time.Millisecond) // the way
		close(release)
		q := near.Queue("there")
		eventually(t, "they have arrived", func() bool { return must(q.Counts(ctx))(t).Pending() == len(jobs) })
		info := func(name string) *spool.JobInfo { return must(q.Get(ctx, jobs[name]))(t) }
		for _, name := range []string{"delayed", "limited"} {
			if due := info(name).Due; due.Before(before.Add(time.Minute-time.Millisecond)) || due.After(after.Add(time.Minute+time.Millisecond)) {
				t.Errorf("%s is due %v, committed between %v and %v", name, due, before, after)
			}
		}
		if due := info("due").Due; !due.Equal(at) {
			t.Errorf("due %v, want %v", due, at)
		}
		if i := info("now"); i.Priority != 3 || i.Meta["a"] != "b" {
			t.Errorf("%+v", i)
		}
		if n := must(q.Counts(ctx))(t); n.Ready != 3 || n.Due != 3 {
			t.Errorf("%+v", n)
		}
		receiver(t, near)
		if _, err := receipt.Job(near, jobs["late"]).Wait(ctx); !errors.Is(err, spool.ErrExpired) {
			t.Errorf("past its deadline: %v", err)
		}
		eventually(t, "the other two have run", func() bool { return must(q.Counts(ctx))(t).Succeeded == 2 })
	})
}
