package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	neturl "net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// connect returns a client for a URL as redis.ParseURL reads it. It leaves repeating to us: a lost reply is not
// answered by a second execution in silence, and a dead server is found out at once.
func connect(url string) (*redis.Client, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		// What net/url says begins with the URL as it is.
		if parse := (*neturl.Error)(nil); errors.As(err, &parse) {
			err = parse.Err
		}
		return nil, &FieldError{"url", redact(url), "is not a Redis URL: " + err.Error()}
	}
	options.MaxRetries = -1
	options.DialerRetries = 1
	if options.PoolSize == 0 {
		options.PoolSize = poolSize
	}
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewClient(options), nil
}

// poolSize is the pool size of connections of our own. It is no limit that is ever met: there are as many connections
// as calls at a time, which are few. It is also the number of failed dials after which a pool of go-redis dials once a
// second by itself, whoever else holds back, so it must be more than an outage of an hour makes.
const poolSize = 1000

// redact cuts what may be a password out of a URL.
func redact(url string) string {
	if at := strings.LastIndexByte(url, '@'); at >= 0 {
		scheme, _, _ := strings.Cut(url, "://")
		return scheme + "://...@" + url[at+1:]
	}
	return url
}

// aside returns a client of our own beside another one, with the same settings and its own connections. Blocking
// calls and beats travel there: they never wait for the pool that the user's calls share, and closing it is the one
// sure way to end a blocked call. An answer is waited for at most so long.
func aside(rdb redis.UniversalClient, patience time.Duration, cut *interruptible) (redis.UniversalClient, error) {
	switch c := rdb.(type) {
	case *redis.Client:
		options := *c.Options()
		// Not the user's: go-redis writes to what it points to when a first connection has been greeted.
		options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
		options.PoolSize = poolSize
		options.MinIdleConns = 0
		options.ReadTimeout = patience
		options.MaxRetries = -1
		options.DialerRetries = 1
		if cut != nil {
			options.Dialer = cut.dialer(options.Dialer)
		}
		return redis.NewClient(&options), nil
	case *redis.ClusterClient:
		options := *c.Options()
		options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
		options.PoolSize = poolSize
		options.MinIdleConns = 0
		options.ReadTimeout = patience
		options.MaxRetries = -1
		return redis.NewClusterClient(&options), nil
	}
	return nil, &FieldError{"client", fmt.Sprintf("%T", rdb), "must be a *redis.Client or a *redis.ClusterClient"}
}

// interruptible makes the blocked calls of a client of our own end when cut is called. go-redis has no way to end a
// call that is on the wire but closing the client under it, which it reports as an accident; here the connections are
// told that their time is over.
type interruptible struct {
	mu    sync.Mutex
	over  bool                  // for good
	hit   bool                  // until arm
	conns map[net.Conn]struct{} // nil if none are known
}

// dialer makes the connections of a dialer known. Those of a cluster client are not: closing the client must do.
func (i *interruptible) dialer(dial dialer) dialer {
	i.conns = map[net.Conn]struct{}{}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.over {
			// It is born dead. An error here, go-redis would write to standard error.
			_ = conn.SetDeadline(time.Unix(1, 0))
		}
		i.conns[conn] = struct{}{}
		return &tracked{conn, i}, nil
	}
}

type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// cut ends what blocks, now and later. It returns false if it cannot.
func (i *interruptible) cut() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.over = true
	for conn := range i.conns {
		_ = conn.SetDeadline(time.Unix(1, 0))
	}
	return i.conns != nil
}

// interrupt ends what blocks now. A call that begins at the same moment may be hit, too: what is interrupted must be
// something that is repeated.
func (i *interruptible) interrupt() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.hit = true
	for conn := range i.conns {
		_ = conn.SetDeadline(time.Unix(1, 0))
	}
}

// arm is called before an attempt: what was interrupted before is over.
func (i *interruptible) arm() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.hit = false
}

// tracks says whether interrupting has an effect.
func (i *interruptible) tracks() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.conns != nil
}

// tracked is a connection whose time may be over.
type tracked struct {
	net.Conn
	i *interruptible
}

func (t *tracked) SetReadDeadline(at time.Time) error {
	t.i.mu.Lock()
	defer t.i.mu.Unlock()
	if t.i.over || t.i.hit {
		at = time.Unix(1, 0)
	}
	return t.Conn.SetReadDeadline(at)
}

func (t *tracked) Close() error {
	t.i.mu.Lock()
	delete(t.i.conns, t.Conn)
	t.i.mu.Unlock()
	return t.Conn.Close()
}

// oldestRedis is the oldest server whose commands suffice.
var oldestRedis = [2]int{6, 2}

// greet makes sure that there is a server and that it will do. What a managed server does not let us ask is passed
// over in silence.
func greet(ctx context.Context, rdb redis.UniversalClient, log *slog.Logger) error {
	if err := rdb.Ping(ctx).Err(); err != nil {
		return err
	}
	if info, err := rdb.Info(ctx, "server").Result(); err == nil {
		if err := checkVersion(info); err != nil {
			return err
		}
	}
	if policy, err := rdb.ConfigGet(ctx, "maxmemory-policy").Result(); err == nil {
		if p := policy["maxmemory-policy"]; p != "" && p != "noeviction" {
			log.LogAttrs(ctx, slog.LevelWarn, "redis may evict keys; jobs can be lost", slog.String("maxmemory-policy", p))
		}
	}
	return nil
}

var errTooOld = errors.New("redis 6.2 or newer is needed")

func checkVersion(info string) error {
	_, rest, ok := strings.Cut(info, "redis_version:")
	if !ok {
		return nil
	}
	version, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
	version = strings.TrimSpace(version)
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return nil
	}
	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	if err1 != nil || err2 != nil {
		return nil
	}
	if major < oldestRedis[0] || (major == oldestRedis[0] && minor < oldestRedis[1]) {
		return fmt.Errorf("the server is redis %s: %w", version, errTooOld)
	}
	return nil
}

// address is how errors name the server.
func address(rdb redis.UniversalClient) string {
	switch c := rdb.(type) {
	case *redis.Client:
		return c.Options().Addr
	case *redis.ClusterClient:
		return strings.Join(c.Options().Addrs, ",")
	}
	return "redis"
}

const greetTimeout = 5 * time.Second
