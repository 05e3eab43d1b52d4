package spool_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// forms are commands of both tables, in every form, with holes: @k a key, @K another of its type, f a field or member,
// v a value, i an increment, I one that may be huge, F a float, x an index, t a time to live.
var forms = map[string][]string{
	"string": {
		"GET @k", "MGET @k @K @k", "STRLEN @k", "GETRANGE @k x x", "GETBIT @k 7", "BITCOUNT @k", "BITCOUNT @k 0 x", "BITPOS @k 1",
		"BITPOS @k 0 1", "BITPOS @k 1 0 2", "SET @k v", "SET @k i", "SET @k i", "SET @k v EX 5000", "SET @k i PX 5000000",
		"SET @k v EXAT 4000000000", "SET @k v PXAT 4000000000000", "SET @k i KEEPTTL", "MSET @k v @K i", "APPEND @k v", "APPEND @k 1",
		"SETRANGE @k 1 v", "SETBIT @k 6 1", "INCR @k", "DECR @k", "INCRBY @k I", "INCRBY @k i", "DECRBY @k I", "INCRBYFLOAT @k F",
	},
	"hash": {
		"HGET @k f", "HMGET @k f f", "HGETALL @k", "HKEYS @k", "HVALS @k", "HLEN @k", "HEXISTS @k f", "HSTRLEN @k f", "HSET @k f v",
		"HSET @k f i f v", "HSETNX @k f i", "HDEL @k f", "HDEL @k f f", "HINCRBY @k f i", "HINCRBY @k f I", "HINCRBYFLOAT @k f F",
	},
	"list": {
		"LLEN @k", "LINDEX @k x", "LRANGE @k 0 -1", "LRANGE @k x x", "LPOS @k v", "LPOS @k v COUNT 0", "LPOS @k v RANK -1 MAXLEN 3",
		"LPUSH @k v v", "RPUSH @k v", "RPUSH @k v v v", "LPUSHX @k v", "RPUSHX @k v", "LPOP @k", "LPOP @k 2", "RPOP @k", "LSET @k x v",
		"LSET @k 0 v", "LREM @k 0 v", "LREM @k -1 v", "LTRIM @k 0 2", "LTRIM @k 5 9", "LINSERT @k BEFORE v v", "LINSERT @k AFTER v v",
	},
	"set": {
		"SCARD @k", "SISMEMBER @k f", "SMISMEMBER @k f f", "SMEMBERS @k", "SINTER @k @K", "SUNION @k @K", "SDIFF @k @K", "SADD @k f",
		"SADD @k f f", "SREM @k f", "SREM @k f f", "SMOVE @k @K f",
	},
	"zset": {
		"ZCARD @k", "ZCOUNT @k -inf 2", "ZLEXCOUNT @k - +", "ZSCORE @k f", "ZMSCORE @k f f", "ZRANK @k f", "ZREVRANK @k f", "ZRANGE @k 0 -1",
		"ZRANGE @k x x WITHSCORES", "ZRANGE @k (1 +inf BYSCORE LIMIT 0 2 WITHSCORES", "ZRANGE @k [g - BYLEX REV", "ZREVRANGE @k 0 x",
		"ZRANGEBYSCORE @k 0 (3 WITHSCORES LIMIT 0 1", "ZREVRANGEBYSCORE @k 3 -inf", "ZRANGEBYLEX @k - [g LIMIT 1 1", "ZREVRANGEBYLEX @k + (f",
		"ZINTER 2 @k @K WITHSCORES", "ZUNION 2 @k @K WEIGHTS 2 1 AGGREGATE MAX", "ZDIFF 2 @k @K", "ZADD @k F f", "ZADD @k i f F f",
		"ZADD @k NX i f", "ZADD @k XX i f", "ZADD @k GT i f", "ZADD @k LT CH i f", "ZADD @k XX GT i f", "ZINCRBY @k F f", "ZREM @k f",
		"ZREM @k f f", "ZREMRANGEBYRANK @k 0 0", "ZREMRANGEBYSCORE @k 2 +inf", "ZREMRANGEBYLEX @k - (g",
	},
	"stream": {
		"XLEN @k", "XRANGE @k - +", "XRANGE @k 1-1 2 COUNT 1", "XREVRANGE @k + -", "XADD @k * f v", "XADD @k NOMKSTREAM * f v g v",
		"XADD @k MAXLEN 2 * f v", "XADD @k MAXLEN = 3 * f v", "XDEL @k 1-1", "XDEL @k 2-1 3-1", "XTRIM @k MAXLEN 1", "XTRIM @k MAXLEN = 2",
	},
	"": {
		"EXISTS @k", "EXISTS @k @K @k", "TYPE @k", "TYPE @k", "DEL @k", "DEL @k @K", "UNLINK @k", "EXPIRE @k t", "PEXPIRE @k 5000000",
		"EXPIREAT @k 4000000000", "EXPIREAT @k 1000", "PEXPIREAT @k 4000000000000", "PERSIST @k", "PERSIST @k",
	},
}

