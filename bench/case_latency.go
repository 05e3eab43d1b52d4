package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// latencyCase: how long an idle worker, in a process of its own, takes to start
// a job. From just before the put until the handler begins.
var latencyCase = Case{
	Name:     "latency",
	Defaults: func(p *Params) { p.Slots = []int{10} },
	Points:   slotPoints,
	Measure:  func(ctx context.Context, r *Run) error { return r.latency(ctx) },
}

// sampleLimit is how long a sample may take before the run is given up.
const sampleLimit = 30 * time.Second

func (r *Run) latency(ctx context.Context) error {
	return r.with(ctx, true, func(b Broker) error {
		before, err := r.read(ctx)
		if err != nil {
			return err
		}
		worker, err := startChild(ctx, childConfig{Peer: r.Peer.Name(), Addr: r.Server.Addr, Slots: r.Point.Slots})
		if err != nil {
			return err
		}
		begin := time.Now()
		waits, err := r.sample(ctx, b, worker)
		took := time.Since(begin)
		cpu, err := worker.stop(err)
		if err != nil {
			return err
		}
		r.Requests.Add(worker.requests)
		after, err := r.read(ctx)
		if err != nil {
			return err
		}
		after.clientCPU += cpu.Seconds()
		if left, err := b.Unfinished(ctx); err != nil || left != 0 {
			return fmt.Errorf("the broker holds %d unfinished jobs (%w)", left, err)
		}
		r.Row.N = r.Samples
		r.Row.time(took)
		r.Row.cost(before, after)
		r.note("idle %v before each put", r.Idle)
		slices.Sort(waits)
		r.Row.Add("p50_ms", millis(quantile(waits, 0.50)))
		r.Row.Add("p99_ms", millis(quantile(waits, 0.99)))
		r.Row.Add("max_ms", millis(waits[len(waits)-1]))
		return nil
	})
}

// sample puts one job at a time. The pause varies by up to a quarter, lest the
// puts keep step with whatever the worker does at an even beat.
func (r *Run) sample(ctx context.Context, b Broker, worker *child) ([]time.Duration, error) {
	var waits []time.Duration
	for i := range r.Samples {
		idle := r.Idle
		if quarter := r.Idle / 4; quarter > 0 {
			idle += rand.N(quarter)
		}
		if err := pause(ctx, idle); err != nil {
			return nil, err
		}
		put := time.Now()
		if err := b.Put(ctx, payload(i, r.Payload)); err != nil {
			return nil, err
		}
		start, err := worker.next(ctx, i)
		if err != nil {
			return nil, err
		}
		waits = append(waits, time.Duration(start-put.UnixNano()))
	}
	return waits, nil
}

// quantile is the smallest value that a share q of the sorted list does not exceed.
func quantile(sorted []time.Duration, q float64) time.Duration {
	i := int(float64(len(sorted))*q+0.999999) - 1
	return sorted[max(0, min(i, len(sorted)-1))]
}

func millis(d time.Duration) float64 { return round(float64(d)/float64(time.Millisecond), 3) }
