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
		if !strings.Contains(field[max(0, strings.LastIndexByte(field, '/')):], "/>") && !strings.Contains(field[max(0, strings.LastIndexByte(field, '/')):], "/<") {
			n, err := parseNode(value)
			if err != nil {
				report("edges: the node of %q: %v", UnpackID(field), err)
				continue
			}
			nodes[field] = n
			if where[field] == "" || where[field] == "done" {
				report("edges: %q has a node and is in state %q", UnpackID(field), where[field])
			}
		}
	}
	arrivedOf, held := make(map[string]int), make(map[string]int)
	for id, n := range nodes {
		if n.only != "" {
			s.checkEdge(id, "1", n.only, report)
		}
	}
	for field, value := range edges {
		cut := strings.LastIndexByte(field, '/')
		if cut < 0 || cut+2 > len(field) {
			continue
		}
		id, mark, place := field[:cut], field[cut+1], field[cut+2:]
		switch mark {
		case '>':
			n := nodes[id]
			k, err := strconv.Atoi(place)
			if n == nil || n.only != "" || err != nil || k <= n.told || k > n.followers {
				report("edges: %q has an edge %s that its node does not count", UnpackID(id), place)
			}
			s.checkEdge(id, place, value, report)
		case '<':
			n := nodes[id]
			i, err := strconv.Atoi(place)
			if n == nil || n.only != "" || err != nil || i <= n.freed || i > n.parents {
				report("edges: at %q the edge %s comes in, which its node does not count", UnpackID(id), place)
				continue
			}
			parent := parentOf(value)
			switch value[0] {
			case '-':
				arrivedOf[id]++ // counted below as not arrived
				e, ok := parseEdge(value[1:])
				out := edges[parent+"/>"+e.place]
				if p := nodes[parent]; p != nil && p.only != "" {
					out = p.only
				}
				if !ok || out != string([]byte{e.condition, e.class})+place+" "+id {
					report("edges: at %q comes in %s from %q, which does not know of it", UnpackID(id), place, UnpackID(parent))
				}
			case '+':
				held[parent]++
			}
		}
	}
	for id, n := range nodes {
		if n.only != "" {
			continue
		}
		guard := 0
		if where[id] == "waiting" && s.zsets["waiting"][id] == 0 {
			continue // its graph is being taken apart
		}
		if where[id] == "waiting" && arrivedOf[id]+guard != n.left {
			report("edges: %q waits for %d and counts %d", UnpackID(id), arrivedOf[id], n.left)
		}
		if where[id] == "callbacks" && n.told == n.followers && held[id] != n.open {
			report("edges: %q is held by %d and counts %d", UnpackID(id), held[id], n.open)
		}
		if where[id] == "callbacks" && n.told == n.followers && n.freed == n.parents && n.open == 0 {
			report("edges: %q has nothing more to do with others and is in callbacks", UnpackID(id))
		}
	}
	for id := range s.zsets["waiting"] {
		if n := nodes[id]; n == nil || n.only != "" || n.left == 0 {
			report("waiting: %q waits for nothing", UnpackID(id))
		}
	}
	for id := range s.zsets["callbacks"] {
		if nodes[id] == nil {
			report("callbacks: %q has no node", UnpackID(id))
		}
	}
}

// checkEdge: an edge that goes out comes in at its follower.
func (s *space) checkEdge(id, k, value string, report reporter) {
	e, ok := parseEdge(value)
	if !ok {
		report("edges: the edge %s of %q cannot be read", k, UnpackID(id))
		return
	}
	if e.condition == 'h' {
		return
	}
	want := "-" + string([]byte{e.condition, e.class}) + k + " " + id
	if got := s.hashes["edges"][e.other+"/<"+e.place]; got != want {
		report("edges: %q knows %q as its follower, which has %q and not %q", UnpackID(id), UnpackID(e.other), got, want)
	}
}

type nodeText struct {
	only                                        string
	parents, left, followers, told, freed, open int
}

func parseNode(text string) (*nodeText, error) {
	if rest, ok := strings.CutPrefix(text, ">"); ok {
		return &nodeText{only: rest}, nil
	}
	n := &nodeText{}
	var bad, keep, at, depth int64
	var due, deadline, to string
	_, err := fmt.Sscanf(text, "=%d %d %d %d %d %d %d %d %d %d %s %s %s", &n.parents, &n.left, &bad, &n.followers, &n.told, &n.freed,
		&n.open, &keep, &at, &depth, &due, &deadline, &to)
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

// parentOf is the id at the other end of an edge that comes in.
func parentOf(value string) string {
	if value[0] == '=' && len(value) > 6 {
		if size, err := strconv.Atoi(value[3:6]); err == nil && len(value) >= 6+size {
			return value[6 : 6+size]
		}
		return ""
	}
	e, _ := parseEdge(value[1:])
	return e.other
}
