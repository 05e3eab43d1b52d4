package redistest

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// errProxyClosed is what Up returns after Close.
var errProxyClosed = errors.New("redistest: the proxy is closed")

// Proxy forwards TCP connections to a Redis server and breaks them on command.
// Its methods may be called from any goroutine, except that none but Stats may
// be called from within a function given to OnRequest.
//
// It understands both versions of the protocol, pipelines, blocking commands
// and pub/sub. On a connection that has become a stream (SUBSCRIBE in version
// 2, MONITOR, replication) replies cannot be told apart: there CutBefore and
// Hold work as ever, and the actions on replies act as Pass.
type Proxy struct {
	addr, target string

	rtt         atomic.Int64 // nanoseconds
	connections atomic.Int64
	commands    atomic.Int64
	replies     atomic.Int64

	watched atomic.Bool // match is set: spares the lock and the strings if not
	matchMu sync.Mutex  // guards match, and is held while it runs
	match   func(cmd []string) Action

	mu       sync.Mutex   // guards the rest; not held while links run
	listener net.Listener // nil while down
	links    map[*link]struct{}
	closed   bool
	running  sync.WaitGroup // one for each link and each listener
}

// Stats counts what has passed through a proxy.
type Stats struct {
	Connections int64 // accepted since the beginning
	Open        int64 // connections at this moment
	Commands    int64 // read from clients, also those not forwarded
	Replies     int64 // of the server to commands; pushes and streams are not counted
}

// NewProxy is ListenProxy for a test: it fails the test on an error, and closes
// the proxy when the test ends.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	p, err := ListenProxy(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// ListenProxy starts a proxy on a free loopback port in front of target, a
// host:port. The target need not be there yet: it is dialled for each
// connection. The caller must Close the proxy.
func ListenProxy(target string) (*Proxy, error) {
	l, err := listen()
	if err != nil {
		return nil, err
	}
	p := &Proxy{addr: l.Addr().String(), target: target, links: make(map[*link]struct{})}
	p.serve(l)
	return p, nil
}

// Addr returns host:port. It stays the same over Down and Up.
func (p *Proxy) Addr() string { return p.addr }

// URL returns the address as a redis:// URL.
func (p *Proxy) URL() string { return "redis://" + p.addr }

// OnRequest sets the function that decides about each command; nil stands for
// Pass. It sees the command as sent, with its name in capital letters. Calls
// are made one at a time, so it may keep state without a lock, and none is
// under way any more when OnRequest returns. It must not block: Hold does that.
func (p *Proxy) OnRequest(match func(cmd []string) Action) {
	p.matchMu.Lock()
	defer p.matchMu.Unlock()
	p.match = match
	p.watched.Store(match != nil)
}

// SetLatency makes every round trip longer by rtt, half on the way there and
// half on the way back, for what is read from now on. Commands on their way at
// the same time share the wait. Connecting is not slowed. Zero, the default,
// or less adds nothing.
func (p *Proxy) SetLatency(rtt time.Duration) { p.rtt.Store(int64(max(rtt, 0))) }

// Down cuts all connections and refuses new ones, as a machine does whose
// server is gone. Calling it again does nothing.
func (p *Proxy) Down() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut()
}

// Up accepts connections again, on the same port. It does nothing if the proxy
// is up. It fails after Close, and if for five seconds the port is taken.
func (p *Proxy) Up() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errProxyClosed
	}
	if p.listener != nil {
		return nil
	}
	for deadline := time.Now().Add(5 * time.Second); ; {
		l, err := net.Listen("tcp4", p.addr)
		if err == nil {
			p.serve(l)
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("redistest: proxy up: %w", err)
		}
		time.Sleep(10 * time.Millisecond) // another test probes the port
	}
}

// CutAll cuts all connections at once, whatever is on its way, and returns how
// many there were. New ones are accepted.
func (p *Proxy) CutAll() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cutLinks()
}

// Stats returns the counters.
func (p *Proxy) Stats() Stats {
	p.mu.Lock()
	open := len(p.links)
	p.mu.Unlock()
	return Stats{
		Connections: p.connections.Load(),
		Open:        int64(open),
		Commands:    p.commands.Load(),
		Replies:     p.replies.Load(),
	}
}

// Close cuts all connections, releases what is held, and returns when every
// goroutine of the proxy has ended. A second call does nothing.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.shut()
	p.mu.Unlock()
	p.running.Wait()
}

// shut closes the door and cuts who is inside. The caller holds mu.
func (p *Proxy) shut() {
	if p.listener != nil {
		p.listener.Close()
		p.listener = nil
	}
	p.cutLinks()
}

func (p *Proxy) cutLinks() int {
	for l := range p.links {
		l.cut()
	}
	return len(p.links)
}

// serve accepts from l until it is closed. The caller holds mu, or is the only
// one to know p.
func (p *Proxy) serve(l net.Listener) {
	p.listener = l
	p.running.Go(func() {
		for {
			conn, err := l.Accept()
			switch {
			case err == nil:
				p.admit(l, conn.(*net.TCPConn))
			case errors.Is(err, net.ErrClosed):
				return
			default:
				time.Sleep(10 * time.Millisecond) // out of files, most likely
			}
		}
	})
}

// admit starts a link, unless the door was closed while conn came through it.
func (p *Proxy) admit(l net.Listener, conn *net.TCPConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != l {
		conn.Close()
		return
	}
	k := newLink(p, conn)
	p.links[k] = struct{}{}
	p.connections.Add(1)
	p.running.Go(func() {
		k.run()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.links, k)
	})
}

// decide asks the function of OnRequest about the command in w.
func (p *Proxy) decide(w *wire) Action {
	if !p.watched.Load() {
		return Pass()
	}
	cmd := make([]string, len(w.words))
	for i := range cmd {
		cmd[i] = string(w.word(i))
	}
	return p.ask(cmd)
}

func (p *Proxy) there() time.Duration { return time.Duration(p.rtt.Load() / 2) }
func (p *Proxy) back() time.Duration  { rtt := p.rtt.Load(); return time.Duration(rtt - rtt/2) }

// ask calls the function of OnRequest, if it is still set.
func (p *Proxy) ask(cmd []string) Action {
	cmd[0] = strings.ToUpper(cmd[0])
	p.matchMu.Lock()
	defer p.matchMu.Unlock()
	if p.match == nil {
		return Pass()
	}
	return p.match(cmd)
}
