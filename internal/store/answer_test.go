package store

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/spooljobs/spool/internal/txn"
)

// What Go remembers a scalar by and what Lua does is the same, around the length from which a digest stands for it, too.
func TestMarksOfGoAndLua(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		ctx := t.Context()
		texts := []string{"", "-", "$", "$x", ":5", "!x", "*", "#x", "5", "a\x00b\r\n\xff", strings.Repeat("ü", 31), strings.Repeat("ü", 32)}
		for n := 60; n < 70; n++ {
			texts = append(texts, strings.Repeat("x", n))
		}
		for _, text := range texts {
			b.rdb.Set(ctx, b.mine("text"), text, 0)
			b.holds(t, text, "GET", b.mine("text"))
		}
		b.holds(t, nil, "GET", b.mine("none"))
		b.holds(t, int64(0), "EXISTS", b.mine("none"))
		b.holds(t, int64(69), "STRLEN", b.mine("text"))
		b.holds(t, "string", "TYPE", b.mine("text"))
		b.holds(t, "none", "TYPE", b.mine("none"))
		wrong := b.ask(t, "HGET", b.mine("text"), "f")
		if err, is := wrong.Reply.(txn.ReplyError); !is || !strings.HasPrefix(err.Error(), "WRONGTYPE") || wrong.Mark != txn.Mark(err) {
			t.Errorf("%#v", wrong)
		}
		b.does(t, b.deal().read(t, "HGET", b.mine("text"), "f"))
	})
}

// holds: a question is answered so, is remembered as Go remembers the answer, and holds in a transaction.
func (b *bed) holds(t *testing.T, want any, args ...string) {
	t.Helper()
	got := b.ask(t, args...)
	same(t, strings.Join(args, " "), got, Reading{want, txn.Mark(want)})
	b.does(t, b.deal().read(t, args...))
}

// changes are two states of keys that must not be taken for one another.
type change struct {
	name          string
	before, after [][]string // commands that make them
	ask           []string
	same          bool // the answers are alike all the same
}

