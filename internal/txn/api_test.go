package txn

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func command(t *testing.T, args ...any) *Command {
	t.Helper()
	c, err := Parse(args...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestMark(t *testing.T) {
	t.Parallel()
	for _, m := range []struct {
		reply any
		want  string
	}{
		{nil, "-"}, {"", "$"}, {"x", "$x"}, {int64(-5), ":-5"}, {ReplyError("ERR x"), "!ERR x"},
		{strings.Repeat("x", 62), "$" + strings.Repeat("x", 62)},
		// printf '$%063d' 0 | sha1sum
		{strings.Repeat("0", 63), "#c2dcd096017b6ac43864c4db218f101099f8d92d"},
		{[]any{"x"}, ""},
	} {
		if got := Mark(m.reply); got != m.want {
			t.Errorf("%q: got %q, want %q", m.reply, got, m.want)
		}
	}
}

func TestRepliesAreCopies(t *testing.T) {
	t.Parallel()
	var l Log
	c := command(t, "XRANGE", "k", "-", "+")
	reply := []any{[]any{"1-1", []any{"f", "v"}}}
	l.Remember(c, reply, "m")
	reply[0].([]any)[0] = "changed"
	for range 2 {
		got, known, err := l.Answer(c)
		if diff := cmp.Diff([]any{[]any{"1-1", []any{"f", "v"}}}, got); diff != "" || !known || err != nil {
			t.Fatalf("%v %v %s", known, err, diff)
		}
		got.([]any)[0].([]any)[1].([]any)[0] = "changed"
	}
}

func TestListsAreCopies(t *testing.T) {
	t.Parallel()
	var l Log
	c := command(t, "HSET", "k", "f", "1")
	read := command(t, "LLEN", "l")
	l.Remember(read, int64(0), ":0")
	if err := l.Write(c); err != nil {
		t.Fatal(err)
	}
	c.Args[3], read.Args[1] = "changed", "changed"
	l.Writes()[0][0], l.Reads()[0].Args[0], l.Checks()[0].Args[0] = "changed", "changed", "changed"
	if err := l.Write(command(t, "HINCRBY", "k", "f", 1)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]string{{"HSET", "k", "f", "2"}}, l.Writes()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Read{{Args: []string{"LLEN", "l"}, Keys: []string{"l"}, Mark: ":0"}}, l.Reads()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Check{{"type", []string{"k", "hash"}}}, l.Checks()); diff != "" {
		t.Error(diff)
	}
}

func TestReadsCountOnce(t *testing.T) {
	t.Parallel()
	var l Log
	c := command(t, "GET", "k")
	l.Remember(c, "x", "$x")
	l.Remember(c, "x", "$x")
	if n := len(l.Reads()); n != 1 {
		t.Errorf("%d reads", n)
	}
	// Another answer to the same question: both must hold, so the commit finds a conflict.
	l.Remember(c, "y", "$y")
	if n := len(l.Reads()); n != 2 {
		t.Errorf("%d reads", n)
	}
	// The arguments of one are not those of another put together otherwise.
	l.Remember(command(t, "MGET", "a", "1:b"), []any{"x", nil}, "m")
	if _, known, _ := l.Answer(command(t, "MGET", "a1:", "b")); known {
		t.Error("two reads are taken for one")
	}
}

func TestKeysAndEmpty(t *testing.T) {
	t.Parallel()
	var l Log
	if !l.Empty() || l.Keys() != nil || l.Reads() != nil || l.Checks() != nil || l.Writes() != nil {
		t.Error("the zero value is not empty")
	}
	for _, w := range [][]any{{"SET", "w1", 1}, {"INCR", "c1"}, {"DEL", "w2", "r1"}, {"MSET", "w4", 1, "w1", 2}} {
		if err := l.Write(command(t, w...)); err != nil {
			t.Fatal(err)
		}
	}
	l.Remember(command(t, "MGET", "r2", "r1"), []any{nil, nil}, "m")
	if l.Empty() {
		t.Error("it is empty")
	}
	if got, want := l.Keys(), strings.Fields("r2 r1 c1 w1 w2 w4"); !slices.Equal(got, want) {
		t.Errorf("keys %q, want %q", got, want)
	}
}

func TestReadsAndWritesAreNotMixedUp(t *testing.T) {
	t.Parallel()
	var l Log
	if err := l.Write(command(t, "GET", "k")); err == nil {
		t.Error("a read is written")
	}
	set := command(t, "SET", "k", 1)
	if _, _, err := l.Answer(set); err == nil {
		t.Error("a write is answered")
	}
	l.Remember(set, "OK", "$OK")
	if !l.Empty() {
		t.Error("a write is remembered")
	}
}

func TestRefusedWriteLeavesNothing(t *testing.T) {
	t.Parallel()
	var l Log
	l.Remember(command(t, "GET", "s"), "x", "$x")
	l.Remember(command(t, "SCARD", "m"), int64(1), ":1")
	if err := l.Write(command(t, "LPUSH", "l", 1)); err != nil {
		t.Fatal(err)
	}
	checks, writes, keys := l.Checks(), l.Writes(), l.Keys()
	for _, w := range [][]any{{"INCR", "s"}, {"SMOVE", "new", "s", "x"}, {"SMOVE", "m", "s", "x"}, {"LSET", "l", 0, "x"}, {"HSET", "l", "f", 1}} {
		if err := l.Write(command(t, w...)); err == nil || !strings.Contains(err.Error(), w[0].(string)) {
			t.Errorf("%v: got error %v", w, err)
		}
	}
	if diff := cmp.Diff([]any{checks, writes, keys}, []any{l.Checks(), l.Writes(), l.Keys()}); diff != "" {
		t.Error(diff)
	}
	_, _, err := l.Answer(command(t, "LLEN", "l"))
	if !errors.Is(err, ErrReadAfterWrite) || !strings.Contains(err.Error(), `LLEN "l"`) {
		t.Errorf("got error %v", err)
	}
}
