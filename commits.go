package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"time"

	"github.com/spooljobs/spool/internal/store"
)

// A courier commits what transactional handlers have done: the run waits, without a slot, until the call that carries its
// transaction is answered. So handlers go on while commits fly, and many transactions share a call.

// commitLocked queues a run's transaction, with its verdict. The caller holds engine.mu.
func (c *courier) commitLocked(r *run, v store.Verdict) {
	r.tx.verdict, r.tx.maybe, r.committing = v, false, true
	c.commits = append(c.commits, r)
	c.kick()
}

// pickLocked takes the transactions for one call: what is left of its items, arguments and bytes. One that is too large
// for a call travels alone. While Redis is full, those that add to it wait.
func (c *courier) pickLocked(now time.Time, items, arguments, size int) (plain, others []*run, alone bool) {
	rest := c.commits[:0]
	full := now.Before(c.full)
	for i, r := range c.commits {
		v := &r.tx.verdict
		large := r.tx.large()
		switch {
		case alone, full && v.Tx.Adds:
			rest = append(rest, r)
		case large && len(plain)+len(others) == 0 && items == store.CallItems:
			others, alone = append(others, r), true
		case large, len(plain)+len(others) == items, arguments+v.Fields() > store.AdvanceArguments, size+v.Size() > store.CallBytes:
			rest = append(rest, c.commits[i:]...)
			return plain, others, c.keepCommitsLocked(rest)
		default:
			arguments, size = arguments+v.Fields(), size+v.Size()
			if v.Word == store.VerdictPlain {
				plain = append(plain, r)
			} else {
				others = append(others, r)
			}
		}
	}
	c.keepCommitsLocked(rest)
	return plain, others, alone
}

// crowdLocked is how many runs of a lane wait for a commit that the next call cannot carry: it has no room for them, or,
// beyond a number, Redis has none. So many fewer are claimed. A run that waits holds no slot; handlers that outrun their
// commits would claim the whole queue.
func (c *courier) crowdLocked(which Lane, now time.Time) int {
	crowd, wait, items, arguments, size := 0, 0, 0, 0, 0
	full := now.Before(c.full)
	for _, r := range c.commits {
		v := &r.tx.verdict
		over := false
		if full && v.Tx.Adds {
			wait++
			over = wait > maxAhead
		} else {
			items, arguments, size = items+1, arguments+v.Fields(), size+v.Size()
			over = items > 1 && (items > store.CallItems || arguments > store.AdvanceArguments || size > store.CallBytes)
		}
		if over && r.lane == which {
			crowd++
		}
	}
	return crowd
}

// large: it does not fit a shared call.
func (t *runTx) large() bool {
	return t.verdict.Fields() > store.AdvanceArguments || t.verdict.Size() > store.CallBytes
}

func (c *courier) keepCommitsLocked(rest []*run) (alone bool) {
	clear(c.commits[len(rest):])
	c.commits = rest
	return false
}

// committableLocked: something waits that may be sent now.
func (c *courier) committableLocked(now time.Time) bool {
	if !now.Before(c.full) {
		return len(c.commits) > 0
	}
	for _, r := range c.commits {
		if !r.tx.verdict.Tx.Adds {
			return true
		}
	}
	return false
}

// fullLocked: Redis is full. What adds to it waits, longer each time; what only finishes or removes goes on.
func (c *courier) fullLocked() {
	c.fullFor = min(max(2*c.fullFor, 100*time.Millisecond), 5*time.Second)
	c.full = time.Now().Add(c.fullFor)
}

// errChanged is what a second look has found before a large transaction was sent.
var errChanged = errors.New("what was read has changed")

