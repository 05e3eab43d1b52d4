package main

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestLedgerExactlyOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		ran  []int
		left int64
		want string // part of the complaint; empty for none
	}{
		{"all", []int{2, 0, 1, 3}, 0, ""},
		{"one missing", []int{0, 1, 3}, 0, "1 never ran"},
		{"one doubled", []int{0, 1, 2, 3, 2}, 0, "1 ran more than once"},
		{"one doubled, one missing", []int{0, 1, 2, 2}, 0, "1 never ran"},
		{"one still in the broker", []int{0, 1, 3}, 1, ""},
		{"in the broker, but it ran", []int{0, 1, 2, 3}, 1, "0 never ran while the broker holds 1"},
		{"a number too high", []int{0, 1, 2, 3, 4}, 0, "1 executions bear no known number"},
		{"a negative number", []int{0, 1, 2, 3, -1}, 0, "1 executions bear no known number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLedger(4, len(c.ran), 1)
			for _, i := range c.ran {
				l.handle(i, nil)
			}
			err := l.check(c.left)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestLedgerUnreadablePayload(t *testing.T) {
	t.Parallel()
	l := newLedger(1, 2, 1)
	l.handle(0, nil)
	l.handle(indexOf("no number here"))
	if l.check(0) == nil {
		t.Error("an execution without a number went unnoticed")
	}
}

// Handlers beyond the limit hold their slots until release, and do not count
// towards the limit before.
func TestLedgerHoldsBackTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(5, 2, 5)
		for i := range 5 {
			go l.handle(i, nil)
		}
		if err := l.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := l.returned.Load(); n != 2 {
			t.Errorf("%d handlers returned, want 2", n)
		}
		l.release()
		l.release()
		synctest.Wait()
		if err := l.check(0); err != nil {
			t.Error(err)
		}
	})
}

// A worker that runs more handlers than it has slots is found out.
func TestLedgerSlotsExceeded(t *testing.T) {
	for slots, ok := range map[int]bool{3: true, 2: false} {
		synctest.Test(t, func(t *testing.T) {
			l := newLedger(4, 1, slots)
			l.handle(0, nil)
			for i := range 3 { // beyond the limit: all wait for release
				go l.handle(i+1, nil)
			}
			synctest.Wait()
			l.release()
			synctest.Wait()
			if err := l.check(0); (err == nil) != ok {
				t.Errorf("three handlers in %d slots: %v", slots, err)
			}
		})
	}
}

func TestLedgerStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(3, 3, 1)
		go func() { // slow is not stalled
			time.Sleep(50 * time.Second)
			l.handle(0, nil)
			time.Sleep(50 * time.Second)
			l.handle(1, nil)
		}()
		begin := time.Now()
		err := l.wait(t.Context())
		if err == nil || !strings.Contains(err.Error(), "2 of 3") {
			t.Errorf("got %v", err)
		}
		if d := time.Since(begin); d != 3*stall {
			t.Errorf("gave up after %v", d)
		}
	})
}

func TestLedgerWaitEndsWithContext(t *testing.T) {
	t.Parallel()
	cause := errors.New("the worker ended")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := newLedger(1, 1, 1).wait(ctx); !errors.Is(err, cause) {
		t.Errorf("got %v, want the cause", err)
	}
}

// faulty is a broker in memory that runs what it likes.
type faulty struct {
	ran  []int // what its worker runs, in order
	late []int // what it runs when it is being stopped
	left int64
}

func (faulty) Name() string                                                  { return "faulty" }
func (faulty) Settings() string                                              { return "none" }
func (f faulty) Open(context.Context, string, *atomic.Int64) (Broker, error) { return f, nil }
func (faulty) Put(context.Context, []byte) error                             { return nil }
func (faulty) PutMany(context.Context, [][]byte) error                       { return nil }
func (f faulty) Unfinished(context.Context) (int64, error)                   { return f.left, nil }
func (faulty) Close() error                                                  { return nil }
func (f faulty) Work(_ context.Context, w WorkConfig) (func() error, error) {
	for _, i := range f.ran {
		w.Handle(i, nil)
	}
	return func() error {
		for _, i := range f.late {
			w.Handle(i, nil)
		}
		return nil
	}, nil
}

// A peer that loses or doubles a job gets no row.
func TestDrainNoticesFaults(t *testing.T) {
	t.Parallel()
	server := embedded(t)
	for name, c := range map[string]struct {
		peer faulty
		ok   bool
	}{
		"sound":               {faulty{ran: []int{0, 1, 2}}, true},
		"missing and doubled": {faulty{ran: []int{0, 1, 1}}, false},
		"doubled":             {faulty{ran: []int{0, 1, 2}, late: []int{0}}, false},
	} {
		r := &Run{Params: baseParams(), Point: Point{Slots: 1}, Peer: c.peer, Server: server, Row: &Row{}}
		if err := r.drain(t.Context(), "", 3, 3); (err == nil) != c.ok {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// Work that is done again counts once, and what failed does not count.
func TestLedgerTriesAgain(t *testing.T) {
	t.Parallel()
	l := newLedger(3, 3, 1)
	done := func() error { return nil }
	failed := errors.New("failed")
	for _, i := range []int{0, 0, 1, 0} {
		if err := l.try(i, done); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.try(2, func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("got %v, want the error of the work", err)
	}
	select {
	case <-l.reached:
		t.Error("the end was reached without job 2")
	default:
	}
	if l.check(0) == nil {
		t.Error("nobody missed job 2")
	}
	_ = l.try(2, done)
	_ = l.try(1, done) // a repetition after the end
	<-l.reached
	if err := l.check(0); err != nil {
		t.Error(err)
	}
	_ = l.try(3, done)
	if l.check(0) == nil {
		t.Error("an execution without a number of ours went unnoticed")
	}
}

// The slot is taken for as long as the work lasts.
func TestLedgerTrySlotsExceeded(t *testing.T) {
	t.Parallel()
	l := newLedger(2, 2, 1)
	_ = l.try(0, func() error { return l.try(1, func() error { return nil }) })
	if l.check(0) == nil {
		t.Error("two handlers in one slot went unnoticed")
	}
}
