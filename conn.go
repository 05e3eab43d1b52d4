package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// connect returns a client for a URL as redis.ParseURL reads it. It leaves repeating to us: a lost reply is not
// answered by a second execution in silence, and a dead server is found out at once.
func connect(url string) (*redis.Client, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
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

// aside returns a client of our own beside another one, with the same settings and its own connections. Blocking calls and beats travel there: they never wait for the pool that the user's calls share, and closing
// it is the one sure way to end a blocked call. An answer is waited for at most so long.
func aside(rdb redis.UniversalClient, patience time.Duration) (redis.UniversalClient, error) {
	switch c := rdb.(type) {
	case *redis.Client:
		options := *c.Options()
		options.PoolSize = poolSize
		options.MinIdleConns = 0
		options.ReadTimeout = patience
		options.MaxRetries = -1
		options.DialerRetries = 1
		return redis.NewClient(&options), nil
	case *redis.ClusterClient:
		options := *c.Options()
		options.PoolSize = poolSize
		options.MinIdleConns = 0
		options.ReadTimeout = patience
		options.MaxRetries = -1
		return redis.NewClusterClient(&options), nil
	}
	return nil, &FieldError{"client", fmt.Sprintf("%T", rdb), "must be a *redis.Client or a *redis.ClusterClient"}
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
