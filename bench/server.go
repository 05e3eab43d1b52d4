package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/spooljobs/spool/internal/redistest"
)

// embeddedServer is the -redis value that asks for the in-process server.
const embeddedServer = "embedded"

// Server is the Redis under all peers. The harness looks at it through a
// connection of its own, which is never counted as a peer's.
type Server struct {
	Addr  string
	Label string // "redis 7.0.15"
	side  *redis.Client
	stop  func() error
}

// OpenServer finds or starts what -redis asks for. Close stops what was started.
func OpenServer(ctx context.Context, where string) (*Server, error) {
	s := &Server{Addr: where, stop: func() error { return nil }}
	switch where {
	case "":
		private, err := redistest.Launch(ctx)
		if err != nil {
			return nil, err
		}
		s.Addr, s.stop = private.Addr(), func() error { private.Stop(); return nil }
	case embeddedServer:
		mini := miniredis.NewMiniRedis()
		mini.ClockTTL(true)
		if err := mini.StartAddr("127.0.0.1:0"); err != nil {
			return nil, fmt.Errorf("embedded redis: %w", err)
		}
		s.Addr, s.stop = mini.Addr(), func() error { mini.Close(); return nil }
	}
	s.side = redis.NewClient(&redis.Options{Addr: s.Addr, PoolSize: 1, ReadTimeout: time.Minute})
	info, err := s.Info(ctx)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.Label = label(where, info)
	return s, nil
}

// Close ends the harness's connection and stops the server if it was started here.
func (s *Server) Close() error { return errors.Join(s.side.Close(), s.stop()) }

// Flush removes everything.
func (s *Server) Flush(ctx context.Context) error { return s.side.FlushAll(ctx).Err() }

// Info is the server's INFO, field by field. miniredis knows only few fields.
func (s *Server) Info(ctx context.Context) (map[string]string, error) {
	text, err := s.side.Info(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("server %s: %w", s.Addr, err)
	}
	fields := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields, nil
}

// label names the server; Valkey and Dragonfly also answer redis_version.
func label(where string, info map[string]string) string {
	if where == embeddedServer {
		return "miniredis " + moduleVersion("github.com/alicebob/miniredis/v2")
	}
	for _, name := range []string{"dragonfly", "valkey", "redis"} {
		if v := info[name+"_version"]; v != "" {
			return name + " " + strings.TrimPrefix(v, "df-v")
		}
	}
	return "unknown"
}
