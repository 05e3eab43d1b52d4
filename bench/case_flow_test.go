package main

import (
	"context"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spooljobs/spool"
)

// The shapes asked for, in that order, each at its own points.
func TestFlowPoints(t *testing.T) {
	t.Parallel()
	p, err := parseParams([]string{"-case", "flow", "-shapes", "reactor,chain", "-waiting", "7", "-linkslots", "2,3"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	want := []Point{{Shape: "reactor", Slots: 7}, {Shape: "chain", Slots: 2}, {Shape: "chain", Slots: 3}}
	got := flowPoints(p)
	if len(got) != len(want) {
		t.Fatalf("%v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("point %d is %+v, want %+v", i, got[i], want[i])
		}
	}
}

// Fewer jobs than one fan-out has children: no row, and no division by nothing.
func TestFanoutTooSmall(t *testing.T) {
	t.Parallel()
	r := &Run{Params: Params{N: 9, Children: 10}, Row: &Row{}}
	if err := measureFanout(t.Context(), r, &flowRow{}); err == nil {
		t.Error("nine children made a fan-out of ten")
	}
}

func TestJoinsAreLookedAt(t *testing.T) {
	t.Parallel()
	good := func(ids ...string) (list outcomes) {
		for _, id := range ids {
			list = append(list, spool.Outcome[spool.None]{JobID: id})
		}
		return list
	}
	failed := outcomes{{JobID: "c"}, {JobID: "d", Err: io.EOF}}
	for name, c := range map[string]struct {
		seen []outcomes
		want string // part of the complaint; empty for none
	}{
		"sound":                {[]outcomes{good("a", "b"), good("c", "d")}, ""},
		"a join is missing":    {[]outcomes{good("a", "b")}, "1 joins ran, not 2"},
		"a join ran again":     {[]outcomes{good("a", "b"), good("c", "d"), good("a", "b")}, "3 joins ran, not 2"},
		"a child is missing":   {[]outcomes{good("a", "b"), good("c")}, "1 outcomes, not 2"},
		"a child too many":     {[]outcomes{good("a", "b", "e"), good("c", "d")}, "3 outcomes, not 2"},
		"one twice in a join":  {[]outcomes{good("a", "a"), good("c", "d")}, "child a twice"},
		"one in another join":  {[]outcomes{good("a", "b"), good("c", "b")}, "child b twice"},
		"one that has failed":  {[]outcomes{good("a", "b"), failed}, "a child that failed"},
		"nobody knows anybody": {nil, "0 joins ran"},
	} {
		p := newFanoutPeer(2)
		p.seen = c.seen
		err := p.check(2)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	at := func(ms ...int) (list []time.Time) {
		for _, n := range ms {
			list = append(list, time.Unix(0, int64(n)*int64(time.Millisecond)))
		}
		return list
	}
	links, err := times{at(0, 12, 20), at(10, 15, 30)}.links()
	if err != nil || len(links) != 2 || links[0] != 2*time.Millisecond || links[1] != 5*time.Millisecond {
		t.Errorf("%v, %v", links, err)
	}
	if _, err := (times{at(0, 9), at(10, 15)}).links(); err == nil {
		t.Error("nobody noticed a callback that began before its time")
	}
	// One that never ran has the zero time.
	if _, err := (times{append(at(0), time.Time{}), append(at(10), time.Time{})}).links(); err == nil {
		t.Error("nobody noticed a callback that never ran")
	}
}

func TestBlocks(t *testing.T) {
	t.Parallel()
	var b blocks
	b.note(beginning, block{3, 1})
	b.note(beginning, block{2, 9})
	b.note(releasing, block{5, 2})
	if b != (blocks{beginning: {3, 1}, releasing: {5, 2}}) || b.longest() != (block{5, 2}) {
		t.Errorf("%v, the longest %v", b, b.longest())
	}
}

// A handler that keeps the loop is seen by the probe and by its own clock.
func TestProbeSeesABlock(t *testing.T) {
	t.Parallel()
	const held = 30 * time.Millisecond
	b, err := openWaiting(t.Context(), embedded(t).Addr, new(atomic.Int64))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	w := newWatch(1)
	keeps, asked := make(chan struct{}), make(chan struct{})
	worker := spool.NewWorker(b.client, spool.WorkerConfig{})
	b.noop.Handle(worker, func(context.Context, Raw) (spool.None, error) {
		begin := time.Now()
		close(keeps)
		<-asked
		time.Sleep(held) // this is what is measured
		w.step(begin)
		return spool.None{}, nil
	})
	probe := probeTask()
	probe.Handle(worker, func(ctx context.Context, _ spool.None) (spool.None, error) {
		<-keeps
		close(asked)
		return spool.None{}, w.ask(ctx)
	})
	if err := b.Put(t.Context(), payload(0, 20)); err != nil {
		t.Fatal(err)
	}
	if _, err := probe.Put(t.Context(), b.client, spool.None{}); err != nil {
		t.Fatal(err)
	}
	if n, err := worker.Drain(t.Context()); n != 2 || err != nil {
		t.Fatalf("%d jobs ran, %v", n, err)
	}
	// The probe asks a moment after it has said so.
	if got := w.report.Blocks[beginning]; got.Waited < held/2 || got.Turns != 1 {
		t.Errorf("the probe waited for %v, the loop was held for %v", got, held)
	}
	if w.report.Step < held {
		t.Errorf("the longest step took %v, the loop was held for %v", w.report.Step, held)
	}
}

// Not parallel: it weighs the whole process.
func TestFootprint(t *testing.T) {
	const size = 64 << 20
	before := readFootprint()
	kept := make([]byte, size)
	for i := range kept {
		kept[i] = 1 // or it would not be in memory
	}
	garbage(size)
	after := readFootprint()
	if grown := after.InUse - before.InUse; grown < size*3/4 || grown > size*5/4 {
		t.Errorf("%d bytes more in use, %d were kept", grown, size)
	}
	// No upper bound: the race detector's own memory is part of it.
	if grown := after.RSS - before.RSS; after.RSS != 0 && grown < size*3/4 {
		t.Errorf("%d bytes more in memory, %d were kept", grown, size)
	}
	runtime.KeepAlive(kept)
}

//go:noinline
func garbage(size int) byte {
	b := make([]byte, size)
	b[size-1] = 1
	return b[0]
}
