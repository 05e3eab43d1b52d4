package spool

import (
	"github.com/spooljobs/spool/internal/redistest"
	"github.com/spooljobs/spool/internal/store"
)

// Strict makes a client's scripts fail where strict servers would. It must be called before the client is used.
func Strict(c *Client) error {
	s, err := store.New(c.rdb, c.cfg.Prefix, redistest.StrictLua)
	if err != nil {
		return err
	}
	s.Tell(c.errands)
	c.store = s
	return nil
}

// HeldTurns is at how many contested keys a transaction of the client has the turn.
func HeldTurns(c *Client) int {
	c.turns.mu.Lock()
	defer c.turns.mu.Unlock()
	n := 0
	for _, x := range c.turns.keys {
		if x.holder != 0 {
			n++
		}
	}
	return n
}

// Reticent makes a client do nothing of what its calls leave to be done, as one that has died would.
func Reticent(c *Client) { c.store.Tell(nil) }
