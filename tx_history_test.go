package spool_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool"
)

var (
	historySeed   = flag.Uint64("history.seed", 0, "run random histories with this seed; 0 draws one")
	historyLength = flag.Int("history.length", 150, "transactions in a random history")
)

// drawSeed gives a test its seed, and says which if the test fails.
func drawSeed(t *testing.T) uint64 {
	t.Helper()
	seed := *historySeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("again with: -run '%s' -history.seed=%d -history.length=%d", t.Name(), seed, *historyLength)
		}
	})
	return seed
}

// A transaction is the same as its commands, made directly one after another: in what it answers, in what it leaves, and
// in whether it can be at all. A second set of keys, to which the same commands are done directly, is the model.
func TestTransactionIsItsCommandsOneByOne(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		seed := drawSeed(t)
		c := s.client(t)
		w := spool.NewWorker(c, spool.WorkerConfig{ThreadSlots: 2})
		h := &history{
			s: s, c: c, ctx: patiently(t), d: newDeck(s, seed, 2),
			mine: s.space(t, "mine"), model: s.space(t, "model"), scratch: s.space(t, "scratch"),
			seen: map[string]int{}, count: map[string]int{},
		}
		historied.HandleTx(w, h.handle, spool.TxConfig{Who: "history"})
		work(t, w)
		length := *historyLength
		if s.name == "embedded" {
			length /= 2 // it is slow
		}
		for i := 0; i < length || len(covered(t, s, h.seen)) > 0; i++ {
			if i > 20**historyLength {
				t.Fatalf("never seen: %v", covered(t, s, h.seen))
			}
			h.one(t, i)
		}
		if _, conflicts := c.Transactions(); conflicts != 0 {
			t.Errorf("%d conflicts, and nobody else was there", conflicts)
		}
		t.Log(h.count)
		if h.count["committed"] < length/3 || h.count["refused"] == 0 || h.count["told"] == 0 {
			t.Errorf("too little was tried: %v", h.count)
		}
	})
}

// history is a random one, of transactions one after another.
type history struct {
	s                    *server
	c                    *spool.Client
	ctx                  context.Context
	d                    *deck
	mine, model, scratch *space
	seen, count          map[string]int

	fn    func(ctx context.Context, tx *spool.Tx) error // of the job that runs
	given error                                         // what it returned
}

// in runs a function in a transaction: mostly by Transact, sometimes as a job.
func (h *history) in(ctx context.Context, fn func(ctx context.Context, tx *spool.Tx) error) error {
	if h.d.IntN(4) > 0 {
		return h.c.Transact(ctx, fn, spool.TxConfig{Who: "history"})
	}
	h.fn, h.given = fn, nil
	job, err := historied.Put(ctx, h.c, true)
	if err != nil {
		return err
	}
	_, err = job.Wait(ctx)
	if err == nil || h.given != nil && strings.Contains(err.Error(), h.given.Error()) {
		return h.given
	}
	// What the commit was refused for is text by now.
	if _, rest, found := strings.Cut(err.Error(), "spool: key "); found {
		key, _ := strconv.QuotedPrefix(rest)
		key, _ = strconv.Unquote(key)
		return &spool.FieldError{Field: "key", Value: key, Rule: err.Error()}
	}
	return err
}

func (h *history) handle(ctx context.Context, tx *spool.Tx, _ bool) (bool, error) {
	h.given = h.fn(ctx, tx)
	return true, h.given
}

var historied = spool.NewTask[bool, bool]("tx.historied")

// step is a command of a transaction.
type step struct {
	command
	answer  string
	refused error // at the call; the transaction went on without it
}

var errEnough = errors.New("the function has had enough")

// one runs one transaction and compares.
func (h *history) one(t *testing.T, n int) {
	t.Helper()
	d := h.d
	for d.IntN(3) > 0 {
		renew := d.renew(h.s, pick(d, types))
		h.mine.must(t, renew...)
		h.model.must(t, renew...)
	}
	var story strings.Builder
	typ, other := pick(d, most), pick(d, types)
	how := d.IntN(12)
	var steps []step
	judged := false
	err := h.in(h.ctx, func(ctx context.Context, tx *spool.Tx) error {
		if tx.Attempts() != 1 {
			t.Errorf("transaction %d runs again", n)
		}
		for range 1 + d.IntN(8) {
			of := typ
			if d.IntN(5) == 0 {
				of = other
			}
			c := d.next(h.s, of)
			one, err := h.do(ctx, tx, c, steps)
			fmt.Fprintf(&story, "%v %s %v\n", c, one.answer, err)
			if one.refused != nil && d.IntN(3) == 0 {
				return one.refused
			}
			if err != nil {
				return err
			}
			steps = append(steps, one)
			if d.IntN(20) == 0 {
				err := tx.Commit(ctx)
				fmt.Fprintf(&story, "commit %v\n", err)
				h.judge(t, n, &story, steps, err)
				steps = nil
				if err != nil {
					judged = true
					return err
				}
			}
		}
		switch how {
		case 0:
			return errEnough
		case 1:
			return spool.KeepWrites(errEnough)
		}
		return nil
	})
	fmt.Fprintf(&story, "ends %v\n", err)
	switch {
	case judged:
		return
	case how == 1 && errors.Is(err, errEnough):
		err = nil
	case how == 1 && err == nil:
		t.Fatalf("transaction %d:\n%sthe error was lost", n, &story)
	}
	h.judge(t, n, &story, steps, err)
}

