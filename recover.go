package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spooljobs/spool/internal/store"
)

// adopt asks for what a call claimed whose answer was lost. Nothing else is under way in this line, so the set it
// pages through does not change but by its own questions.
func (c *courier) adopt(call *letter) []store.Claim {
	var claims []store.Claim
	for {
		var page []store.Claim
		var more bool
		err := c.e.gate.do(c.e.calls, func() (err error) {
			page, more, err = c.q.Adopt(c.e.calls, call.Engine, call.Number, len(claims))
			return err
		})
		if err != nil {
			// Gone: the next call will be told so, too. Anything else: the beats find the difference.
			c.note("adopting", err)
			return claims
		}
		claims = append(claims, page...)
		if !more {
			return claims
		}
	}
}

// expelled: Redis does not know this registration. The engine was silent for too long and others have taken, or will
// take, what it held. Everything it runs for this queue is lost and told to stop; nothing of it counts any more. It
// goes on under a new registration.
func (c *courier) expelled(call *letter, err error) {
	e := c.e
	e.mu.Lock()
	c.vacateLocked(call)
	lost := len(c.runs)
	for _, r := range c.runs {
		c.loseLocked(r, errLost)
	}
	call.doubt()
	dropped := c.dropCommitsLocked(call)
	c.refused += call.Refused + len(c.plain) + len(c.others) + len(dropped)
	for i := range call.Verdicts {
		if call.run(i) == nil {
			c.refused++ // the runs of the others have been dropped, or go on and will be refused
		}
	}
	refused := c.refused
	c.plain, c.others, c.inCall, c.flying, c.seat = nil, nil, 0, false, nil
	e.kickLocked(c)
	e.mu.Unlock()
	for _, r := range dropped {
		c.conclude(r.tx, errLost)
	}
	e.log.Warn("this worker was declared dead; it starts anew", "queue", c.q.Name(), "running", lost, "refused", refused,
		"err", fmt.Sprint(err))
	e.signal()
}

var errLost = fmt.Errorf("%w: it has another owner", ErrAborted)

// loseLocked: the run is no longer ours. Its handler is told; its slot stays taken until it has returned.
func (c *courier) loseLocked(r *run, why error) {
	c.forgetLocked(r)
	r.lost = true
	if r.cancel != nil {
		r.cancel(why)
	}
}

// leftLocked tells Redis that the handler of a cancelled job has returned.
func (c *courier) leftLocked(r *run) {
	c.others = append(c.others, store.Verdict{ID: r.claim.ID, Token: r.claim.Token, Word: store.VerdictLeft})
	c.kick()
}

// settleAccounts compares what Redis says this engine holds with what it runs: what it does not run is given back
// uncounted, what it runs and does not hold is lost. Nothing else is under way in this line meanwhile.
func (c *courier) settleAccounts() {
	e := c.e
	e.mu.Lock()
	seat := c.seat
	e.mu.Unlock()
	held := make(map[string]int64)
	for skip := 0; ; skip = len(held) {
		var page []store.Held
		err := e.gate.do(e.calls, func() (err error) {
			page, err = c.q.Owned(e.calls, seat, skip)
			return err
		})
		if errors.Is(err, store.ErrGone) {
			c.expelled(&letter{}, err)
			return
		}
		if err != nil {
			c.trouble("reconciling", err)
			return
		}
		for _, h := range page {
			held[store.PackID(h.ID)] = h.Token
		}
		if len(page) < store.CallItems {
			break
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	// A job may be known twice: as a run that has ended, and as one that it was given again.
	type claimed struct {
		id    string
		token int64
	}
	known := make(map[claimed]bool, len(c.runs))
	for id, r := range c.runs {
		known[claimed{id, r.claim.Token}] = true
	}
	for _, list := range [][]store.Verdict{c.plain, c.others} {
		for _, v := range list {
			known[claimed{v.ID, v.Token}] = true
		}
	}
	back, lost := 0, 0
	for id, token := range held {
		if !known[claimed{id, token}] {
			c.others = append(c.others, store.Verdict{ID: id, Token: token, Word: store.VerdictBack})
			back++
		}
	}
	for id, r := range c.runs {
		if held[id] != r.claim.Token {
			c.loseLocked(r, errLost)
			r.unclear = true
			lost++
		}
	}
	c.reconcile, c.mismatch = false, 0
	level := slog.LevelDebug
	if back+lost > 0 {
		level = slog.LevelWarn
	}
	e.log.Log(context.Background(), level, "what redis holds for this worker was compared with what it runs", "queue", c.q.Name(), "given_back", back, "lost", lost)
}

// note logs an error that something else will mend.
func (c *courier) note(what string, err error) {
	if c.e.calls.Err() == nil && !errors.Is(err, context.Canceled) {
		c.e.log.Warn("a call failed", "queue", c.q.Name(), "what", what, "err", err)
	}
}
