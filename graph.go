package spool

import "github.com/spooljobs/spool/internal/store"

// Graph builds a flow in which jobs follow others in any way that has no circles: a node can only follow nodes that were
// added before it. It is built by one goroutine; the Partial that it gives is a value like any other.
type Graph struct {
	flow    *partial // its settings
	members []member
}

// Node is a job of a Graph.
type Node struct {
	g *Graph
	p *partial
}

// NewGraph begins a graph. The options are those of the flow: In, ID, WhenPartFails and so on.
func NewGraph(opts ...Option) *Graph {
	flow := &partial{settings: defaultSettings()}
	flow.apply(opts)
	return &Graph{flow: flow}
}

// GraphTask adds a job that runs when all of after have ended; at once if there are none. A job that did not succeed lets it run
// all the same, unless WhenPartFails, among the options of p or of the graph, says otherwise.
func GraphTask[R any](g *Graph, p Partial[R], after ...*Node) *Node {
	return g.add(p.p, after, store.Order)
}

// GraphJoin adds a reaction that runs when all jobs of a list have ended, and is given their outcomes in that order.
// Outcomes of different types are an Outcome[any].
func GraphJoin[P, R any](g *Graph, a After[[]Outcome[P], R], of ...*Node) *Node {
	p := a.p
	if p != nil {
		p = p.another("a graph")
		p.joins = true
	}
	return g.add(p, of, store.Input)
}

func (g *Graph) add(p *partial, after []*Node, class byte) *Node {
	if p == nil {
		g.flow.settings.mistake("node", nil, "must be made by Task.With or Reaction.With")
		return &Node{g: g}
	}
	m := member{p: p, part: true}
	for _, n := range after {
		switch {
		case n == nil || n.g != g:
			g.flow.settings.mistake("node", p.name, "can only follow nodes of the same graph")
		case n.p != nil:
			m.parents = append(m.parents, bond{n.p, class})
		}
	}
	if class == store.Input && len(m.parents) == 0 {
		g.flow.settings.mistake("node", p.name, "joins nothing")
	}
	g.members = append(g.members, m)
	return &Node{g, p}
}

// Partial is the flow of all jobs added so far. Its result is their outcomes in the order in which they were added.
func (g *Graph) Partial() Partial[[]Outcome[any]] {
	all := make([]*partial, len(g.members))
	for i, m := range g.members {
		all[i] = m.p
	}
	flow, _ := newFlow(gatherTask, all)
	settings := g.flow.settings
	if !settings.placed {
		settings.queue = flow.settings.queue
	}
	settings.lane, settings.interruptions = max(settings.lane, flow.settings.lane), flow.settings.interruptions
	settings.mistakes = append([]error(nil), settings.mistakes...)
	flow.settings, flow.flow = settings, append([]member(nil), g.members...)
	return Partial[[]Outcome[any]]{flow}
}
