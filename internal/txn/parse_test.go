package txn

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// right are commands as Redis takes them. Keys begin with k, and nothing else does.
var right = []string{
	"GET k", "MGET k", "MGET k k2 k", "STRLEN k", "GETRANGE k 0 -1", "GETBIT k 4294967295", "BITCOUNT k", "BITCOUNT k 0 -1", "BITPOS k 0",
	"BITPOS k 1 2", "BITPOS k 1 2 -1", "EXISTS k", "EXISTS k k k2", "TYPE k",
	"HGET k f", "HMGET k f", "HMGET k f g f", "HGETALL k", "HKEYS k", "HVALS k", "HLEN k", "HEXISTS k f", "HSTRLEN k f",
	"LLEN k", "LINDEX k -1", "LRANGE k 0 -1", "LPOS k v", "LPOS k v RANK -1 COUNT 0 MAXLEN 5",
	"SCARD k", "SISMEMBER k m", "SMISMEMBER k m n", "SMEMBERS k", "SINTER k k2", "SUNION k", "SDIFF k k2 k3",
	"ZCARD k", "ZCOUNT k -inf (5.5", "ZLEXCOUNT k - (b", "ZSCORE k m", "ZMSCORE k m n", "ZRANK k m", "ZREVRANK k m",
	"ZRANGE k 0 -1", "ZRANGE k (1 +inf BYSCORE REV LIMIT 0 5 WITHSCORES", "ZRANGE k [a + BYLEX LIMIT 0 -1", "ZRANGE k 0 1 REV WITHSCORES",
	"ZREVRANGE k 0 1 WITHSCORES", "ZRANGEBYSCORE k 0 1e3 LIMIT 0 1 WITHSCORES", "ZREVRANGEBYSCORE k inf -Infinity", "ZRANGEBYLEX k - + LIMIT 1 2",
	"ZREVRANGEBYLEX k + [a", "ZINTER 1 k", "ZUNION 2 k k2 WEIGHTS 1 -2.5 AGGREGATE MAX WITHSCORES", "ZDIFF 2 k k2 WITHSCORES",
	"XLEN k", "XRANGE k - +", "XRANGE k (1-1 2 COUNT 5", "XREVRANGE k + 0-18446744073709551615",

	"SET k v", "SET k v EX 1", "SET k v PX 9000", "SET k v EXAT 9000000000", "SET k v PXAT 9000000000000", "SET k v KEEPTTL", "MSET k v",
	"MSET k v k2 w k x", "APPEND k v", "SETRANGE k 0 v", "SETBIT k 4294967295 1", "INCR k", "DECR k", "INCRBY k -9223372036854775808",
	"DECRBY k 9223372036854775807", "INCRBYFLOAT k -1.5e3", "INCRBYFLOAT k .5",
	"DEL k", "UNLINK k k2", "EXPIRE k -1", "PEXPIRE k 0", "EXPIREAT k 9000000000", "PEXPIREAT k 9000000000000", "PERSIST k",
	"HSET k f v", "HSET k f v g w", "HSETNX k f v", "HDEL k f g", "HINCRBY k f -5", "HINCRBYFLOAT k f 0.25",
	"LPUSH k v", "RPUSH k v w", "LPUSHX k v", "RPUSHX k v", "LPOP k", "LPOP k 0", "RPOP k 2", "LSET k -1 v", "LREM k -2 v", "LTRIM k 0 -1",
	"LINSERT k BEFORE v w", "LINSERT k AFTER v w", "SADD k m n", "SREM k m", "SMOVE k k2 m",
	"ZADD k 1 m", "ZADD k XX GT CH 1 m -inf n", "ZADD k NX CH +inf m", "ZADD k LT 1 NX", "ZINCRBY k -1.5 m", "ZREM k m n",
	"ZREMRANGEBYRANK k 0 -1", "ZREMRANGEBYSCORE k (1 2", "ZREMRANGEBYLEX k - [b",
	"XADD k * f v", "XADD k MAXLEN ~ 5 * f v g w", "XADD k NOMKSTREAM MAXLEN = 5 * f v", "XADD k NOMKSTREAM * f v", "XADD k MAXLEN 0 * f v",
	"XDEL k 1-1 2", "XTRIM k MAXLEN 5", "XTRIM k MAXLEN ~ 5",
}

