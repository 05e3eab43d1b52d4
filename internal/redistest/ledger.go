package redistest

import (
	"bytes"
	"sync"
)

// ledger knows which reply of a connection belongs to which request. Replies
// come in the order of the requests, one for one, with these exceptions:
//
//   - Version 3 of the protocol has pushes: messages that answer nothing. The
//     confirmations of SUBSCRIBE and its family are pushes too, one for each
//     channel, so that the request has no reply of its own unless it fails.
//   - In version 2 a SUBSCRIBE turns the connection into a stream. So do
//     MONITOR and replication in both, and CLIENT REPLY OFF stops the answers.
//     From there on nothing is matched any more.
type ledger struct {
	mu        sync.Mutex
	open      []entry // requests without a reply, oldest first
	resp3     bool    // the version in force
	asked3    bool    // the version once all open requests are answered
	leaving   bool    // a request that makes a stream of the connection was sent
	stream    bool    // the connection is a stream
	cutDrawn  bool    // to be cut once nothing is open
	confirmed bool    // the oldest request has had a confirmation
}

// entry is a request that waits for its reply.
type entry struct {
	request request
	action  Action
}

// expect notes a request. It reports false if its reply cannot be recognised.
func (g *ledger) expect(r request, a Action) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.leaving {
		return false
	}
	switch r.class {
	case hello3:
		g.asked3 = true
	case hello2:
		g.asked3 = false
	case streams:
		g.leaving = true
	case subscribes:
		g.leaving = !g.asked3
	}
	g.open = append(g.open, entry{r, a})
	return true
}

// cut marks the end of the connection behind the open requests. It reports true
// if there are none, so that the time has come.
func (g *ledger) cut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cutDrawn = true
	return g.settled()
}

// answer is what a reply means for the connection.
type answer struct {
	matched bool   // it is the first of the replies to a request
	action  Action // of that request
	stream  bool   // nothing after this reply can be matched
	cut     bool   // it was the last reply before a cut
}

// match says what to do with a reply, given its bytes.
func (g *ledger) match(reply []byte) answer {
	g.mu.Lock()
	defer g.mu.Unlock()
	var a answer
	if reply[0] == '>' {
		a.matched, a.action = g.push(reply)
	} else {
		g.dropConfirmed()
		if len(g.open) > 0 {
			e := g.pop()
			a.matched, a.action = true, e.action
			g.apply(e.request.class, reply[0] == '-')
		}
	}
	a.stream = g.stream
	a.cut = g.cutDrawn && g.settled()
	return a
}

// push takes a push, which may confirm the oldest request. The others wait
// behind it: confirmations keep their place among the replies.
func (g *ledger) push(reply []byte) (matched bool, action Action) {
	if len(g.open) == 0 {
		return false, Action{}
	}
	e := &g.open[0]
	if e.request.class != subscribes || !bytes.EqualFold(pushKind(reply), []byte(e.request.name)) {
		return false, Action{}
	}
	if !g.confirmed {
		matched, action = true, e.action
	}
	g.confirmed = true
	if e.request.channels--; e.request.channels == 0 {
		g.pop()
	}
	return matched, action
}

// apply changes the state of the connection after the reply to a request.
func (g *ledger) apply(c class, failed bool) {
	switch {
	case c == hello3 && failed:
		g.asked3 = g.resp3
	case c == hello3:
		g.resp3 = true
	case c == hello2 && !failed:
		g.resp3 = false
	case c == streams, c == subscribes && !g.resp3:
		g.leaving, g.stream = true, true
	}
}

// settled reports whether no reply is awaited.
func (g *ledger) settled() bool {
	// An UNSUBSCRIBE without arguments has one confirmation or more, nobody
	// knows how many: its count went below zero with the first.
	last := g.confirmed && len(g.open) == 1 && g.open[0].request.channels < 0
	return g.stream || len(g.open) == 0 || last
}

// dropConfirmed closes a confirmed request when a reply shows that there will
// be no more confirmations.
func (g *ledger) dropConfirmed() {
	if g.confirmed {
		g.pop()
	}
}

func (g *ledger) pop() entry {
	e := g.open[0]
	g.open[0] = entry{}
	g.open = g.open[1:]
	g.confirmed = false
	return e
}

// pushKind returns the first item of a push, its kind.
func pushKind(push []byte) []byte {
	_, rest, _ := bytes.Cut(push, []byte("\r\n"))
	_, rest, _ = bytes.Cut(rest, []byte("\r\n"))
	kind, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return kind
}