// alone commits a transaction that is too large for a shared call: its reads are watched and looked at again on a
// connection of its own, and are not part of the call. If that attempt may have taken effect, or watched keys are touched
// all the time although what was read is as it was, the call is sent with its reads: then it answers for itself.
func (c *courier) alone(call *letter) (answer *store.Advanced, err error) {
	if call.whole {
		return c.q.Commit(c.e.calls, &call.Advance)
	}
	link, err := c.e.client.conns.take(c.e.calls, c.q.Key("active"))
	if err != nil {
		return nil, &store.AwayError{Err: err}
	}
	defer link.release()
	var t *store.Transaction
	for i := range call.Verdicts {
		if call.Verdicts[i].Tx != nil {
			t = call.Verdicts[i].Tx
		}
	}
	for range manyTouches {
		changed, err := c.q.Look(c.e.calls, link.conn, t)
		if errors.Is(err, store.ErrAway) {
			return nil, &store.AwayError{Err: err}
		}
		if err != nil {
			return nil, err
		}
		if changed >= 0 {
			call.changed = changed
			return nil, errChanged
		}
		answer, err = c.q.CommitWatched(c.e.calls, link.conn, &call.Advance)
		if !errors.Is(err, store.ErrTouched) || c.e.calls.Err() != nil {
			call.whole = store.MaybeExecuted(err)
			return answer, err
		}
	}
	call.whole = true
	return c.q.Commit(c.e.calls, &call.Advance)
}

// settled is what became of a run's commit.
type settled struct {
	r   *run
	err error // nil: it took effect
}

// settle takes in what an answer says of the transactions. It runs before the books are changed and holds no lock: until
// then the runs are the courier's.
func (c *courier) settle(call *letter, lost []int, refused map[int]*store.Refusal) []settled {
	if call.runs == nil {
		return nil
	}
	gone := make(map[int]bool, len(lost))
	for _, i := range lost {
		gone[i] = true
	}
	var all []settled
	for i, r := range call.runs {
		if r == nil {
			continue
		}
		s := settled{r: r}
		switch refusal := refused[i]; {
		case gone[i]:
			s.err = errLost
		case refusal != nil:
			s.err = refusalError(refusal, call.Verdicts[i].Tx)
			if refusal.Word == store.RefusedConflict {
				var keys []string
				if reads := call.Verdicts[i].Tx.Reads; refusal.Index >= 0 && refusal.Index < len(reads) {
					keys = reads[refusal.Index].Keys
				}
				c.e.conflict(r.tx, keys)
			}
		default:
			c.e.client.commits.Add(1)
			if len(call.Verdicts[i].Tx.Outs) > 0 {
				c.e.client.post(c.q.Name())
			}
		}
		c.conclude(r.tx, s.err)
		all = append(all, s)
	}
	return all
}

// conclude closes the transaction of an attempt, unless the handler goes on with it, and decides what follows.
func (c *courier) conclude(t *runTx, err error) {
	if t.point != nil {
		return
	}
	switch {
	case err == nil, errors.Is(err, errLost):
	case errors.Is(err, ErrConflict):
		t.again(t.count.Conflict, err)
	case errors.Is(err, ErrBrokenCommit):
		c.e.log.LogAttrs(context.Background(), slog.LevelError, "a transaction took effect in part", slog.String("queue", c.q.Name()),
			slog.String("task", t.r.task), slog.String("job", t.r.id), slog.Any("err", err))
		t.given = Final(err)
	default:
		t.given = err
	}
	hooks := t.tx.end(errTxOver, err == nil)
	switch {
	case errors.Is(err, errLost) && t.maybe:
		// It may have taken effect before that. There is no hook for this.
	case err == nil, errors.Is(err, errLost):
		c.e.after(t.r, hooks)
	default:
		t.hooks = hooks // run before the handler does so again
	}
}

