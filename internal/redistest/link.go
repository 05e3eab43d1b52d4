package redistest

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// link is one client's connection and the one to the server made for it. Two
// goroutines read, one from each side, and two lines deliver what they read.
//
// It ends in one of three ways. The client closes: that is passed on behind its
// last command, the server answers by closing, and the link is cut behind the
// last reply. The server closes: the link is cut behind the last reply. Or it is
// cut at once.
type link struct {
	proxy  *Proxy
	client *net.TCPConn
	server atomic.Pointer[net.TCPConn] // nil until dialled
	ctx    context.Context             // ends with the link
	cancel context.CancelFunc
	ledger ledger
	up     *line // to the server
	down   *line // to the client
}

func newLink(p *Proxy, client *net.TCPConn) *link {
	ctx, cancel := context.WithCancel(context.Background())
	return &link{proxy: p, client: client, ctx: ctx, cancel: cancel}
}

// cut ends the link: once it returns, nothing passes any more. It may be called
// at any time and any number of times.
func (k *link) cut() {
	k.cancel()
	k.client.Close()
	if server := k.server.Load(); server != nil {
		server.Close()
	}
}

// run forwards until the link is cut and everything has come to rest.
func (k *link) run() {
	defer k.cut()
	d := net.Dialer{Timeout: 5 * time.Second}
	conn, err := d.DialContext(k.ctx, "tcp", k.proxy.target)
	if err != nil {
		return // the client sees its connection closed, as with a dead server
	}
	server := conn.(*net.TCPConn)
	k.server.Store(server)
	if k.ctx.Err() != nil {
		return // cut before it was stored, so by somebody who did not see it
	}
	k.up = newLine(server, k.ctx.Done(), func() { server.CloseWrite() })
	k.down = newLine(k.client, k.ctx.Done(), k.cut)

	rest := make(chan struct{}, 4)
	for _, part := range []func(){k.requests, k.replies, k.up.run, k.down.run} {
		go func() {
			part()
			rest <- struct{}{}
		}()
	}
	<-k.ctx.Done()
	k.up.alarm.stop()
	k.down.alarm.stop()
	for range cap(rest) {
		<-rest
	}
}

// requests reads commands and forwards them as the proxy's function says. It
// gathers what has been decided, and delivers it before it waits for more.
func (k *link) requests() {
	out := batch{line: k.up, after: k.proxy.there}
	w := newWire(&flushing{k.client, &out})
	for {
		if err := w.command(); err != nil {
			out.flush()
			if errors.Is(err, errMalformed) {
				k.pipe(k.up, w, k.proxy.there)
			}
			k.up.end(k.proxy.there())
			return
		}
		if len(w.words) == 0 {
			out.add(w.raw)
			continue
		}
		k.proxy.commands.Add(1)
		action := k.proxy.decide(w)
		switch action.kind {
		case cutBefore:
			out.flush()
			if k.ledger.cut() {
				k.down.end(k.proxy.back())
			}
			return
		case hold:
			out.flush()
			if !k.wait(action.gate) {
				return
			}
		}
		// Noted before it is sent: the reply must not come first.
		matched := k.ledger.expect(classify(w), action)
		out.add(w.raw)
		if action.kind == dropReply && matched {
			out.flush()
			return
		}
	}
}

// replies reads what the server says and delivers it. Whichever way it ends,
// the link is cut behind what was delivered.
func (k *link) replies() {
	out := batch{line: k.down, after: k.proxy.back}
	w := newWire(&flushing{k.server.Load(), &out})
	defer func() {
		out.flush()
		k.down.end(k.proxy.back())
	}()
	for {
		if err := w.reply(); err != nil {
			if errors.Is(err, errMalformed) {
				out.flush()
				k.pipe(k.down, w, k.proxy.back)
			}
			return
		}
		a := k.ledger.match(w.raw)
		if a.matched {
			k.proxy.replies.Add(1)
		}
		switch a.action.kind {
		case dropReply:
			return
		case holdReply:
			out.flush()
			if !k.wait(a.action.gate) {
				return
			}
			out.add(w.raw)
		case delayReply:
			out.flush()
			k.down.put(w.raw, k.proxy.back()+a.action.delay)
		default:
			out.add(w.raw)
		}
		if a.cut {
			return
		}
		if a.stream {
			out.flush()
			w.raw = w.raw[:0]
			k.pipe(k.down, w, k.proxy.back)
			return
		}
	}
}

// pipe passes on what w has read and not delivered, and all that follows.
func (k *link) pipe(to *line, w *wire, after func() time.Duration) {
	to.put(w.raw, after())
	buf := make([]byte, 32<<10)
	for {
		n, err := w.r.Read(buf)
		to.put(buf[:n], after())
		if err != nil {
			return
		}
	}
}

// wait blocks until the gate is open. It reports false if the link is cut first.
func (k *link) wait(gate <-chan struct{}) bool {
	select {
	case <-gate:
		return true
	case <-k.ctx.Done():
		return false
	}
}

// batch gathers bytes for a line, so that a pipeline is forwarded in few writes.
type batch struct {
	line  *line
	after func() time.Duration
	bytes []byte
}

func (b *batch) add(p []byte) {
	b.bytes = append(b.bytes, p...)
	if len(b.bytes) >= 64<<10 {
		b.flush()
	}
}

func (b *batch) flush() {
	b.line.put(b.bytes, b.after())
	b.bytes = b.bytes[:0]
}

// flushing reads from a connection, after delivering what was gathered from it
// before. A buffered reader comes here only when it has nothing left.
type flushing struct {
	io.Reader
	batch *batch
}

func (f *flushing) Read(p []byte) (int, error) {
	f.batch.flush()
	return f.Reader.Read(p)
}
