package spool

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/spooljobs/spool/internal/codec"
	"github.com/spooljobs/spool/internal/store"
)

// about is what an engine says of itself to those who look.
type about struct {
	Worker  string `msgpack:"worker"`
	Threads int    `msgpack:"threads"`
	Reactor int    `msgpack:"reactor"`
}

func (c *courier) register() {
	info, err := codec.Marshal(&about{c.e.cfg.Identity, c.e.cfg.ThreadSlots, c.e.cfg.ReactorSlots})
	if err != nil {
		panic("bug: " + err.Error())
	}
	id := uuid.NewString()
	var seat *store.Engine
	err = c.e.gate.do(c.e.calls, func() (err error) {
		if c.e.gate.away() {
			c.e.signal() // a shutdown does not wait for what cannot register
		}
		seat, err = c.q.Register(c.e.calls, id, c.e.cfg.DeadAfter.Milliseconds(), info)
		return err
	})
	if err != nil {
		c.trouble("registering", err)
		return
	}
	c.number, c.kept = 0, 0
	c.e.mu.Lock()
	c.seat, c.owed, c.mismatch, c.reconcile = seat, true, 0, false
	c.work = [2]bool{true, true}
	c.e.mu.Unlock()
	c.e.log.Debug("registered", "queue", c.q.Name(), "engine", seat.Number)
}

// leave unregisters. What could not be said by now is swept like what a dead engine leaves.
func (c *courier) leave() {
	c.e.mu.Lock()
	seat := c.seat
	c.e.mu.Unlock()
	if seat == nil {
		return
	}
	// The seat is kept till then: the engine waits for those who have one.
	defer func() {
		c.e.mu.Lock()
		c.seat = nil
		c.e.mu.Unlock()
	}()
	ctx, cancel := context.WithTimeout(c.e.calls, deliverTime)
	defer cancel()
	err := c.e.gate.do(ctx, func() error { return c.q.Leave(ctx, seat) })
	if err != nil && !errors.Is(err, store.ErrGone) {
		c.e.log.Warn("leaving without having unregistered", "queue", c.q.Name(), "err", fmt.Sprint(err))
	}
}
