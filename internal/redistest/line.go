package redistest

import (
	"bytes"
	"net"
	"sync"
	"time"
)

// line carries bytes to one end of a link, each piece at its own due time and
// all in order. Pieces wait beside each other, not one after the other, so a
// latency costs no throughput. The queue has no bound, as the wire it stands
// for holds whatever is on its way.
type line struct {
	conn  net.Conn
	done  <-chan struct{} // closed when the link is cut
	atEnd func()          // called once everything before end is delivered
	alarm alarm

	mu    sync.Mutex // guards the fields down to busy
	queue []piece
	last  time.Time // due time of the piece queued last
	busy  bool      // run has pieces in hand

	broken bool          // a write failed; owned by run while busy, else by mu
	wake   chan struct{} // capacity 1: the queue is not empty any more
}

// piece is some bytes, or the end.
type piece struct {
	data []byte
	due  time.Time
	end  bool
}

func newLine(conn net.Conn, done <-chan struct{}, atEnd func()) *line {
	return &line{conn: conn, done: done, atEnd: atEnd, wake: make(chan struct{}, 1)}
}

// put delivers b after a delay. If there is none, and nothing is waiting, it
// writes at once and saves the hand-over to another goroutine. After a failed
// write the rest is thrown away; the reader of the same connection notices.
func (l *line) put(b []byte, after time.Duration) {
	if len(b) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if after <= 0 && l.idle() {
		l.write(net.Buffers{b})
		return
	}
	l.push(piece{data: bytes.Clone(b)}, after)
}

// end calls atEnd behind everything put before, also if writing fails.
func (l *line) end(after time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if after <= 0 && l.idle() {
		l.atEnd()
		return
	}
	l.push(piece{end: true}, after)
}

// idle reports whether nothing is on its way. The caller holds mu.
func (l *line) idle() bool { return len(l.queue) == 0 && !l.busy }

// push queues a piece, never due before the one ahead. The caller holds mu.
func (l *line) push(p piece, after time.Duration) {
	p.due = time.Now().Add(after)
	if p.due.Before(l.last) {
		p.due = l.last
	}
	l.last = p.due
	l.queue = append(l.queue, p)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run delivers what is queued, until the end or until the link is cut.
func (l *line) run() {
	for {
		l.mu.Lock()
		pieces := l.queue
		l.queue, l.busy = nil, len(pieces) > 0
		l.mu.Unlock()
		if len(pieces) == 0 {
			select {
			case <-l.wake:
				continue
			case <-l.done:
				return
			}
		}
		if !l.deliver(pieces) {
			return
		}
	}
}

// deliver writes pieces, those that are due together in one go. It reports
// false at the end and when the link is cut.
func (l *line) deliver(pieces []piece) bool {
	for len(pieces) > 0 {
		if !l.alarm.sleep(time.Until(pieces[0].due), l.done) {
			return false
		}
		var ripe net.Buffers
		now := time.Now()
		for len(pieces) > 0 && !pieces[0].end && !pieces[0].due.After(now) {
			ripe = append(ripe, pieces[0].data)
			pieces = pieces[1:]
		}
		l.write(ripe)
		if len(pieces) > 0 && pieces[0].end && !pieces[0].due.After(now) {
			l.atEnd()
			return false
		}
	}
	return true
}

func (l *line) write(b net.Buffers) {
	if l.broken {
		return
	}
	_, err := b.WriteTo(l.conn) // one system call for all of them
	l.broken = err != nil
}
