package txn

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/spooljobs/spool/internal/redistest"
)

// server is one of the two servers a transaction is compared on.
type server struct {
	t   testing.TB
	rdb *redis.Client
	m   *miniredis.Miniredis // or nil
}

// embeddedPair starts two embedded servers whose clocks stand.
func embeddedPair(t testing.TB) (live, direct *server) {
	one := func() *server {
		m := miniredis.RunT(t)
		m.SetTime(now)
		return &server{t, dial(t, m.Addr(), 0), m}
	}
	return one(), one()
}

// realPair gives two databases of a real server.
func realPair(t testing.TB) (live, direct *server) {
	addr := redistest.Start(t).Addr()
	return &server{t, dial(t, addr, 0), nil}, &server{t, dial(t, addr, 1), nil}
}

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func dial(t testing.TB, addr string, db int) *redis.Client {
	rdb := redis.NewClient(&redis.Options{
		Addr: addr, DB: db, Protocol: 2, PoolSize: 1, MaxRetries: -1, DisableIdentity: true,
	})
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

// do gives the reply as a Lua script would.
func (s *server) do(args ...string) any {
	s.t.Helper()
	if fault := s.mend(args); fault != nil {
		return fault
	}
	cmd := make([]any, len(args))
	for i, arg := range args {
		cmd[i] = arg
	}
	reply, err := s.rdb.Do(s.t.Context(), cmd...).Result()
	var fault redis.Error
	switch {
	case errors.Is(err, redis.Nil):
		return nil
	case errors.As(err, &fault):
		return ReplyError(fault.Error())
	case err != nil:
		s.t.Fatalf("%q: %v", args, err)
	}
	return reply
}

// mend gives the error that Redis answers with, where the embedded server does not.
func (s *server) mend(args []string) any {
	if s.m == nil {
		return nil
	}
	var old any
	switch args[0] {
	case "XLEN": // it answers twice if the type is wrong
		if typ := s.do("TYPE", args[1]); typ != "stream" && typ != "none" {
			return wrongType
		}
	case "INCR", "DECR", "INCRBY", "DECRBY": // it takes leading zeros
		old = s.do("GET", args[1])
	case "HINCRBY":
		old = s.do("HGET", args[1], args[2])
	}
	if n, ok := old.(string); ok {
		if _, ok := integer(n); !ok {
			return ReplyError("ERR value is not an integer or out of range")
		}
	}
	return nil
}

// must is do where an error is a fault of the test.
func (s *server) must(args ...string) any {
	s.t.Helper()
	reply := s.do(args...)
	if fault, ok := reply.(ReplyError); ok {
		s.t.Fatalf("%q: %v", args, fault)
	}
	return reply
}

// dump is the state of some keys.
func (s *server) dump(keys []string) string {
	var b strings.Builder
	for _, k := range keys {
		typ := s.must("TYPE", k).(string)
		fmt.Fprintf(&b, "%s %s", k, typ)
		switch typ {
		case "string":
			fmt.Fprintf(&b, " %q", s.must("GET", k))
		case "hash":
			fmt.Fprintf(&b, " %q", ordered("pairs", s.must("HGETALL", k)))
		case "list":
			fmt.Fprintf(&b, " %q", s.must("LRANGE", k, "0", "-1"))
		case "set":
			fmt.Fprintf(&b, " %q", ordered("set", s.must("SMEMBERS", k)))
		case "zset":
			fmt.Fprintf(&b, " %q", s.must("ZRANGE", k, "0", "-1", "WITHSCORES"))
		case "stream":
			for _, entry := range s.must("XRANGE", k, "-", "+").([]any) {
				e := entry.([]any)
				if id := e[0].(string); s.m != nil || len(id) < 8 { // the others are the time of day
					fmt.Fprintf(&b, " %s", id)
				}
				fmt.Fprintf(&b, "%q", e[1])
			}
		}
		ttl := s.must("PTTL", k).(int64)
		if s.m == nil && ttl > 0 { // it runs
			ttl = (ttl + 5000) / 10000
		}
		fmt.Fprintf(&b, " ttl %d\n", ttl)
	}
	return b.String()
}

// ordered brings a reply whose order does not count into one.
func ordered(order string, reply any) any {
	elems, ok := reply.([]any)
	if !ok || order == "" {
		return reply
	}
	step := 1
	if order == "pairs" {
		step = 2
	}
	var lines []string
	for chunk := range slices.Chunk(elems, step) {
		lines = append(lines, fmt.Sprintf("%q", chunk))
	}
	sort.Strings(lines)
	return lines
}

// holds evaluates a check, as the commit would.
func (s *server) holds(c Check) bool {
	key := c.Args[0]
	typ := s.must("TYPE", key).(string)
	sum := func(get any, by string, float bool) bool {
		if get == nil {
			get = "0"
		}
		if float {
			a, ok := finite(get.(string))
			b, _ := finite(by)
			return ok && isFinite(a+b)
		}
		a, ok := integer(get.(string))
		b, _ := integer(by)
		if !ok {
			return false
		}
		_, ok = plus(a, b)
		return ok
	}
	switch c.Kind {
	case "type":
		return typ == "none" || typ == c.Args[1]
	case "int", "float":
		return (typ == "none" || typ == "string") && sum(s.must("GET", key), c.Args[1], c.Kind == "float")
	case "hint", "hfloat":
		return (typ == "none" || typ == "hash") && sum(s.must("HGET", key, c.Args[1]), c.Args[2], c.Kind == "hfloat")
	case "lset":
		return typ == "list" && s.must("LINDEX", key, c.Args[1]) != nil
	}
	s.t.Fatalf("unknown check %v", c)
	return false
}
