package spool_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/gob"
	"math"
	"slices"
	"strings"
	"testing"
)

// entry is a transaction as the list knows it.
type entry struct {
	ID    string
	Steps []entryStep
}

type entryStep struct {
	Args   []string
	Keys   []int
	Answer string
}

func encoded(id string, steps []step) string {
	e := entry{ID: id}
	for _, one := range steps {
		e.Steps = append(e.Steps, entryStep{one.Args, one.Keys, one.answer})
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(e); err != nil {
		panic(err)
	}
	return b.String()
}

// replay does everything again, one after the other.
func (h *concurrent) replay(ctx context.Context, t *testing.T) {
	list := must(h.mine.rdb.LRange(ctx, h.mine.key("order"), 0, -1).Result())(t)
	seeing := map[int][]*ending{} // those that only read, by their place
	writers := 0
	for _, e := range h.ended {
		if e.place >= 0 {
			seeing[e.place] = append(seeing[e.place], e)
		} else if e.committed {
			writers++
		}
	}
	if len(list) != writers {
		t.Errorf("%d transactions have committed, %d took effect", writers, len(list))
	}
	var line []*ending // as it was
	for place := range len(list) + 1 {
		slices.SortFunc(seeing[place], func(a, b *ending) int { return cmp.Compare(a.end, b.end) })
		for _, e := range seeing[place] {
			for _, one := range e.steps {
				if answer, _ := h.model.do(t, one.command); answer != one.answer {
					t.Fatalf("%s read %v and saw %s; behind %d others it is %s", e.id, one.command, one.answer, place, answer)
				}
			}
			line = append(line, e)
		}
		if place == len(list) {
			break
		}
		var stored entry
		if err := gob.NewDecoder(bytes.NewReader([]byte(list[place]))).Decode(&stored); err != nil {
			t.Fatal(err)
		}
		e := h.ended[stored.ID]
		if e == nil || !e.committed {
			t.Fatalf("%s took effect, and says it did not", stored.ID)
		}
		e.committed = false // it may take effect once
		line = append(line, e)
		for _, one := range stored.Steps {
			c := command{one.Args, one.Keys}
			answer, failed := h.model.do(t, c)
			if c.reads() && answer != one.Answer {
				t.Fatalf("%s, number %d, read %v and saw %s; it is %s", e.id, place, c, one.Answer, answer)
			}
			if !c.reads() && failed && !strings.HasPrefix(e.id, "other") {
				t.Fatalf("%s, number %d: %v: %s", e.id, place, c, answer)
			}
		}
	}
	soonest, of := int64(math.MaxInt64), ""
	for i := len(line) - 1; i >= 0; i-- {
		e := line[i]
		if soonest < e.began {
			t.Errorf("%s began when %s had ended, and stands before it", e.id, of)
		}
		if e.end < soonest {
			soonest, of = e.end, e.id
		}
	}
	keys := newDeck(h.s, 0, 1).all()
	if diff := h.mine.state(t, keys).differs(h.model.state(t, keys)); diff != "" {
		t.Errorf("left:\n%s", diff)
	}
}
