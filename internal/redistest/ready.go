package redistest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// errPortTaken says that the server could not bind its port.
var errPortTaken = errors.New("port taken")

// awaitReady polls until process p answers PING at addr. It returns early when
// p exits, with the end of its log.
func awaitReady(ctx context.Context, p *process, addr, password string) error {
	var last error
	for {
		if last = probe(ctx, addr, password, p.cmd.Process.Pid); last == nil {
			return nil
		}
		select {
		case <-p.done:
			log := p.log.String()
			if strings.Contains(log, "already in use") {
				return fmt.Errorf("%w: %s\n%s", errPortTaken, addr, log)
			}
			return fmt.Errorf("it exited (%v); its log:\n%s", p.err, log)
		case <-ctx.Done():
			return fmt.Errorf("%w (last: %v); its log:\n%s", context.Cause(ctx), last, p.log.String())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// probe returns nil if the process pid answers PING at addr. The id is compared
// because the port may belong to a server of another test, while ours is about
// to fail on it.
func probe(ctx context.Context, addr, password string, pid int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp4", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)

	var ask []byte
	if password != "" {
		ask = appendCommand(ask, "AUTH", password)
	}
	ask = appendCommand(ask, "INFO", "server")
	ask = appendCommand(ask, "PING")
	if _, err := conn.Write(ask); err != nil {
		return err
	}
	return readProbe(bufio.NewReader(conn), "process_id:"+strconv.Itoa(pid))
}

// readProbe reads lines up to the PONG, which must come after the line want.
func readProbe(r *bufio.Reader, want string) error {
	found := false
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		switch line = strings.TrimSuffix(line, "\r\n"); {
		case line == want:
			found = true
		case strings.HasPrefix(line, "-"):
			return errors.New(line[1:])
		case line == "+PONG" && found:
			return nil
		case line == "+PONG":
			return errors.New("another server answers at this port")
		}
	}
}

// appendCommand appends a command in the protocol's form.
func appendCommand(b []byte, words ...string) []byte {
	b = fmt.Appendf(b, "*%d\r\n", len(words))
	for _, w := range words {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b
}