func TestRight(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, line := range right {
		words := strings.Fields(line)
		seen[words[0]] = true
		var want []string
		for _, w := range words[1:] {
			if w[0] == 'k' && !slices.Contains(want, w) {
				want = append(want, w)
			}
		}
		lower := slices.Clone(words)
		for i, w := range lower {
			if w[0] != 'k' && w != "NX" { // which is a member in one of them
				lower[i] = strings.ToLower(w)
			}
		}
		c, err := parse(lower)
		if err != nil {
			t.Errorf("%q: %v", lower, err)
			continue
		}
		if diff := cmp.Diff(words, c.Args, cmp.Transformer("lower", strings.ToLower)); diff != "" {
			t.Errorf("%q: arguments changed:\n%s", line, diff)
		}
		if c.Args[0] != words[0] {
			t.Errorf("%q: the name is %q", line, c.Args[0])
		}
		if diff := cmp.Diff(want, c.Keys); diff != "" {
			t.Errorf("%q: keys, - want, + got:\n%s", line, diff)
		}
		if c.Reads() != (reads[words[0]] != nil) {
			t.Errorf("%q: reads: %v", line, c.Reads())
		}
		if !c.Reads() {
			var l Log
			if err := l.Write(c); err != nil {
				t.Errorf("%q: the first write: %v", line, err)
			}
			if l.Empty() || len(l.Keys()) != len(want) {
				t.Errorf("%q: the log has keys %q", line, l.Keys())
			}
		}
		if _, err := parse(words[:1]); err == nil {
			t.Errorf("%s is taken without arguments", words[0])
		}
	}
	for _, table := range []map[string]*entry{reads, writes} {
		for name := range maps.Keys(table) {
			if !seen[name] {
				t.Errorf("no line for %s", name)
			}
		}
	}
}

// What is read of keys that are gone is what Redis answers of absent keys.
func TestEmptyAnswers(t *testing.T) {
	t.Parallel()
	live, _ := realPair(t)
	for _, line := range right {
		c, err := parse(strings.Fields(line))
		if err != nil || !c.Reads() {
			continue
		}
		var l Log
		for _, k := range c.Keys {
			del, _ := Parse("DEL", k)
			if err := l.Write(del); err != nil {
				t.Fatal(err)
			}
		}
		reply, known, err := l.Answer(c)
		if diff := cmp.Diff(live.do(c.Args...), reply); diff != "" || !known || err != nil {
			t.Errorf("%s: %v %v, - want, + got:\n%s", line, known, err, diff)
		}
	}
}

