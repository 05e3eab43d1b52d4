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
const blockTime = 5 * time.Second

// startWakers starts a waker for each lane; in a cluster one for each lane and queue, since one blocked call can name
// the keys of one slot only.
func (e *engine) startWakers() {
	groups := [][]*courier{e.couriers}
	if _, cluster := e.client.rdb.(*redis.ClusterClient); cluster {
		groups = nil
		for i := range e.couriers {
			groups = append(groups, e.couriers[i:i+1])
		}
	}
	for lane := range e.lanes {
		for _, group := range groups {
			hungry := make(chan struct{}, 1)
			e.lanes[lane].hungry = append(e.lanes[lane].hungry, hungry)
			e.wakers.Go(func() { e.wake(Lane(lane), group, hungry) })
		}
	}
}

// wake waits for work on behalf of a lane while it has a free slot and nothing to claim is known of. The one who
// takes a marker owes a call to its queue, even if meanwhile no slot is free: the call sets the marker again for
// others. Lanes wait apart, so that one that is full takes no markers.
func (e *engine) wake(which Lane, of []*courier, hungry <-chan struct{}) {
	for {
		e.mu.Lock()
		idle, stopped := e.idleLocked(which), e.stopped
		asked := askedLocked(of)
		e.mu.Unlock()
		if stopped {
			return
		}
		if !idle {
			select {
			case <-hungry:
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
func askedLocked(of []*courier) []*courier {
	now := time.Now()
	asked, refused := make([]*courier, 0, len(of)), []*courier(nil)
	for _, c := range of {
		if now.Before(c.until) {
			refused = append(refused, c)
		} else {
			asked = append(asked, c)
		}
	}
	return append(asked, refused...)
}

// refusedPause is how long a waker waits when Redis refuses to block, as it does on a key of a wrong type or without
// the permission. Each time a call is made everywhere instead: it is a poll, but better than nothing.
const refusedPause = time.Second

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
		err = store.Classify(err)
		e.gate.report(false, err)
		for _, c := range e.couriers {
			c.owe(which)
		}
		if errors.Is(err, store.ErrAway) {
			e.pause(outageFirst)
		} else {
			e.couriers[0].note("waiting for work", err)
			e.pause(refusedPause)
		}
		return nil
	}
	asked := time.Now()
	for i, c := range couriers {
		if keys[i] == popped {
			e.mu.Lock()
			c.asked[which] = asked
			e.mu.Unlock()
			c.owe(which)
			return nil
		}
		// The queues before it had no marker at this moment: they need not be asked first.
		e.mu.Lock()
		if !c.work[which] {
			c.looked[which], c.heard[which] = asked, asked
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
func (e *engine) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-e.stopping:
	}
}
