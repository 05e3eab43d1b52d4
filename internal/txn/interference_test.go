package txn

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Others write while a transaction runs. If at the commit all reads answer as remembered and all checks hold, then no
// write fails, and the transaction is the same as its commands one by one at that moment. This is what the reads are
// believed to prove, put to the test.
func TestCommitIsAsIfAloneInSpiteOfOthers(t *testing.T) {
	t.Parallel()
	live, direct := embeddedPair(t)
	interfereMany(t, live, direct, *sequences)
}

func TestCommitIsAsIfAloneOnRedis(t *testing.T) {
	t.Parallel()
	live, direct := realPair(t)
	interfereMany(t, live, direct, *sequences/3)
}

func interfereMany(t *testing.T, live, direct *server, n int) {
	committed := 0
	if *seed != 0 {
		interfere(t, live, direct, *seed)
		return
	}
	for range n {
		s := rand.Uint64()
		wrote, ok := interfere(t, live, direct, s)
		if !ok {
			t.Fatalf("again with: -txn.seed=%d", s)
		}
		if wrote {
			committed++
		}
	}
	if committed < n/4 {
		t.Errorf("only %d of %d transactions wrote", committed, n)
	}
}

func interfere(t *testing.T, live, direct *server, seed uint64) (wrote, ok bool) {
	type step struct {
		c     *Command
		reply any
	}
	g := newGenerator(seed, live.m == nil)
	var l Log
	var story strings.Builder
	fail := func(format string, args ...any) (bool, bool) {
		t.Errorf("%s%s", story.String(), fmt.Sprintf(format, args...))
		return false, false
	}
	both := func(who string, args []string) {
		live.do(args...)
		direct.do(args...)
		fmt.Fprintf(&story, "%s %q\n", who, args)
	}
	for _, s := range []*server{live, direct} {
		s.must("FLUSHDB")
	}
	for _, args := range g.start() {
		both("stored", args)
	}
	var steps []step
	for range 1 + g.IntN(12) {
		for g.IntN(6) == 0 {
			c, err := parse(g.command())
			if err != nil || c.Reads() || live.m == nil && c.Args[0] == "XADD" { // whose ids are the time of day
				continue
			}
			both("others", c.Args)
		}
		c, err := parse(g.command())
		if err != nil {
			return fail("%v", err)
		}
		if !c.Reads() {
			if l.Write(c) == nil {
				steps = append(steps, step{c, nil})
				fmt.Fprintf(&story, "%q\n", c.Args)
			}
			continue
		}
		reply, known, err := l.Answer(c)
		switch {
		case errors.Is(err, ErrReadAfterWrite):
			continue
		case err != nil:
			return fail("%q: %v", c.Args, err)
		case !known:
			reply = live.do(c.Args...)
			l.Remember(c, reply, Mark(reply))
		}
		fmt.Fprintf(&story, "%q %v %q\n", c.Args, known, reply)
		steps = append(steps, step{c, reply})
	}

	doomed := slices.ContainsFunc(l.Checks(), func(c Check) bool { return !live.holds(c) })
	for _, s := range steps {
		read := func(r Read) bool { return slices.Equal(r.Args, s.c.Args) }
		if !slices.ContainsFunc(l.Reads(), read) {
			continue
		}
		first := slices.IndexFunc(steps, func(other step) bool { return slices.Equal(other.c.Args, s.c.Args) })
		was := steps[first].reply
		doomed = doomed || !reflect.DeepEqual(ordered(s.c.Order(), live.do(s.c.Args...)), ordered(s.c.Order(), was))
	}
	if doomed {
		return false, true
	}
	for _, s := range steps {
		reply := direct.do(s.c.Args...)
		if fault, failed := reply.(ReplyError); !s.c.Reads() && failed {
			return fail("%q: %v; and nothing foresaw it", s.c.Args, fault)
		}
		if s.c.Reads() && !reflect.DeepEqual(ordered(s.c.Order(), reply), ordered(s.c.Order(), s.reply)) {
			return fail("%q should have answered %q, not %q", s.c.Args, reply, s.reply)
		}
	}
	for _, args := range l.Writes() {
		fmt.Fprintf(&story, "commit %q\n", args)
		if fault, failed := live.do(args...).(ReplyError); failed {
			return fail("%v", fault)
		}
	}
	if got, want := live.dump(testKeys), direct.dump(testKeys); got != want {
		return fail("left, - want, + got:\n%s", cmp.Diff(want, got))
	}
	return len(l.Writes()) > 0, true
}
