package spool_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/retry"
)

var historian = spool.NewTask[int, bool]("tx.history")

// Many transactions at once, with and without jobs, of two clients, and others who write plainly. Each transaction that
// writes appends to a list, in itself, what it read and wrote. Done directly in the order of that list, one after the
// other, everything answers as it did, and leaves the same; and who began after another had ended stands behind it.
// Transactions that only read, and those that give up after reading, saw one moment, too.
func TestTransactionsAreStrictlySerialisable(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		seed := drawSeed(t)
		h := &concurrent{s: s, mine: s.space(t, "mine"), model: s.space(t, "model"), seed: seed, ended: map[string]*ending{},
			filed: make(chan struct{}, 1)}
		first := newDeck(s, seed, 1)
		for _, i := range first.Perm(len(types))[:2] {
			h.hot = append(h.hot, types[i])
		}
		for range 20 {
			renew := first.renew(s, pick(first, types))
			h.mine.must(t, renew...)
			h.model.must(t, renew...)
		}
		clients := []*spool.Client{s.client(t), s.client(t)}
		for _, c := range clients {
			w := spool.NewWorker(c, spool.WorkerConfig{ThreadSlots: 16})
			historian.HandleTx(w, h.job, spool.TxConfig{Retry: retry.Forever()})
			work(t, w)
		}
		ctx := patiently(t)
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() { h.bare(ctx, t, clients[i%2], i) })
		}
		wg.Go(func() { h.jobs(ctx, t, clients[0]) })
		var others sync.WaitGroup
		others.Go(func() { h.others(t) })
		wg.Wait()
		close(h.filed)
		others.Wait()
		if t.Failed() {
			return
		}
		h.replay(ctx, t)
		for _, c := range clients {
			commits, conflicts := c.Transactions()
			t.Log(commits, "commits", conflicts, "conflicts")
		}
	})
}

// concurrent is a history of many transactions at once.
type concurrent struct {
	s           *server
	mine, model *space
	seed        uint64
	hot         []string // types of the keys that all want
	clock       atomic.Int64
	filed       chan struct{} // a transaction has ended; capacity 1

	mu    sync.Mutex // guards what follows
	ended map[string]*ending
}

// ending is a transaction as its own side knows it.
type ending struct {
	id         string
	began, end int64 // by the clock of the test
	place      int   // how many had committed at the moment that it saw; -1 if it wrote
	steps      []step
	committed  bool // it says that it wrote
}

// file notes what became of a transaction.
func (h *concurrent) file(e *ending) {
	e.end = h.clock.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended[e.id] = e
	select {
	case h.filed <- struct{}{}:
	default:
	}
}

// attempt is the function of a transaction. It runs again on a conflict, and then is another one.
func (h *concurrent) attempt(ctx context.Context, tx *spool.Tx, d *deck, e *ending) error {
	e.place, e.steps = -1, nil
	typ := pick(d, h.hot)
	how := d.IntN(10) // 0: it only reads; 1: it reads and gives up; others: some read, then write
	only := how < 2
	if only {
		n, err := tx.Do(ctx, "LLEN", h.mine.key("order")).Int()
		if err != nil {
			return err
		}
		e.place = n
	}
	wrote := false
	for i := range 2 + d.IntN(5) {
		c := d.next(h.s, typ)
		for only != c.reads() && (only || i < 2) {
			c = d.next(h.s, typ)
		}
		reply, err := tx.Do(ctx, h.mine.args(c)...).Result()
		one := step{command: c}
		var fault redis.Error
		switch {
		case !c.reads() && err == nil:
			wrote = true
		case c.reads() && (err == nil || errors.Is(err, redis.Nil) || errors.As(err, &fault)):
			one.answer = h.mine.answer(c, reply, err)
		case errors.Is(err, spool.ErrReadAfterWrite), !c.reads():
			continue // refused
		default:
			return err
		}
		e.steps = append(e.steps, one)
		if d.IntN(30) == 0 {
			break
		}
	}
	if how == 1 {
		return errEnough
	}
	if only {
		return nil
	}
	if !wrote {
		c := cmd("SET @string1 x")
		if err := tx.Do(ctx, h.mine.args(c)...).Err(); err != nil {
			return err
		}
		e.steps = append(e.steps, step{command: c})
	}
	return tx.Do(ctx, "RPUSH", h.mine.key("order"), encoded(e.id, e.steps)).Err()
}

