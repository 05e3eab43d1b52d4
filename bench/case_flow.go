package main

import "context"

// flowCase: jobs that depend on others, and jobs that wait. Only Spool has
// them, so nobody else has a row.
var flowCase = Case{
	Name: "flow",
	Defaults: func(p *Params) {
		p.Peers = []string{"spool"}
		p.Slots = []int{100}
	},
	Points: flowPoints,
	Rows: func(asked Peer) []Peer {
		if _, ok := asked.(spoolPeer); ok {
			return []Peer{asked}
		}
		return nil
	},
	Measure: func(ctx context.Context, r *Run) error {
		s, _ := shapeNamed(r.Point.Shape)
		row := flowRow{shape: s.name}
		if err := s.measure(ctx, r, &row); err != nil {
			return err
		}
		row.addTo(r.Row)
		return nil
	},
}

// shape is one kind of flow.
type shape struct {
	name    string
	points  func(Params) []Point
	measure func(context.Context, *Run, *flowRow) error
}

func shapes() []shape {
	return []shape{
		{"fanout", slotPoints, measureFanout},
		{"chain", chainPoints, measureChain},
		{"reactor", func(p Params) []Point { return []Point{{Slots: p.Waiting}} }, measureReactor},
	}
}

func shapeNamed(name string) (shape, bool) {
	for _, s := range shapes() {
		if s.name == name {
			return s, true
		}
	}
	return shape{}, false
}

func shapeNames() []string {
	var list []string
	for _, s := range shapes() {
		list = append(list, s.name)
	}
	return list
}

// flowPoints are those of all shapes asked for.
func flowPoints(p Params) []Point {
	var list []Point
	for _, name := range p.Shapes {
		s, _ := shapeNamed(name)
		for _, point := range s.points(p) {
			point.Shape = name
			list = append(list, point)
		}
	}
	return list
}

// flowRow is what the case adds to a row. What a shape does not measure is 0.
type flowRow struct {
	shape                  string
	drain, share           float64 // jobs/s, and the flow's in relation to it
	p50, p99               float64 // ms
	bytesPerJob, rssPerJob float64
	block, wait            float64 // ms
	resting, step          float64
	turns                  int64
}

func (f flowRow) addTo(r *Row) {
	r.Add("shape", f.shape)
	r.Add("drain_jobs_per_s", f.drain)
	r.Add("share_of_drain", f.share)
	r.Add("link_p50_ms", f.p50)
	r.Add("link_p99_ms", f.p99)
	r.Add("bytes_per_job", f.bytesPerJob)
	r.Add("rss_bytes_per_job", f.rssPerJob)
	r.Add("longest_block_ms", f.block)
	r.Add("probe_wait_ms", f.wait)
	r.Add("probe_turns", f.turns)
	r.Add("probe_rest_ms", f.resting)
	r.Add("longest_step_ms", f.step)
}
