package main

import "context"

// backlogCase: a drain with many jobs waiting behind. pending+n jobs are put
// and the first n measured, so the backlog is never below pending while the
// clock runs, and n is the same at every point.
var backlogCase = Case{
	Name:     "backlog",
	Defaults: func(p *Params) { p.Slots = []int{100} },
	Points: func(p Params) []Point {
		var list []Point
		for _, point := range slotPoints(p) {
			for _, n := range p.Pending {
				point.Pending = n
				list = append(list, point)
			}
		}
		return list
	},
	Measure: func(ctx context.Context, r *Run) error {
		r.Row.Add("pending", r.Point.Pending)
		return r.drain(ctx, r.Server.Addr, r.Point.Pending+r.N, r.N)
	},
}
