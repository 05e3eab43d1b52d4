package main

import (
	"context"
	"time"

	"github.com/spooljobs/spool/internal/redistest"
)

// rttCase: a drain by a worker that is far from its server.
var rttCase = Case{
	Name: "rtt",
	Defaults: func(p *Params) {
		p.N = 3_000
		p.Slots = []int{100}
	},
	Points: slotPoints,
	Measure: func(ctx context.Context, r *Run) error {
		far, err := redistest.ListenProxy(r.Server.Addr)
		if err != nil {
			return err
		}
		defer far.Close()
		far.SetLatency(r.RTT)
		r.Row.Add("rtt_ms", float64(r.RTT)/float64(time.Millisecond))
		return r.drain(ctx, far.Addr(), r.N, r.N)
	},
}
