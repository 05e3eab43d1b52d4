package txn

import (
	"errors"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A script of a transaction has a line each:
//
//	GET k < 5        Redis is asked, and answers
//	GET k = 5        the log answers
//	GET k untold     the log refuses to answer
//	SET k 5          a write, buffered
//	SET k 5 ! word   a write, refused with an error that has the word in it
//
// An answer is nil, a number for an integer, 'text, or (a list); !text is an error.
var scripts = []struct {
	name, script, checks, writes string
}{
	{"increments become one", "INCR k; INCRBY k 4; DECR k; GET k untold", "int k 5", "INCRBY k 4"},
	{"increments that come back ask for both ends", "INCRBY k 10; DECRBY k 30; INCRBY k 5",
		"int k 10; int k -20", "INCRBY k -15"},
	{"increments only down", "DECR k; DECR k; INCR k", "int k -2", "INCRBY k -1"},
	{"nothing is added", "INCRBY k 0", "int k 0", "INCRBY k 0"},
	{"increments whose sum does not fit", "INCRBY k 9223372036854775807; INCR k ! commit first",
		"int k 9223372036854775807", "INCRBY k 9223372036854775807"},
	{"an increment of what was read", "GET k < '5; INCR k; GET k = '6; INCRBY k 2; GET k = '8; STRLEN k = 1", "", "INCRBY k 3"},
	{"an increment of what is not there", "GET k < nil; DECR k; GET k = '-1", "", "INCRBY k -1"},
	{"an increment of text that was read", "GET k < 'x; INCR k ! not an integer; INCRBYFLOAT k 1 ! not a decimal", "", ""},
	{"an increment past the end", "GET k < '9223372036854775807; INCR k ! out of range; DECR k; INCR k; GET k = '9223372036854775807",
		"", "INCRBY k 0"},
	{"numbers as Redis reads them", "GET k < '007; INCR k ! not an integer", "", ""},
	{"increments that fit only one by one", "GET k < '-9223372036854775807; INCRBY k 9223372036854775807; INCRBY k 5; GET k = '5",
		"", "INCRBY k 9223372036854775807; INCRBY k 5"},

	{"a value set is changed where it is set", "SET k 5 EX 10; INCR k; APPEND k 7; GET k = '67", "", "SET k 67 EX 10"},
	{"with its time to live kept", "SET k 5 KEEPTTL; DECR k", "", "SET k 4 KEEPTTL"},
	{"an expiry between does not mind", "SET k 5; EXPIRE k 10; INCR k; PERSIST k; INCR k; GET k = '7", "",
		"SET k 7; EXPIRE k 10; PERSIST k"},
	{"a removal between does", "SET k 5; DEL k; INCR k; GET k = '1", "", "SET k 5; DEL k; INCRBY k 1"},
	{"nor one by time", "INCR k; EXPIRE k 0; INCR k; GET k = '1", "int k 1", "INCRBY k 1; EXPIRE k 0; INCRBY k 1"},
	{"a time that may have passed", "INCR k; EXPIREAT k 9000000000; GET k untold; INCR k ! commit first; APPEND k x; GET k untold",
		"int k 1", "INCRBY k 1; EXPIREAT k 9000000000; APPEND k x"},
	{"a time that has surely passed", "PEXPIREAT k -1; GET k = nil; TYPE k = 'none", "", "PEXPIREAT k -1"},
	{"set until a time", "SET k 5 EXAT 9000000000; GET k untold; TYPE k untold; INCR k ! commit first; HSET k f v ! commit first", "",
		"SET k 5 EXAT 9000000000"},
	{"set for a time", "SET k 5 PX 10; GET k = '5; EXISTS k = 1", "", "SET k 5 PX 10"},
	{"set again", "SET k 5 EX 10; SET k 6; INCR k; GET k = '7", "", "SET k 5 EX 10; SET k 7"},
	{"several set", "MSET k 1 l x; INCR k; APPEND l y; MGET k l = ('2 'xy)", "", "SET k 2; SET l xy"},
	{"one set twice at once", "MSET k 1 k 5; INCR k", "", "SET k 1; SET k 6"},
	{"appended to what is not known", "APPEND k x; APPEND k y; GET k untold; INCR k ! commit first; TYPE k = 'string", "type k string",
		"APPEND k x; APPEND k y"},
	{"appended to what was read", "GET k < '1; APPEND k 2; GET k = '12; INCR k; GET k = '13", "", "APPEND k 2; INCRBY k 1"},
	{"ranges and bits", "SET k x; SETRANGE k 5 y; GET k untold; EXISTS k = 1; INCR k ! commit first; SETBIT k 3 1", "",
		"SET k x; SETRANGE k 5 y; SETBIT k 3 1"},
	{"an empty range", "SET k 5; SETRANGE k 9 ''; GET k = '5; INCR k", "", "SET k 6; SETRANGE k 9 ''"},
	{"floats are not folded", "INCRBYFLOAT k 0.5; INCRBYFLOAT k -2; GET k untold; INCR k ! commit first",
		"float k 0.5; float k -1.5", "INCRBYFLOAT k 0.5; INCRBYFLOAT k -2"},
	{"a float on what is set", "SET k 1.5; INCRBYFLOAT k 1; INCRBYFLOAT k 1; GET k untold; TYPE k = 'string", "",
		"SET k 1.5; INCRBYFLOAT k 1; INCRBYFLOAT k 1"},
	{"a float after an integer", "INCR k; INCRBYFLOAT k 1 ! commit first", "int k 1", "INCRBY k 1"},
	{"a float after a known integer", "GET k < '1; INCR k; INCRBYFLOAT k 0.5; INCR k ! commit first", "", "INCRBY k 1; INCRBYFLOAT k 0.5"},
	{"floats too large", "GET k < '1e308; INCRBYFLOAT k 1e308 ! out of range", "", ""},
	{"floats that add up to too much", "INCRBYFLOAT k 1e308; INCRBYFLOAT k 1e308 ! commit first; INCRBYFLOAT k -1e308",
		"float k 1" + strings.Repeat("0", 308), "INCRBYFLOAT k 1e308; INCRBYFLOAT k -1e308"},

	{"one check a key", "HSET k f 1; HDEL k g; HSETNX k h 2; PERSIST k; HSET l f 1", "type k hash; type l hash",
		"HSET k f 1; HDEL k g; HSETNX k h 2; PERSIST k; HSET l f 1"},
	{"no check of what was read", "HGET k f < nil; HSET k f 1; LLEN l < 0; SADD l x", "", "HSET k f 1; SADD l x"},
	{"an error proves nothing but itself", "GET k < !WRONGTYPE Operation; INCR k ! not a string; HSET k f 1", "type k hash", "HSET k f 1"},
	{"another error proves nothing", "GET k < !ERR what; INCR k", "int k 1", "INCRBY k 1"},
	{"nil among several proves little", "MGET k l < (nil '5); HSET k f 1; INCR l; HSET l f 1 ! string", "type k hash", "HSET k f 1; INCRBY l 1"},
	{"what TYPE proves", "TYPE k < 'zset; ZADD k 1 m; SADD k m ! zset", "", "ZADD k 1 m"},
	{"what EXISTS proves", "EXISTS k < 0; SADD k m; EXISTS l m < 1; SADD l m", "type l set", "SADD k m; SADD l m"},
	{"what sets together prove", "SINTER k l < (); SADD k m; SADD l m", "type k set; type l set", "SADD k m; SADD l m"},
	{"a set needs nothing", "SET k v; LPUSH k x ! string; DEL k; LPUSH k x; HSET k f 1 ! list; TYPE k = 'list", "",
		"SET k v; DEL k; LPUSH k x"},
	{"a set after anything", "HSET k f 1; SET k 5; INCR k; HGET k f = !WRONGTYPE Operation against a key holding the wrong kind of value",
		"type k hash", "HSET k f 1; SET k 6"},

	{"fields", "HSET k f 1 g x; HINCRBY k f 4; HGET k f = '5; HMGET k f g = ('5 'x); HGET k h asked; HMGET k f h untold; " +
		"HMGET k h i asked; HEXISTS k g = 1; HSTRLEN k g = 1; HLEN k untold; HGETALL k untold", "type k hash", "HSET k f 5 g x"},
	{"an unknown field", "HINCRBY k f 2; HINCRBY k f 3; HGET k f untold; HEXISTS k f = 1; HDEL k f; HGET k f = nil; HINCRBY k f 1; HGET k f = '1",
		"hint k f 5", "HINCRBY k f 5; HDEL k f; HINCRBY k f 1"},
	{"a field set perhaps", "HSETNX k f 2; HINCRBY k f 3 ! commit first; HGET k f untold; HEXISTS k f = 1", "type k hash", "HSETNX k f 2"},
	{"a field set surely or not", "HMGET k f g < (nil '4); HSETNX k f 2; HSETNX k g 2; HINCRBY k f 1; HMGET k f g = ('3 '4)", "",
		"HSETNX k f 2; HSETNX k g 2; HINCRBY k f 1"},
	{"a field twice at once", "HSET k f 1 f 2; HINCRBY k f 1", "type k hash", "HSET k f 1 f 3"},
	{"float fields", "HINCRBYFLOAT k f 0.5; HINCRBYFLOAT k f 1; HGET k f untold; HINCRBY k f 1 ! commit first", "hfloat k f 1.5",
		"HINCRBYFLOAT k f 0.5; HINCRBYFLOAT k f 1"},
	{"fields of a hash removed", "HGET k f < '1; DEL k; HSET k g 2; HGET k f = nil; HGETALL k = ('g '2); HLEN k = 1; HKEYS k = ('g)", "",
		"DEL k; HSET k g 2"},
	{"fields of a hash read whole", "HGETALL k < ('f '1 'g 'x); HDEL k g; HINCRBY k f 1; HSET k h y; HGETALL k = ('f '2 'h 'y); HVALS k = ('2 'y); " +
		"HLEN k = 2; HGET k z = nil; HDEL k f h; TYPE k = 'none; GET k = nil", "",
		"HDEL k g; HINCRBY k f 1; HSET k h y; HDEL k f h"},
	{"names of fields read", "HKEYS k < ('f); HSET k g 2; HKEYS k = ('f 'g); HLEN k = 2; HGETALL k untold; HGET k f asked", "", "HSET k g 2"},
	{"a field of a hash half known to be gone", "HSET k f 1; HDEL k f; EXISTS k untold; GET k untold; HGET k f = nil", "type k hash",
		"HSET k f 1; HDEL k f"},

	{"members", "SADD k m n; SREM k n; SISMEMBER k m = 1; SMISMEMBER k m n = (1 0); SISMEMBER k o asked; SMEMBERS k untold; SCARD k untold; " +
		"SINTER k l untold", "type k set", "SADD k m n; SREM k n"},
	{"members known whole", "SMEMBERS k < ('m 'n); SREM k m; SADD k o; SMEMBERS k = ('n 'o); SCARD k = 2", "", "SREM k m; SADD k o"},
	{"a member moved", "SISMEMBER k m < 1; SMOVE k l m; SISMEMBER l m = 1; SISMEMBER k m = 0; TYPE l = 'set", "type l set", "SMOVE k l m"},
	{"a member moved perhaps", "SMOVE k l m; SISMEMBER l m untold; SISMEMBER k m = 0; SISMEMBER l n asked", "type k set; type l set", "SMOVE k l m"},
	{"a member moved surely not", "SISMEMBER k m < 0; SMOVE k l m; SISMEMBER l m asked; DEL n; SMOVE n l m", "type l set", "SMOVE k l m; DEL n; SMOVE n l m"},

	{"scores", "ZADD k 1.50 m inf n; ZSCORE k m = '1.5; ZMSCORE k m n = ('1.5 'inf); ZSCORE k o asked; ZREM k m; ZSCORE k m = nil; ZRANK k n untold; " +
		"ZCARD k untold", "type k zset", "ZADD k 1.50 m inf n; ZREM k m"},
	{"scores that depend", "ZADD k NX 1 m; ZSCORE k m untold; ZADD k GT 2 n; ZSCORE k n untold; ZADD k XX 1 o; ZSCORE k o untold; ZINCRBY k 1 p; " +
		"ZSCORE k p untold; TYPE k = 'zset", "type k zset", "ZADD k NX 1 m; ZADD k GT 2 n; ZADD k XX 1 o; ZINCRBY k 1 p"},
	{"scores that are known", "ZSCORE k m < '2; ZADD k NX 1 m; ZSCORE k m = '2; ZADD k GT 1.5 m; ZSCORE k m = '2; ZADD k LT 2.5 m; ZSCORE k m = '2; ZADD k LT 1 m; ZSCORE k m = '1; " +
		"ZINCRBY k 0.5 m; ZSCORE k m = '1.5; ZADD k XX CH 9 m; ZSCORE k m = '9; ZADD k GT 10 m; ZADD k GT 10 m; ZSCORE k m = '10", "",
		"ZADD k NX 1 m; ZADD k GT 1.5 m; ZADD k LT 2.5 m; ZADD k LT 1 m; ZINCRBY k 0.5 m; ZADD k XX CH 9 m; ZADD k GT 10 m; ZADD k GT 10 m"},
	{"scores of members that are not there", "DEL k; ZADD k XX 1 m; TYPE k = 'none; ZADD k GT 1 m; ZSCORE k m = '1; ZCARD k = 1", "",
		"DEL k; ZADD k XX 1 m; ZADD k GT 1 m"},
	{"members cut off", "ZADD k 1 m; ZREMRANGEBYRANK k 0 0; ZSCORE k m untold; EXISTS k untold; ZADD k 2 m; ZSCORE k m = '2", "type k zset",
		"ZADD k 1 m; ZREMRANGEBYRANK k 0 0; ZADD k 2 m"},

	{"members cut off and all removed", "ZREMRANGEBYRANK k 0 0; DEL k; ZADD k 1 m; ZCARD k = 1; ZSCORE k n = nil", "type k zset",
		"ZREMRANGEBYRANK k 0 0; DEL k; ZADD k 1 m"},
	{"parts of what is not there", "GET k < nil; HSET k f 1; HLEN k = 1; HGET k g = nil", "", "HSET k f 1"},

	{"an index", "LSET k 0 x; LSET k -1 y; LSET k 0 z; LINDEX k 0 untold; RPUSH k x; LSET k 0 x ! commit first", "lset k 0; lset k -1",
		"LSET k 0 x; LSET k -1 y; LSET k 0 z; RPUSH k x"},
	{"an index of what is not there", "DEL k; LSET k 0 x ! no such key; LLEN k = 0; LPOP k; LPUSHX k x; LLEN k = 0; LPUSH k x; LLEN k untold", "",
		"DEL k; LPOP k; LPUSHX k x; LPUSH k x"},
	{"a stream", "XADD k * f v; XLEN k untold; TYPE k = 'stream; XTRIM k MAXLEN 0; TYPE k = 'stream", "type k stream", "XADD k * f v; XTRIM k MAXLEN 0"},
	{"a stream that may not be", "XADD k NOMKSTREAM * f v; TYPE k untold", "type k stream", "XADD k NOMKSTREAM * f v"},

	{"several keys, some written", "GET k < 'x; SET l y; MGET k l = ('x 'y); MGET l m untold; EXISTS k l = 2; EXISTS l m untold; MGET m n asked", "", "SET l y"},
	{"several keys removed", "UNLINK k l; EXISTS k l k = 0; SUNION k l = (); ZUNION 2 k l = (); MGET k l = (nil nil); SUNION k m untold", "", "UNLINK k l"},
	{"from memory", "GET k < 'x; GET k = 'x; GETRANGE k 0 1 asked; HGET l f < '1; HSET l g 2; HGET l f = '1", "", "HSET l g 2"},
	{"expiries do not hide what is stored", "EXPIRE k 10; GET k asked; PERSIST k; TYPE k asked", "", "EXPIRE k 10; PERSIST k"},
	{"reads that contradict each other", "GET k < 'x; LLEN k < 2; RPUSH k y; SET k z; GET k = 'z", "", "RPUSH k y; SET k z"},
}

func TestScripts(t *testing.T) {
	t.Parallel()
	for _, s := range scripts {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			var l Log
			for line := range strings.SplitSeq(s.script, "; ") {
				play(t, &l, line)
			}
			var checks, writes []string
			for _, c := range l.Checks() {
				checks = append(checks, c.Kind+" "+strings.Join(c.Args, " "))
			}
			for _, w := range l.Writes() {
				writes = append(writes, strings.ReplaceAll(strings.Join(w, " ")+"$", " $", " ''$"))
			}
			if diff := cmp.Diff(s.checks, strings.Join(checks, "; ")); diff != "" {
				t.Errorf("checks, - want, + got:\n%s", diff)
			}
			if diff := cmp.Diff(s.writes, strings.ReplaceAll(strings.Join(writes, "; "), "$", "")); diff != "" {
				t.Errorf("writes, - want, + got:\n%s", diff)
			}
		})
	}
}