func (b *bed) changes() []change {
	k, other := b.mine("k"), b.mine("other")
	long := strings.Repeat("x", 63)
	wide := func(command string, from, to, step int, pair bool) []string {
		args := []string{command, k}
		for i := from; i != to; i += step {
			if args = append(args, fmt.Sprint("m", i)); pair {
				args = append(args, fmt.Sprint("v", i))
			}
		}
		return args
	}
	return []change{
		{"nothing and an empty text", nil, [][]string{{"SET", k, ""}}, []string{"GET", k}, false},
		{"nothing and a text that looks like it", nil, [][]string{{"SET", k, "-"}}, []string{"GET", k}, false},
		{"texts that differ in the 64th byte", [][]string{{"SET", k, long + "a"}}, [][]string{{"SET", k, long + "b"}}, []string{"GET", k}, false},
		{"texts that differ in the 63rd byte", [][]string{{"SET", k, long[1:] + "a"}}, [][]string{{"SET", k, long[1:] + "b"}}, []string{"GET", k}, false},
		{"a text and the error of another type", [][]string{{"SET", k, "WRONGTYPE Operation against a key holding the wrong kind of value"}},
			[][]string{{"SADD", k, "x"}}, []string{"GET", k}, false},
		{"another value of the same", [][]string{{"SET", k, "x"}}, [][]string{{"SET", k, "x"}}, []string{"GET", k}, true},
		{"elements cut elsewhere", [][]string{{"RPUSH", k, "a", "bc"}}, [][]string{{"RPUSH", k, "ab", "c"}}, []string{"LRANGE", k, "0", "-1"}, false},
		{"an element that contains the next one's length", [][]string{{"RPUSH", k, "a2.$b"}}, [][]string{{"RPUSH", k, "a", "b"}}, []string{"LRANGE", k, "0", "-1"}, false},
		{"an element that contains the beginning of the next", [][]string{{"RPUSH", k, "a$b"}}, [][]string{{"RPUSH", k, "a", "b"}},
			[]string{"LRANGE", k, "0", "-1"}, false},
		{"a value that contains a field", [][]string{{"HSET", k, "f", "x2.$g$y"}}, [][]string{{"HSET", k, "f", "x", "g", "y"}}, []string{"HGETALL", k}, false},
		{"a member that contains another", [][]string{{"SADD", k, "a", "b$c"}}, [][]string{{"SADD", k, "a$b", "c"}}, []string{"SMEMBERS", k}, false},
		{"a list in another order", [][]string{{"RPUSH", k, "a", "b"}}, [][]string{{"RPUSH", k, "b", "a"}}, []string{"LRANGE", k, "0", "-1"}, false},
		{"a list and one that begins alike", [][]string{{"RPUSH", k, "a", "b"}}, [][]string{{"RPUSH", k, "a", "b", ""}}, []string{"LRANGE", k, "0", "-1"}, false},
		{"values that have changed places", [][]string{{"HSET", k, "a", "1", "b", "2"}}, [][]string{{"HSET", k, "a", "2", "b", "1"}}, []string{"HGETALL", k}, false},
		{"a field that is the other's value", [][]string{{"HSET", k, "a", "b"}}, [][]string{{"HSET", k, "b", "a"}}, []string{"HGETALL", k}, false},
		{"a field and a value cut elsewhere", [][]string{{"HSET", k, "a", "bc"}}, [][]string{{"HSET", k, "ab", "c"}}, []string{"HGETALL", k}, false},
		{"a hash in another order", [][]string{{"HSET", k, "a", "1", "b", "2"}}, [][]string{{"HSET", k, "b", "2", "a", "1"}}, []string{"HGETALL", k}, true},
		{"its values alone", [][]string{{"HSET", k, "a", "1", "b", "2"}}, [][]string{{"HSET", k, "a", "2", "b", "1"}}, []string{"HVALS", k}, true},
		{"equal values, one more of them", [][]string{{"HSET", k, "a", "1"}}, [][]string{{"HSET", k, "a", "1", "b", "1"}}, []string{"HVALS", k}, false},
		{"fields asked by name", [][]string{{"HSET", k, "a", "1"}}, [][]string{{"HSET", k, "b", "1"}}, []string{"HMGET", k, "a", "b"}, false},
		{"a missing field and an empty one", nil, [][]string{{"HSET", k, "a", ""}}, []string{"HMGET", k, "a", "b"}, false},
		{"a key that appears, empty before and after", nil, [][]string{{"SADD", k, "x"}, {"SREM", k, "x"}}, []string{"SMEMBERS", k}, true},
		{"a large hash built backwards", [][]string{wide("HSET", 0, 300, 1, true)}, [][]string{wide("HSET", 299, -1, -1, true)}, []string{"HGETALL", k}, true},
		{"a large set built backwards", [][]string{wide("SADD", 0, 300, 1, false)}, [][]string{wide("SADD", 299, -1, -1, false)}, []string{"SMEMBERS", k}, true},
		{"a large set with one of another name", [][]string{wide("SADD", 0, 300, 1, false)}, [][]string{wide("SADD", 1, 301, 1, false)}, []string{"SMEMBERS", k}, false},
		{"a large hash with one other value", [][]string{wide("HSET", 0, 300, 1, true)}, [][]string{wide("HSET", 0, 300, 1, true), {"HSET", k, "m150", "x"}},
			[]string{"HGETALL", k}, false},
		{"a union built backwards", [][]string{wide("SADD", 0, 200, 1, false), {"SADD", other, "x", "y"}},
			[][]string{wide("SADD", 199, -1, -1, false), {"SADD", other, "y", "x"}}, []string{"SUNION", k, other}, true},
		{"another score", [][]string{{"ZADD", k, "1", "a"}}, [][]string{{"ZADD", k, "1.5", "a"}}, []string{"ZRANGE", k, "0", "-1", "WITHSCORES"}, false},
		{"another score at the same rank", [][]string{{"ZADD", k, "1", "a"}}, [][]string{{"ZADD", k, "1.5", "a"}}, []string{"ZRANGE", k, "0", "-1"}, true},
		{"a nested answer", [][]string{{"XADD", k, "1-1", "f", "v"}}, [][]string{{"XADD", k, "1-1", "f", "w"}}, []string{"XRANGE", k, "-", "+"}, false},
		{"a nested answer that is longer inside", [][]string{{"XADD", k, "1-1", "f", "v"}, {"XADD", k, "1-2", "g", "w"}},
			[][]string{{"XADD", k, "1-1", "f", "v", "g", "w"}}, []string{"XRANGE", k, "-", "+"}, false},
		{"a nested answer with another id", [][]string{{"XADD", k, "1-1", "f", "v"}}, [][]string{{"XADD", k, "1-2", "f", "v"}}, []string{"XRANGE", k, "-", "+"}, false},
		{"the same nested answer", [][]string{{"XADD", k, "1-1", "f", "v"}}, [][]string{{"XADD", k, "1-1", "f", "v"}}, []string{"XRANGE", k, "-", "+"}, true},
	}
}

