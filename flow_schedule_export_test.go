package spool

// PartialID is the id of a Partial that has been put, also as a part; "" before.
func PartialID[R any](p Partial[R]) string { return p.p.drawnID() }

// AfterID is that of an After.
func AfterID[P, R any](a After[P, R]) string { return a.p.drawnID() }

// NodeID is that of a node of a graph.
func NodeID(n *Node) string { return n.p.drawnID() }

func (p *partial) drawnID() string {
	if !p.fixed.Load() {
		return ""
	}
	p.seal.Do(func() {}) // another goroutine may just be putting it
	return p.id
}