// bookLocked changes the books after settle.
func (c *courier) bookLocked(all []settled, now time.Time) {
	for _, s := range all {
		r, t := s.r, s.r.tx
		r.committing = false
		if point := t.point; point != nil {
			t.point = nil
			// Should it be lost, the next beat tells why, and ends the handler's context.
			point <- s.err
			continue
		}
		switch {
		case r.decided: // it was lost meanwhile
			if s.err != nil && !errors.Is(s.err, errLost) {
				c.e.after(r, t.hooks)
			}
		case s.err == nil:
			c.forgetLocked(r)
			c.e.ran++
		case errors.Is(s.err, errLost):
			c.loseLocked(r, errLost)
		case c.e.stopped:
			c.decideLocked(r, backVerdict(r))
			c.e.after(r, t.hooks)
		default:
			// Again, or to its end without another attempt: a runner sees to it, before all that waits.
			r.queued = now
			l := &c.e.lanes[r.lane]
			l.taken++
			l.pushFrontLocked(r)
			l.startLocked(c.e)
		}
	}
}

// dropCommitsLocked: the registration is gone, and with it what waited for a commit. It returns those whose handlers
// have returned.
func (c *courier) dropCommitsLocked(call *letter) (dropped []*run) {
	dropped = append(dropped, c.commits...)
	for _, r := range call.runs {
		if r != nil {
			dropped = append(dropped, r)
		}
	}
	c.commits = nil
	return slices.DeleteFunc(dropped, func(r *run) bool {
		r.committing = false
		point := r.tx.point
		if point == nil {
			return false
		}
		r.tx.point = nil
		point <- fmt.Errorf("%w: the worker was declared dead", errLost)
		return true // its handler goes on
	})
}

// strandedLocked: a run that waited for its next attempt will not have it.
func (c *courier) strandedLocked(r *run) {
	if r.cancelled || r.unclear {
		c.leftLocked(r)
	}
	if r.tx != nil {
		c.e.after(r, r.tx.hooks)
		r.tx.hooks = nil
	}
}

// abandonLocked: the courier has no more calls. Handlers that wait for a commit in the middle must go on; what became of
// the others is not known, so no hook is run.
func (c *courier) abandonLocked() {
	for _, r := range c.dropCommitsLocked(&letter{}) {
		r.tx.tx.end(errTxOver, false)
	}
}

// run is whose transaction a verdict carries, or nil.
func (call *letter) run(i int) *run {
	if i < len(call.runs) {
		return call.runs[i]
	}
	return nil
}

// doubt notes that the call is given up without an answer, and may have been executed.
func (call *letter) doubt() {
	for _, r := range call.runs {
		if r != nil && call.maybe {
			r.tx.maybe = true
		}
	}
}

// adds tells whether a call adds to what Redis holds by its transactions.
func (call *letter) adds() bool {
	for i, r := range call.runs {
		if r != nil && call.Verdicts[i].Tx.Adds {
			return true
		}
	}
	return false
}

// overtaken: before a large transaction was sent, what it had read has changed. The call was not made.
func (c *courier) overtaken(call *letter) {
	refused := map[int]*store.Refusal{}
	for i, r := range call.runs {
		if r != nil {
			refused[i] = &store.Refusal{Word: store.RefusedConflict, Index: call.changed}
		}
	}
	commits := c.settle(call, nil, refused)
	call.runs = nil
	var kept []store.Verdict
	for _, v := range call.Verdicts {
		if v.Tx == nil {
			kept = append(kept, v)
		}
	}
	call.Verdicts = kept
	c.e.mu.Lock()
	c.owed = true // first: between the two it must not seem idle
	c.e.mu.Unlock()
	c.takeBack(call)
	c.e.mu.Lock()
	c.bookLocked(commits, time.Now())
	c.e.mu.Unlock()
	c.e.signal()
}

// gather lets transactions that are about to be handed over share the next call: those whose reads are being answered
// at this moment. It waits for one such answer at most, and only if fewer wait for a commit than run.
func (c *courier) gather() {
	e := c.e
	e.mu.Lock()
	few := len(c.commits) > 0 && len(c.commits) < e.lanes[Thread].running+e.lanes[Reactor].running
	e.mu.Unlock()
	if !few {
		return
	}
	if answered := c.reader.settled(); answered != nil {
		select {
		case <-answered:
			runtime.Gosched()
		case <-e.calls.Done():
		}
	}
}
