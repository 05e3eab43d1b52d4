package main

import (
	"context"
	"fmt"
	"strconv"
)

// counter names the key that the job of a number adds one to.
type counter func(index int) string

func ownCounter(index int) string { return "bench:counter:" + strconv.Itoa(index) }
func hotCounter(int) string       { return "bench:counter:hot" }

// audit compares the counters with what n jobs must have made of them. It
// returns how many jobs the sum of the counters is short of, and an error
// unless that is none and every single counter is right.
func (s *Server) audit(ctx context.Context, key counter, n int) (lost int64, err error) {
	want := make(map[string]int64)
	for i := range n {
		want[key(i)]++
	}
	keys := make([]string, 0, len(want))
	for k := range want {
		keys = append(keys, k)
	}
	lost = int64(n)
	wrong := 0
	const chunk = 1000
	for from := 0; from < len(keys); from += chunk {
		part := keys[from:min(from+chunk, len(keys))]
		values, err := s.side.MGet(ctx, part...).Result()
		if err != nil {
			return 0, fmt.Errorf("reading the counters: %w", err)
		}
		for i, v := range values {
			text, _ := v.(string) // a counter that is not there is nil, and 0
			got, err := strconv.ParseInt(text, 10, 64)
			if v != nil && err != nil {
				return 0, fmt.Errorf("counter %s: %w", part[i], err)
			}
			lost -= got
			if got != want[part[i]] {
				wrong++
			}
		}
	}
	if lost != 0 || wrong != 0 {
		return lost, fmt.Errorf("not exactly once: %d lost updates, %d of %d counters are wrong", lost, wrong, len(keys))
	}
	return 0, nil
}
