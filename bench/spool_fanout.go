package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spooljobs/spool"
)

// outcomes is what a join is told: how each child has ended.
type outcomes = []spool.Outcome[spool.None]

func joinReaction() spool.Reaction[outcomes, Raw, spool.None] {
	return spool.NewReaction[outcomes, Raw, spool.None]("join")
}

// fanoutPeer is Spool with jobs that are children of fan-outs. The children are
// those of a plain drain, with the same handler; a join follows the children of
// one fan-out.
type fanoutPeer struct {
	spoolPeer
	children int
	join     spool.Reaction[outcomes, Raw, spool.None]

	mu   sync.Mutex
	seen []outcomes // by the joins, to be looked at after the clock has stopped
}

func newFanoutPeer(children int) *fanoutPeer {
	return &fanoutPeer{children: children, join: joinReaction()}
}

func (p *fanoutPeer) Open(ctx context.Context, addr string, requests *atomic.Int64) (Broker, error) {
	b, err := openSpool(ctx, addr, requests)
	if err != nil {
		return nil, err
	}
	b.handle = p.handle
	return b, nil
}

func (p *fanoutPeer) handle(b *spoolBroker, worker *spool.Worker, w WorkConfig) {
	handlePlain(b, worker, w)
	p.join.Handle(worker, func(_ context.Context, parent spool.Outcome[outcomes], arg Raw) (spool.None, error) {
		if parent.Err != nil {
			w.Fail(fmt.Errorf("spool: a fan-out has failed: %w", parent.Err))
		}
		p.mu.Lock()
		p.seen = append(p.seen, parent.Value)
		p.mu.Unlock()
		w.Handle(indexOf(arg))
		return spool.None{}, nil
	})
}

// fill puts the flows and waits until all children are jobs that can be claimed.
func (p *fanoutPeer) fill(ctx context.Context, side Broker, fanouts, size int) error {
	b, ok := side.(*spoolBroker)
	if !ok {
		return errors.New("not a broker of Spool")
	}
	total := fanouts * p.children
	for i := range fanouts {
		list := make([]spool.Partial[spool.None], p.children)
		for k := range list {
			list[k] = b.noop.With(asRaw(payload(i*p.children+k, size)))
		}
		join := p.join.With(asRaw(payload(total+i, size)))
		if _, err := spool.Join(join, list...).Put(ctx, b.client); err != nil {
			return err
		}
	}
	for limit := time.Now().Add(stall); ; {
		counts, err := b.client.Queue(mainQueue).Counts(ctx)
		if err != nil || counts.Ready == total {
			return err
		}
		if time.Now().After(limit) {
			return fmt.Errorf("%d of %d children can be claimed after %v", counts.Ready, total, stall)
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}

// check looks at what the joins have seen: each one success of each child of its
// own. Call it when the worker has stopped.
func (p *fanoutPeer) check(fanouts int) error {
	if len(p.seen) != fanouts {
		return fmt.Errorf("%d joins ran, not %d", len(p.seen), fanouts)
	}
	known := make(map[string]bool)
	for _, list := range p.seen {
		if len(list) != p.children {
			return fmt.Errorf("a join has seen %d outcomes, not %d", len(list), p.children)
		}
		for _, one := range list {
			if one.Err != nil {
				return fmt.Errorf("a join has seen a child that failed: %w", one.Err)
			}
			if known[one.JobID] {
				return fmt.Errorf("joins have seen child %s twice", one.JobID)
			}
			known[one.JobID] = true
		}
	}
	return nil
}
