package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// idleCase: what a worker with nothing to do asks of the server.
var idleCase = Case{
	Name:     "idle",
	Defaults: func(p *Params) { p.Slots = []int{10} },
	Points:   slotPoints,
	Measure:  func(ctx context.Context, r *Run) error { return r.idle(ctx) },
}

// idleSettle is how long a worker may register and look around, uncounted.
const idleSettle = 2 * time.Second

func (r *Run) idle(ctx context.Context) (err error) {
	broker, err := r.open(ctx, r.Server.Addr, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, broker.Close()) }()
	queues := []string{mainQueue}
	for i := 1; i < r.Queues; i++ {
		queues = append(queues, fmt.Sprintf("other%d", i))
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	stop, err := broker.Work(ctx, WorkConfig{Slots: r.Point.Slots, Queues: queues, Fail: fail, Handle: func(int, error) {
		fail(errors.New("a job ran on an idle worker"))
	}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()

	if err := pause(ctx, idleSettle); err != nil {
		return err
	}
	before, err := r.read(ctx)
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := pause(ctx, r.For); err != nil {
		return err
	}
	after, err := r.read(ctx)
	if err != nil {
		return err
	}
	took := time.Since(begin).Seconds()
	r.Row.N = 0
	r.Row.Seconds = round(took, 6)
	r.Row.Add("queues", r.Queues)
	// One of the commands is the first reading itself.
	r.Row.Add("commands_per_s", round(float64(after.commands-before.commands-1)/took, 3))
	r.Row.Add("requests_per_s", round(float64(after.requests-before.requests)/took, 3))
	r.Row.Add("redis_cpu_ms_per_s", round((after.redisCPU-before.redisCPU)*1e3/took, 3))
	return nil
}

// pause sleeps for d, or fails with the cause of ctx's end.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
