package spool_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool"
)

// What cannot be delivered stays, and is told in the log. It stops nothing else, however much of it there is.
func TestBrokenEntriesStopNothing(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		var log safeBuffer
		c := s.client(t, func(cfg *spool.ClientConfig) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		ctx, rdb := within(t), s.raw(t)
		outbox, outgoing := s.key("default", "outbox"), s.key("default", "outgoing")
		// Older than all others, and more than a page: for a store that nobody serves, and garbage of all kinds.
		lay := func(id, entry string) {
			rdb.HSet(ctx, outbox, id, entry)
			rdb.ZAdd(ctx, outgoing, redis.Z{Score: 1, Member: id})
		}
		for i := range 120 {
			lay(fmt.Sprintf("other-%d", i), "there@nobody   id record")
		}
		for i, entry := range []string{"", "garbage", "no/queue   id record", "there   id record", "there x y id 1t9a--1000004note", "there    1t9----1000",
			"there   id \x00\xff\xff", strings.Repeat("there ", 100)} {
			lay(fmt.Sprintf("broken-%d", i), entry)
		}
		rdb.ZAdd(ctx, outgoing, redis.Z{Score: 1, Member: "absent"})
		// A queue that can take nothing in.
		rdb.Set(ctx, s.key("wrong", "inbox"), "text", 0)
		blocked := spool.NewTask[int, int]("outbox.blocked", spool.In("wrong"))
		var held *spool.Job[int]
		transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
			held = must(blocked.Put(ctx, tx, 1))(t)
			return nil
		})
		receiver(t, s.client(t))
		for i := range 5 {
			transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
				must(receipt.Put(ctx, tx, posted{s.mine("receipts"), i}))(t)
				_, err := blocked.Put(ctx, tx, i)
				return err
			})
		}
		eventually(t, "the receipts have arrived", func() bool { return rdb.HLen(ctx, s.mine("receipts")).Val() == 5 })
		eventually(t, "they have left the outbox", func() bool { return rdb.ZCard(ctx, outgoing).Val() == 120+8+1+6 })
		for _, word := range []string{"cannot be read", "not emptied", "broken-1"} {
			eventually(t, "the log says "+word, func() bool { return strings.Contains(log.String(), word) })
		}
		if n, err := c.Relay(ctx, "default", "elsewhere", c); n != 0 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		// The store comes to be served, and the queue is mended.
		rdb.Del(ctx, s.key("wrong", "inbox"))
		if err := held.Cancel(ctx); err != nil {
			t.Errorf("it did not arrive: %v", err)
		}
		eventually(t, "the others have arrived", func() bool { return must(c.Queue("wrong").Counts(ctx))(t).Ready == 5 })
		rdb.Del(ctx, outbox, outgoing) // so that the checker finds no fault
	})
}

// safeBuffer is a buffer for logs.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// A job whose id bears another one there is refused there, and told in the log. The others of its delivery arrive.
func TestTakenIDInAnotherQueue(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		var log safeBuffer
		c := s.client(t, func(cfg *spool.ClientConfig) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		ctx := within(t)
		key := s.mine("receipts")
		must(receipt.Put(ctx, c, posted{key, 0}, spool.ID("taken")))(t)
		transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
			must(receipt.Put(ctx, tx, posted{key, 1}))(t)
			must(receipt.Put(ctx, tx, posted{key, 2}, spool.ID("taken")))(t)
			must(receipt.Put(ctx, tx, posted{key, 3}, spool.ID("free")))(t)
			return nil
		})
		transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
			must(receipt.Put(ctx, tx, posted{key, 0}, spool.ID("taken")))(t) // the same
			return nil
		})
		eventually(t, "they have arrived", func() bool { return must(c.Queue("there").Counts(ctx))(t).Ready == 3 })
		receiver(t, c)
		eachOnce(t, s, key, 3)
		if n := s.raw(t).HExists(ctx, key, "2").Val(); n {
			t.Error("the one that was refused has run")
		}
		if n := strings.Count(log.String(), "was refused"); n != 1 {
			t.Errorf("%d refusals in the log", n)
		}
	})
}
