package redistest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// behind starts a server and a proxy in front of it.
func behind(t *testing.T) (*Server, *Proxy) {
	t.Helper()
	s := Start(t)
	return s, NewProxy(t, s.Addr())
}

// Executed once, and the client sees an error; the next command opens a new
// connection and works.
func TestDropReply(t *testing.T) {
	t.Parallel()
	s, p := behind(t)
	c := dial(t, p.Addr())
	p.OnRequest(Once(DropReply(), "incr", "n"))
	if err := c.Incr(t.Context(), "n").Err(); err == nil {
		t.Fatal("the answer came through")
	}
	wantInt(t, s, "n", 1)
	if n, err := c.Incr(t.Context(), "n").Result(); n != 2 || err != nil {
		t.Fatalf("afterwards: %d, %v", n, err)
	}
	if st := p.Stats(); st.Connections != 2 {
		t.Errorf("%d connections, want 2", st.Connections)
	}
}

func TestCutBefore(t *testing.T) {
	t.Parallel()
	s, p := behind(t)
	c := dial(t, p.Addr())
	c.Ping(t.Context())
	p.OnRequest(Once(CutBefore(), "INCR"))
	if err := c.Incr(t.Context(), "n").Err(); err == nil {
		t.Fatal("the command came through")
	}
	wantInt(t, s, "n", 0)
	if n, err := c.Incr(t.Context(), "n").Result(); n != 1 || err != nil {
		t.Fatalf("afterwards: %d, %v", n, err)
	}
}

// A fault in the middle of a pipeline: what stands before it is executed and
// answered, what stands behind it is not executed. Every time, with and without
// a latency.
func TestFaultInsidePipeline(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		action Action
		want   int
	}{"cut before": {CutBefore(), 3}, "drop reply": {DropReply(), 4}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p := behind(t)
			for round := range 20 {
				p.SetLatency(time.Duration(round%2) * time.Millisecond)
				key := fmt.Sprint("n", round)
				p.OnRequest(Once(tc.action, "INCRBY", key, "1"))
				// Not with go-redis: a pipeline that is cut short fails there as a
				// whole, with the replies that did come.
				conn, r := raw(t, p.Addr())
				incr, marked := "INCR "+key+"\r\n", "INCRBY "+key+" 1\r\n"
				io.WriteString(conn, strings.Repeat(incr, 3)+marked+strings.Repeat(incr, 100))
				for i := range 3 {
					wantLine(t, r, fmt.Sprint(":", i+1))
				}
				if line, err := r.ReadString('\n'); err == nil {
					t.Errorf("round %d: answered %q", round, line)
				}
				wantInt(t, s, key, tc.want)
			}
		})
	}
}

// A transaction whose EXEC is answered into the void has taken effect.
func TestDropReplyOfExec(t *testing.T) {
	t.Parallel()
	s, p := behind(t)
	p.OnRequest(Once(DropReply(), "EXEC"))
	_, err := dial(t, p.Addr()).TxPipelined(t.Context(), func(pipe redis.Pipeliner) error {
		pipe.Incr(t.Context(), "n")
		pipe.Incr(t.Context(), "n")
		return nil
	})
	if err == nil {
		t.Fatal("the answer came through")
	}
	wantInt(t, s, "n", 2)
}

// The function sees the script's hash, keys and arguments as sent, and the name
// in capital letters.
func TestMatcherSeesScriptArguments(t *testing.T) {
	t.Parallel()
	s, p := behind(t)
	c := dial(t, p.Addr())
	script := redis.NewScript(`return redis.call('INCRBY', KEYS[1], ARGV[1])`)
	if err := script.Load(t.Context(), c).Err(); err != nil {
		t.Fatal(err)
	}
	var seen []string
	p.OnRequest(func(cmd []string) Action {
		if cmd[0] == "EVALSHA" && cmd[len(cmd)-1] == "by\r\nte\x00" {
			seen = cmd
			return DropReply()
		}
		return Pass()
	})
	if err := script.EvalSha(t.Context(), c, []string{"n"}, 5, "other").Err(); err != nil {
		t.Fatal(err)
	}
	if err := script.EvalSha(t.Context(), c, []string{"n"}, 5, "by\r\nte\x00").Err(); err == nil {
		t.Fatal("the answer came through")
	}
	p.OnRequest(nil) // after this no call is under way
	if want := []string{"EVALSHA", script.Hash(), "1", "n", "5", "by\r\nte\x00"}; fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("saw %q, want %q", seen, want)
	}
	wantInt(t, s, "n", 10)
}

func TestDelayReply(t *testing.T) {
	t.Parallel()
	_, p := behind(t)
	c := dial(t, p.Addr())
	p.OnRequest(Once(DelayReply(30*time.Millisecond), "PING"))
	begin := time.Now()
	if err := c.Ping(t.Context()).Err(); err != nil || time.Since(begin) < 30*time.Millisecond {
		t.Errorf("took %v (%v), want 30ms and more", time.Since(begin), err)
	}
	fastest := time.Hour
	for range 10 {
		begin := time.Now()
		if err := c.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		fastest = min(fastest, time.Since(begin))
	}
	if fastest >= 30*time.Millisecond {
		t.Errorf("later commands take %v too", fastest)
	}
}

// A held command is not executed before its release, and is then, though its
// client has gone.
func TestHold(t *testing.T) {
	t.Parallel()
	s, p := behind(t)
	release, held := make(chan struct{}), make(chan struct{})
	p.OnRequest(func(cmd []string) Action {
		if cmd[0] != "INCR" {
			return Pass()
		}
		close(held)
		return Hold(release)
	})
	c := dial(t, p.Addr())
	if err := c.Incr(within(t, 30*time.Millisecond), "n").Err(); err == nil {
		t.Fatal("answered while held")
	}
	<-held
	c.Close()
	wantInt(t, s, "n", 0)
	close(release)
	eventually(t, "the command is executed", func() bool { return dial(t, s.Addr()).Get(t.Context(), "n").Val() == "1" })
	eventually(t, "the link ends", func() bool { return p.Stats().Open == 0 })
}

