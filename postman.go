package spool

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/spooljobs/spool/internal/store"
)

// Nothing is atomic between slots. A job that a transaction puts into another queue is written to the outbox of its own
// queue by the commit, then delivered, then taken out of the outbox. Whoever dies in between leaves it there, for whoever
// looks next; the queue it goes to remembers for a day what has arrived, and takes nothing in twice. So it is put exactly
// once, soon after the commit.

// postman delivers what the outbox of a queue holds. There is one goroutine a queue while there is something.
type postman struct {
	c *Client
	q *store.Queue

	mu    sync.Mutex // guards what follows
	busy  bool
	again bool // there may be more than the last look has found
}

// post lets the outbox of a queue be emptied.
func (c *Client) post(queue string) {
	q := c.queue(queue)
	c.mu.Lock()
	p := c.posts[queue]
	if p == nil {
		p = &postman{c: c, q: q}
		c.posts[queue] = p
	}
	c.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.again = true
	if !p.busy {
		p.busy = c.spawn(p.run)
	}
}

func (p *postman) run() {
	for {
		p.mu.Lock()
		p.busy, p.again = p.again, false
		busy := p.busy
		p.mu.Unlock()
		if !busy {
			return
		}
		if _, err := p.c.relay(p.c.life, p.q, "", p.c); err != nil && p.c.life.Err() == nil {
			// It lies there until the next transaction or a worker's beat.
			p.c.cfg.Logger.LogAttrs(p.c.life, slog.LevelWarn, "an outbox was not emptied", slog.String("queue", p.q.Name()), slog.Any("err", err))
		}
	}
}

// relay delivers what an outbox holds for a store, "" being its own, by way of a client. It returns how many jobs that
// were; an error says that more may be left.
func (c *Client) relay(ctx context.Context, q *store.Queue, to string, via *Client) (delivered int, err error) {
	passed := make(map[string]bool) // for other stores, or in vain
	for {
		var outs []store.Out
		if err := c.gate.do(ctx, func() (err error) {
			outs, err = q.Outgoing(ctx, len(passed))
			return err
		}); err != nil {
			return delivered, c.away("looking into the outbox", err)
		}
		if len(outs) == 0 {
			return delivered, nil
		}
		groups := make(map[string][]store.Out)
		for _, o := range outs {
			queue, name, _ := strings.Cut(o.To, "@")
			if o.To == "" || checkName("queue", queue, maxQueueName) != nil {
				c.cfg.Logger.LogAttrs(ctx, slog.LevelError, "an entry of an outbox cannot be read; it is left there", slog.String("queue", q.Name()), slog.String("id", o.ID))
				passed[o.ID] = true
			} else if name != to {
				passed[o.ID] = true
			} else {
				groups[queue] = append(groups[queue], o)
			}
		}
		for queue, group := range groups {
			if err := c.deliver(ctx, q, via, queue, group); err != nil {
				return delivered, err
			}
			delivered += len(group)
		}
	}
}

// deliver takes jobs to one queue, and then out of the outbox.
func (c *Client) deliver(ctx context.Context, q *store.Queue, via *Client, queue string, outs []store.Out) error {
	target := via.queue(queue)
	var refused []int
	if err := via.gate.do(ctx, func() (err error) {
		refused, err = target.Deliver(ctx, outs)
		return err
	}); err != nil {
		return via.away(fmt.Sprintf("delivering to queue %s", queue), err)
	}
	for _, i := range refused {
		c.cfg.Logger.LogAttrs(ctx, slog.LevelError, "a job from an outbox was refused: its id bears another job", slog.String("queue", queue), slog.String("job", outs[i].Item.ID))
	}
	err := c.gate.do(ctx, func() error {
		_, err := q.Delivered(ctx, outs)
		return err
	})
	if err != nil {
		return c.away("emptying the outbox", err)
	}
	return nil
}

// Relay delivers jobs that transactions of this client have put for another store, under the name that Tx.Via was given:
// from the outbox of a queue here to the queues there, each exactly once while both stores keep their data. It returns how
// many it delivered. The process that committed tries by itself, once; let a service call Relay now and then for what
// was left lying. It may be called from any number of places.
func (c *Client) Relay(ctx context.Context, queue, name string, to *Client) (delivered int, err error) {
	switch {
	case ctx == nil:
		return 0, &FieldError{"ctx", nil, "must not be nil"}
	case to == nil:
		return 0, &FieldError{"to", nil, "must not be nil"}
	}
	if err := checkName("queue", queue, maxQueueName); err != nil {
		return 0, err
	}
	if err := checkName("name", name, maxQueueName); err != nil {
		return 0, err
	}
	ctx, cancel := c.patient(ctx)
	defer cancel()
	return c.relay(ctx, c.queue(queue), name, to)
}

// Via is where a transaction puts jobs into the queues of another store: task.Put(ctx, tx.Via("jobs", other), args). The
// jobs are written to the outbox of the transaction's queue and are delivered after the commit, exactly once; what the
// commit has done and the job are not in one step, and what the job does in its own store is another transaction. name
// says to Relay which store is meant. (PostgreSQL users know it as the outbox pattern.)
func (tx *Tx) Via(name string, other *Client) To { return &via{tx, name, other} }

type via struct {
	tx    *Tx
	name  string
	other *Client
}

func (v *via) put(ctx context.Context, items []putItem) error {
	if v.other == nil {
		return &FieldError{"to", nil, "must not be nil"}
	}
	if err := checkName("name", v.name, maxQueueName); err != nil {
		return err
	}
	if err := v.tx.usable(ctx); err != nil {
		return err
	}
	for i := range items {
		items[i].err = v.tx.take(ctx, &items[i], v.name)
	}
	v.tx.OnCommit(func(ctx context.Context) {
		c, q := v.tx.c, v.tx.c.queue(v.tx.queue)
		c.spawn(func() {
			if _, err := c.relay(c.life, q, v.name, v.other); err != nil && c.life.Err() == nil {
				c.cfg.Logger.LogAttrs(c.life, slog.LevelWarn, "jobs for another store were not delivered; Relay will", slog.String("store", v.name), slog.Any("err", err))
			}
		})
	})
	return nil
}
