package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// asynqPeer measures github.com/hibiken/asynq as it comes: a client made from
// the address alone, no retention, no logging.
type asynqPeer struct{}

func (asynqPeer) Name() string { return "asynq" }

func (asynqPeer) Settings() string {
	return fmt.Sprintf("asynq %s, go-redis %s, RedisClientOpt{Addr}, Concurrency=slots, no retention",
		moduleVersion("github.com/hibiken/asynq"), moduleVersion("github.com/redis/go-redis/v9"))
}

func (asynqPeer) Open(ctx context.Context, addr string, requests *atomic.Int64) (Broker, error) {
	b := &asynqBroker{opt: asynqConn{asynq.RedisClientOpt{Addr: addr}, requests}}
	b.client = asynq.NewClient(b.opt)
	b.look = redis.NewClient(&redis.Options{Addr: addr})
	if err := errors.Join(b.client.Ping(), b.look.Ping(ctx).Err()); err != nil {
		return nil, fmt.Errorf("asynq: %w", errors.Join(err, b.Close()))
	}
	return b, nil
}

// asynqConn is the default client with its connections counted.
type asynqConn struct {
	asynq.RedisClientOpt
	requests *atomic.Int64
}

func (c asynqConn) MakeRedisClient() any {
	made := c.RedisClientOpt.MakeRedisClient()
	if rdb, ok := made.(redis.UniversalClient); ok {
		rdb.AddHook(countHook{c.requests})
	}
	return made
}

type asynqBroker struct {
	opt    asynqConn
	client *asynq.Client
	look   *redis.Client // reads the queue's state, uncounted
}

func (b *asynqBroker) Put(ctx context.Context, payload []byte) error {
	_, err := b.client.EnqueueContext(ctx, asynq.NewTask("noop", payload), asynq.Queue(mainQueue))
	return err
}

// PutMany puts one by one: asynq has no call that puts many.
func (b *asynqBroker) PutMany(ctx context.Context, payloads [][]byte) error {
	for _, p := range payloads {
		if err := b.Put(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (b *asynqBroker) Work(_ context.Context, w WorkConfig) (func() error, error) {
	queues := make(map[string]int)
	for _, q := range w.Queues {
		queues[q] = 1
	}
	srv := asynq.NewServer(b.opt, asynq.Config{
		Concurrency: w.Slots,
		Queues:      queues,
		Logger:      silent{},
		LogLevel:    asynq.FatalLevel,
	})
	handler := func(_ context.Context, t *asynq.Task) error {
		w.Handle(indexOf(t.Payload()))
		return nil
	}
	if err := srv.Start(asynq.HandlerFunc(handler)); err != nil {
		return nil, fmt.Errorf("asynq: %w", err)
	}
	return func() error { srv.Shutdown(); return nil }, nil
}

// Unfinished adds up the queue's lists, as the keys of asynq 0.26 name them.
// The harness's handlers never fail, so a job that is to be retried or was
// archived counts as unfinished, too.
func (b *asynqBroker) Unfinished(ctx context.Context) (int64, error) {
	key := func(state string) string { return "asynq:{" + mainQueue + "}:" + state }
	pipe := b.look.Pipeline()
	counts := []*redis.IntCmd{
		pipe.LLen(ctx, key("pending")),
		pipe.LLen(ctx, key("active")),
		pipe.ZCard(ctx, key("scheduled")),
		pipe.ZCard(ctx, key("retry")),
		pipe.ZCard(ctx, key("archived")),
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return 0, fmt.Errorf("asynq: %w", err)
	}
	var sum int64
	for _, c := range counts {
		sum += c.Val()
	}
	return sum, nil
}

func (b *asynqBroker) Close() error { return errors.Join(b.client.Close(), b.look.Close()) }

// silent drops what asynq has to say.
type silent struct{}

func (silent) Debug(...any) {}
func (silent) Info(...any)  {}
func (silent) Warn(...any)  {}
func (silent) Error(...any) {}
func (silent) Fatal(...any) {}
