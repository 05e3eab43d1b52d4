package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/spooljobs/spool"
)

func linkReaction() spool.Reaction[spool.None, Raw, spool.None] {
	return spool.NewReaction[spool.None, Raw, spool.None]("link")
}

// chain is one chain of callbacks and the worker's side of it.
type chain struct {
	times
	book *ledger
	gate chan struct{} // closed to let job 0 end
	once sync.Once
	link spool.Reaction[spool.None, Raw, spool.None]
}

func newChain(links, slots int) *chain {
	n := links + 1
	return &chain{times: times{make([]time.Time, n), make([]time.Time, n)}, book: newLedger(n, n, slots),
		gate: make(chan struct{}), link: linkReaction()}
}

// open lets job 0 end. A second call does nothing.
func (c *chain) open() { c.once.Do(func() { close(c.gate) }) }

// work starts the worker.
func (c *chain) work(ctx context.Context, b *spoolBroker, slots int, fail func(error)) (stop func() error) {
	worker := spool.NewWorker(b.client, spool.WorkerConfig{ThreadSlots: slots, ReactorSlots: -1})
	b.noop.Handle(worker, func(_ context.Context, arg Raw) (spool.None, error) {
		c.run(arg, func() { <-c.gate })
		return spool.None{}, nil
	})
	c.link.Handle(worker, func(_ context.Context, parent spool.Outcome[spool.None], arg Raw) (spool.None, error) {
		if parent.Err != nil {
			fail(fmt.Errorf("spool: a callback was told of a failure: %w", parent.Err))
		}
		c.run(arg, func() {})
		return spool.None{}, nil
	})
	return runSpool(ctx, worker, fail)
}

// run is the body of all handlers. No two jobs have the same number, and the
// ledger tells if one runs twice.
func (c *chain) run(arg Raw, do func()) {
	start := time.Now()
	index, err := indexOf(arg)
	c.book.begin()
	do()
	c.book.count(index, err)
	if known := err == nil && index < len(c.starts); known {
		c.starts[index], c.ends[index] = start, time.Now()
	}
	c.book.end(true)
}

// put puts job 0, and each other one as a callback of the one before.
func (c *chain) put(ctx context.Context, b *spoolBroker, size int) error {
	last, err := b.noop.Put(ctx, b.client, asRaw(payload(0, size)))
	for i := 1; i < len(c.starts) && err == nil; i++ {
		last, err = spool.OnDone(ctx, b.client, last, c.link.With(asRaw(payload(i, size))))
	}
	return err
}
