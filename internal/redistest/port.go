package redistest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

const loopback = "127.0.0.1"

// Ports come from below the range that systems use for outgoing connections
// (32768 and up on Linux, 49152 and up elsewhere), for two reasons. A server
// that is down keeps its port: no outgoing connection of the machine takes it.
// And a client that keeps dialling a dead port inside that range may be given
// the very same port as its own, connect to itself, and talk to a mirror.
const (
	portsFrom = 15000
	portsTo   = 30000
)

// listen opens a listener on a random free port.
func listen() (net.Listener, error) {
	var errs []error
	for range 100 {
		port := portsFrom + rand.IntN(portsTo-portsFrom)
		l, err := net.Listen("tcp4", net.JoinHostPort(loopback, strconv.Itoa(port)))
		if err == nil {
			return l, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("redistest: no free port: %w", errors.Join(errs[:3]...))
}

// freePort returns a port that was free a moment ago.
func freePort() (int, error) {
	l, err := listen()
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}
