package spool

import (
	"context"
	"slices"
	"sync"
	"time"
)

// turns lets transactions of one client that fought for a key go one after another. A conflict marks the key as
// contested for a while; who then wants to read it waits for who was there before. Turns are courtesy: what is right is
// decided by Redis at the commit, so the turn of one that takes too long is given to the next in line, to that one only.
//
// A transaction that holds a turn never waits for another, but for those it takes before it begins, in order of their
// keys; so none wait for each other in a circle.
type turns struct {
	mu   sync.Mutex // guards what follows, and the turns
	keys map[string]*turn
	last uint64 // turn given out
}

type turn struct {
	until  time.Time // contested until then
	holder uint64    // 0: nobody
	since  time.Time // it has had the turn since
	waits  []chan struct{}
	vain   int // holders in a row that were waited for in vain
}

// heldTurn is a turn at a key. It may have been given to another meanwhile.
type heldTurn struct {
	key string
	id  uint64
}

const (
	contestTime  = 2 * time.Second        // a key stays contested for so long after its last conflict
	turnPatience = 500 * time.Millisecond // a holder is waited for no longer than this, and half as long after each wait in vain,
	turnLeast    = 20 * time.Millisecond  // but not less than this
	contestedMax = 10_000                 // keys that are remembered
)

// contest marks keys about which there was a conflict.
func (t *turns) contest(keys []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.keys == nil {
		t.keys = map[string]*turn{}
	}
	if len(t.keys) > contestedMax {
		for key, x := range t.keys {
			if x.holder == 0 && len(x.waits) == 0 && now.After(x.until) {
				delete(t.keys, key)
			}
		}
	}
	for _, key := range keys {
		x := t.keys[key]
		if x == nil {
			x = &turn{}
			t.keys[key] = x
		}
		if now.After(x.until) {
			x.vain = 0
		}
		x.until = now.Add(contestTime)
	}
}

// contested says which of the keys are, without those already held.
func (t *turns) contested(keys []string, held []heldTurn) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.keys) == 0 {
		return nil
	}
	var found []string
	now := time.Now()
	for _, key := range keys {
		mine := slices.ContainsFunc(held, func(h heldTurn) bool { return h.key == key })
		if x := t.keys[key]; x != nil && !mine && (now.Before(x.until) || x.holder != 0) {
			found = append(found, key)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// take waits for the turn at a key. It returns false if the caller is to go on without.
func (t *turns) take(ctx context.Context, key string) (heldTurn, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.keys[key]
	if x == nil {
		return heldTurn{}, false
	}
	if x.holder == 0 {
		return t.giveLocked(x, key), true
	}
	mine := make(chan struct{})
	x.waits = append(x.waits, mine)
	for {
		patience := x.patience()
		t.mu.Unlock()
		timer := time.NewTimer(patience)
		select {
		case <-mine:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		t.mu.Lock()
		at := slices.Index(x.waits, mine)
		switch {
		case at < 0: // it is our turn, also if ctx has ended at the same moment
			return t.giveLocked(x, key), true
		case ctx.Err() != nil:
			x.waits = slices.Delete(x.waits, at, at+1)
			return heldTurn{}, false
		case at == 0 && x.patience() <= 0:
			// Perhaps the holder waits for us, in a way that nothing here can see: then patience helps nobody.
			x.vain++
			x.waits = x.waits[1:]
			return t.giveLocked(x, key), true
		}
	}
}

// giveLocked gives the turn to the caller. It holds turns.mu.
func (t *turns) giveLocked(x *turn, key string) heldTurn {
	t.last++
	x.holder, x.since = t.last, time.Now()
	return heldTurn{key, t.last}
}

// patience is how much longer the present holder is waited for.
func (x *turn) patience() time.Duration {
	return max(turnPatience>>min(x.vain, 30), turnLeast) - time.Since(x.since)
}

// release hands turns on. Those that were given to others meanwhile are theirs.
func (t *turns) release(held []heldTurn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range held {
		x := t.keys[h.key]
		if x == nil || x.holder != h.id {
			continue
		}
		if x.vain > 0 && len(x.waits) > 0 {
			x.vain--
		}
		if len(x.waits) == 0 {
			x.holder = 0
			continue
		}
		close(x.waits[0])
		x.waits, x.since = x.waits[1:], time.Now()
	}
}
