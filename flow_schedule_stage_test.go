package spool_test

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/spooljobs/spool/lua"
)

// A schedule plays a piece on a stage: several parties, each with its own connections, which stop before each script
// call until the director lets exactly one of them go on. What is no script call passes freely.

// stage is the way of all parties to the server.
type stage struct {
	dial  func(ctx context.Context) (net.Conn, error)
	verbs map[string]string // by the sum of the script
	timed bool              // time is real: who is stopped for long counts as dead

	mu     sync.Mutex      // guards what follows, and the fields of parties and connections
	known  map[string]bool // scripts that the server has
	cast   []*party
	stops  []*stop
	order  int
	open   bool // nobody is stopped any more
	busy   int  // calls let go that are not answered yet
	motion int  // counts whatever is written and read
	tally  tolls
	trace  []string // of what was let go, for people
}

// tolls is what a schedule has done to its parties.
type tolls struct{ calls, lost, cut, kills, freezes, steps int }

func (t *tolls) add(more tolls) {
	t.calls, t.lost, t.cut = t.calls+more.calls, t.lost+more.lost, t.cut+more.cut
	t.kills, t.freezes, t.steps = t.kills+more.kills, t.freezes+more.freezes, t.steps+more.steps
}

// party is a process of its own, as far as the server can tell.
type party struct {
	stage  *stage
	name   string
	rank   int
	rdb    *redis.Client
	life   context.Context // ends with it
	end    context.CancelFunc
	done   chan struct{} // closed when it has gone, or was found dead
	dead   bool
	frozen chan struct{} // closed when it thaws; nil while it is not frozen
	conns  map[*stagedConn]bool
}

// stop is a script call that has not been let go.
type stop struct {
	by    *party
	verb  string
	order int
	fate  chan fateOf
}

// fateOf is what becomes of a call.
type fateOf int

const (
	goes     fateOf = iota
	cutOff          // it is not executed, and the connection is gone
	unheard         // it is executed, and the reply is lost with the connection
	diesHere        // the party dies before it
	diesDone        // the party dies after it: it is executed
)

func newStage(dial func(ctx context.Context) (net.Conn, error), loaded bool) (*stage, error) {
	scripts, err := lua.Load("")
	if err != nil {
		return nil, err
	}
	s := &stage{dial: dial, verbs: map[string]string{}, known: map[string]bool{}}
	for verb, script := range scripts {
		sum := redis.NewScript(script.Source).Hash()
		s.verbs[sum] = verb
		s.known[sum] = loaded
	}
	return s, nil
}

// enter adds a party.
func (s *stage) enter(name string) *party {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order++
	p := &party{stage: s, name: name, rank: s.order, done: make(chan struct{}), conns: map[*stagedConn]bool{}}
	s.cast = append(s.cast, p)
	p.life, p.end = context.WithCancel(context.Background())
	p.rdb = redis.NewClient(&redis.Options{
		Addr: "stage:6379", MaxRetries: -1, DialerRetries: 1, PoolSize: 1000, Dialer: p.connect,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	return p
}

func (p *party) connect(ctx context.Context, _, _ string) (net.Conn, error) {
	if !p.moves() {
		return broken(), nil
	}
	conn, err := p.stage.dial(ctx)
	if err != nil {
		return nil, err
	}
	c := &stagedConn{Conn: conn, by: p, gone: make(chan struct{})}
	p.stage.mu.Lock()
	defer p.stage.mu.Unlock()
	if p.dead {
		conn.Close()
		return broken(), nil
	}
	p.conns[c] = true
	return c, nil
}

// broken is a connection that never works. An error instead, go-redis would write to standard error.
func broken() net.Conn {
	one, other := net.Pipe()
	one.Close()
	other.Close()
	return one
}

// die cuts all connections; none is made any more. What the party still does has no effect.
func (p *party) die() {
	p.stage.mu.Lock()
	p.dead = true
	var conns []*stagedConn
	for c := range p.conns {
		conns = append(conns, c)
	}
	p.stage.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
	p.end()
}

// moves waits until the party is not frozen, and says whether it lives.
func (p *party) moves() bool {
	for {
		p.stage.mu.Lock()
		p.stage.motion++
		thaw, dead := p.frozen, p.dead
		p.stage.mu.Unlock()
		if thaw == nil || dead {
			return !dead
		}
		select {
		case <-thaw:
		case <-p.life.Done():
		}
	}
}

// freeze stops everything that the party sends, beats too, for a time.
func (p *party) freeze(d time.Duration) {
	thaw := make(chan struct{})
	p.stage.mu.Lock()
	defer p.stage.mu.Unlock()
	p.frozen = thaw
	time.AfterFunc(d, func() {
		p.stage.mu.Lock()
		defer p.stage.mu.Unlock()
		if p.frozen == thaw {
			p.frozen = nil
			close(thaw)
		}
	})
}

// chilled says whether somebody who lives is frozen.
func (s *stage) chilled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.cast, func(p *party) bool { return p.frozen != nil && !p.dead })
}

// waiting are the stops of those that are not frozen, in an order that the seed can rely on.
func (s *stage) waiting() []*stop {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*stop
	for _, stop := range s.stops {
		if stop.by.frozen == nil {
			found = append(found, stop)
		}
	}
	slices.SortFunc(found, func(a, b *stop) int {
		return cmp.Or(cmp.Compare(a.by.rank, b.by.rank), cmp.Compare(a.verb, b.verb), cmp.Compare(a.order, b.order))
	})
	return found
}

// release lets a call meet its fate.
func (s *stage) release(which *stop, f fateOf) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stops = slices.DeleteFunc(s.stops, func(other *stop) bool { return other == which })
	s.tally.calls++
	s.trace = append(s.trace, fmt.Sprintf("%s: %s %s", which.by.name, which.verb, [...]string{"", "is cut off", "is not heard of", "dies before", "dies after"}[f]))
	which.fate <- f
}

// openUp lets everything go, from now on.
func (s *stage) openUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = true
	for _, stop := range s.stops {
		stop.fate <- goes
	}
	s.stops = nil
	for _, p := range s.cast {
		if p.frozen != nil {
			close(p.frozen)
			p.frozen = nil
		}
	}
}

// still says how much has moved so far, and whether a call that was let go is under way.
func (s *stage) still() (motion int, busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.motion, s.busy > 0
}
