package spool_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/embedded"
	"github.com/spooljobs/spool/internal/redistest"
)

// other is a second store: another prefix of the same server, or another server.
func (s *server) other(t *testing.T, far bool) *server {
	t.Helper()
	o := &server{s.name, s.addr, s.prefix + "-other"}
	if far {
		mini := must(embedded.Serve())(t)
		t.Cleanup(mini.Close)
		o.addr = mini.Addr()
	}
	t.Cleanup(func() { o.check(t) })
	return o
}

// DM-4. Jobs for the queues of another store, which is away, comes and goes: each arrives there once.
func TestAnotherStore(t *testing.T) {
	for _, far := range []bool{false, true} {
		t.Run(map[bool]string{false: "another prefix", true: "another server"}[far], func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, s *server) { postToAnotherStore(t, s, s.other(t, far)) })
		})
	}
}

func postToAnotherStore(t *testing.T, s, o *server) {
	proxy := o.proxied(t)
	c, there, unsteady := s.client(t), o.client(t), o.clientAt(t, proxy.Addr())
	ctx := within(t)
	key := o.mine("receipts")
	receiver(t, there)
	put := func(n int, name string, to *spool.Client) (job *spool.Job[spool.None]) {
		transacted(t, c, func(ctx context.Context, tx *spool.Tx) (err error) {
			if err := tx.Do(ctx, "INCR", s.mine("orders")).Err(); err != nil {
				return err
			}
			job, err = receipt.Put(ctx, tx.Via(name, to), posted{key, n})
			return err
		})
		return job
	}
	// As a rule it is delivered soon.
	for i := range 5 {
		put(i, "steady", there)
	}
	arrived := func(n int) {
		t.Helper()
		rdb := o.raw(t)
		eventually(t, fmt.Sprintf("%d receipts", n), func() bool { return int(rdb.HLen(ctx, key).Val()) == n })
		for number, times := range must(rdb.HGetAll(ctx, key).Result())(t) {
			if times != "1" {
				t.Errorf("receipt %s arrived %s times", number, times)
			}
		}
	}
	arrived(5)
	// Aborted: nothing.
	_ = c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
		must(receipt.Put(ctx, tx.Via("other", there), posted{key, 99}))(t)
		return errKnown
	})
	// The other store is away: commits go on, and do not pile up goroutines that wait for it.
	proxy.Down()
	for i := range 60 {
		put(5+i, "other", unsteady)
	}
	stacks := make([]byte, 16<<20)
	if n := strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "(*Client).relay("); n > 30 { // of all tests together
		t.Errorf("%d goroutines deliver", n)
	}
	arrived(5)
	if n := s.raw(t).HLen(ctx, s.key("default", "outbox")).Val(); n != 60 {
		t.Errorf("%d jobs lie in the outbox", n)
	}
	// Relays of others, at once, over a bad line.
	if err := proxy.Up(); err != nil {
		t.Fatal(err)
	}
	verb, lost := o.verbs(t), 0
	proxy.OnRequest(func(cmd []string) redistest.Action {
		if verb(cmd) == "deliver" && lost < 5 {
			lost++
			return redistest.DropReply()
		}
		return redistest.Pass()
	})
	var wg sync.WaitGroup
	relays, better := s.client(t), o.clientAt(t, proxy.Addr()) // one that has not learned to wait
	for range 4 {
		wg.Go(func() {
			if _, err := relays.Relay(ctx, "default", "other", better); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	arrived(65)
	eventually(t, "the outbox is empty", func() bool { return s.raw(t).HLen(ctx, s.key("default", "outbox")).Val() == 0 })
	if n := must(relays.Relay(ctx, "default", "other", there))(t); n != 0 {
		t.Errorf("%d more were delivered", n)
	}
	if n := must(s.raw(t).Get(ctx, s.mine("orders")).Int())(t); n != 65 {
		t.Errorf("%d orders", n)
	}
	// A handle is good at once.
	job := put(200, "steady", there)
	if _, err := job.Wait(ctx); err != nil && !errors.Is(err, spool.ErrUnknown) { // it leaves nothing
		t.Error(err)
	}
	arrived(66)
	_, err := c.Relay(ctx, "de fault", "other", there)
	mistaken(t, err, "queue")
	_, err = c.Relay(ctx, "default", "", there)
	mistaken(t, err, "name")
	_, err = c.Relay(ctx, "default", "other", nil)
	mistaken(t, err, "to")
}

// The other store is full: nothing of a delivery is taken in, nor remembered as arrived, and it is made when there is room.
func TestDeliveryToAFullStore(t *testing.T) {
	t.Parallel()
	ownServer(t, func(t *testing.T, o *server, r *redistest.Server) {
		mini := must(embedded.Serve())(t)
		t.Cleanup(mini.Close)
		s := &server{"embedded", mini.Addr(), o.prefix}
		t.Cleanup(func() { s.check(t) })
		c, there := s.client(t), o.client(t)
		ctx := within(t)
		must(there.Queue("there").Counts(ctx))(t)
		rdb := o.raw(t)
		must(rdb.ConfigSet(ctx, "maxmemory", "1").Result())(t)
		for i := range 3 {
			transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
				_, err := receipt.Put(ctx, tx.Via("other", there), posted{o.mine("receipts"), i})
				return err
			})
		}
		if n, err := c.Relay(ctx, "default", "other", there); n != 0 || !errors.Is(err, spool.ErrFull) {
			t.Errorf("%d, %v", n, err)
		}
		if keys := must(rdb.Keys(ctx, "*").Result())(t); len(keys) > 0 {
			t.Errorf("it holds %q", keys)
		}
		must(rdb.ConfigSet(ctx, "maxmemory", "0").Result())(t)
		if n := must(c.Relay(ctx, "default", "other", there))(t); n != 3 {
			t.Errorf("%d were delivered", n)
		}
		receiver(t, there)
		eventually(t, "all have arrived", func() bool { return rdb.HLen(ctx, o.mine("receipts")).Val() == 3 })
	})
}
