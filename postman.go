package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spooljobs/spool/internal/store"
)

// Nothing is atomic between slots. A job that a transaction puts into another queue is written to the outbox of its own
// queue by the commit, then delivered, then taken out of the outbox. Whoever dies in between leaves it there, for whoever
// looks next; the queue it goes to remembers for a day what has arrived, and takes nothing in twice. So it is put exactly
// once, soon after the commit.

// postman delivers what the outbox of a queue holds for a store. There is one goroutine a route while there is
// something, however many transactions commit meanwhile.
type postman struct {
	c *Client
	route
	chore
}

// route is a way out of a queue: to the queues of a store, "" being its own, by way of a client.
type route struct {
	from string
	name string
	via  *Client
}

// post lets the outbox of a queue be emptied.
func (c *Client) post(queue string) { c.send(route{queue, "", c}) }

func (c *Client) send(r route) {
	c.mu.Lock()
	p := c.posts[r]
	if p == nil {
		p = &postman{c: c, route: r}
		c.posts[r] = p
	}
	c.mu.Unlock()
	p.start(c, p.empty)
}

func (p *postman) empty() {
	if _, err := p.c.relay(p.c.life, p.route); err != nil && p.c.life.Err() == nil {
		// It lies there until the next transaction or a worker's beat; what is for other stores, until Relay.
		p.c.cfg.Logger.LogAttrs(p.c.life, slog.LevelWarn, "an outbox was not emptied", slog.String("queue", p.from),
			slog.String("store", p.name), slog.Any("err", err))
	}
}

// relay delivers what an outbox holds for a route, beside whoever else does. It returns how many jobs that were. An error
// says that more may be left: what could not be delivered stays and stops nothing else.
func (c *Client) relay(ctx context.Context, r route) (delivered int, err error) {
	q := c.queue(r.from)
	var errs []error
	stuck := make(map[string]bool) // queues that could not be reached: what follows there waits for what is before it
	for stay := 0; ; {
		var outs []store.Out
		if err := c.gate.do(ctx, func() (err error) {
			outs, err = q.Outgoing(ctx, stay)
			return err
		}); err != nil {
			return delivered, errors.Join(append(errs, c.away("looking into the outbox", err))...)
		}
		if len(outs) == 0 {
			return delivered, errors.Join(errs...)
		}
		groups := make(map[string][]store.Out)
		for i := range outs {
			switch queue, name, err := addressOf(&outs[i]); {
			case err != nil:
				c.cfg.Logger.LogAttrs(ctx, slog.LevelError, "an entry of an outbox cannot be read; it is left there",
					slog.String("queue", r.from), slog.String("id", outs[i].ID), slog.Any("err", err))
				stay++
			case name != r.name, stuck[queue]:
				stay++
			default:
				groups[queue] = append(groups[queue], outs[i])
			}
		}
		for queue, group := range groups {
			err := c.deliver(ctx, q, r.via, queue, group)
			switch {
			case err == nil:
				delivered += len(group)
			case ctx.Err() != nil:
				return delivered, errors.Join(append(errs, err)...)
			default:
				errs = append(errs, err)
				stay += len(group)
				stuck[queue] = true
			}
		}
	}
}

// addressOf is where an entry of an outbox goes. What a queue could not take is an error.
func addressOf(o *store.Out) (queue, name string, err error) {
	queue, name, _ = strings.Cut(o.To, "@")
	if err := checkName("queue", queue, maxQueueName); err != nil {
		return "", "", err
	}
	if err := checkID(o.Item.ID); err != nil {
		return "", "", err
	}
	if o.Job() {
		_, err = store.DecodeRecord(string(o.Record))
	}
	return queue, name, err
}

// deliver takes jobs to one queue, and then out of the outbox.
func (c *Client) deliver(ctx context.Context, q *store.Queue, via *Client, queue string, outs []store.Out) error {
	target := via.queue(queue)
	var refused []int
	if err := via.gate.do(ctx, func() (err error) {
		refused, err = target.Deliver(ctx, q.Name(), outs)
		return err
	}); err != nil {
		return via.away(fmt.Sprintf("delivering to queue %s", queue), err)
	}
	for _, i := range refused {
		why := "its id bears another job"
		if i >= store.Unknown {
			i, why = i-store.Unknown, "nothing is stored of the job that it follows"
		}
		c.cfg.Logger.LogAttrs(ctx, slog.LevelError, "a job from an outbox was refused: "+why, slog.String("queue", queue), slog.String("job", outs[i].Item.ID))
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
	return c.relay(ctx, route{queue, name, to})
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
	v.tx.OnCommit(func(context.Context) {
		v.tx.c.send(route{v.tx.queue, v.name, v.other})
	})
	return nil
}
