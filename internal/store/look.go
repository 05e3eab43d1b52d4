package store

import (
	"context"
	"strconv"
)

// Sight is what is stored of one job. Set is the name of the set it is in, or "" if the id is unknown.
type Sight struct {
	ID      string
	Now     int64
	Set     string
	Score   int64
	Record  string
	History string
	Outcome string
	Fault   string
	Worker  string // what the engine that holds it says of itself
}

// Show looks one job up.
func (q *Queue) Show(ctx context.Context, id string) (*Sight, error) {
	reply, err := q.call(ctx, "show", []any{PackID(id)})
	if err != nil {
		return nil, err
	}
	score, _ := strconv.ParseFloat(text(reply, 3), 64)
	return &Sight{ID: id, Now: number(reply, 1), Set: text(reply, 2), Score: int64(score), Record: text(reply, 4),
		History: text(reply, 5), Outcome: text(reply, 6), Fault: text(reply, 7), Worker: text(reply, 8)}, nil
}

// List returns a page of a set and the set's size. Places count from 0, negative ones from the end.
func (q *Queue) List(ctx context.Context, set string, first, last int) (page []Sight, size int, err error) {
	keys := append([]any{q.Key(set)}, q.keys["list"][1:]...)
	reply, err := q.callKeys(ctx, "list", keys, []any{first, last, CallBytes})
	if err != nil {
		return nil, 0, err
	}
	for i := 3; i+3 < len(reply); i += 4 {
		s := Sight{ID: UnpackID(text(reply, i)), Now: number(reply, 1), Set: set, Score: number(reply, i+1)}
		switch set {
		case "done", "callbacks":
			s.Outcome = text(reply, i+2)
		case "quarantine":
			s.Record, s.Fault = text(reply, i+2), text(reply, i+3)
		default:
			s.Record, s.History = text(reply, i+2), text(reply, i+3)
		}
		page = append(page, s)
	}
	return page, int(number(reply, 2)), nil
}

// Numbers is how many jobs each set holds, and what has happened so far.
type Numbers struct {
	Now  int64
	Sets map[string]int
	Meta map[string]int64
}

// Count reads sizes and counters, each in constant time.
func (q *Queue) Count(ctx context.Context) (*Numbers, error) {
	reply, err := q.call(ctx, "count", nil)
	if err != nil {
		return nil, err
	}
	keys := q.store.scripts["count"].Keys
	n := &Numbers{Now: number(reply, 1), Sets: make(map[string]int), Meta: make(map[string]int64)}
	for i, name := range keys[:len(keys)-1] {
		size := int(number(reply, 2+i))
		if sentinel(name) && size > 0 {
			size--
		}
		n.Sets[name] = size
	}
	for i := 1 + len(keys); i+1 < len(reply); i += 2 {
		n.Meta[text(reply, i)] = number(reply, i+1)
	}
	return n, nil
}

// sentinel tells which sets hold one member that is no job.
func sentinel(set string) bool {
	switch set {
	case "active", "ready:thread", "ready:reactor", "due:thread", "due:reactor":
		return true
	}
	return false
}
