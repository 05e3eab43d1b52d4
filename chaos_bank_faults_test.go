package spool_test

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/spooljobs/spool/internal/redistest"
)

// bankFaults are what goes wrong while the transfers are made, and how often. A reply that is lost is one of a call that
// was executed.
var bankFaults = []struct {
	what   string
	times  int
	verb   string // of the call; "" where it is nothing that a call meets
	action redistest.Action
}{
	{"a worker is killed", 20, "", redistest.Pass()},
	{"a worker is frozen until it counts as dead", 4, "", redistest.Pass()},
	{"the scripts are flushed", 5, "", redistest.Pass()},
	{"the reply of a commit is lost", 12, "commit", redistest.DropReply()},
	{"the reply of EXEC is lost", 6, "EXEC", redistest.DropReply()},
	{"a commit is not sent", 12, "commit", redistest.CutBefore()},
	{"EXEC is not sent", 4, "EXEC", redistest.CutBefore()},
	{"the answer to a read is lost", 8, "read", redistest.DropReply()},
	{"the reply of a delivery is lost", 4, "deliver", redistest.DropReply()},
	{"the outbox is not told of a delivery", 4, "delivered", redistest.CutBefore()},
}

// saboteur lets what passes some proxies meet the faults that are due.
type saboteur struct {
	verb func(cmd []string) string

	mu     sync.Mutex
	due    map[string][]int                   // by the verb they wait for: indexes of bankFaults
	done   []int                              // how often each came about
	frozen map[*redistest.Proxy]chan struct{} // what they hold back, until it is closed
}

func newSaboteur(verb func(cmd []string) string) *saboteur {
	return &saboteur{verb: verb, due: map[string][]int{}, done: make([]int, len(bankFaults)), frozen: map[*redistest.Proxy]chan struct{}{}}
}

// proxy is one more way to the server.
func (x *saboteur) proxy(t *testing.T, s *server) *redistest.Proxy {
	t.Helper()
	p := s.proxied(t)
	p.OnRequest(func(cmd []string) redistest.Action {
		verb := cmp.Or(x.verb(cmd), cmd[0])
		x.mu.Lock()
		defer x.mu.Unlock()
		if gate := x.frozen[p]; gate != nil {
			return redistest.Hold(gate)
		}
		if len(x.due[verb]) == 0 {
			return redistest.Pass()
		}
		fault := x.due[verb][0]
		x.due[verb] = x.due[verb][1:]
		x.done[fault]++
		return bankFaults[fault].action
	})
	return p
}

// await lets the next call of its verb meet a fault.
func (x *saboteur) await(fault int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	verb := bankFaults[fault].verb
	x.due[verb] = append(x.due[verb], fault)
}

// note counts a fault that no call has to meet.
func (x *saboteur) note(fault int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.done[fault]++
}

// freeze holds back what is sent through a proxy, for a while. Then it arrives, late.
func (x *saboteur) freeze(p *redistest.Proxy, d time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	gate := make(chan struct{})
	x.frozen[p] = gate
	time.AfterFunc(d, func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		if x.frozen[p] == gate {
			delete(x.frozen, p)
		}
		close(gate)
	})
}

func (x *saboteur) isFrozen(p *redistest.Proxy) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.frozen[p] != nil
}

// bankPlan draws when what goes wrong: after how many transfers, in order.
func bankPlan(chance *rand.Rand) (plan [][2]int) {
	for fault, f := range bankFaults {
		for range f.times {
			plan = append(plan, [2]int{bankTransfers/50 + chance.IntN(bankTransfers*4/5), fault})
		}
	}
	slices.SortFunc(plan, func(a, b [2]int) int { return a[0] - b[0] })
	return plan
}
