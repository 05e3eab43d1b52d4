package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Run is one row being measured.
type Run struct {
	Params
	Point    Point
	Peer     Peer
	Server   *Server
	Requests atomic.Int64 // sent by the brokers made with Open
	Row      *Row
	Log      io.Writer

	// Of the worker's broker, when it has drained; 0 where it has no transactions.
	Commits, Conflicts int64
}

// measure runs a case: at each point the rounds, in each round the peers in
// turn. A row that fails is reported and the others go on, until ctx ends.
func measure(ctx context.Context, p Params, stdout, stderr io.Writer) (err error) {
	server, err := OpenServer(ctx, p.Redis)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	out := &output{w: stdout, json: p.JSON}
	defer func() { err = errors.Join(err, out.close()) }()

	c, _ := caseNamed(p.Case)
	fmt.Fprintf(stderr, "bench: %s on %s at %s\n", c.Name, server.Label, server.Addr)
	for _, name := range p.Peers {
		if len(c.measured([]string{name})) == 0 {
			fmt.Fprintf(stderr, "bench: %s has no rows of %s\n", c.Name, name)
		}
	}
	peers := c.measured(p.Peers)
	for _, peer := range peers {
		if err := warm(ctx, p, peer, server, stderr); err != nil {
			return fmt.Errorf("%s: warm-up: %w", peer.Name(), err)
		}
	}
	var failed []error
	for _, point := range c.Points(p) {
		for round := range p.Rounds {
			for _, peer := range peers {
				row, err := measureRow(ctx, c, newRun(p, point, peer, server, stderr), round+1)
				if err == nil {
					err = out.row(row)
				}
				if err != nil {
					err = fmt.Errorf("%s %s, round %d, %+v: %w", c.Name, peer.Name(), round+1, point, err)
					fmt.Fprintln(stderr, "bench:", err)
					failed = append(failed, err)
				}
				if ctx.Err() != nil {
					return errors.Join(errors.New("interrupted, rows are missing"), server.Flush(context.WithoutCancel(ctx)))
				}
			}
		}
	}
	if len(failed) > 0 {
		failed = []error{fmt.Errorf("%d rows failed", len(failed))}
	}
	return errors.Join(append(failed, server.Flush(ctx))...)
}

func newRun(p Params, point Point, peer Peer, server *Server, log io.Writer) *Run {
	return &Run{Params: p, Point: point, Peer: peer, Server: server, Log: log, Row: &Row{
		Case: p.Case, Peer: peer.Name(), Slots: point.Slots, N: p.N,
		Settings: fmt.Sprintf("%s, payload %d", peer.Settings(), p.Payload), Server: server.Label,
	}}
}

func measureRow(ctx context.Context, c Case, r *Run, round int) (Row, error) {
	r.Row.Round = round
	if err := r.Server.Flush(ctx); err != nil {
		return Row{}, err
	}
	begin := time.Now()
	if err := c.Measure(ctx, r); err != nil {
		return Row{}, err
	}
	fmt.Fprintf(r.Log, "bench: %s %s, round %d, %+v: %.1f jobs/s (row took %v)\n", r.Row.Case, r.Row.Peer,
		round, r.Point, r.Row.JobsPerS, time.Since(begin).Round(time.Millisecond))
	return *r.Row, nil
}

// warm loads the scripts and wakes the processor, uncounted.
func warm(ctx context.Context, p Params, peer Peer, server *Server, log io.Writer) error {
	if err := server.Flush(ctx); err != nil {
		return err
	}
	r := newRun(p, Point{Slots: 10}, peer, server, log)
	return r.drain(ctx, server.Addr, 500, 500)
}

// open connects the peer. Its requests count if counted.
func (r *Run) open(ctx context.Context, addr string, counted bool) (Broker, error) {
	if !counted {
		return r.Peer.Open(ctx, addr, new(atomic.Int64))
	}
	return r.Peer.Open(ctx, addr, &r.Requests)
}

// read shows the meters.
func (r *Run) read(ctx context.Context) (reading, error) { return r.Server.read(ctx, &r.Requests) }

// note appends a remark to the row's settings.
func (r *Run) note(format string, args ...any) { r.Row.Settings += ", " + fmt.Sprintf(format, args...) }

// fill puts jobs 0 to n-1 as quickly as it can, uncounted.
func (r *Run) fill(ctx context.Context, b Broker, n int) error {
	const producers, chunk = 16, 500
	var next atomic.Int64
	err := parallel(ctx, producers, func(ctx context.Context, _ int) error {
		for {
			from := int(next.Add(chunk)) - chunk
			if from >= n {
				return nil
			}
			if err := b.PutMany(ctx, payloads(from, min(from+chunk, n), r.Payload)); err != nil {
				return fmt.Errorf("putting beforehand: %w", err)
			}
		}
	})
	runtime.GC() // the payloads are not to be charged to the measurement
	return err
}

// rest waits until the broker holds no more than left unfinished jobs, and
// returns the moment it saw that. It asks without pause: call it only when the
// handlers have returned and what is awaited is a matter of round trips.
func rest(ctx context.Context, b Broker, left int64) (time.Time, error) {
	limit := time.Now().Add(stall)
	for {
		n, err := b.Unfinished(ctx)
		now := time.Now()
		switch {
		case err != nil:
			return now, err
		case n == left:
			return now, nil
		case n < left || now.After(limit):
			return now, fmt.Errorf("the broker holds %d unfinished jobs, not %d", n, left)
		}
		time.Sleep(50 * time.Microsecond)
	}
}

// parallel runs do in n goroutines, numbered from 0, and waits for all. The
// first error ends the others' context and is returned.
func parallel(ctx context.Context, n int, do func(context.Context, int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	var once sync.Once
	var first error
	for i := range n {
		wg.Go(func() {
			if err := do(ctx, i); err != nil {
				once.Do(func() { first = err })
				cancel(err)
			}
		})
	}
	wg.Wait()
	return first
}