// A read holds if it answers the same at the commit, and only then; what has no order is compared without one.
func TestReadsCompare(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		for _, c := range b.changes() {
			b.build(t, c.before)
			d := b.deal().read(t, "EXISTS", b.mine("none")).read(t, c.ask...).write("SET", b.mine("written"), c.name)
			b.build(t, c.after)
			refusal := b.transact(t, d)
			if held := b.get(t, "written") == c.name; held != c.same || held != (refusal == nil) {
				t.Errorf("%s: it took effect: %v, %+v; it was %q", c.name, held, refusal, d.Reads[1].Mark)
			} else if !c.same && *refusal != *refusedFor(RefusedConflict, 1) {
				t.Errorf("%s: %+v", c.name, *refusal)
			}
			b.build(t, c.before)
			if refusal := b.transact(t, d); refusal != nil {
				t.Errorf("%s, as it was: %+v", c.name, *refusal)
			}
		}
	})
}

// build makes a state of the keys k and other.
func (b *bed) build(t *testing.T, commands [][]string) {
	t.Helper()
	b.rdb.Del(t.Context(), b.mine("k"), b.mine("other"))
	for _, command := range commands {
		args := make([]any, len(command))
		for i := range command {
			args[i] = command[i]
		}
		if err := b.rdb.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(command[0], err)
		}
	}
}

// However long an answer is, a call carries what it is remembered by: less than 64 bytes.
func TestMarksAreShort(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		ctx := t.Context()
		b.rdb.Set(ctx, b.mine("text"), strings.Repeat("x", 1<<20), 0)
		for i := range 1000 {
			b.rdb.HSet(ctx, b.mine("hash"), strconv.Itoa(i), strings.Repeat("y", i))
		}
		d := b.deal().read(t, "GET", b.mine("text")).read(t, "HGETALL", b.mine("hash")).read(t, "HVALS", b.mine("hash")).
			read(t, "STRLEN", b.mine("text")).write("SET", b.mine("written"), "x")
		for _, r := range d.Reads {
			if len(r.Mark) >= 64 {
				t.Errorf("%v is remembered by %d bytes", r.Args[0], len(r.Mark))
			}
		}
		b.does(t, d)
		b.rdb.HSet(ctx, b.mine("hash"), "999", "z")
		same(t, "after a change", b.transact(t, d), refusedFor(RefusedConflict, 1))
	})
}

// Many questions in one call are answered each for itself, in order, errors among them.
func TestManyQuestions(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		ctx := t.Context()
		b.rdb.Set(ctx, b.mine("text"), "x", 0)
		b.rdb.RPush(ctx, b.mine("list"), "a", "b")
		var questions []Question
		for range 100 {
			questions = append(questions, question("GET", b.mine("text")), question("GET", b.mine("list")), question("GET", b.mine("none")),
				question("LRANGE", b.mine("list"), "0", "-1"), question("LRANGE", b.mine("none"), "0", "-1"), question("LLEN", b.mine("list")),
				question("LLEN", b.mine("text")), question("TYPE", b.mine("list")))
		}
		found, err := b.Ask(ctx, questions)
		if err != nil || len(found) != len(questions) {
			t.Fatal(len(found), err)
		}
		wrong := b.ask(t, "GET", b.mine("list")).Reply
		want := []any{"x", wrong, nil, []any{"a", "b"}, []any{}, int64(2), wrong, "list"}
		for i, r := range found {
			same(t, fmt.Sprint(i, questions[i].Args), r.Reply, want[i%len(want)])
			if r.Mark == "" {
				t.Errorf("%v is not remembered", questions[i].Args)
			}
		}
		if found, err := b.Ask(ctx, nil); len(found) != 0 || err != nil {
			t.Errorf("no questions: %v, %v", found, err)
		}
	})
}
