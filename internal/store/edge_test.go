package store

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// followsAs makes an item one that follows another; which, is to be set.
func followsAs(condition, class byte) func(*spec) {
	return func(s *spec) {
		s.Inputs = true
		s.edge = &Edge{Condition: condition, Class: class}
	}
}

// flow is a flow of three parts: one that waits for nothing, one that follows it, and one that is to run in another queue;
// and a callback of its own.
func (b *bed) flow(t *testing.T, far string) Item {
	t.Helper()
	root, callback := job(), job()
	parts := []Item{job(), job(reactor), job()}
	graph := &Graph{Parts: 3}
	for i, it := range parts {
		graph.Nodes = append(graph.Nodes, Node{Item: it, Root: &Edge{Condition: OnEnd, Class: Part}})
		if i == 1 {
			graph.Nodes[i].Parents = []Parent{{ID: parts[0].ID, Condition: OnGood, Class: Order}}
		}
	}
	graph.Nodes[2].To = far
	graph.Nodes = append(graph.Nodes, Node{Item: callback, Parents: []Parent{{ID: root.ID, Condition: OnBad, Class: Callback}}})
	record := Record{Lane: LaneThread, Interruptions: '9', Task: "gather", Args: []byte{0xc0}, Graph: graph.Encode(), Inputs: true}
	text, err := record.Encode()
	if err != nil {
		t.Fatal(err)
	}
	root.Record = text
	return root
}

// A graph is in the record before the arguments, and the record can be read with it and, taken apart, without.
func TestRecordWithGraph(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		it := b.flow(t, "far")
		before, err := DecodeRecord(string(it.Record))
		if err != nil || before.Graph == nil || !before.Inputs || !Flow(it.Record) {
			t.Fatalf("%+v, %v", before, err)
		}
		for _, cut := range []int{15, 25, 40, len(it.Record) - 2} {
			if _, err := DecodeRecord(string(it.Record[:cut])); err == nil {
				t.Errorf("cut at %d: no error", cut)
			}
		}
		b.put(t, it)
		if more, err := b.Resume(t.Context()); err != nil || more {
			t.Fatal(more, err)
		}
		sight, err := b.Show(t.Context(), it.ID)
		if err != nil || sight.Set != "waiting" {
			t.Fatal(sight, err)
		}
		after, err := DecodeRecord(sight.Record)
		if err != nil {
			t.Fatal(err)
		}
		before.Graph = nil
		if diff := cmp.Diff(before, after); diff != "" {
			t.Error(diff)
		}
	})
}

// Resume says that there is more as long as there is, also where many small flows are put at once and none of them is more
// than a call's work.
func TestResumeSaysWhetherThereIsMore(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		flows := make([]Item, 130)
		for i := range flows {
			flows[i] = b.flow(t, "far")
		}
		b.put(t, flows...)
		for more := true; more; {
			var err error
			if more, err = b.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := b.rdb.ZCount(t.Context(), b.Key("waiting"), "0", "0").Val(); n > 0 {
			t.Errorf("%d of %d flows are left", n, len(flows))
		}
	})
}