func TestHoldReply(t *testing.T) {
	t.Parallel()
	s, p := behind(t)
	release := make(chan struct{})
	p.OnRequest(Once(HoldReply(release), "INCR"))
	got := make(chan error, 1)
	go func() { got <- dial(t, p.Addr()).Incr(t.Context(), "n").Err() }()
	eventually(t, "the command is executed", func() bool { return dial(t, s.Addr()).Get(t.Context(), "n").Val() == "1" })
	select {
	case err := <-got:
		t.Fatalf("answered while held: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	close(release)
	if err := <-got; err != nil {
		t.Error(err)
	}
}

func TestDownUp(t *testing.T) {
	t.Parallel()
	_, p := behind(t)
	for range 3 {
		conn, r := raw(t, p.Addr())
		io.WriteString(conn, "PING\r\n")
		wantLine(t, r, "+PONG")
		p.Down()
		p.Down()
		io.WriteString(conn, "PING\r\n")
		if line, err := r.ReadString('\n'); err == nil {
			t.Fatalf("answered %q while down", line)
		}
		wantRefused(t, p.Addr())
		for range 2 {
			if err := p.Up(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestCutAll(t *testing.T) {
	t.Parallel()
	_, p := behind(t)
	a, b := dial(t, p.Addr()), dial(t, p.Addr())
	a.Ping(t.Context())
	b.Ping(t.Context())
	if n := p.CutAll(); n != 2 {
		t.Errorf("cut %d, want 2", n)
	}
	eventually(t, "both are gone", func() bool { return p.Stats().Open == 0 })
	// The pool may notice by itself that its connection is dead, so the old
	// one is looked at from below.
	if err := a.Ping(t.Context()).Err(); err != nil {
		a.Ping(t.Context())
	}
	if st := p.Stats(); st.Connections != 3 {
		t.Errorf("%d connections, want 3", st.Connections)
	}
}

// The server going away ends the links; the target may come back, or be paused
// meanwhile.
func TestServerTrouble(t *testing.T) {
	t.Parallel()
	s, p := behind(t)
	c := dial(t, p.Addr())
	c.Ping(t.Context())
	s.Kill()
	if err := c.Ping(t.Context()).Err(); err == nil {
		t.Fatal("answered by a dead server")
	}
	eventually(t, "the link ends", func() bool { return p.Stats().Open == 0 })
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := c.Ping(within(t, 20*time.Millisecond)).Err(); err == nil {
		t.Fatal("answered by a paused server")
	}
	p.Close() // must not wait for the paused server
}

// Close ends everything: links at rest, in a hold, in a delay and while down.
func TestCloseEndsEverything(t *testing.T) {
	t.Parallel()
	s := Start(t)
	p, err := ListenProxy(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	p.SetLatency(time.Microsecond)
	var arrived sync.WaitGroup
	arrived.Add(3)
	p.OnRequest(func(cmd []string) Action {
		switch cmd[0] {
		case "GET":
			arrived.Done()
			return Hold(nil)
		case "TTL":
			arrived.Done()
			return HoldReply(nil)
		case "TYPE":
			arrived.Done()
			return DelayReply(time.Hour)
		}
		return Pass()
	})
	var clients sync.WaitGroup
	for _, name := range []string{"GET", "TTL", "TYPE"} {
		clients.Go(func() {
			if err := dial(t, p.Addr()).Do(t.Context(), name, "k").Err(); err == nil || err == redis.Nil {
				t.Errorf("%s was answered", name)
			}
		})
	}
	dial(t, p.Addr()).Ping(t.Context())
	arrived.Wait()
	for range 2 {
		clients.Go(p.Close)
	}
	clients.Wait()
	p.Down()
	if err := p.Up(); !errors.Is(err, errProxyClosed) {
		t.Errorf("Up after Close: %v", err)
	}
	if st := p.Stats(); st.Open != 0 {
		t.Errorf("%d links open", st.Open)
	}
	wantRefused(t, p.Addr())
}

// Clients hammer while the proxy goes up and down and cuts. Commands whose
// answer came were executed; those without may have been; none twice.
func TestStress(t *testing.T) {
	t.Parallel()
	s, p := behind(t)
	n := 0
	p.OnRequest(func([]string) Action {
		n++
		return []Action{DropReply(), CutBefore(), DelayReply(time.Millisecond), Pass()}[min(n%17, 3)]
	})
	ctx := within(t, 500*time.Millisecond)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			var asked, answered int64
			for ctx.Err() == nil {
				conn, err := net.Dial("tcp", p.Addr())
				if err != nil {
					continue // down
				}
				r := bufio.NewReader(conn)
				for err == nil && ctx.Err() == nil {
					asked++
					fmt.Fprintf(conn, "INCR n%d\r\n", i)
					if _, err = r.ReadString('\n'); err == nil {
						answered++
					}
				}
				conn.Close()
			}
			n, _ := dial(t, s.Addr()).Get(t.Context(), fmt.Sprint("n", i)).Int64()
			if n < answered || n > asked || answered == 0 {
				t.Errorf("%d executed, %d answered, %d asked", n, answered, asked)
			}
		})
	}
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			time.Sleep(10 * time.Millisecond)
			p.SetLatency(time.Duration(i%3) * 100 * time.Microsecond)
			if p.CutAll(); i%5 == 0 {
				p.Down()
				if err := p.Up(); err != nil {
					t.Error(err)
				}
			}
		}
	})
	wg.Wait()
}
