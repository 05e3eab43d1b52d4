package redistest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// A waiting BLPOP is answered late; when its client goes, the server learns.
func TestBlockingCommand(t *testing.T) {
	t.Parallel()
	s, p := behind(t)
	side := dial(t, s.Addr())
	blocked := func() bool {
		return strings.Contains(side.Info(t.Context(), "clients").Val(), "blocked_clients:1\r")
	}
	got := make(chan string, 1)
	go func() { got <- fmt.Sprint(dial(t, p.Addr()).BLPop(t.Context(), 0, "list").Result()) }()
	eventually(t, "it blocks", blocked)
	side.RPush(t.Context(), "list", "x")
	if r := <-got; r != "[list x] <nil>" {
		t.Fatal(r)
	}

	p.OnRequest(Once(DropReply(), "BLPOP"))
	go func() { got <- fmt.Sprint(dial(t, p.Addr()).BLPop(t.Context(), 0, "list").Err() != nil) }()
	eventually(t, "it blocks", blocked)
	side.RPush(t.Context(), "list", "lost")
	if r := <-got; r != "true" {
		t.Fatal("the answer came through")
	}
	if n := side.LLen(t.Context(), "list").Val(); n != 0 {
		t.Errorf("%d items left, want the item lost", n)
	}

	go dial(t, p.Addr()).BLPop(within(t, 30*time.Millisecond), 0, "list")
	eventually(t, "it blocks", blocked)
	eventually(t, "the server learns that the client has gone", func() bool { return !blocked() })
}

// Pub/sub passes in both protocol versions. In version 3 the confirmations are
// pushes, and replies on the same connection are matched as before.
func TestPubSub(t *testing.T) {
	t.Parallel()
	for _, version := range []int{2, 3} {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			t.Parallel()
			s, p := behind(t)
			c := dial(t, p.Addr(), func(o *redis.Options) { o.Protocol = version })
			sub := c.Subscribe(t.Context(), "a", "b")
			defer sub.Close()
			for range 2 {
				if _, err := sub.Receive(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 50 {
				dial(t, s.Addr()).Publish(t.Context(), "b", fmt.Sprint(i))
				m, err := sub.ReceiveMessage(t.Context())
				if err != nil || m.Payload != fmt.Sprint(i) {
					t.Fatalf("message %d: %v, %v", i, m, err)
				}
			}
			if err := sub.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := sub.Receive(t.Context()); err != nil {
				t.Fatal(err)
			}
			p.OnRequest(Once(DropReply(), "UNSUBSCRIBE"))
			_ = sub.Unsubscribe(t.Context(), "a")
			_, err := sub.ReceiveTimeout(t.Context(), time.Second)
			if lost := err != nil; lost != (version == 3) {
				t.Errorf("the confirmation: %v", err)
			}
		})
	}
}

func TestMonitorIsAStream(t *testing.T) {
	t.Parallel()
	s, p := behind(t)
	conn, r := raw(t, p.Addr())
	io.WriteString(conn, "MONITOR\r\n")
	wantLine(t, r, "+OK")
	for i := range 10 {
		dial(t, s.Addr()).Echo(t.Context(), fmt.Sprint("word", i))
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(line, fmt.Sprint("word", i)) {
				break
			}
		}
	}
}

// A client may send its bytes one by one, type commands by hand, and send empty
// ones, which have no answer.
func TestOddFraming(t *testing.T) {
	t.Parallel()
	_, p := behind(t)
	conn, r := raw(t, p.Addr())
	for _, b := range []byte("*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n\r\n*0\r\n  ping  there \r\n*1\r\n$4\r\npInG\r\n") {
		conn.Write([]byte{b})
	}
	for _, want := range []string{"$2", "hi", "$5", "there", "+PONG"} {
		wantLine(t, r, want)
	}
	if st := p.Stats(); st.Commands != 3 || st.Replies != 3 {
		t.Errorf("%+v, want 3 commands and replies", st)
	}
	// What is not the protocol is for the server to refuse.
	io.WriteString(conn, "*1\r\n!oops\r\n")
	if line, _ := r.ReadString('\n'); !strings.HasPrefix(line, "-ERR Protocol error") {
		t.Errorf("got %q", line)
	}
	if _, err := r.ReadByte(); err == nil {
		t.Error("the connection is still open")
	}
}

// A client that closes its sending side still gets its replies.
func TestHalfClose(t *testing.T) {
	t.Parallel()
	_, p := behind(t)
	p.SetLatency(10 * time.Millisecond)
	conn, r := raw(t, p.Addr())
	io.WriteString(conn, strings.Repeat("PING\r\n", 50))
	conn.CloseWrite()
	for range 50 {
		wantLine(t, r, "+PONG")
	}
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("got %v, want EOF", err)
	}
	eventually(t, "the link ends", func() bool { return p.Stats().Open == 0 })
}

func TestLargeValues(t *testing.T) {
	t.Parallel()
	_, p := behind(t)
	c := dial(t, p.Addr())
	for _, size := range []int{0, 1, 64<<10 - 1, 64 << 10, 1<<20 + 3} {
		v := strings.Repeat("v", size)
		c.Set(t.Context(), "k", v, 0)
		if got := c.Get(t.Context(), "k").Val(); got != v {
			t.Errorf("%d bytes come back as %d", size, len(got))
		}
	}
}

// raw opens a connection without a client library.
func raw(t *testing.T, addr string) (*net.TCPConn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn.(*net.TCPConn), bufio.NewReader(conn)
}

func wantLine(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	if line, err := r.ReadString('\n'); line != want+"\r\n" {
		t.Fatalf("got %q (%v), want %q", line, err, want)
	}
}
