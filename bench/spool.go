package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
	"github.com/spooljobs/spool"
)

// spoolPeer measures Spool with thread slots only. Everything that touches
// Spool is in this file and in spool_*.go.
type spoolPeer struct{}

// Raw is the argument: a msgpack string that is, encoded, as long as the
// payload of the peers.
type Raw string

// asRaw takes off the bytes that msgpack puts in front. A few lengths have no
// exact counterpart (33, 258 and 65539 bytes); those become a byte or two shorter.
func asRaw(payload []byte) Raw {
	n := len(payload)
	for n+msgpackHead(n) > len(payload) {
		n--
	}
	return Raw(payload[:n])
}

// msgpackHead is the size of the header of a msgpack string of n bytes.
func msgpackHead(n int) int {
	switch {
	case n < 32:
		return 1
	case n < 1<<8:
		return 2
	case n < 1<<16:
		return 3
	default:
		return 5
	}
}

func noop() spool.Task[Raw, spool.None] { return spool.NewTask[Raw, spool.None]("noop") }

func (spoolPeer) Name() string { return "spool" }

func (spoolPeer) Settings() string {
	return spoolVersions() + ", ThreadSlots=slots, ReactorSlots=-1, result None"
}

func spoolVersions() string {
	return fmt.Sprintf("spool %s, go-redis %s",
		moduleVersion("github.com/spooljobs/spool"), moduleVersion("github.com/redis/go-redis/v9"))
}

func (spoolPeer) Open(ctx context.Context, addr string, requests *atomic.Int64) (Broker, error) {
	b, err := openSpool(ctx, addr, requests)
	if err != nil {
		return nil, err
	}
	return b, nil
}

func openSpool(ctx context.Context, addr string, requests *atomic.Int64) (*spoolBroker, error) {
	// A dialer, not a hook, does the counting: it also reaches the connections
	// that a client opens beside the one it was given.
	opt := &redis.Options{Addr: addr}
	opt.Dialer = counted(redis.NewDialer(opt), requests)
	rdb := redis.NewClient(opt)
	if err := rdb.Ping(ctx).Err(); err != nil {
		return nil, fmt.Errorf("spool: %w", errors.Join(err, rdb.Close()))
	}
	client, err := spool.New(rdb, spool.ClientConfig{})
	if err != nil {
		return nil, errors.Join(err, rdb.Close())
	}
	return &spoolBroker{rdb: rdb, client: client, noop: noop(), handle: handlePlain}, nil
}

type spoolBroker struct {
	rdb    *redis.Client
	client *spool.Client
	noop   spool.Task[Raw, spool.None]
	handle func(*spoolBroker, *spool.Worker, WorkConfig)
}

// handlePlain is the handler of all cases but those of transactions.
func handlePlain(b *spoolBroker, worker *spool.Worker, w WorkConfig) {
	b.noop.Handle(worker, func(_ context.Context, arg Raw) (spool.None, error) {
		w.Handle(indexOf(arg))
		return spool.None{}, nil
	})
}

func (b *spoolBroker) Put(ctx context.Context, payload []byte) error {
	_, err := b.noop.Put(ctx, b.client, asRaw(payload))
	return err
}

func (b *spoolBroker) PutMany(ctx context.Context, payloads [][]byte) error {
	partials := make([]spool.Partial[spool.None], len(payloads))
	for i, p := range payloads {
		partials[i] = b.noop.With(asRaw(p))
	}
	results, err := spool.PutMany(ctx, b.client, partials)
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.Err != nil {
			return r.Err
		}
	}
	return nil
}

func (b *spoolBroker) Work(ctx context.Context, w WorkConfig) (func() error, error) {
	worker := spool.NewWorker(b.client, spool.WorkerConfig{
		Queues:       w.Queues,
		ThreadSlots:  w.Slots,
		ReactorSlots: -1,
	})
	b.handle(b, worker, w)
	return runSpool(ctx, worker, w.Fail), nil
}

// runSpool lets a worker work until the returned function is called, and tells
// fail if it ends before.
func runSpool(ctx context.Context, worker *spool.Worker, fail func(error)) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		err := worker.Run(ctx)
		if ctx.Err() == nil {
			fail(fmt.Errorf("spool: the worker ended by itself: %w", err))
		}
		ended <- err
	}()
	return func() error {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	}
}

// Unfinished counts what waits, runs or was put in quarantine. The harness's
// handlers never fail.
func (b *spoolBroker) Unfinished(ctx context.Context) (int64, error) {
	counts, err := b.client.Queue(mainQueue).Counts(ctx)
	if err != nil {
		return 0, err
	}
	return int64(counts.Pending() + counts.Active + counts.Quarantined), nil
}

func (b *spoolBroker) Close() error { return errors.Join(b.client.Close(), b.rdb.Close()) }
