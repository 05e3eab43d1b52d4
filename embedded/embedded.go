// Package embedded runs Spool on a Redis inside the process (miniredis), for trying things out, for examples and for
// users' own tests. Nothing needs to be installed, and nothing outlives the process. Its clock and its expiry advance
// with real time.
//
// It behaves like the real server but for speed, persistence and memory limits.
package embedded

import (
	"context"
	"fmt"

	"github.com/alicebob/miniredis/v2"

	"github.com/spooljobs/spool"
)

// Open starts a Redis of its own and returns a client on it, configured like that of spool.Open. Closing the client
// stops the server. ctx bounds the opening alone.
func Open(ctx context.Context, cfg ...spool.ClientConfig) (*spool.Client, error) {
	server, err := Serve()
	if err != nil {
		return nil, err
	}
	var c spool.ClientConfig
	if len(cfg) > 0 {
		c = cfg[0]
	}
	closed := c.OnClose
	c.OnClose = func() {
		server.Close()
		if closed != nil {
			closed()
		}
	}
	client, err := spool.Open(ctx, URL(server), append([]spool.ClientConfig{c}, cfg[min(1, len(cfg)):]...)...)
	if err != nil {
		server.Close()
		return nil, err
	}
	return client, nil
}

// Serve starts a server on a free loopback port, for several clients of one process or for another process. The
// caller closes it.
func Serve() (*miniredis.Miniredis, error) {
	server := miniredis.NewMiniRedis()
	server.ClockTTL(true)
	if err := server.Start(); err != nil {
		return nil, fmt.Errorf("embedded: %w", err)
	}
	return server, nil
}

// URL is what spool.Open takes to reach a server.
func URL(server *miniredis.Miniredis) string { return "redis://" + server.Addr() }
