package txn

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	sequences = flag.Int("txn.sequences", 2000, "random transactions to compare")
	seed      = flag.Uint64("txn.seed", 0, "run the one random transaction with this seed")
)

// A transaction is the same as its commands one by one: what it answers, what it leaves, and whether it can be at all.
func TestLogIsTheSameAsCommandsOneByOne(t *testing.T) {
	t.Parallel()
	live, direct := embeddedPair(t)
	compareMany(t, live, direct, *sequences)
}

// The real server is asked fewer times, with more: what the embedded one gets wrong.
func TestLogIsTheSameOnRedis(t *testing.T) {
	t.Parallel()
	live, direct := realPair(t)
	compareMany(t, live, direct, *sequences/3)
}

func compareMany(t *testing.T, live, direct *server, n int) {
	var c comparison
	if *seed != 0 {
		c.run(t, live, direct, *seed)
		return
	}
	for range n {
		if s := rand.Uint64(); !c.run(t, live, direct, s) {
			t.Fatalf("again with: -txn.seed=%d", s)
		}
	}
	t.Logf("%+v", c)
	// It would be easy to be right by refusing everything.
	if c.Committed < n/2 || c.Told < c.Untold/2 || c.Folded == 0 || c.Failed == 0 || c.Doubted > c.Commands/10 {
		t.Errorf("too little was tried: %+v", c)
	}
}

// comparison counts what happened in many.
type comparison struct {
	Commands          int
	Told              int // reads answered from buffer or memory
	Asked             int
	Untold            int // reads refused
	Refused, Doubted  int // writes that could never succeed; writes refused for want of knowledge
	Failed, Committed int // transactions whose checks failed, and must; those that wrote
	Folded            int // writes that needed none of their own
}

func (n *comparison) run(t *testing.T, live, direct *server, seed uint64) (ok bool) {
	g := newGenerator(seed, live.m == nil)
	var l Log
	var story strings.Builder
	fail := func(format string, args ...any) bool {
		t.Errorf("%s%s", story.String(), fmt.Sprintf(format, args...))
		return false
	}
	for _, s := range []*server{live, direct} {
		s.must("FLUSHDB")
	}
	for _, args := range g.start() {
		live.must(args...)
		direct.must(args...)
		fmt.Fprintf(&story, "stored %q\n", args)
	}
	written := 0
	strict := true // else the checks may fail without need
	doomed := func() bool {
		return slices.ContainsFunc(l.Checks(), func(c Check) bool { return !live.holds(c) })
	}
	for range 1 + g.IntN(20) {
		args := g.command()
		fmt.Fprintf(&story, "%q", args)
		c, err := parse(args)
		if err != nil {
			return fail(": %v", err)
		}
		n.Commands++
		if c.Reads() {
			reply, known, err := l.Answer(c)
			switch {
			case errors.Is(err, ErrReadAfterWrite):
				n.Untold++
				fmt.Fprintf(&story, " untold\n")
				continue
			case err != nil:
				return fail(": %v", err)
			case known:
				n.Told++
			default:
				n.Asked++
				reply = live.do(args...)
				l.Remember(c, reply, Mark(reply))
			}
			fmt.Fprintf(&story, " %v %q\n", known, reply)
			want := direct.do(args...)
			if !reflect.DeepEqual(ordered(c.Order(), reply), ordered(c.Order(), want)) {
				return !strict && doomed() || fail("want %q", want)
			}
			continue
		}
		err = l.Write(c)
		fmt.Fprintf(&story, " %v\n", err)
		if errors.Is(err, errUntold) {
			n.Doubted++
			continue
		}
		fault, failed := direct.do(args...).(ReplyError)
		if err != nil {
			n.Refused++
			if !failed && strict && args[0] != "SMOVE" {
				return fail("refused, and Redis would not have")
			}
			continue
		}
		if failed {
			n.Failed++
			return doomed() || fail("%v, and no check of %v fails", fault, l.Checks())
		}
		written++
		if args[0] == "SMOVE" || strings.HasSuffix(args[0], "EXPIREAT") && args[2] > "0" {
			strict = false
		}
	}
	if doomed() {
		return !strict || fail("one of the checks %v fails, and nothing did", l.Checks())
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
	if writes := len(l.Writes()); writes > 0 {
		n.Committed++
		n.Folded += max(0, written-writes)
	}
	return true
}

func parse(args []string) (*Command, error) {
	list := make([]any, len(args))
	for i, arg := range args {
		list[i] = arg
	}
	return Parse(list...)
}
