package store

import (
	"strings"
	"testing"
)

// Each rule about edges is broken by hand and must be reported, in these words.
func TestCheckerSeesBrokenEdges(t *testing.T) {
	for _, c := range []struct {
		name string
		want string // "": nothing is wrong
		with func(t *testing.T, b *bed, s *kinship)
	}{
		{"nothing", "", func(*testing.T, *bed, *kinship) {}},
		{"a node that cannot be read", "the node of", func(t *testing.T, b *bed, s *kinship) {
			b.rdb.HSet(t.Context(), b.Key("edges"), s.flow, "nonsense")
		}},
		{"a node of nobody", "has a node and is in state \"\"", func(t *testing.T, b *bed, s *kinship) {
			b.rdb.HSet(t.Context(), b.Key("edges"), "ghost", "=0 0 0 0 0 0 0 -1 0 0 0 0 0 - - -")
		}},
		{"an edge that only its beginning knows", "knows", func(t *testing.T, b *bed, s *kinship) {
			b.rdb.HDel(t.Context(), b.Key("edges"), s.child+"/<1")
		}},
		{"an edge that only its end knows", "which does not know of it", func(t *testing.T, b *bed, s *kinship) {
			b.rdb.HDel(t.Context(), b.Key("edges"), s.parent)
		}},
		{"an edge without a node", "and no node that counts", func(t *testing.T, b *bed, s *kinship) {
			b.rdb.HSet(t.Context(), b.Key("edges"), "ghost/>1", "d!1 "+s.child)
		}},
		{"a list whose part is gone", "waits for 2 and counts 3", func(t *testing.T, b *bed, s *kinship) {
			b.rdb.HDel(t.Context(), b.Key("edges"), s.part+"/>1")
		}},
		{"a list that cannot be read", "the list 1 of", func(t *testing.T, b *bed, s *kinship) {
			b.rdb.HSet(t.Context(), b.Key("edges"), s.flow+"/[1", "1 999")
		}},
		{"a heap nobody counts", "the heap 4 of", func(t *testing.T, b *bed, s *kinship) {
			b.rdb.HSet(t.Context(), b.Key("edges"), s.flow+"/=4", "d*1 0160000")
		}},
		{"one that waits for nothing", "waits for nothing", func(t *testing.T, b *bed, s *kinship) {
			b.rdb.HDel(t.Context(), b.Key("edges"), s.child)
		}},
		{"one that is held by nobody", "is held by 0 and counts 1", func(t *testing.T, b *bed, s *kinship) {
			b.rdb.HDel(t.Context(), b.Key("edges"), s.after+"/<1")
		}},
		{"callbacks without a node", "has no node", func(t *testing.T, b *bed, s *kinship) {
			b.rdb.HDel(t.Context(), b.Key("edges"), s.ended)
		}},
		{"an outcome that goes with nobody", "an outcome without a time to go", func(t *testing.T, b *bed, s *kinship) {
			b.rdb.ZRem(t.Context(), b.Key("callbacks"), s.ended)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, b *bed) {
				s := b.kinship(t)
				b.broken = true
				c.with(t, b, s)
				problems, err := Check(t.Context(), b.rdb, b.prefix)
				if err != nil {
					t.Fatal(err)
				}
				if found := strings.Join(problems, "\n"); (c.want == "") != (found == "") || !strings.Contains(found, c.want) {
					t.Errorf("%q is not in %q", c.want, problems)
				}
			})
		})
	}
}

// kinship is a queue with a flow of which nothing has run, a job that is followed, and one that has ended and is held.
type kinship struct {
	flow, part, parent, child, ended, after string
}

func (b *bed) kinship(t *testing.T) *kinship {
	t.Helper()
	held, after := job(), job(followsAs(OnEnd, Callback))
	after.Edge.Job = held.ID
	ended := b.put(t, held, after)
	h := b.engine(t)
	h.tell(t, plain(h.claim(t, 1)[0]))
	parent, child := job(later(hour)), job(followsAs(OnEnd, Callback))
	child.Edge.Job = parent.ID
	follow := b.put(t, parent, child)
	flow := b.put(t, b.flow(t, "far"))
	if _, err := b.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	in, err := b.Inputs(t.Context(), UnpackID(flow[0]), 1)
	if err != nil || len(in.Inputs) < 3 {
		t.Fatal(in, err)
	}
	s := &kinship{flow: flow[0], parent: follow[0], child: follow[1], ended: ended[0], after: ended[1]}
	for _, one := range in.Inputs {
		if one.Place == 1 {
			s.part = PackID(one.Parent)
		}
	}
	return s
}
