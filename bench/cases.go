package main

import "context"

// Case is one kind of measurement.
type Case struct {
	Name string
	// Defaults replaces defaults of the flags; may be nil.
	Defaults func(*Params)
	// Points are the settings to measure at, in order.
	Points func(Params) []Point
	// Rows are the peers that are measured where one is asked for; none if the
	// case means nothing to it. Nil is for a case that measures it alone.
	Rows func(asked Peer) []Peer
	// Measure fills run.Row. It finds the server empty.
	Measure func(ctx context.Context, run *Run) error
}

// Point is one setting of a case. What a case does not vary is zero.
type Point struct {
	Slots     int
	Producers int
	Pending   int
	Shape     string
}

func cases() []Case {
	return []Case{putCase, putManyCase, drainCase, latencyCase, rttCase, backlogCase, memoryCase, idleCase,
		txCase, txHotCase, flowCase}
}

func caseNamed(name string) (Case, bool) {
	for _, c := range cases() {
		if c.Name == name {
			return c, true
		}
	}
	return Case{}, false
}

func caseNames() []string {
	var list []string
	for _, c := range cases() {
		list = append(list, c.Name)
	}
	return list
}

// measured is who has rows, in turn, when asked are asked for.
func (c Case) measured(asked []string) []Peer {
	var list []Peer
	for _, name := range asked {
		peer, ok := peerNamed(name)
		switch {
		case !ok:
		case c.Rows == nil:
			list = append(list, peer)
		default:
			list = append(list, c.Rows(peer)...)
		}
	}
	return list
}

func onePoint(Params) []Point { return []Point{{}} }

func slotPoints(p Params) []Point {
	var list []Point
	for _, n := range p.Slots {
		list = append(list, Point{Slots: n})
	}
	return list
}