// wrong are commands that Redis would refuse, or that a transaction cannot have, with a word of the reason.
var wrong = []struct{ line, reason string }{
	{"GET k v", "number of arguments"}, {"MSET k v k2", "number of arguments"}, {"HSET k f v g", "number of arguments"},
	{"BITCOUNT k 1", "number of arguments"}, {"BITPOS k 1 2 3 4", "number of arguments"}, {"LPOP k 1 2", "number of arguments"},
	{"ZADD k NX", "number of arguments"}, {"ZADD k 1 m 2", "number of arguments"}, {"XADD k * f", "number of arguments"},
	{"XADD k *", "number of arguments"}, {"XADD k MAXLEN 5", "number of arguments"}, {"ZINTER 2 k", "number of arguments"},
	{"ZINTER 0 k", "number of arguments"}, {"ZUNION 1 k k2", "no option"}, {"EXPIRE k 1 NX", "number of arguments"},
	{"GETRANGE k 0 x", "integer"}, {"INCRBY k 1.0", "integer"}, {"INCRBY k +1", "integer"}, {"INCRBY k 01", "integer"}, {"INCRBY k -0", "integer"},
	{"INCRBY k 9223372036854775808", "integer"}, {"DECRBY k -9223372036854775808", "negative"}, {"HINCRBY k f x", "integer"},
	{"LSET k x v", "integer"}, {"LPOP k -1", "from 0"}, {"LREM k x v", "integer"}, {"LTRIM k 0 x", "integer"},
	{"INCRBYFLOAT k nan", "finite"}, {"INCRBYFLOAT k inf", "finite"}, {"INCRBYFLOAT k 1e400", "finite"}, {"INCRBYFLOAT k 1e-400", "finite"},
	{"INCRBYFLOAT k 0x1p3", "finite"}, {"INCRBYFLOAT k 1_0", "finite"}, {"INCRBYFLOAT k 1e", "finite"}, {"INCRBYFLOAT k --1", "finite"},
	{"ZINCRBY k inf m", "finite"}, {"ZADD k nan m", "not a number"}, {"ZADD k x m", "not a number"}, {"ZADD k INCR 1 m", "INCR"},
	{"ZADD k NX XX 1 m", "exclude"}, {"ZADD k NX GT 1 m", "exclude"}, {"ZADD k GT LT 1 m", "exclude"}, {"ZCOUNT k ((1 2", "number"},
	{"ZRANGEBYSCORE k 0 nan", "number"}, {"ZRANGEBYLEX k a +", "a name"}, {"ZREMRANGEBYLEX k - b", "a name"},
	{"ZRANGE k 0 1 BYSCORE BYLEX", "exclude"}, {"ZRANGE k 0 1 LIMIT 0 1", "LIMIT needs"}, {"ZRANGE k - + BYLEX WITHSCORES", "exclude"},
	{"ZRANGE k a b", "integer"}, {"ZRANGE k 0 b BYSCORE", "number"}, {"ZRANGE k 0 1 LIMIT 0", "without its value"}, {"ZREVRANGE k 0 1 LIMIT 0 1", "no option"},
	{"ZINTER 1 k WEIGHTS", "without its value"}, {"ZINTER 1 k AGGREGATE", "without its value"}, {"ZINTER 1 k AGGREGATE AVG", "no option"},
	{"ZDIFF 1 k WEIGHTS 1", "no option"}, {"LPOS k v RANK 0", "RANK"}, {"LPOS k v COUNT -1", "from 0"}, {"LPOS k v COUNT", "without its value"},
	{"GETBIT k 4294967296", "2^32"}, {"SETBIT k -1 1", "2^32"}, {"SETBIT k 1 2", "a bit"}, {"BITPOS k 2", "a bit"}, {"SETRANGE k -1 v", "from 0"},
	{"SETRANGE k 536870912 v", "512 MiB"}, {"SETRANGE k 9223372036854775807 v", "512 MiB"}, {"LINSERT k BESIDE v w", "no option"},
	{"EXPIRE k 9223372036854775", "time"}, {"EXPIRE k -9223372036854776", "time"}, {"PEXPIRE k 9223372036854775807", "time"},
	{"PEXPIREAT k 1.5", "time"}, {"SET k v EX 0", "time"}, {"SET k v PX -5", "time"}, {"SET k v EX 9223372036854775", "time"}, {"SET k v EX", "without its value"},
	{"SET k v EX 1 PX 1", "exclude"}, {"SET k v KEEPTTL EX 1", "exclude"}, {"SET k v NX", "read first"}, {"SET k v XX", "read first"}, {"SET k v GET", "read first"},
	{"SET k v NO", "no option"}, {"XADD k 1-1 f v", "id other than *"}, {"XADD k 5 f v", "id other than *"}, {"XADD k 5-* f v", "id other than *"},
	{"XADD k MINID 5 * f v", "no option"}, {"XADD k MAXLEN -1 * f v", "from 0"}, {"XADD k MAXLEN ~ * f v", "from 0"}, {"XADD k MAXLEN ~ 5 LIMIT 1 * f v", "no option"},
	{"XTRIM k MINID 5", "no option"}, {"XTRIM k MAXLEN", "without its value"}, {"XTRIM k MAXLEN = 5 LIMIT 5", "number of arguments"}, {"XDEL k *", "id of an entry"},
	{"XRANGE k a +", "id of an entry"}, {"XRANGE k - + COUNT", "without its value"}, {"XRANGE k - + LIMIT 5", "no option"}, {"XRANGE k - + COUNT 5 5", "number of arguments"},
	{"SRANDMEMBER k", "random"}, {"SPOP k", "random"}, {"blpop k 1", "blocks"}, {"XREAD BLOCK 5 STREAMS k 0", "blocks"}, {"XREAD STREAMS k 0", "XRANGE"},
	{"TTL k", "time"}, {"OBJECT ENCODING k", "time"}, {"KEYS *", "key space"}, {"HSCAN k 0", "cursor"}, {"FLUSHALL", "key space"}, {"GETDEL k", "read first"},
	{"LMOVE k k2 LEFT LEFT", "read first"}, {"PFCOUNT k", "read first"}, {"WATCH k", "transaction"}, {"EVAL x 0", "script"}, {"SETEX k 1 v", "use SET"},
	{"HMSET k f v", "use HSET"}, {"SORT k", "read first"}, {"NOSUCH k", "not in the tables"}, {"GEOADD k 1 1 m", "not in the tables"},
}

