package main

import (
	"context"
	"runtime/debug"
	"strings"
	"sync/atomic"
)

// mainQueue is the queue of all cases but idle.
const mainQueue = "default"

// Peer is a job library that can be measured.
type Peer interface {
	Name() string
	// Settings names the version and the options that matter.
	Settings() string
	// Open connects to the server at addr. Every request sent on the broker's
	// connections, its workers' included, is added to requests.
	Open(ctx context.Context, addr string, requests *atomic.Int64) (Broker, error)
}

// Broker is a peer at work on one server.
type Broker interface {
	// Put puts one job. Many goroutines may call it at once.
	Put(ctx context.Context, payload []byte) error
	// PutMany is the quickest way the library gives one goroutine to put many.
	PutMany(ctx context.Context, payloads [][]byte) error
	// Work starts a worker and returns. The returned function stops the worker
	// and waits for it; it reports what went wrong.
	Work(ctx context.Context, w WorkConfig) (stop func() error, err error)
	// Unfinished counts the main queue's jobs that are not recorded as done.
	Unfinished(ctx context.Context) (int64, error)
	// Close ends the broker's connections. Stop its workers before.
	Close() error
}

// WorkConfig says what a worker does.
type WorkConfig struct {
	Slots  int
	Queues []string
	// Handle is told the number in the job's payload.
	Handle func(index int, err error)
	// Try is for handlers that do more than count, and may be run again: do is
	// their work, and its error is returned. Only drains set it.
	Try func(index int, do func() error) error
	// Fail is told when the worker ends by itself, and what makes going on
	// pointless.
	Fail func(error)
}

// transactor is a broker that counts its transactions.
type transactor interface {
	// Transactions tells how many have committed on this broker's connections,
	// and how many conflicts there were.
	Transactions() (commits, conflicts int64)
}

func peers() []Peer { return []Peer{spoolPeer{}, asynqPeer{}} }

func peerNamed(name string) (Peer, bool) {
	for _, p := range peers() {
		if p.Name() == name {
			return p, true
		}
	}
	return nil, false
}

func peerNames() []string {
	var list []string
	for _, p := range peers() {
		list = append(list, p.Name())
	}
	return list
}

// moduleVersion is the version of a module this program was built with,
// without the v, or "devel" if the build does not say.
func moduleVersion(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == path && dep.Replace == nil {
				return strings.TrimPrefix(dep.Version, "v")
			}
		}
	}
	return "devel"
}
