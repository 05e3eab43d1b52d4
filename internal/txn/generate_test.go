package txn

import (
	"math/rand/v2"
	"strconv"
	"strings"
)

// keys are few, so that commands meet.
var testKeys = []string{"a", "b", "c"}

// forms are commands with holes: k a key, K one of the same type, f a field or member, v a value, i an increment,
// I one that may be huge, x an index, F a float, t seconds to live, T seconds since the epoch, U such that lie ahead.
// A hole stands alone.
var forms = map[string][]string{
	"string": {
		"GET k", "GET k", "GET k", "MGET k K", "MGET k", "STRLEN k", "GETRANGE k 0 2", "GETBIT k 7", "BITCOUNT k", "BITPOS k 1",
		"SET k v", "SET k i", "SET k v EX t+", "SET k i PX 50000", "SET k v KEEPTTL", "SET k i EXAT U", "MSET k v K i", "APPEND k v",
		"SETRANGE k 1 v", "SETBIT k 6 1", "INCR k", "INCR k", "DECR k", "INCRBY k I", "INCRBY k i", "DECRBY k I", "INCRBYFLOAT k F",
	},
	"hash": {
		"HGET k f", "HGET k f", "HMGET k f f", "HGETALL k", "HGETALL k", "HKEYS k", "HVALS k", "HLEN k", "HEXISTS k f", "HSTRLEN k f",
		"HSET k f v", "HSET k f i f v", "HSET k f i", "HSETNX k f i", "HDEL k f", "HDEL k f f", "HINCRBY k f i", "HINCRBY k f i",
		"HINCRBYFLOAT k f F",
	},
	"list": {
		"LLEN k", "LINDEX k x", "LRANGE k 0 -1", "LPOS k v", "LPOS k v COUNT 0", "LPUSH k v v", "RPUSH k v", "LPUSHX k v", "RPUSHX k v", "LPOP k",
		"RPOP k 2", "LSET k x v", "LSET k x v", "LREM k 0 v", "LREM k -1 v", "LTRIM k 0 1", "LTRIM k 5 9", "LINSERT k BEFORE v v",
	},
	"set": {
		"SCARD k", "SISMEMBER k f", "SISMEMBER k f", "SMISMEMBER k f f", "SMEMBERS k", "SINTER k K", "SUNION k K", "SDIFF k K", "SADD k f",
		"SADD k f f", "SREM k f", "SREM k f f", "SMOVE k K f",
	},
	"zset": {
		"ZCARD k", "ZCOUNT k -inf 2", "ZLEXCOUNT k - +", "ZSCORE k f", "ZSCORE k f", "ZMSCORE k f f", "ZRANK k f", "ZREVRANK k f", "ZRANGE k 0 -1",
		"ZRANGE k (1 +inf BYSCORE LIMIT 0 2 WITHSCORES", "ZREVRANGE k 0 0", "ZRANGEBYSCORE k 0 (3", "ZRANGEBYLEX k - [g", "ZINTER 2 k K",
		"ZUNION 2 k K", "ZADD k F f", "ZADD k i f", "ZADD k NX i f", "ZADD k XX i f", "ZADD k GT i f", "ZADD k LT CH i f",
		"ZADD k XX GT i f", "ZINCRBY k F f", "ZREM k f", "ZREM k f f", "ZREMRANGEBYRANK k 0 0", "ZREMRANGEBYSCORE k 2 +inf",
		"ZREMRANGEBYLEX k - (g",
	},
	"stream": {
		"XLEN k", "XRANGE k - +", "XREVRANGE k + -", "XADD k * f v", "XADD k NOMKSTREAM * f v", "XADD k MAXLEN 2 * f v", "XDEL k 1-1",
		"XTRIM k MAXLEN 1",
	},
	"": {
		"EXISTS k", "EXISTS k K", "TYPE k", "TYPE k", "DEL k", "DEL k", "UNLINK k K", "EXPIRE k t", "EXPIRE k t+", "PEXPIRE k t+", "EXPIREAT k T",
		"PEXPIREAT k 0", "PERSIST k",
	},
}

