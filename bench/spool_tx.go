package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
	"github.com/spooljobs/spool"
)

// spoolWith is Spool with another handler: its jobs add one to a counter.
type spoolWith struct {
	spoolPeer
	name, about string
	handle      func(*spoolBroker, *spool.Worker, WorkConfig)
}

func (p spoolWith) Name() string     { return p.name }
func (p spoolWith) Settings() string { return p.spoolPeer.Settings() + ", " + p.about }

func (p spoolWith) Open(ctx context.Context, addr string, requests *atomic.Int64) (Broker, error) {
	b, err := openSpool(ctx, addr, requests)
	if err != nil {
		return nil, err
	}
	b.handle = p.handle
	return b, nil
}

// spoolTx commits the counter together with the end of the job.
func spoolTx(key counter) Peer {
	handle := func(b *spoolBroker, worker *spool.Worker, w WorkConfig) {
		b.noop.HandleTx(worker, func(ctx context.Context, tx *spool.Tx, arg Raw) (spool.None, error) {
			index, err := indexOf(arg)
			if err == nil {
				err = w.Try(index, func() error { return increment(ctx, tx, key(index)) })
			}
			// After a disconnect the handler runs again.
			if err != nil && !errors.Is(err, spool.ErrDisconnected) {
				w.Fail(fmt.Errorf("spool: job %d: %w", index, err))
			}
			return spool.None{}, err
		})
	}
	return spoolWith{name: "spool", about: "HandleTx with GET and SET", handle: handle}
}

// spoolWatch has a transaction of its own in each job: one WATCH a job, on one
// of the client's dedicated connections.
func spoolWatch(key counter) Peer {
	handle := func(b *spoolBroker, worker *spool.Worker, w WorkConfig) {
		b.noop.Handle(worker, func(ctx context.Context, arg Raw) (spool.None, error) {
			index, err := indexOf(arg)
			if err == nil {
				err = w.Try(index, func() error {
					return b.client.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
						return increment(ctx, tx, key(index))
					})
				})
			}
			if err != nil {
				w.Fail(fmt.Errorf("spool-watch: job %d: %w", index, err))
			}
			return spool.None{}, err
		})
	}
	return spoolWith{name: "spool-watch", about: "Handle around client.Transact with GET and SET", handle: handle}
}

// increment is written as one who has no INCR would: the read is what a
// transaction can conflict over.
func increment(ctx context.Context, tx *spool.Tx, key string) error {
	n, err := tx.Do(ctx, "GET", key).Int64()
	if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	return tx.Do(ctx, "SET", key, n+1).Err()
}

// Transactions implements transactor.
func (b *spoolBroker) Transactions() (commits, conflicts int64) { return b.client.Transactions() }
