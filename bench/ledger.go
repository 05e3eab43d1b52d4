package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// stall is how long a run may go without a single handler returning.
const stall = time.Minute

// ledger counts how often each job ran, watches that no more handlers run at
// once than there are slots, and times the first limit jobs.
//
// A run may stop short of all jobs (limit < total). Handlers that begin after
// the limit then wait in their slots until release: the broker comes to rest at
// exactly total-limit unfinished jobs, and that moment can be observed.
type ledger struct {
	runs     []atomic.Uint32
	limit    int64
	slots    int64
	born     time.Time
	begun    atomic.Int64 // executions
	returned atomic.Int64 // executions
	out      atomic.Int64 // executions that count towards the limit
	strange  atomic.Int64 // executions that bear no number of ours
	crowded  atomic.Int64 // executions that had no slot to themselves
	first    atomic.Int64 // ns after born
	reached  chan struct{}
	released chan struct{}
	once     sync.Once
}

func newLedger(total, limit, slots int) *ledger {
	return &ledger{
		runs:     make([]atomic.Uint32, total),
		limit:    int64(limit),
		slots:    int64(slots),
		born:     time.Now(),
		reached:  make(chan struct{}),
		released: make(chan struct{}),
	}
}

// handle is the body of a handler that only counts.
func (l *ledger) handle(index int, err error) {
	if l.begin() > l.limit {
		<-l.released
	}
	l.count(index, err)
	l.end(true)
}

// count notes an execution of a job.
func (l *ledger) count(index int, err error) {
	if err != nil || index < 0 || index >= len(l.runs) {
		l.strange.Add(1)
	} else {
		l.runs[index].Add(1)
	}
}

// try is the body of a handler whose work may be done again, as a transaction's
// is after a conflict. A job counts once, when its work has first been done
// without an error; what came of it is not the ledger's to know. Use it where
// all jobs are within the limit.
func (l *ledger) try(index int, do func() error) error {
	l.begin()
	err := do()
	if index < 0 || index >= len(l.runs) {
		l.strange.Add(1)
		l.end(true)
		return err
	}
	l.end(err == nil && l.runs[index].CompareAndSwap(0, 1))
	return err
}

// begin notes that a handler begins, and returns how many have.
func (l *ledger) begin() int64 {
	begun := l.begun.Add(1)
	// Those that return meanwhile make the difference smaller, never larger: a
	// worker that keeps to its slots is never accused.
	if begun-l.returned.Load() > l.slots {
		l.crowded.Add(1)
	}
	if begun == 1 {
		l.first.Store(int64(time.Since(l.born)))
	}
	return begun
}

// end notes that a handler returns, and whether a job came out with that.
func (l *ledger) end(out bool) {
	l.returned.Add(1)
	if out && l.out.Add(1) == l.limit {
		close(l.reached)
	}
}

// wait returns once limit handlers have returned. It fails when ctx ends and
// when a minute brings no progress.
func (l *ledger) wait(ctx context.Context) error {
	tick := time.NewTicker(stall)
	defer tick.Stop()
	for last := int64(0); ; {
		select {
		case <-l.reached:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			now := l.out.Load()
			if now == last {
				return fmt.Errorf("stalled: %d of %d jobs came out", now, l.limit)
			}
			last = now
		}
	}
}

// release lets the handlers beyond the limit go on. A second call does nothing.
func (l *ledger) release() { l.once.Do(func() { close(l.released) }) }

// start is the moment the first handler began.
func (l *ledger) start() time.Time { return l.born.Add(time.Duration(l.first.Load())) }

// check reports missing and doubled executions, and slots that were exceeded.
// left is how many jobs the broker still holds; each of the others must have
// run, and none twice. Call it when the worker has stopped.
func (l *ledger) check(left int64) error {
	if n := l.crowded.Load(); n > 0 {
		return fmt.Errorf("%d handlers began while all %d slots were taken", n, l.slots)
	}
	var missing, doubled int64
	example := -1
	for i := range l.runs {
		switch n := l.runs[i].Load(); {
		case n == 0:
			missing++
			if left == 0 && example < 0 {
				example = i
			}
		case n > 1:
			doubled++
			if example < 0 {
				example = i
			}
		}
	}
	strange := l.strange.Load()
	if missing == left && doubled == 0 && strange == 0 {
		return nil
	}
	return fmt.Errorf("not exactly once: of %d jobs %d never ran while the broker holds %d, %d ran more than once, %d executions bear no known number (first job concerned: %d)",
		len(l.runs), missing, left, doubled, strange, example)
}
