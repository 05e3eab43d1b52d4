package store

import (
	"fmt"
	"strconv"
	"strings"
)

// checkEdges: an edge stands at both of its ends, and what nodes count is there.
func (s *space) checkEdges(where map[string]string, report reporter) {
	edges := s.hashes["edges"]
	nodes := make(map[string]*nodeText)
	for field, value := range edges {
		if _, _, _, ok := splitEdge(field); ok {
			continue
		}
		n, err := parseNode(value)
		if err != nil {
			report("edges: the node of %q: %v", UnpackID(field), err)
			continue
		}
		nodes[field] = n
		if where[field] == "" || where[field] == "done" {
			report("edges: %q has a node and is in state %q", UnpackID(field), where[field])
		}
		if n.only != "" {
			s.checkEdge(field, "1", n.only, report)
		}
	}
	came, held := make(map[string]int), make(map[string]int) // by follower; by parent
	for field, value := range edges {
		id, mark, place, ok := splitEdge(field)
		if !ok {
			continue
		}
		n := nodes[id]
		if n == nil || n.only != "" {
			report("edges: %q has %c%d and no node that counts", UnpackID(id), mark, place)
			continue
		}
		switch mark {
		case '>':
			if place <= n.told || place > n.followers {
				report("edges: %q has the edge %d, which its node does not count", UnpackID(id), place)
			}
			s.checkEdge(id, strconv.Itoa(place), value, report)
		case '[':
			listed, ok := appendListed(nil, value)
			if !ok || place > n.lists {
				report("edges: the list %d of %q", place, UnpackID(id))
			}
			for _, in := range listed {
				if s.knows(in.Parent, in.Place, id) {
					came[id]++
				}
			}
		case '=':
			if arrived, ok := appendHeap(nil, value); !ok || place > n.heaps || len(arrived) == 0 {
				report("edges: the heap %d of %q", place, UnpackID(id))
			}
		case '<':
			in, ok := incoming(value)
			if !ok || place > n.parents || n.loose == 0 {
				report("edges: at %q the edge %d comes in, which its node does not count", UnpackID(id), place)
				continue
			}
			parent := PackID(in.Parent)
			switch {
			case value[0] == '+':
				held[parent]++
			case value[0] == '-':
				came[id]++
				if !s.tells(parent, value[1:], place, id) {
					report("edges: at %q comes in %d from %q, which does not know of it", UnpackID(id), place, in.Parent)
				}
			}
		}
	}
	for id, n := range nodes {
		if n.only != "" {
			continue
		}
		if where[id] == "waiting" && s.zsets["waiting"][id] != 0 && came[id] != n.left {
			report("edges: %q waits for %d and counts %d", UnpackID(id), came[id], n.left)
		}
		if where[id] == "callbacks" && n.told == n.followers && held[id] != n.open {
			report("edges: %q is held by %d and counts %d", UnpackID(id), held[id], n.open)
		}
		if where[id] == "callbacks" && s.zsets["callbacks"][id] != 0 && n.open == 0 {
			report("edges: %q has nothing more to do with others and is in callbacks", UnpackID(id))
		}
	}
	for id := range s.zsets["waiting"] {
		if n := nodes[id]; n == nil || n.only != "" || n.left == 0 {
			report("waiting: %q waits for nothing", UnpackID(id))
		}
	}
	for id := range s.zsets["callbacks"] {
		if n := nodes[id]; n == nil || n.only != "" {
			report("callbacks: %q has no node", UnpackID(id))
		}
	}
}

// splitEdge takes apart a field that is no node. Ids that Spool draws may hold any byte, and have 16.
func splitEdge(field string) (id string, mark byte, place int, ok bool) {
	if len(field) == packed && field[0] < 0x20 {
		return "", 0, 0, false
	}
	cut := strings.LastIndexByte(field, '/')
	if cut < 0 || cut+2 > len(field) {
		return "", 0, 0, false
	}
	place, err := strconv.Atoi(field[cut+2:])
	return field[:cut], field[cut+1], place, err == nil
}

// knows tells whether a job of a list, given as users see it, has the edge that the list says.
func (s *space) knows(parent string, place int, follower string) bool {
	out, ok := strings.CutPrefix(s.hashes["edges"][PackID(parent)], ">")
	if !ok {
		out = s.hashes["edges"][PackID(parent)+"/>1"]
	}
	return len(out) > 2 && out[1:] == "*"+strconv.Itoa(place)+" "+follower
}

// tells tells whether a parent has the edge that comes in at its follower.
func (s *space) tells(parent, edge string, place int, follower string) bool {
	e, ok := parseEdge(edge)
	out, only := strings.CutPrefix(s.hashes["edges"][parent], ">")
	if !only {
		out = s.hashes["edges"][parent+"/>"+e.place]
	}
	return ok && out == string([]byte{e.condition, e.class})+strconv.Itoa(place)+" "+follower
}

// checkEdge: an edge that goes out comes in at its follower.
func (s *space) checkEdge(id, k, value string, report reporter) {
	e, ok := parseEdge(value)
	if !ok {
		report("edges: the edge %s of %q cannot be read", k, UnpackID(id))
		return
	}
	if e.condition == 'h' || e.class == '*' {
		return // it leads elsewhere; or to a list, which is looked at from its end
	}
	want := "-" + string([]byte{e.condition, e.class}) + k + " " + id
	if got := s.hashes["edges"][e.other+"/<"+e.place]; got != want {
		report("edges: %q knows %q as its follower, which has %q and not %q", UnpackID(id), UnpackID(e.other), got, want)
	}
}

type nodeText struct {
	only                                    string
	parents, left, followers, told          int
	freed, open, lists, heaps, loose, begun int
}

func parseNode(text string) (*nodeText, error) {
	if rest, ok := strings.CutPrefix(text, ">"); ok {
		return &nodeText{only: rest}, nil
	}
	n := &nodeText{}
	var bad, keep, depth int64
	var due, deadline, to string
	_, err := fmt.Sscanf(text, "=%d %d %d %d %d %d %d %d %d %d %d %d %d %s %s %s", &n.parents, &n.left, &bad, &n.followers, &n.told,
		&n.freed, &n.open, &keep, &n.begun, &depth, &n.lists, &n.heaps, &n.loose, &due, &deadline, &to)
	return n, err
}

type edgeText struct {
	condition, class byte
	place, other     string
}

func parseEdge(text string) (e edgeText, ok bool) {
	if len(text) < 4 {
		return e, false
	}
	place, other, ok := strings.Cut(text[2:], " ")
	return edgeText{text[0], text[1], place, other}, ok
}