// bare runs transactions without jobs.
func (h *concurrent) bare(ctx context.Context, t *testing.T, c *spool.Client, who int) {
	d := newDeck(h.s, h.seed+uint64(who)+1, 1)
	for i := range *historyLength / 6 {
		e := &ending{id: fmt.Sprintf("bare %d.%d", who, i), began: h.clock.Add(1)}
		err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error { return h.attempt(ctx, tx, d, e) },
			spool.TxConfig{Retry: retry.Forever()})
		var bad *spool.FieldError
		switch {
		case err == nil:
			e.committed = e.place < 0
		case errors.As(err, &bad): // refused at the commit
			e.steps = nil
		case !errors.Is(err, errEnough):
			t.Errorf("%s: %v", e.id, err)
			return
		}
		h.file(e)
	}
}

// pending are the endings of jobs, by their number.
func (h *concurrent) pending(n int) *ending {
	h.mu.Lock()
	defer h.mu.Unlock()
	id := "job " + strconv.Itoa(n)
	if h.ended[id] == nil {
		h.ended[id] = &ending{id: id}
	}
	return h.ended[id]
}

// job is the handler of a job.
func (h *concurrent) job(ctx context.Context, tx *spool.Tx, n int) (bool, error) {
	attempt := &ending{id: "job " + strconv.Itoa(n)}
	d := newDeck(h.s, h.seed+uint64(1000*n+tx.Attempts()), 1)
	err := h.attempt(ctx, tx, d, attempt)
	e := h.pending(n)
	h.mu.Lock()
	e.place, e.steps = attempt.place, attempt.steps
	h.mu.Unlock()
	if err == nil && e.place < 0 && n%10 == 0 {
		err = spool.KeepWrites(errKept)
	}
	return attempt.place < 0, err
}

var errKept = errors.New("failed, and the writes are kept")

// jobs puts jobs, and hears of their ends.
func (h *concurrent) jobs(ctx context.Context, t *testing.T, c *spool.Client) {
	var wg sync.WaitGroup
	for from := 0; from < *historyLength/3; from += 10 {
		var partials []spool.Partial[bool]
		for n := range 10 {
			h.pending(from + n).began = h.clock.Add(1)
			partials = append(partials, historian.With(from+n))
		}
		results, err := spool.PutMany(ctx, c, partials)
		if err != nil {
			t.Error(err)
			return
		}
		for i, r := range results {
			if r.Err != nil {
				t.Error(r.Err)
				continue
			}
			wg.Go(func() {
				wrote, err := r.Job.Wait(ctx)
				e := h.pending(from + i)
				switch {
				case err == nil:
					e.committed = wrote
				case strings.Contains(err.Error(), errKept.Error()):
					e.committed = true
				case strings.Contains(err.Error(), "nothing was written"): // refused at the commit
					e.steps = nil
				case !strings.Contains(err.Error(), errEnough.Error()):
					t.Errorf("%s: %v", e.id, err)
				}
				h.file(e)
			})
		}
		if from%20 == 10 {
			wg.Wait() // some begin after others have ended
		}
	}
	wg.Wait()
}

// unlike are writes that leave what was never there before.
var unlike = map[string]string{
	"string": "SET @k %d", "hash": "HSET @k f %d", "list": "LPUSH @k %d", "set": "SADD @k f%d", "zset": "ZADD @k %d f",
	"stream": "XADD @k * f %d",
}

// others write plainly, all the while.
func (h *concurrent) others(t *testing.T) {
	ctx := context.Background()
	d := newDeck(h.s, h.seed+99, 1)
	for i := 0; ; i++ {
		if _, more := <-h.filed; !more {
			return
		}
		e := &ending{id: fmt.Sprintf("other %d", i), began: h.clock.Add(1), place: -1, committed: true}
		var noted *redis.IntCmd
		_, err := h.mine.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
			typ := pick(d, h.hot)
			list := []command{d.fill(h.s, fmt.Sprintf(unlike[typ], i), typ)}
			if d.IntN(3) == 0 {
				list = append(d.renew(h.s, typ), list...)
			}
			for _, c := range list {
				e.steps = append(e.steps, step{command: c})
				p.Do(ctx, h.mine.args(c)...)
			}
			noted = p.RPush(ctx, h.mine.key("order"), encoded(e.id, e.steps))
			return nil
		})
		if noted.Err() != nil { // the others may find a key of another type
			t.Error(err)
			return
		}
		h.mu.Lock()
		e.end = h.clock.Add(1)
		h.ended[e.id] = e
		h.mu.Unlock()
	}
}