// do does a command in a transaction.
func (h *history) do(ctx context.Context, tx *spool.Tx, c command, before []step) (step, error) {
	reply, err := tx.Do(ctx, h.mine.args(c)...).Result()
	one := step{command: c}
	var fault redis.Error
	switch {
	case !c.reads() && err == nil:
		one.answer = shown(reply)
		if reply != "QUEUED" {
			return one, fmt.Errorf("%v answered %v", c, reply)
		}
	case c.reads() && (err == nil || errors.Is(err, redis.Nil) || errors.As(err, &fault)):
		one.answer = h.mine.answer(c, reply, err)
		h.count["read"]++
		for _, old := range before {
			if !old.reads() && old.touches(c) {
				h.count["told"]++
				break
			}
		}
	case c.reads() && errors.Is(err, spool.ErrReadAfterWrite):
		one.refused = err
		for _, old := range before {
			if !old.reads() && old.touches(c) {
				return one, nil
			}
		}
		return one, fmt.Errorf("%v: nothing was written: %w", c, err)
	case !c.reads():
		one.refused = err
	default:
		return one, err
	}
	return one, nil
}

// judge holds a transaction that has ended with an error, or with none, against the model. With an error it must have
// left no trace: the model is as before.
func (h *history) judge(t *testing.T, n int, story *strings.Builder, steps []step, err error) {
	t.Helper()
	fail := func(format string, args ...any) {
		t.Helper()
		t.Fatalf("transaction %d:\n%s%s", n, story, fmt.Sprintf(format, args...))
	}
	d := h.d
	var bad *spool.FieldError
	switch {
	case err == nil:
		h.count["committed"]++
		for i, one := range steps {
			if one.refused != nil {
				h.needless(t, fail, steps[:i], one)
				continue
			}
			h.seen[one.name()]++
			answer, failed := h.model.do(t, one.command)
			if one.reads() && answer != one.answer {
				fail("%v answers %s", one.command, answer)
			}
			if !one.reads() && failed {
				fail("%v, and it should have been refused", answer)
			}
		}
	case errors.Is(err, spool.ErrBrokenCommit), errors.Is(err, spool.ErrConflict):
		fail("%v", err)
	case errors.As(err, &bad): // at the commit
		h.count["refused"]++
		h.model.copyTo(t, h.scratch, d.all())
		justified := false
		for _, one := range steps {
			if one.refused == nil {
				_, failed := h.scratch.do(t, one.command)
				justified = justified || failed && !one.reads()
			}
		}
		if !justified && !lax(steps) {
			fail("refused, and nothing would have failed")
		}
		if key, is := bad.Value.(string); !is || !strings.HasPrefix(key, h.mine.key("")) {
			fail("the error does not name a key")
		}
	case errors.Is(err, errEnough), errors.Is(err, spool.ErrReadAfterWrite), strings.Contains(err.Error(), "spool: "):
		h.count["given up"]++
	default:
		fail("%v", err)
	}
	if diff := h.mine.state(t, d.all()).differs(h.model.state(t, d.all())); diff != "" {
		fail("left:\n%s", diff)
	}
}

// needless fails if a write was refused at the call, and not for what is unknown then, and would have succeeded.
func (h *history) needless(t *testing.T, fail func(string, ...any), before []step, one step) {
	t.Helper()
	if one.reads() || strings.Contains(one.refused.Error(), "commit first") || lax(before) || one.name() == "SMOVE" {
		h.count["not told"]++
		return
	}
	h.count["refused at the call"]++
	h.model.copyTo(t, h.scratch, h.d.all())
	if _, failed := h.scratch.do(t, one.command); !failed {
		fail("%v: refused, %v, and would have succeeded", one.command, one.refused)
	}
}

// lax reports whether there is something among the commands after which more may be refused than Redis would: a SMOVE,
// which asks more of its second key, and a point of time, which may have passed.
func lax(steps []step) bool {
	for _, one := range steps {
		if one.name() == "SMOVE" || strings.HasSuffix(one.name(), "EXPIREAT") {
			return true
		}
	}
	return false
}
