package main

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
)

func embedded(t *testing.T) *Server {
	t.Helper()
	server, err := OpenServer(t.Context(), embeddedServer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server
}

func TestAudit(t *testing.T) {
	t.Parallel()
	const n = 2500 // more than are read at once
	server := embedded(t)
	for name, c := range map[string]struct {
		key  counter
		set  map[int]string // instead of what is right
		lost int64
		ok   bool
	}{
		"sound":                  {ownCounter, nil, 0, true},
		"one missing":            {ownCounter, map[int]string{n - 1: ""}, 1, false},
		"one doubled":            {ownCounter, map[int]string{7: "2"}, -1, false},
		"one doubled, one lost":  {ownCounter, map[int]string{7: "2", 1900: "0"}, 0, false},
		"no number":              {ownCounter, map[int]string{0: "one"}, 0, false},
		"an empty one":           {ownCounter, map[int]string{0: "-"}, 0, false},
		"hot":                    {hotCounter, map[int]string{0: "2500"}, 0, true},
		"hot, an update is lost": {hotCounter, map[int]string{0: "2499"}, 1, false},
		"hot, none came":         {hotCounter, map[int]string{0: ""}, n, false},
	} {
		if err := server.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		var pairs []any
		for i := range n {
			text, changed := c.set[i]
			switch {
			case text == "-":
				pairs = append(pairs, c.key(i), "")
			case text != "":
				pairs = append(pairs, c.key(i), text)
			case !changed && c.key(0) != c.key(1):
				pairs = append(pairs, c.key(i), "1")
			}
		}
		if len(pairs) > 0 {
			if err := server.side.MSet(t.Context(), pairs...).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if lost, err := server.audit(t.Context(), c.key, n); lost != c.lost || (err == nil) != c.ok {
			t.Errorf("%s: %d lost, %v", name, lost, err)
		}
	}
}

// forgetful has no transactions: every other job writes what the one before it
// wrote already.
type forgetful struct {
	faulty
	key counter
	rdb *redis.Client
}

func (f forgetful) Open(context.Context, string, *atomic.Int64) (Broker, error) { return f, nil }

func (f forgetful) Work(ctx context.Context, w WorkConfig) (func() error, error) {
	for _, i := range f.ran {
		err := w.Try(i, func() error { return f.rdb.Set(ctx, f.key(i), strconv.Itoa(1+i/2), 0).Err() })
		if err != nil {
			return nil, err
		}
	}
	return func() error { return nil }, nil
}

// A peer that runs all jobs and loses updates gets no row.
func TestLostUpdatesCostTheRow(t *testing.T) {
	t.Parallel()
	server := embedded(t)
	for name, c := range map[string]struct {
		ran []int
		ok  bool
	}{
		"sound": {[]int{0}, true},
		"lost":  {[]int{0, 1, 2, 3}, false},
	} {
		if err := server.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		peer := forgetful{faulty{ran: c.ran}, hotCounter, server.side}
		p := baseParams()
		p.N = len(c.ran)
		r := &Run{Params: p, Point: Point{Slots: 1}, Peer: peer, Server: server, Row: &Row{}}
		if err := txHotCase.Measure(t.Context(), r); (err == nil) != c.ok {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
