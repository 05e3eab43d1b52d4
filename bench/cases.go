package main

import "context"

// Case is one kind of measurement.
type Case struct {
	Name string
	// Defaults replaces defaults of the flags; may be nil.
	Defaults func(*Params)
	// Points are the settings to measure at, in order.
	Points func(Params) []Point
	// Measure fills run.Row. It finds the server empty.
	Measure func(ctx context.Context, run *Run) error
}

// Point is one setting of a case. What a case does not vary is zero.
type Point struct {
	Slots     int
	Producers int
	Pending   int
}

func cases() []Case {
	return []Case{putCase, putManyCase, drainCase, latencyCase, rttCase, backlogCase, memoryCase, idleCase}
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

func onePoint(Params) []Point { return []Point{{}} }

func slotPoints(p Params) []Point {
	var list []Point
	for _, n := range p.Slots {
		list = append(list, Point{Slots: n})
	}
	return list
}
