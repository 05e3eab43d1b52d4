package spool_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spooljobs/spool/embedded"
	"github.com/spooljobs/spool/internal/redistest"
	"github.com/spooljobs/spool/lua"
)

// realServer runs a test on the shared real server, under a prefix of its own, and checks the keyspace at its end.
func realServer(t *testing.T, test func(t *testing.T, s *server)) {
	t.Helper()
	needRedis(t)
	ran.onlyRedis.Add(1)
	// Its own also where tests are run more than once: the server is shared by all of them.
	prefix := fmt.Sprintf("%s-%08x", embedded.Prefix(t), rand.Uint32())
	on(t, &server{"redis", real.Addr(), prefix}, test)
}

// ownServer runs a test on a real server of its own, for tests that break it or count what it is sent.
func ownServer(t *testing.T, test func(t *testing.T, s *server, r *redistest.Server)) {
	t.Helper()
	r := redistest.Start(t)
	ran.onlyRedis.Add(1)
	on(t, &server{"redis", r.Addr(), embedded.Prefix(t)}, func(t *testing.T, s *server) { test(t, s, r) })
}

// verbs loads the scripts, so that no call has to send its source, and returns a function that tells which of them a
// command calls: "" for other commands.
func (s *server) verbs(t *testing.T) func(cmd []string) string {
	t.Helper()
	scripts := must(lua.Load(redistest.StrictLua))(t)
	rdb := s.raw(t)
	names := make(map[string]string)
	for verb, script := range scripts {
		sha := must(rdb.ScriptLoad(t.Context(), script.Source).Result())(t)
		names[sha] = verb
		names[script.Source] = verb
	}
	return func(cmd []string) string {
		if len(cmd) < 2 || !strings.HasPrefix(cmd[0], "EVAL") {
			return ""
		}
		return names[cmd[1]]
	}
}

// recv takes the next of a channel, and fails the test if none comes.
func recv[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(30 * time.Second):
		t.Fatalf("nothing came: %s", what)
		panic("unreachable")
	}
}

// counter counts the calls of each script that pass a proxy.
type counter struct {
	verb  func(cmd []string) string
	calls map[string]*atomic.Int64
}

func (s *server) counter(t *testing.T) *counter {
	t.Helper()
	n := &counter{verb: s.verbs(t), calls: map[string]*atomic.Int64{}}
	for verb := range must(lua.Load(""))(t) {
		n.calls[verb] = new(atomic.Int64)
	}
	n.calls["BLPOP"] = new(atomic.Int64)
	return n
}

func (n *counter) count(cmd []string) {
	if verb := n.verb(cmd); verb != "" {
		n.calls[verb].Add(1)
	} else if calls := n.calls[cmd[0]]; calls != nil {
		calls.Add(1)
	}
}

func (n *counter) of(verb string) int64 { return n.calls[verb].Load() }

// holdScripts keeps the answers of scripts until it is released, and tells of each.
func holdScripts(release <-chan struct{}, calls chan<- bool) func(cmd []string) redistest.Action {
	return func(cmd []string) redistest.Action {
		if cmd[0] != "EVALSHA" && cmd[0] != "EVAL" {
			return redistest.Pass()
		}
		calls <- true
		return redistest.HoldReply(release)
	}
}
