package main

import (
	"context"
	"net"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool"
)

// cable is what connects a client to Redis. While it is pulled nothing gets through, and what was on its way is lost.
type cable struct {
	mu     sync.Mutex
	pulled bool
	conns  []net.Conn
}

// open returns a client that depends on the cable.
func (c *cable) open(url string) (*spool.Client, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, err
	}
	dial := redis.NewDialer(options)
	options.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.pulled {
			conn.Close() // an error here, go-redis would write to standard error
		}
		c.conns = append(c.conns, conn)
		return conn, nil
	}
	rdb := redis.NewClient(options)
	return spool.New(rdb, spool.ClientConfig{OnClose: func() { rdb.Close() }})
}

func (c *cable) pull() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pulled = true
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}

func (c *cable) plug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pulled = false
}
