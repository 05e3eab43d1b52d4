package spool

import (
	"fmt"

	"github.com/spooljobs/spool/internal/store"
)

// A flow is stored as the record of its own job with a graph of the others before its arguments. Each of these has its
// record, without its callbacks, which are jobs of the graph like the others; one that is a flow itself has a graph of its
// own in it, and is taken apart when its turn comes.

// settleParts seals what is put with a Partial, and draws its id. What is put with it knows the flow by that.
func (p *partial) settleParts(tx *Tx) error {
	p.parts.Do(func() {
		if p.id, p.partsErr = drawID(p.settings.id); p.partsErr != nil {
			return
		}
		within := ""
		if len(p.flow) > 0 {
			within = p.settings.queue + "/" + p.id
		}
		for i, m := range p.flow {
			if err := m.p.readyIn(tx, within, ""); err != nil {
				p.partsErr = fmt.Errorf("part %d, %s: %w", i+1, m.p.name, err)
				return
			}
			m.p.fate.put.Store(true) // put by itself, too, it is no longer new
			p.lent = append(p.lent, m.p.born...)
		}
		for _, f := range p.followers {
			if err := f.p.readyIn(tx, "", ""); err != nil {
				p.partsErr = fmt.Errorf("callback %s: %w", f.p.name, err)
				return
			}
			f.p.fate.put.Store(true)
			p.lent = append(p.lent, f.p.born...)
		}
	})
	return p.partsErr
}

// records encodes a record without the callbacks of the job, and with them.
func (p *partial) records(r *store.Record) (bare, full []byte, err error) {
	g := &store.Graph{}
	b := graphMaker{g, p.settings.queue, map[*partial]bool{p: true}}
	for _, m := range p.flow {
		b.add(m, p)
	}
	if len(p.flow) > 0 {
		r.Graph = g.Encode()
	}
	if bare, err = r.Encode(); err != nil || len(p.followers) == 0 && len(g.Nodes) == len(p.flow) {
		return bare, bare, err
	}
	b.follow(p, p.settings.queue)
	r.Graph = g.Encode()
	full, err = r.Encode()
	return bare, full, err
}

// graphMaker makes the graph of a flow that lives in a queue. A Partial that stands in it twice is one job.
type graphMaker struct {
	g    *store.Graph
	home string
	in   map[*partial]bool
}

func (b *graphMaker) add(m member, flow *partial) {
	if b.in[m.p] {
		return
	}
	b.in[m.p] = true
	node := store.Node{Item: m.p.item, To: away(m.p.settings.queue, b.home)}
	node.Record = m.p.bare
	rest := m.p.settings.rest
	if rest == ContinueRest {
		rest = flow.settings.rest
	}
	for _, bond := range m.parents {
		node.Parents = append(node.Parents, store.Parent{ID: bond.p.item.ID, Condition: rest.condition(), Class: bond.class})
	}
	if m.part {
		b.g.Parts++
		node.Root = &store.Edge{Condition: flow.settings.rest.condition(), Class: store.Part}
		if flow.name == firstTask {
			node.Root.Condition = store.OnFirst
		}
	}
	b.g.Nodes = append(b.g.Nodes, node)
	b.follow(m.p, m.p.settings.queue)
}

// follow adds the callbacks of a job that runs in a queue, and theirs.
func (b *graphMaker) follow(p *partial, queue string) {
	for _, f := range p.followers {
		if b.in[f.p] {
			continue
		}
		b.in[f.p] = true
		place := queue
		if f.p.settings.placed {
			place = f.p.settings.queue
		}
		node := store.Node{Item: f.p.item, To: away(place, b.home)}
		node.Record = f.p.bare
		node.Parents = []store.Parent{{ID: p.item.ID, Condition: f.condition, Class: store.Callback}}
		b.g.Nodes = append(b.g.Nodes, node)
		b.follow(f.p, place)
	}
}

// away is where a job runs that belongs to a queue: "" if it is there.
func away(queue, home string) string {
	if queue == home {
		return ""
	}
	return queue
}
