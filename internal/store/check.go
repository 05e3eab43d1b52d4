package store

import (
	"context"
	"fmt"
	"sort"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Check reads the whole keyspace of a prefix and reports every inconsistency it finds, in words. Each queue is read
// in one transaction, so it may run beside workers. It scans: it is meant for tests and for diagnosis.
func Check(ctx context.Context, rdb redis.UniversalClient, prefix string) ([]string, error) {
	queues, err := scan(ctx, rdb, prefix)
	if err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	var problems []string
	for _, tag := range sortedKeys(queues) {
		space, found, err := read(ctx, rdb, tag, queues[tag])
		if err != nil {
			return nil, fmt.Errorf("check: %s: %w", tag, err)
		}
		found = append(found, space.problems()...)
		sort.Strings(found)
		for _, problem := range found {
			problems = append(problems, "{"+tag+"}: "+problem)
		}
	}
	return problems, nil
}

// scan finds the keys of a prefix, by tag and name.
func scan(ctx context.Context, rdb redis.UniversalClient, prefix string) (map[string][]string, error) {
	queues := make(map[string][]string)
	each := func(ctx context.Context, c *redis.Client) error {
		iter := c.Scan(ctx, 0, "{"+prefix+":*", 500).Iterator()
		for iter.Next(ctx) {
			if tag, name, ok := split(iter.Val()); ok && strings.HasPrefix(tag, prefix+":") {
				queues[tag] = append(queues[tag], name)
			}
		}
		return iter.Err()
	}
	switch c := rdb.(type) {
	case *redis.ClusterClient:
		return queues, c.ForEachMaster(ctx, each)
	case *redis.Client:
		return queues, each(ctx, c)
	}
	return nil, fmt.Errorf("a client of type %T cannot be scanned", rdb)
}

// space is one queue as it stood at one moment.
type space struct {
	hashes map[string]map[string]string
	zsets  map[string]map[string]float64
	lists  map[string]int
}

// read takes a snapshot of a queue's keys, and reports those that are no keys of ours.
func read(ctx context.Context, rdb redis.UniversalClient, tag string, names []string) (*space, []string, error) {
	var problems []string
	for _, name := range names {
		want, ok := table[name]
		if !ok {
			problems = append(problems, fmt.Sprintf("key %s: the table of keys does not list it", name))
			continue
		}
		got, err := rdb.Type(ctx, "{"+tag+"}:"+name).Result()
		if err != nil {
			return nil, nil, err
		}
		if got != want && got != "none" {
			problems = append(problems, fmt.Sprintf("key %s: it is a %s and should be a %s", name, got, want))
		}
	}
	s := &space{hashes: map[string]map[string]string{}, zsets: map[string]map[string]float64{}, lists: map[string]int{}}
	hashes, zsets := map[string]*redis.MapStringStringCmd{}, map[string]*redis.ZSliceCmd{}
	lists, ttls := map[string]*redis.IntCmd{}, map[string]*redis.DurationCmd{}
	_, err := rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		for name, kind := range table {
			key := "{" + tag + "}:" + name
			switch kind {
			case hash:
				hashes[name] = p.HGetAll(ctx, key)
			case zset:
				zsets[name] = p.ZRangeWithScores(ctx, key, 0, -1)
			case list:
				lists[name] = p.LLen(ctx, key)
			}
			ttls[name] = p.PTTL(ctx, key)
		}
		return nil
	})
	// A key of a wrong type fails its own command; that was reported above.
	if err != nil && !redis.HasErrorPrefix(err, "WRONGTYPE") {
		return nil, nil, err
	}
	for name, cmd := range hashes {
		s.hashes[name] = cmd.Val()
	}
	for name, cmd := range zsets {
		set := make(map[string]float64)
		for _, z := range cmd.Val() {
			set[z.Member.(string)] = z.Score
		}
		s.zsets[name] = set
	}
	for name, cmd := range lists {
		s.lists[name] = int(cmd.Val())
	}
	for name, cmd := range ttls {
		if cmd.Val() > 0 {
			problems = append(problems, fmt.Sprintf("key %s: it expires in %v; nothing here may", name, cmd.Val()))
		}
	}
	return s, problems, nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