func TestWrong(t *testing.T) {
	t.Parallel()
	for _, w := range wrong {
		_, err := parse(strings.Fields(w.line))
		name, _, _ := strings.Cut(strings.ToUpper(w.line), " ")
		if err == nil || !strings.Contains(err.Error(), w.reason) || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: got error %v, want one with %q", w.line, err, w.reason)
		}
	}
	if _, err := Parse(); err == nil {
		t.Error("no name at all is taken")
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	type name string
	type flag bool
	for _, v := range []struct {
		in   any
		want string
	}{
		{"x", "x"}, {name("x"), "x"}, {[]byte("x\x00"), "x\x00"}, {json.RawMessage("{}"), "{}"}, {[]byte(nil), ""}, {5, "5"}, {int8(-5), "-5"},
		{uint64(math.MaxUint64), "18446744073709551615"}, {time.Duration(7), "7"}, {true, "1"}, {flag(false), "0"}, {0.1, "0.1"},
		{float32(0.1), "0.1"}, {1e21, "1000000000000000000000"}, {math.Inf(-1), "-Inf"}, {math.Copysign(0, -1), "-0"},
	} {
		c, err := Parse("set", "k", v.in)
		if err != nil || c.Args[2] != v.want {
			t.Errorf("%T %v: %v %v", v.in, v.in, c, err)
		}
	}
	for _, in := range []any{nil, math.NaN(), struct{}{}, []int{1}, map[string]int{}, new(int), time.Now(), [1]byte{}, 1i} {
		if _, err := Parse("set", "k", in); err == nil || !strings.Contains(err.Error(), "SET: argument 2") {
			t.Errorf("%T: got error %v", in, err)
		}
	}
	if _, err := Parse("SET", 5, []string{}); err == nil || !strings.Contains(err.Error(), "[]string") {
		t.Errorf("got error %v, want one that names the type", err)
	}
	if _, err := Parse(nil, 5); err == nil {
		t.Error("a name of nil is taken")
	}
}

func TestOptionsOfXADDAreOrdered(t *testing.T) {
	t.Parallel()
	c, err := Parse("XADD", "k", "maxlen", "~", 5, "nomkstream", "*", "f", "v")
	if want := strings.Fields("XADD k NOMKSTREAM MAXLEN ~ 5 * f v"); err != nil || !slices.Equal(c.Args, want) {
		t.Errorf("%v %v", c, err)
	}
}
