package spool

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/spooljobs/spool/internal/store"
)

// Waits between attempts to reach Redis: doubling from the first to the longest.
const (
	outageFirst   = 20 * time.Millisecond
	outageLongest = 5 * time.Second
)

// outage lets all loops of an owner find out together that Redis is away, so that there is one attempt at a time and
// a growing wait between attempts, however many loops there are. While Redis is there it costs one lock.
type outage struct {
	log *slog.Logger

	mu      sync.Mutex
	failed  int           // attempts since Redis was last there; 0 says that it is there
	probing bool          // somebody is trying; only while failed > 0
	next    time.Time     // not before this
	changed chan struct{} // closed and replaced when one of the above changes; nil while nobody waits
}

// do makes a call, again and again while Redis is away, until there is an answer or ctx ends. The last error comes
// back. The call must be one that may be repeated.
func (o *outage) do(ctx context.Context, call func() error) error {
	var last error
	for {
		probe, err := o.admit(ctx)
		if err != nil {
			if last != nil {
				return last
			}
			return err
		}
		last = call()
		if ctx.Err() != nil && errors.Is(last, store.ErrAway) {
			// The caller has had enough: that says nothing about Redis.
			o.giveUp(probe)
			return last
		}
		if !o.report(probe, last) {
			return last
		}
	}
}

// giveUp lets another one find out.
func (o *outage) giveUp(probe bool) {
	if !probe {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.probing = false
	o.wakeLocked()
}

// admit waits until a call may be made. It says whether the call is the one that finds out if Redis is back.
func (o *outage) admit(ctx context.Context) (probe bool, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return false, &store.AwayError{Err: err}
		}
		o.mu.Lock()
		if o.failed == 0 {
			o.mu.Unlock()
			return false, nil
		}
		wait := time.Until(o.next)
		if !o.probing && wait <= 0 {
			o.probing = true
			o.mu.Unlock()
			return true, nil
		}
		if o.changed == nil {
			o.changed = make(chan struct{})
		}
		changed := o.changed
		if o.probing {
			wait = outageLongest
		}
		o.mu.Unlock()
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// away says whether Redis is known to be away.
func (o *outage) away() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.failed > 0
}

// back waits until Redis is there, without trying.
func (o *outage) back(ctx context.Context) error {
	for {
		o.mu.Lock()
		if o.failed == 0 {
			o.mu.Unlock()
			return ctx.Err()
		}
		if o.changed == nil {
			o.changed = make(chan struct{})
		}
		changed := o.changed
		o.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// report takes note of what a call said about Redis, and returns whether to make it again.
func (o *outage) report(probe bool, err error) (again bool) {
	away := errors.Is(err, store.ErrAway)
	o.mu.Lock()
	defer o.mu.Unlock()
	if !away {
		if o.failed > 0 {
			o.log.LogAttrs(context.Background(), slog.LevelInfo, "redis is back", slog.Int("attempts", o.failed))
		}
		o.failed, o.probing = 0, false
		o.wakeLocked()
		return false
	}
	// Of many calls that fail at the same moment one is counted.
	if probe || o.failed == 0 {
		wait := min(outageFirst<<min(o.failed, 10), outageLongest)
		o.next = time.Now().Add(wait/2 + rand.N(wait/2))
		o.failed++
		o.probing = false
		level := slog.LevelDebug
		if o.failed == 4 {
			level = slog.LevelWarn // a blip is no news
		}
		o.log.LogAttrs(context.Background(), level, "redis is away", slog.Int("attempts", o.failed), slog.Any("err", err))
		o.wakeLocked()
	}
	return true
}

// wakeLocked tells those who wait to look again. The caller holds mu.
func (o *outage) wakeLocked() {
	if o.changed != nil {
		close(o.changed)
		o.changed = nil
	}
}
