package spool

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// dedicated counts the connections that transactions hold for themselves. Who finds all in use waits, first come, first
// served; after a while it is given one beyond the limit, which is closed after use: a deadlock by exhaustion is worse
// than one connection more. (The patience with a full pool is that of zc.twist.)
type dedicated struct {
	c *Client

	mu     sync.Mutex // guards what follows
	limit  int
	used   int // within the limit
	beyond int // so far
	waits  []chan struct{}
	shared redis.UniversalClient // whose pool those within the limit come from; nil until the first
	closed bool
}

// connPatience is how long a connection within the limit is waited for.
const connPatience = 1750 * time.Millisecond

// link is a connection that is held.
type link struct {
	conn *redis.Conn
	own  redis.UniversalClient // closed with it, if it is beyond the limit
	of   *dedicated
}

// take waits for a connection to the server that has a key. It returns an error only if ctx ends or the client closes.
func (d *dedicated) take(ctx context.Context, key string) (*link, error) {
	within, err := d.admit(ctx)
	if err != nil {
		return nil, err
	}
	l := &link{of: d}
	from := redis.UniversalClient(nil)
	if within {
		from, err = d.pool()
	} else {
		from, err = aside(d.c.rdb, putTimeout, nil)
		l.own = from
	}
	if err == nil {
		l.conn, err = connTo(ctx, from, key)
	}
	if err != nil {
		l.release()
		return nil, err
	}
	return l, nil
}

// connTo takes a connection out of a client's pool. It is dialled when it is first used.
func connTo(ctx context.Context, from redis.UniversalClient, key string) (*redis.Conn, error) {
	switch c := from.(type) {
	case *redis.Client:
		return c.Conn(), nil
	case *redis.ClusterClient:
		node, err := c.MasterForKey(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("%w: finding the node of %s: %w", ErrDisconnected, key, err)
		}
		return node.Conn(), nil
	}
	return nil, &FieldError{"client", fmt.Sprintf("%T", from), "must be a *redis.Client or a *redis.ClusterClient"}
}

func (d *dedicated) pool() (redis.UniversalClient, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, ErrClosed
	}
	if d.shared == nil {
		var err error
		if d.shared, err = aside(d.c.rdb, putTimeout, nil); err != nil {
			return nil, err
		}
	}
	return d.shared, nil
}

// admit waits for room. within says whether there was some.
func (d *dedicated) admit(ctx context.Context) (within bool, err error) {
	d.mu.Lock()
	if d.used < d.limit {
		d.used++
		d.mu.Unlock()
		return true, nil
	}
	turn := make(chan struct{})
	d.waits = append(d.waits, turn)
	d.mu.Unlock()
	timer := time.NewTimer(connPatience)
	defer timer.Stop()
	select {
	case <-turn:
		return true, nil
	case <-timer.C:
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-d.c.life.Done():
		err = ErrClosed
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, other := range d.waits {
		if other == turn {
			d.waits = append(d.waits[:i], d.waits[i+1:]...)
			if err == nil {
				d.beyond++
			}
			return false, err
		}
	}
	// Room was made for it at the same moment.
	if err != nil {
		d.used--
		d.wakeLocked()
	}
	return true, err
}

// wakeLocked gives room to those who have waited longest.
func (d *dedicated) wakeLocked() {
	for d.used < d.limit && len(d.waits) > 0 {
		d.used++
		close(d.waits[0])
		d.waits = d.waits[1:]
	}
}

func (d *dedicated) resize(limit int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.limit = limit
	d.wakeLocked()
}

// release gives the connection back, or closes it.
func (l *link) release() {
	if l == nil {
		return
	}
	if l.conn != nil {
		_ = l.conn.Close()
	}
	if l.own != nil {
		_ = l.own.Close()
		return
	}
	d := l.of
	d.mu.Lock()
	defer d.mu.Unlock()
	d.used--
	d.wakeLocked()
}

func (d *dedicated) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.shared != nil {
		_ = d.shared.Close()
	}
}

// ResizeConnections changes how many connections of their own transactions hold at a time, at once. Fewer than are in use
// cut none. The first value is ClientConfig.Connections.
func (c *Client) ResizeConnections(limit int) error {
	if limit < 1 {
		return &FieldError{"limit", limit, "must be at least 1"}
	}
	c.conns.resize(limit)
	return nil
}

// Connections tells how many connections of their own transactions hold now, how many they may hold, and how many were
// opened beyond that so far, after a wait of 1.75 s in vain.
func (c *Client) Connections() (used, limit, beyond int) {
	d := &c.conns
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used, d.limit, d.beyond
}
