package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// putCase: single puts by one or more goroutines that share a client.
var putCase = Case{
	Name:     "put",
	Defaults: func(p *Params) { p.N = 20_000 },
	Points: func(p Params) []Point {
		var list []Point
		for _, n := range p.Producers {
			list = append(list, Point{Producers: n})
		}
		return list
	},
	Measure: func(ctx context.Context, r *Run) error {
		r.Row.Add("producers", r.Point.Producers)
		return r.put(ctx, func(ctx context.Context, b Broker, jobs [][]byte) error {
			return parallel(ctx, r.Point.Producers, func(ctx context.Context, i int) error {
				from, to := i*len(jobs)/r.Point.Producers, (i+1)*len(jobs)/r.Point.Producers
				for _, job := range jobs[from:to] {
					if err := b.Put(ctx, job); err != nil {
						return err
					}
				}
				return nil
			})
		})
	},
}

// putManyCase: one goroutine that puts as many as it can.
var putManyCase = Case{
	Name:     "putmany",
	Defaults: func(p *Params) { p.N = 100_000 },
	Points:   onePoint,
	Measure: func(ctx context.Context, r *Run) error {
		// One by one takes long, and the rate does not depend on the number.
		const single = 20_000
		if r.Peer.Name() == "asynq" {
			r.note("single puts from one goroutine")
			if r.N > single {
				r.note("n %d instead of %d", single, r.N)
				r.N, r.Row.N = single, single
			}
		}
		return r.put(ctx, func(ctx context.Context, b Broker, jobs [][]byte) error { return b.PutMany(ctx, jobs) })
	},
}

// put measures do, which puts n jobs, and then drains them, uncounted, to see
// that each is there exactly once.
func (r *Run) put(ctx context.Context, do func(context.Context, Broker, [][]byte) error) (err error) {
	broker, err := r.open(ctx, r.Server.Addr, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, broker.Close()) }()
	jobs := payloads(0, r.N, r.Payload)
	before, err := r.read(ctx)
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := do(ctx, broker, jobs); err != nil {
		return err
	}
	took := time.Since(begin)
	after, err := r.read(ctx)
	if err != nil {
		return err
	}
	r.Row.time(took)
	r.Row.cost(before, after)
	return r.settle(ctx, broker)
}

// settle drains the n jobs that are there and checks that each came out once.
func (r *Run) settle(ctx context.Context, side Broker) error {
	p := newRun(r.Params, Point{Slots: 100}, r.Peer, r.Server, r.Log)
	if err := p.work(ctx, side, r.Server.Addr, r.N, r.N); err != nil {
		return fmt.Errorf("draining afterwards: %w", err)
	}
	return nil
}