func play(t *testing.T, l *Log, line string) {
	t.Helper()
	words, sign, after := strings.Fields(line), "", ""
	for i, w := range words {
		if w == "<" || w == "=" || w == "!" || w == "untold" || w == "asked" {
			sign, after = w, strings.Join(words[i+1:], " ")
			words = words[:i]
			break
		}
	}
	for i, w := range words {
		if w == "''" {
			words[i] = ""
		}
	}
	c, err := parse(words)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Reads() {
		switch err := l.Write(c); {
		case sign == "!" && (err == nil || !strings.Contains(err.Error(), after)):
			t.Errorf("%s: got error %v", line, err)
		case sign == "" && err != nil:
			t.Errorf("%s: %v", line, err)
		}
		return
	}
	reply, known, err := l.Answer(c)
	switch sign {
	case "untold":
		if !errors.Is(err, ErrReadAfterWrite) {
			t.Errorf("%s: got %v %v %v", line, reply, known, err)
		}
		return
	case "asked", "<":
		if known || err != nil {
			t.Errorf("%s: got %v %v %v", line, reply, known, err)
		}
		if sign == "<" {
			r := replyOf(after)
			l.Remember(c, r, Mark(r))
		}
		return
	}
	if want := replyOf(after); err != nil || !known || !reflect.DeepEqual(reply, want) {
		t.Errorf("%s: got %#v %v %v", line, reply, known, err)
	}
}

func replyOf(s string) any {
	switch {
	case s == "nil":
		return nil
	case strings.HasPrefix(s, "'"):
		return s[1:]
	case strings.HasPrefix(s, "!"):
		return ReplyError(s[1:])
	case strings.HasPrefix(s, "("):
		list := []any{}
		for _, w := range strings.Fields(strings.Trim(s, "()")) {
			list = append(list, replyOf(w))
		}
		return list
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}
