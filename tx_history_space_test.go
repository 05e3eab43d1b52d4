package spool_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool/internal/txn"
)

// patiently bounds a test that asks much.
func patiently(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute+time.Duration(*historyLength)*50*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// command is a command of a history. Its keys have short names, the same in every space.
type command struct {
	Args []string
	Keys []int // which of the arguments are keys
}

// cmd makes a command of a line of words. Words that begin with @ are keys.
func cmd(line string) command {
	c := command{Args: strings.Fields(line)}
	for i, arg := range c.Args {
		if name, is := strings.CutPrefix(arg, "@"); is {
			c.Args[i] = name
			c.Keys = append(c.Keys, i)
		}
	}
	return c
}

func (c command) name() string   { return c.Args[0] }
func (c command) String() string { return fmt.Sprintf("%q", c.Args) }
func (c command) reads() bool    { return slices.Contains(readCommands, c.name()) }

// touches reports whether both commands name a key.
func (c command) touches(other command) bool {
	for _, i := range c.Keys {
		for _, j := range other.Keys {
			if c.Args[i] == other.Args[j] {
				return true
			}
		}
	}
	return false
}

var readCommands, writeCommands = txn.Commands()

// space is a set of keys with names of its own. Several of them on one server hold the same, or do not.
type space struct {
	s    *server
	rdb  *redis.Client
	name string
}

// space opens a space. Its connection speaks RESP2, as scripts do.
func (s *server) space(t *testing.T, name string) *space {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: s.addr, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { rdb.Close() })
	return &space{s, rdb, name}
}

// key is the full name of a key.
func (sp *space) key(short string) string { return sp.s.mine(sp.name + "/" + short) }

// args is the command as Redis gets it.
func (sp *space) args(c command) []any {
	args := make([]any, len(c.Args))
	for i, arg := range c.Args {
		args[i] = arg
	}
	for _, i := range c.Keys {
		args[i] = sp.key(c.Args[i])
	}
	return args
}

// do does a command directly.
func (sp *space) do(t *testing.T, c command) (answer string, failed bool) {
	t.Helper()
	if fault := sp.mended(t, c); fault != "" {
		return "error " + fault, true
	}
	reply, err := sp.rdb.Do(context.Background(), sp.args(c)...).Result()
	var fault redis.Error
	if err != nil && !errors.Is(err, redis.Nil) && !errors.As(err, &fault) {
		t.Fatalf("%v: %v", c, err)
	}
	return sp.answer(c, reply, err), err != nil && !errors.Is(err, redis.Nil)
}

// mended is the error that Redis answers with where the embedded server does not: it takes leading zeros for integers,
// lets HINCRBY pass the end of the range, and answers an XLEN of what is no stream twice.
func (sp *space) mended(t *testing.T, c command) string {
	t.Helper()
	if sp.s.name != "embedded" {
		return ""
	}
	ctx, key := context.Background(), sp.key(c.Args[1])
	var old string
	by := "0"
	switch c.name() {
	case "XLEN":
		if typ := sp.rdb.Type(ctx, key).Val(); typ != "stream" && typ != "none" {
			return "WRONGTYPE Operation against a key holding the wrong kind of value"
		}
	case "INCR", "DECR", "INCRBY", "DECRBY":
		old = sp.rdb.Get(ctx, key).Val()
	case "HINCRBY":
		old, by = sp.rdb.HGet(ctx, key, c.Args[2]).Val(), c.Args[3]
	}
	if old == "" {
		return ""
	}
	a, err := strconv.ParseInt(old, 10, 64)
	if err != nil || strconv.FormatInt(a, 10) != old {
		return "ERR value is not an integer or out of range"
	}
	b, _ := strconv.ParseInt(by, 10, 64)
	if sum := a + b; (sum > a) != (b > 0) && b != 0 {
		return "ERR increment or decrement would overflow"
	}
	return ""
}

// must does commands that cannot fail.
func (sp *space) must(t *testing.T, commands ...command) {
	t.Helper()
	for _, c := range commands {
		if answer, failed := sp.do(t, c); failed {
			t.Fatalf("%v: %s", c, answer)
		}
	}
}

