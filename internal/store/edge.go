package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Conditions of an edge, from a job to one that follows it; lua/shared/edges.lua.
const (
	OnEnd    = 'd' // when it ends
	OnGood   = 's' // its success; else the follower ends as it did
	OnBad    = 'f' // its failure; else the follower ends as it did
	OrCancel = 'c' // its success; else the follower is cancelled
	OnFirst  = 'w' // one of several: the first success counts
	Adoption = 'a' // the follower ends as it did
)

// Classes of an edge.
const (
	Callback = '!' // the job is held until the follower has ended
	Part     = '+' // the follower wants its outcome, and ends it with itself
	Input    = '-' // the follower wants its outcome
	Order    = '.' // nothing but its end
)

// Edge joins an item to a job that is stored, or that is put before it.
type Edge struct {
	To        string // the queue where the item is to run; "" is that of the job it is joined to
	Job       string // its id as users see it
	Condition byte
	Class     byte
	Further   bool // the item is one more part of the flow Job; else it follows Job
}

func (e *Edge) arg(id func(string) string, due Moment) string {
	mark := byte('>')
	if e.Further {
		mark = '&'
	}
	return string([]byte{mark, e.Condition, e.Class}) + dash(e.To) + "," + dash(due.arg()) + "," + id(e.Job)
}

// shown is for what goes by an outbox, where ids stand as users see them.
func shown(id string) string { return id }

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// Graph is the jobs that belong to a flow, besides the one it is stored with: in an order in which each comes after those
// it follows.
type Graph struct {
	Parts int // nodes that the flow itself follows
	Nodes []Node
}

// Node is one job of a graph.
type Node struct {
	Item
	To      string   // the queue where it is to run; "" is that of the flow
	Root    *Edge    // the flow follows it, if not nil; only condition and class count
	Parents []Parent // in the order of its inputs
}

// Parent is a job that a node follows.
type Parent struct {
	ID        string
	Condition byte
	Class     byte
}

// Encode returns the text that lua/resume.lua takes apart.
func (g *Graph) Encode() []byte {
	b := appendDigits(nil, g.Parts, 6)
	place := 0
	for i := range g.Nodes {
		n := &g.Nodes[i]
		id, root := PackID(n.ID), "-"
		if n.Root != nil {
			place++
			root = string([]byte{n.Root.Condition, n.Root.Class}) + strconv.Itoa(place)
		}
		b = fmt.Appendf(b, "%d %d %s %s %s %s %d\n", len(id), len(n.Record), dash(n.To), dash(n.Due.arg()), dash(n.Deadline.arg()), root, len(n.Parents))
		b = append(b, id...)
		for _, p := range n.Parents {
			parent := PackID(p.ID)
			b = append(b, p.Condition, p.Class)
			b = appendDigits(b, len(parent), 3)
			b = append(b, parent...)
		}
		b = append(b, n.Record...)
	}
	return b
}

// Flow tells whether a stored record has a graph.
func Flow(record []byte) bool {
	return len(record) >= headLen && (record[6] == 'g' || record[6] == 'G')
}

// Resume goes on with what was more than a call's work. It tells by errands whether there is more.
func (q *Queue) Resume(ctx context.Context) (more bool, err error) {
	reply, err := q.call(ctx, "resume", []any{q.name})
	if err != nil {
		return false, err
	}
	word := text(reply, 2)
	for _, c := range word {
		if c == 'r' {
			more = true
		} else {
			q.errand("p")
		}
	}
	return more, nil
}

// Incoming is one edge that comes in at a job.
type Incoming struct {
	Place     int // among its inputs, from 1
	Condition byte
	Class     byte
	Parent    string // its id as users see it
	Arrived   bool
	Outcome   string // as stored, of one that has arrived and is an input
}