// fresh are what keys of a type may be set to, from the outside.
var fresh = map[string][]string{
	"string": {"SET @k x", "SET @k 5", "SET @k 9223372036854775806", "SET @k -9223372036854775808", "SET @k 2.5 EX 5000"},
	"hash":   {"HSET @k f x", "HSET @k f 5 g 2.5", "HSET @k f 9223372036854775800 g y h z"},
	"list":   {"RPUSH @k x", "RPUSH @k x 7 yy", "RPUSH @k 7 7 x 7 2.5"},
	"set":    {"SADD @k f", "SADD @k f g", "SADD @k f g h"},
	"zset":   {"ZADD @k 1 f", "ZADD @k 1 f 2.5 g", "ZADD @k 2 f 2 g -1 h"},
	"stream": {"XADD @k 1-1 f x", "XADD @k 2-1 f x g y"},
}

var types = []string{"string", "hash", "list", "set", "zset", "stream"}

// most are types as often as there is much to try of them.
var most = append([]string{"string", "zset", "zset"}, types...)

// deck deals commands: every form once before any comes again.
type deck struct {
	*rand.Rand
	keys  map[string][]string // by type
	forms map[string][]string
	left  map[string][]string
}

func newDeck(s *server, seed uint64, keysOfType int) *deck {
	d := &deck{Rand: rand.New(rand.NewPCG(seed, 7)), keys: map[string][]string{}, forms: map[string][]string{}, left: map[string][]string{}}
	for _, typ := range types {
		for i := range keysOfType {
			d.keys[typ] = append(d.keys[typ], typ+strconv.Itoa(i+1))
		}
	}
	for typ, list := range forms {
		d.forms[typ] = slices.DeleteFunc(slices.Clone(list), s.lacks)
	}
	return d
}

// lacks reports whether the server of a test does not know a command.
func (s *server) lacks(line string) bool {
	return s.name == "embedded" && strings.HasPrefix(line, "ZDIFF ")
}

// all are all keys.
func (d *deck) all() []string {
	var all []string
	for _, typ := range types {
		all = append(all, d.keys[typ]...)
	}
	return all
}

func pick[E any](d *deck, from []E) E { return from[d.IntN(len(from))] }

// next deals a command for keys of a type.
func (d *deck) next(s *server, typ string) command {
	form := typ
	if d.IntN(5) == 0 {
		form = ""
	}
	if len(d.left[form]) == 0 {
		d.left[form] = slices.Clone(d.forms[form])
		d.Shuffle(len(d.left[form]), func(i, j int) { d.left[form][i], d.left[form][j] = d.left[form][j], d.left[form][i] })
	}
	line := d.left[form][0]
	d.left[form] = d.left[form][1:]
	if d.IntN(12) == 0 {
		typ = pick(d, types)
	}
	return d.fill(s, line, typ)
}

// renew deals what sets a key of a type anew.
func (d *deck) renew(s *server, typ string) []command {
	set := d.fill(s, pick(d, fresh[typ]), typ)
	return []command{{Args: []string{"DEL", set.Args[1]}, Keys: []int{1}}, set}
}

// fill puts something into the holes.
func (d *deck) fill(s *server, line, typ string) command {
	keys := slices.Clone(d.keys[typ])
	d.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	members := d.Perm(3)
	c := cmd(line)
	for i, hole := range c.Args {
		if slices.Contains(c.Keys, i) {
			c.Args[i] = map[string]string{"k": keys[0], "K": keys[len(keys)-1]}[hole]
			continue
		}
		switch hole {
		case "f":
			c.Args[i] = string(rune('f' + members[0]))
			members = append(members[1:], members[0])
		case "v":
			c.Args[i] = pick(d, []string{"x", "yy", "7", "-3", "2.5", strconv.Itoa(d.IntN(20)), strings.Repeat("long ", 20)})
			if s.name == "redis" && d.IntN(4) == 0 {
				c.Args[i] = pick(d, []string{"", "007", "+1", " 1", "1e3", "inf", "\xff\x00"})
			}
		case "i":
			c.Args[i] = strconv.Itoa(d.IntN(9) - 3)
		case "I":
			c.Args[i] = pick(d, []string{"1", "-1", "9223372036854775807", "-9223372036854775807", "9223372036854775800"})
		case "x":
			c.Args[i] = pick(d, []string{"0", "-1", "1", "2", "5"})
		case "F":
			c.Args[i] = pick(d, []string{"0.5", "-1.25", "3", "2"})
		case "t":
			c.Args[i] = pick(d, []string{"5000", "5000", "0", "-1"})
		}
	}
	return c
}

// covered reports commands of the tables that were never seen.
func covered(t *testing.T, s *server, seen map[string]int) (missing []string) {
	t.Helper()
	for _, name := range slices.Concat(readCommands, writeCommands) {
		if seen[name] == 0 && !s.lacks(name+" ") {
			missing = append(missing, name)
		}
	}
	return missing
}
