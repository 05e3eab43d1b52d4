package spool

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool/internal/store"
)

// blockTime is how long one blocked call waits for a marker. Longer would save little; a lost connection is noticed
// the sooner.
const blockTime = 3 * time.Second

// wake waits for work on behalf of a lane while it has a free slot and nothing to claim is known of. The one who
// takes a marker owes a call to its queue, even if meanwhile no slot is free: the call sets the marker again for
// others. Lanes wait apart, so that one that is full takes no markers.
func (e *engine) wake(which Lane) {
	l := &e.lanes[which]
	for {
		e.mu.Lock()
		idle, stopped := e.idleLocked(which), e.stopped
		asked := e.askedLocked()
		e.mu.Unlock()
		if stopped {
			return
		}
		if !idle {
			select {
			case <-l.hungry:
			case <-e.stopping:
				return
			}
			continue
		}
		// The one who finds out whether Redis is back must have an answer soon: not a call that blocks.
		if e.gate.back(e.waits) != nil || e.block(which, asked) != nil {
			return
		}
	}
}

// idleLocked: the lane has a free slot, and no queue, but those that Redis refuses calls for just now, is
// known to have work for it.
func (e *engine) idleLocked(which Lane) bool {
	l := &e.lanes[which]
	if e.stopped || l.taken >= l.size {
		return false
	}
	now := time.Now()
	for _, c := range e.couriers {
		if c.work[which] && !now.Before(c.until) {
			return false
		}
	}
	return true
}

// askedLocked is whose markers are waited for: in order, but those that Redis refuses calls for stand last. What
// marks their work over and over would keep the others' from being seen.
func (e *engine) askedLocked() []*courier {
	now := time.Now()
	asked, refused := make([]*courier, 0, len(e.couriers)), []*courier(nil)
	for _, c := range e.couriers {
		if now.Before(c.until) {
			refused = append(refused, c)
		} else {
			asked = append(asked, c)
		}
	}
	return append(asked, refused...)
}

// block waits for one marker. It returns an error only when the engine ends.
func (e *engine) block(which Lane, couriers []*courier) error {
	keys := make([]string, len(couriers))
	for i, c := range couriers {
		keys[i] = c.q.Key("wake:" + which.String())
	}
	popped, err := e.pop(keys)
	if errors.Is(err, redis.Nil) {
		return nil
	}
	if err != nil {
		if e.ended() || errors.Is(err, redis.ErrClosed) {
			return err
		}
		// A marker may have been taken by an answer that was lost: a call is owed everywhere.
		e.gate.report(false, store.Classify(err))
		for _, c := range e.couriers {
			c.owe(which)
		}
		e.pause()
		return nil
	}
	asked := time.Now()
	for i, c := range couriers {
		if keys[i] == popped {
			c.owe(which)
			return nil
		}
		// The queues before it had no marker at this moment: they need not be asked first.
		e.mu.Lock()
		if !c.work[which] {
			c.looked[which] = asked
			c.looks[which]++
		}
		e.mu.Unlock()
	}
	return nil
}

// pop blocks on the first marker of the keys and returns its key.
func (e *engine) pop(keys []string) (string, error) {
	args := make([]any, 0, len(keys)+2)
	args = append(args, "blpop")
	for _, key := range keys {
		args = append(args, key)
	}
	args = append(args, int(blockTime/time.Second))
	cmd := redis.NewStringSliceCmd(context.Background(), args...)
	if err := e.markers.Process(context.Background(), blocking{cmd}); err != nil {
		return "", err
	}
	if got := cmd.Val(); len(got) > 0 {
		return got[0], nil
	}
	return "", redis.Nil
}

// blocking is a command that go-redis does not send a second time by itself: the first may have taken a marker.
type blocking struct{ *redis.StringSliceCmd }

func (blocking) NoRetry() bool { return true }

// ended says that the last calls are being made or have been.
func (e *engine) ended() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stopped || e.calls.Err() != nil
}

// pause keeps a waker from trying at once what has just failed.
func (e *engine) pause() {
	select {
	case <-time.After(outageFirst):
	case <-e.stopping:
	}
}
