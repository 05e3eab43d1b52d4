package spool

import (
	"context"
	"slices"
	"sync"
	"time"
)

// turns lets transactions of one client that fought for a key go one after another. A conflict marks the key as
// contested for a while; who then wants to read it waits for who was there before. Turns are courtesy: what is right is
// decided by Redis at the commit, so a turn that lasts too long is simply not waited for.
//
// A transaction that holds a turn never waits for another, but for those it takes before it begins, in order of their
// keys; so none wait for each other in a circle.
type turns struct {
	mu   sync.Mutex // guards what follows, and the turns
	keys map[string]*turn
}

type turn struct {
	until time.Time // contested until then
	held  bool
	waits []chan struct{} // in order
}

const (
	contestTime  = 2 * time.Second        // a key stays contested for so long after its last conflict
	turnPatience = 500 * time.Millisecond // a turn is waited for no longer than this
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
			if !x.held && len(x.waits) == 0 && now.After(x.until) {
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
		x.until = now.Add(contestTime)
	}
}

// contested says which of the keys are, without those already held.
func (t *turns) contested(keys, held []string) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.keys) == 0 {
		return nil
	}
	var found []string
	now := time.Now()
	for _, key := range keys {
		if x := t.keys[key]; x != nil && !slices.Contains(held, key) && (now.Before(x.until) || x.held) {
			found = append(found, key)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// take waits for the turn at a key. It returns false if the caller is to go on without.
func (t *turns) take(ctx context.Context, key string) bool {
	t.mu.Lock()
	x := t.keys[key]
	if x == nil {
		t.mu.Unlock()
		return false
	}
	if !x.held {
		x.held = true
		t.mu.Unlock()
		return true
	}
	mine := make(chan struct{})
	x.waits = append(x.waits, mine)
	t.mu.Unlock()
	timer := time.NewTimer(turnPatience)
	defer timer.Stop()
	select {
	case <-mine:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(x.waits, mine); i >= 0 {
		x.waits = slices.Delete(x.waits, i, i+1)
		return false
	}
	return true // it was handed over at the same moment
}

// release hands turns on.
func (t *turns) release(keys []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range keys {
		x := t.keys[key]
		if len(x.waits) == 0 {
			x.held = false
			continue
		}
		close(x.waits[0])
		x.waits = x.waits[1:]
	}
}
