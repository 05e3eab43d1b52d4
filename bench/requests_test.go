package main

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// However the stream is cut, the same commands are counted; a body that looks
// like a command is not one.
func TestFramesInPieces(t *testing.T) {
	t.Parallel()
	stream := "*1\r\n$4\r\nPING\r\n" +
		"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$16\r\n*1\r\n$4\r\nPING\r\n*2\r\n" +
		"*2\r\n$3\r\nGET\r\n$0\r\n\r\n" +
		"*2\r\n$4\r\nECHO\r\n$300\r\n" + strings.Repeat("*\n", 150) + "\r\n"
	for size := 1; size <= len(stream); size++ {
		var n atomic.Int64
		f := frames{n: &n}
		for b := []byte(stream); len(b) > 0; {
			k := min(size, len(b))
			f.scan(b[:k])
			b = b[k:]
		}
		if n.Load() != 4 {
			t.Errorf("in pieces of %d: %d commands, want 4", size, n.Load())
		}
	}
}

// Both ways of counting agree with the server: a dialer, a hook.
func TestCountedClients(t *testing.T) {
	t.Parallel()
	for name, client := range map[string]func(addr string, n *atomic.Int64) *redis.Client{
		"dialer": func(addr string, n *atomic.Int64) *redis.Client {
			opt := &redis.Options{Addr: addr}
			opt.Dialer = counted(redis.NewDialer(opt), n)
			return redis.NewClient(opt)
		},
		"hook": func(addr string, n *atomic.Int64) *redis.Client {
			rdb := redis.NewClient(&redis.Options{Addr: addr})
			rdb.AddHook(countHook{n})
			return rdb
		},
	} {
		var n atomic.Int64
		server := miniredis.RunT(t)
		rdb := client(server.Addr(), &n)
		defer rdb.Close()
		ctx := t.Context()
		if _, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for range 10 {
				p.Set(ctx, "key", strings.Repeat("*1\r\n", 100), 0)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := rdb.Get(ctx, "key").Err(); err != nil {
				t.Fatal(err)
			}
		}
		// Greetings of new connections come on top.
		if got, want := n.Load(), int64(server.CommandCount()); got != want || got < 13 {
			t.Errorf("%s: counted %d requests, the server %d", name, got, want)
		}
	}
}
