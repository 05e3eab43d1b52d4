package spool_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool"
)

func TestOpenWithoutRedisNamesTheAddress(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		proxy := s.proxied(t)
		proxy.Down()
		start := time.Now()
		c, err := spool.Open(within(t), "redis://someone:secret@"+proxy.Addr())
		if c != nil || err == nil {
			t.Fatalf("Open returned %v, %v", c, err)
		}
		if !strings.Contains(err.Error(), proxy.Addr()) || strings.Contains(err.Error(), "secret") {
			t.Errorf("the error does not name the address alone: %v", err)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("it took %v to say that nobody is there", took)
		}
	})
}

func TestOpenWaitsForRedisIfAsked(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		proxy := s.proxied(t)
		proxy.Down()
		waiting := spool.ClientConfig{Prefix: s.prefix, WaitForRedis: true, Logger: quiet}

		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := spool.Open(short, "redis://"+proxy.Addr(), waiting); err == nil || !strings.Contains(err.Error(), proxy.Addr()) {
			t.Errorf("at the end of its context Open said %v", err)
		}

		type opened struct {
			c   *spool.Client
			err error
		}
		done := make(chan opened, 1)
		go func() {
			c, err := spool.Open(within(t), "redis://"+proxy.Addr(), waiting)
			done <- opened{c, err}
		}()
		select {
		case got := <-done:
			t.Fatalf("Open did not wait: %v", got.err)
		case <-time.After(150 * time.Millisecond):
		}
		if err := proxy.Up(); err != nil {
			t.Fatal(err)
		}
		got := <-done
		if got.err != nil {
			t.Fatal(got.err)
		}
		defer got.c.Close()
		must(double.Put(within(t), got.c, 1))(t)
	})
}

func TestWorkerStartedWithoutRedisGoesToWorkWhenItComes(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		j := must(double.Put(within(t), s.client(t), 4))(t)
		proxy := s.proxied(t)
		proxy.Down()
		rdb := redis.NewClient(&redis.Options{Addr: proxy.Addr(), DialerRetries: 1})
		defer rdb.Close()
		c := must(spool.New(rdb, spool.ClientConfig{Prefix: s.prefix, Logger: logTo(t)}))(t)
		defer c.Close()
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		double.Handle(w, func(ctx context.Context, n int) (int, error) { return 2 * n, nil })
		stop := work(t, w)

		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := double.Put(ctx, c, 1); !errors.Is(err, spool.ErrDisconnected) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a Put without Redis: %v", err)
		}
		if err := proxy.Up(); err != nil {
			t.Fatal(err)
		}
		// The handle waits through the client that was made while nobody was there.
		if got := must(double.Job(c, j.String()).Wait(within(t)))(t); got != 8 {
			t.Errorf("got %d", got)
		}
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// TestWorkerStoppedBeforeRedisCame: the end of its context ends Run, with nothing left behind.
func TestWorkerStoppedBeforeRedisCame(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		proxy := s.proxied(t)
		proxy.Down()
		rdb := redis.NewClient(&redis.Options{Addr: proxy.Addr()})
		defer rdb.Close()
		c := must(spool.New(rdb, spool.ClientConfig{Prefix: s.prefix, Logger: logTo(t)}))(t)
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		start := time.Now()
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ShutdownGrace: -1}))
		if err := w.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("Run took %v to end without Redis", took)
		}
	})
}

func TestRedisThatIsTooOldIsRefused(t *testing.T) {
	t.Parallel()
	for version, fine := range map[string]bool{"2.8.24": false, "5.0.14": false, "6.0.20": false, "6.2.0": true, "7.0.15": true, "10.1": true, "unstable": true} {
		addr := fakeRedis(t, version)
		c, err := spool.Open(within(t), "redis://"+addr, spool.ClientConfig{WaitForRedis: true, Logger: quiet})
		if err == nil {
			c.Close()
		}
		switch {
		case fine && err != nil:
			t.Errorf("redis %s: %v", version, err)
		case !fine && err == nil:
			t.Errorf("redis %s was accepted", version)
		case !fine && !(strings.Contains(err.Error(), version) && strings.Contains(err.Error(), "6.2") && strings.Contains(err.Error(), addr)):
			t.Errorf("redis %s: the error lacks a version or the address: %v", version, err)
		}
	}
}

// fakeRedis answers PING and INFO as a Redis of some version does, and knows no other command.
func fakeRedis(t *testing.T, version string) string {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				for {
					cmd, err := readCommand(in)
					if err != nil {
						return
					}
					switch strings.ToUpper(cmd[0]) {
					case "PING":
						io.WriteString(conn, "+PONG\r\n")
					case "INFO":
						info := "# Server\r\nredis_version:" + version + "\r\nredis_mode:standalone\r\n"
						fmt.Fprintf(conn, "$%d\r\n%s\r\n", len(info), info)
					default:
						io.WriteString(conn, "-ERR unknown command '"+cmd[0]+"'\r\n")
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// readCommand reads an array of bulk strings.
func readCommand(in *bufio.Reader) ([]string, error) {
	length := func(mark byte) (int, error) {
		line, err := in.ReadString('\n')
		if err != nil {
			return 0, err
		}
		if line[0] != mark {
			return 0, fmt.Errorf("%q", line)
		}
		return strconv.Atoi(strings.TrimSpace(line[1:]))
	}
	n, err := length('*')
	if err != nil {
		return nil, err
	}
	words := make([]string, n)
	for i := range words {
		size, err := length('$')
		if err != nil {
			return nil, err
		}
		word := make([]byte, size+2)
		if _, err := io.ReadFull(in, word); err != nil {
			return nil, err
		}
		words[i] = string(word[:size])
	}
	return words, nil
}