// answer brings an answer into a form that compares: whatever means nothing, such as the order of a set, or an id that
// was drawn, is taken out.
func (sp *space) answer(c command, reply any, err error) string {
	if errors.Is(err, redis.Nil) {
		return "nil"
	}
	if err != nil {
		return "error " + err.Error()
	}
	list, is := reply.([]any)
	switch c.name() {
	case "SMEMBERS", "SINTER", "SUNION", "SDIFF", "HKEYS", "HVALS":
		if is {
			return sorted(list, 1)
		}
	case "HGETALL":
		if is {
			return sorted(list, 2)
		}
	}
	return strings.ReplaceAll(drawn.ReplaceAllString(shown(reply), `"*"`), sp.key(""), "")
}

// drawn is the id of a stream entry that is a time of day.
var drawn = regexp.MustCompile(`"1\d{12}-\d+"`)

func shown(reply any) string {
	switch r := reply.(type) {
	case nil:
		return "nil"
	case []any:
		parts := make([]string, len(r))
		for i := range r {
			parts[i] = shown(r[i])
		}
		return "[" + strings.Join(parts, " ") + "]"
	case int64:
		return fmt.Sprint(r)
	}
	return fmt.Sprintf("%q", reply)
}

func sorted(list []any, step int) string {
	var parts []string
	for chunk := range slices.Chunk(list, step) {
		parts = append(parts, shown(chunk))
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

// state is what keys hold, by their short names, and for how long, in milliseconds or -1.
type state struct {
	holds map[string]string
	ttl   map[string]int64
}

var views = map[string]string{
	"string": "GET @%s", "hash": "HGETALL @%s", "list": "LRANGE @%s 0 -1", "set": "SMEMBERS @%s", "zset": "ZRANGE @%s 0 -1 WITHSCORES",
	"stream": "XRANGE @%s - +",
}

// state reads keys.
func (sp *space) state(t *testing.T, keys []string) state {
	t.Helper()
	ctx := context.Background()
	pipe := sp.rdb.Pipeline()
	types, ttls, all := make([]*redis.StatusCmd, len(keys)), make([]*redis.Cmd, len(keys)), make([]*redis.Cmd, len(keys))
	for i, key := range keys {
		types[i], ttls[i] = pipe.Type(ctx, sp.key(key)), pipe.Do(ctx, "PTTL", sp.key(key))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	for i, key := range keys {
		if view, ok := views[types[i].Val()]; ok {
			all[i] = pipe.Do(ctx, sp.args(cmd(fmt.Sprintf(view, key)))...)
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	found := state{map[string]string{}, map[string]int64{}}
	for i, key := range keys {
		if all[i] != nil {
			view := cmd(fmt.Sprintf(views[types[i].Val()], key))
			found.holds[key] = types[i].Val() + " " + sp.answer(view, all[i].Val(), nil)
			found.ttl[key] = ttls[i].Val().(int64)
		}
	}
	return found
}

// differs says how two states differ, or "". Times to live may, by as long as a test may take on a machine that is busy.
func (a state) differs(b state) string {
	var out strings.Builder
	keys := map[string]bool{}
	for key := range a.holds {
		keys[key] = true
	}
	for key := range b.holds {
		keys[key] = true
	}
	for key := range keys {
		if a.holds[key] != b.holds[key] {
			fmt.Fprintf(&out, "%s: %s, not %s\n", key, a.holds[key], b.holds[key])
		}
		if x, y := a.ttl[key], b.ttl[key]; (x < 0) != (y < 0) || x-y > 600_000 || y-x > 600_000 {
			fmt.Fprintf(&out, "%s: has %d ms to live, not %d\n", key, x, y)
		}
	}
	return out.String()
}

// copyTo makes keys of another space what they are here. Of a stream it makes another one: where the embedded server
// copies a stream, what is deleted in one is mangled in the other.
func (sp *space) copyTo(t *testing.T, other *space, keys []string) {
	t.Helper()
	ctx := context.Background()
	pipe := sp.rdb.Pipeline()
	types := make([]*redis.StatusCmd, len(keys))
	for i, key := range keys {
		types[i] = pipe.Type(ctx, sp.key(key))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	for i, key := range keys {
		pipe.Del(ctx, other.key(key))
		if types[i].Val() == "stream" {
			pipe.Do(ctx, "XADD", other.key(key), "1-1", "f", "x")
		} else {
			pipe.Do(ctx, "COPY", sp.key(key), other.key(key))
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}
}