var types = []string{"string", "hash", "list", "set", "zset", "stream"}

// generator makes commands for keys that have a type they are mostly used as.
type generator struct {
	*rand.Rand
	real bool // holes may be filled with what the embedded server gets wrong
	as   map[string]string
	last string // key
}

func newGenerator(seed uint64, real bool) *generator {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1)), real: real, as: map[string]string{}}
	common := pick(g, types)
	for _, k := range testKeys {
		g.as[k] = common
		if g.IntN(3) == 0 {
			g.as[k] = pick(g, types)
		}
	}
	return g
}

func pick[E any](g *generator, from []E) E { return from[g.IntN(len(from))] }

func (g *generator) command() []string {
	k := pick(g, testKeys)
	if g.last != "" && g.IntN(2) == 0 {
		k = g.last // what meets is what matters
	}
	g.last = k
	as := g.as[k]
	switch g.IntN(20) {
	case 0:
		as = pick(g, types)
	case 1, 2, 3:
		as = ""
	}
	other := k
	for other == k {
		other = pick(g, testKeys)
	}
	members := []int{0, 1, 2}
	if g.IntN(2) == 0 {
		members = g.Perm(3)
	}
	args := strings.Fields(pick(g, forms[as]))
	for i, hole := range args {
		switch hole {
		case "k":
			args[i] = k
		case "K":
			args[i] = other
		case "f":
			args[i] = string(rune('f' + members[0]))
			members = append(members[1:], members[0])
		case "v":
			args[i] = pick(g, []string{"x", "yy", "7", "-3", "2.5", strconv.Itoa(g.IntN(20))})
			if g.real {
				args[i] = pick(g, []string{args[i], args[i], "", "007", "+1", " 1", "1e3", "inf"})
			}
		case "i":
			args[i] = strconv.Itoa(g.IntN(9) - 3)
		case "I":
			args[i] = pick(g, []string{"1", "2", "-1", "9223372036854775807", "-9223372036854775807", "9223372036854775800"})
			if args[i] == "9223372036854775800" && args[0] == "SET" {
				args[i] = "4"
			}
		case "x":
			args[i] = pick(g, []string{"0", "-1", "1", "2", "5"})
		case "F":
			args[i] = pick(g, []string{"0.5", "-1.25", "3", "2"})
		case "t":
			args[i] = pick(g, []string{"100", "2000", "0", "-1"})
		case "t+":
			args[i] = pick(g, []string{"100", "200000"})
		case "T":
			args[i] = pick(g, []string{"4000000000", "1000", "0", "-5"})
		case "U":
			args[i] = "4000000000"
			if g.real {
				args[i] = pick(g, []string{"4000000000", "1000"})
			}
		}
	}
	return args
}

// start is what is stored before the transaction.
func (g *generator) start() [][]string {
	var out [][]string
	for _, k := range testKeys {
		if g.IntN(3) == 0 {
			continue
		}
		as := g.as[k]
		if g.IntN(8) == 0 {
			as = pick(g, types)
		}
		switch as {
		case "string":
			out = append(out, []string{"SET", k, pick(g, []string{"x", "5", "9223372036854775806", "-9223372036854775808", "2.5", "10"})})
		case "hash":
			out = append(out, []string{"HSET", k, "f", pick(g, []string{"x", "5", "2.5"})})
			if g.IntN(2) == 0 {
				out = append(out, []string{"HSET", k, "g", "8"})
			}
		case "list":
			out = append(out, []string{"RPUSH", k, "x", "7", "yy"}[:3+g.IntN(3)])
		case "set":
			out = append(out, []string{"SADD", k, "f", "g"}[:3+g.IntN(2)])
		case "zset":
			out = append(out, []string{"ZADD", k, "1", "f", "2.5", "g"}[:4+2*g.IntN(2)])
		case "stream":
			out = append(out, []string{"XADD", k, "1-1", "f", "x"}, []string{"XADD", k, "2-1", "g", "y"})
		}
		if g.IntN(3) == 0 {
			out = append(out, []string{"EXPIRE", k, "50000"})
		}
	}
	return out
}