// Inputs is a page of the edges that come in at a job. An edge that has arrived may be listed again, before that, as one
// that has not.
type Inputs struct {
	To     string // where the job is to run, "<queue" if it was sent from there, "-" if neither; "" if it follows nobody
	Total  int
	Left   int    // edges that have not arrived
	Bad    int    // edges of jobs that did not succeed
	Begun  bool   // its graph is being taken apart: Resume
	Queue  string // where the job is that answers for this one; "" is this queue
	Answer string // its id as users see it, or ""
	Next   int    // the step to ask for next, 0 if this was the last page
	Inputs []Incoming
}

// Inputs asks for the edges that come in at a job, from a step on, counted from 1.
func (q *Queue) Inputs(ctx context.Context, id string, from int) (*Inputs, error) {
	reply, err := q.call(ctx, "inputs", []any{PackID(id), from, CallBytes})
	if err != nil {
		return nil, err
	}
	in := &Inputs{To: text(reply, 2), Total: int(number(reply, 3)), Left: int(number(reply, 4)), Bad: int(number(reply, 5)),
		Begun: text(reply, 6) == "1", Next: int(number(reply, 7))}
	if queue, answer, ok := strings.Cut(text(reply, 8), ","); ok {
		in.Queue, in.Answer = queue, UnpackID(answer)
	}
	for i := 9; i+1 < len(reply); i += 2 {
		what, entry := text(reply, i), text(reply, i+1)
		ok := true
		switch what {
		case "[":
			in.Inputs, ok = appendListed(in.Inputs, entry)
		case "=":
			in.Inputs, ok = appendHeap(in.Inputs, entry)
		default:
			var one Incoming
			one, ok = incoming(entry)
			one.Place = int(number(reply, i))
			if i++; one.Arrived && one.Outcome == "" {
				one.Outcome = text(reply, i+1)
			}
			in.Inputs = append(in.Inputs, one)
		}
		if !ok {
			return nil, fmt.Errorf("inputs: what stands of %s cannot be read", id)
		}
	}
	return in, nil
}

// incoming reads what stands of an edge that comes in by itself.
func incoming(entry string) (in Incoming, ok bool) {
	if len(entry) < 6 {
		return in, false
	}
	in = Incoming{Condition: entry[1], Class: entry[2], Arrived: entry[0] != '-'}
	if entry[0] != '=' {
		_, parent, ok := strings.Cut(entry[3:], " ")
		in.Parent = UnpackID(parent)
		return in, ok
	}
	size, err := digits(entry[3:6])
	if err != nil || len(entry) < 6+size {
		return in, false
	}
	in.Parent, in.Outcome = UnpackID(entry[6:6+size]), entry[6+size:]
	return in, true
}

// appendListed reads a list of parts that follow nothing.
func appendListed(all []Incoming, list string) ([]Incoming, bool) {
	first, rest, ok := strings.Cut(list, " ")
	place, err := strconv.Atoi(first)
	if !ok || err != nil {
		return all, false
	}
	for ; rest != ""; place++ {
		size, ok := 0, len(rest) >= 3
		if ok {
			size, err = digits(rest[:3])
		}
		if !ok || err != nil || len(rest) < 3+size {
			return all, false
		}
		all = append(all, Incoming{Place: place, Class: Part, Parent: UnpackID(rest[3 : 3+size])})
		rest = rest[3+size:]
	}
	return all, true
}

// appendHeap reads what has arrived together.
func appendHeap(all []Incoming, heap string) ([]Incoming, bool) {
	for heap != "" {
		blank := strings.IndexByte(heap, ' ')
		if blank < 3 || len(heap) < blank+8 {
			return all, false
		}
		place, err := strconv.Atoi(heap[2:blank])
		size, bad := digits(heap[blank+1 : blank+4])
		long, worse := digits(heap[blank+4 : blank+8])
		end := blank + 8 + size + long
		if err != nil || bad != nil || worse != nil || len(heap) < end {
			return all, false
		}
		at := blank + 8
		all = append(all, Incoming{Place: place, Condition: heap[0], Class: Part, Parent: UnpackID(heap[at : at+size]), Arrived: true,
			Outcome: heap[at+size : end]})
		heap = heap[end:]
	}
	return all, true
}
