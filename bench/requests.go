package main

import (
	"context"
	"net"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// The server cannot say how many requests its clients sent: both
// total_commands_processed and commandstats also count what scripts call. So
// requests are counted where they leave, by reading the frames of the protocol
// on their way out. A pipeline of three commands is three requests.

// dialFunc is go-redis's Options.Dialer.
type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// counted makes connections dialled by dial add their requests to n.
func counted(dial dialFunc, n *atomic.Int64) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			// Embedding the TCP connection keeps its SyscallConn, with which
			// go-redis looks whether a pooled connection is still alive.
			return &countedTCP{TCPConn: tcp, frames: frames{n: n}}, nil
		}
		return &countedConn{Conn: conn, frames: frames{n: n}}, nil
	}
}

type countedTCP struct {
	*net.TCPConn
	frames frames
}

func (c *countedTCP) Write(b []byte) (int, error) {
	c.frames.scan(b)
	return c.TCPConn.Write(b)
}

type countedConn struct {
	net.Conn
	frames frames
}

func (c *countedConn) Write(b []byte) (int, error) {
	c.frames.scan(b)
	return c.Conn.Write(b)
}

// frames counts the commands in a stream of requests, which are arrays of bulk
// strings: *2 $4 ECHO $2 hi. Bodies are skipped, not read.
type frames struct {
	n      *atomic.Int64
	inLine bool
	kind   byte
	number int
	skip   int // bytes of body, with its line end, still to pass
}

func (f *frames) scan(b []byte) {
	for len(b) > 0 {
		if f.skip > 0 {
			step := min(f.skip, len(b))
			f.skip -= step
			b = b[step:]
			continue
		}
		c := b[0]
		b = b[1:]
		switch {
		case !f.inLine:
			f.inLine, f.kind, f.number = true, c, 0
		case c == '\n':
			f.inLine = false
			switch f.kind {
			case '*':
				f.n.Add(1)
			case '$':
				f.skip = f.number + len("\r\n")
			}
		case c >= '0' && c <= '9':
			f.number = f.number*10 + int(c-'0')
		}
	}
}

// countHook is counted for a client that somebody else made.
type countHook struct{ n *atomic.Int64 }

func (h countHook) DialHook(next redis.DialHook) redis.DialHook          { return counted(next, h.n) }
func (h countHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (h countHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
