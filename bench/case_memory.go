package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// memoryCase: what a pending job takes, as used_memory counts it.
var memoryCase = Case{
	Name:     "memory",
	Defaults: func(p *Params) { p.N = 100_000 },
	Points:   onePoint,
	Measure:  func(ctx context.Context, r *Run) error { return r.memory(ctx) },
}

func (r *Run) memory(ctx context.Context) error {
	before, err := r.alone(ctx)
	if err != nil {
		return err
	}
	begin := time.Now()
	err = r.with(ctx, true, func(b Broker) error { return r.fill(ctx, b, r.N) })
	if err != nil {
		return err
	}
	r.Row.time(time.Since(begin))
	after, err := r.alone(ctx)
	if err != nil {
		return err
	}
	r.Row.cost(before, after)
	r.Row.Add("bytes_per_job", round(float64(after.memory-before.memory)/float64(r.N), 1))
	if after.memory == 0 {
		r.note("this server does not tell its memory")
	}
	return r.with(ctx, false, func(b Broker) error { return r.settle(ctx, b) })
}

// with opens the peer for the length of do.
func (r *Run) with(ctx context.Context, counted bool, do func(Broker) error) error {
	b, err := r.open(ctx, r.Server.Addr, counted)
	if err != nil {
		return err
	}
	return errors.Join(do(b), b.Close())
}

// alone reads the meters once the harness's own connection is the only one, as
// the buffers of the others are part of used_memory. On a server that others
// use it gives up waiting after two seconds and says so.
func (r *Run) alone(ctx context.Context) (reading, error) {
	for limit := time.Now().Add(2 * time.Second); ; {
		info, err := r.Server.Info(ctx)
		if err != nil {
			return reading{}, err
		}
		clients, _ := strconv.Atoi(info["connected_clients"])
		if clients <= 1 {
			break
		}
		if time.Now().After(limit) {
			fmt.Fprintf(r.Log, "bench: memory: %d other clients are connected; their buffers count\n", clients-1)
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return r.read(ctx)
}
