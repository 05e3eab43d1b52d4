package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool/internal/store"
)

// ClientConfig is how a client differs from the default. The zero value is the default.
type ClientConfig struct {
	// Prefix is the first part of every key: two prefixes on one Redis never meet. Defaults to "spool".
	Prefix string
	// MaxPayload bounds an encoded job, and an encoded result, in bytes. Defaults to 1 MiB.
	MaxPayload int
	// Patience is how long a call whose context has no deadline waits for Redis to come back. Defaults to 30 s.
	Patience time.Duration
	// WaitForRedis lets Open wait, with back-off, until its context ends, when Redis is absent at the start.
	// Defaults to an error at once.
	WaitForRedis bool
	// Connections is how many connections of their own transactions of Client.Transact may hold at a time. One that finds
	// none free waits for 1.75 s, then it is given one beyond. Defaults to 16.
	Connections int
	// Logger takes what is worth knowing and is nobody's return value. Defaults to slog.Default().
	Logger *slog.Logger
	// OnClose is called once, when the client has been closed. It is where an owner of more than the client, such as
	// package embedded, lets go of the rest. Defaults to nothing.
	OnClose func()
}

func (cfg ClientConfig) withDefaults() (ClientConfig, error) {
	if cfg.Prefix == "" {
		cfg.Prefix = "spool"
	}
	if err := checkName("ClientConfig.Prefix", cfg.Prefix, maxQueueName); err != nil {
		return cfg, err
	}
	if cfg.MaxPayload == 0 {
		cfg.MaxPayload = 1 << 20
	}
	if cfg.MaxPayload < 0 || cfg.MaxPayload > 256<<20 {
		return cfg, &FieldError{"ClientConfig.MaxPayload", cfg.MaxPayload, "must be from 1 byte to 256 MiB"}
	}
	if cfg.Patience == 0 {
		cfg.Patience = 30 * time.Second
	}
	if cfg.Patience < 0 {
		return cfg, &FieldError{"ClientConfig.Patience", cfg.Patience, "must not be negative"}
	}
	if cfg.Connections == 0 {
		cfg.Connections = 16
	}
	if cfg.Connections < 0 {
		return cfg, &FieldError{"ClientConfig.Connections", cfg.Connections, "must not be negative"}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return cfg, nil
}

// Client puts jobs, waits for their outcomes and looks at queues. It is safe for concurrent use.
type Client struct {
	cfg   ClientConfig
	rdb   redis.UniversalClient
	owned bool // rdb is ours to close
	id    string
	store *store.Store
	gate  *outage

	life context.Context // ends when the client is closed
	end  context.CancelFunc
	work sync.WaitGroup // every goroutine of the client

	conns     dedicated
	turns     turns
	commits   atomic.Int64 // transactions that took effect
	conflicts atomic.Int64

	mu      sync.Mutex // guards the maps and closed; nothing slow happens under it
	closed  bool
	queues  map[string]*store.Queue
	putters map[string]*putter
	waiter  *waiter
	change  map[string]*changer
	readers map[string]*reader
	posts   map[route]*postman
	resumes map[string]*chore
	txLines map[string][]*txLine // free ones
}

// Open connects to the Redis at a URL such as redis://localhost:6379/0 and owns the connections. The error names the
// address if nothing answers there, or if the server is older than Redis 6.2. At most one configuration may be given.
func Open(ctx context.Context, url string, cfg ...ClientConfig) (*Client, error) {
	if ctx == nil {
		return nil, &FieldError{"ctx", nil, "must not be nil"}
	}
	rdb, err := connect(url)
	if err != nil {
		return nil, err
	}
	c, err := newClient(rdb, true, cfg)
	if err != nil {
		rdb.Close()
		return nil, err
	}
	if err := c.greet(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// New returns a client on connections of the user's, a *redis.Client (single or Sentinel) or *redis.ClusterClient. It
// never closes them and makes no call.
func New(rdb redis.UniversalClient, cfg ...ClientConfig) (*Client, error) {
	switch c := rdb.(type) {
	case *redis.Client:
		if c != nil {
			return newClient(rdb, false, cfg)
		}
	case *redis.ClusterClient:
		if c != nil {
			return newClient(rdb, false, cfg)
		}
	}
	return nil, &FieldError{"client", fmt.Sprintf("%T", rdb), "must be a *redis.Client or a *redis.ClusterClient"}
}

func newClient(rdb redis.UniversalClient, owned bool, configs []ClientConfig) (*Client, error) {
	var cfg ClientConfig
	switch len(configs) {
	case 0:
	case 1:
		cfg = configs[0]
	default:
		return nil, &FieldError{"ClientConfig", len(configs), "may be given once"}
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s, err := store.New(rdb, cfg.Prefix, "")
	if err != nil {
		return nil, fmt.Errorf("spool: loading the scripts: %w", err)
	}
	c := &Client{cfg: cfg, rdb: rdb, owned: owned, id: uuid.NewString(), store: s, gate: &outage{log: cfg.Logger},
		queues: map[string]*store.Queue{}, putters: map[string]*putter{}, change: map[string]*changer{},
		readers: map[string]*reader{}, posts: map[route]*postman{}, resumes: map[string]*chore{}, txLines: map[string][]*txLine{}}
	c.conns.c, c.conns.limit = c, cfg.Connections
	s.Tell(c.errands)
	c.life, c.end = context.WithCancel(context.Background())
	return c, nil
}

// greet waits for a server if it may.
func (c *Client) greet(ctx context.Context) error {
	var err error
	for attempt := 0; ; attempt++ {
		try, cancel := context.WithTimeout(ctx, greetTimeout)
		err = greet(try, c.rdb, c.cfg.Logger)
		cancel()
		if err == nil || errors.Is(err, errTooOld) || !c.cfg.WaitForRedis {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(min(outageFirst<<min(attempt, 10), outageLongest)):
			continue
		}
		break
	}
	if err != nil {
		return fmt.Errorf("spool: opening %s: %w", address(c.rdb), err)
	}
	return nil
}

// Close ends what the client does: Puts and Waits under way return ErrClosed, or ErrUnsure where a call was on its
// way. It waits for the client's goroutines. Workers of the client must have returned before. A second call does
// nothing.
func (c *Client) Close() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	w := c.waiter
	putters := c.putters
	c.mu.Unlock()
	c.end()
	if w != nil {
		w.close()
	}
	for _, p := range putters {
		p.close(false)
	}
	var err error
	if c.owned {
		err = c.rdb.Close()
	}
	c.work.Wait()
	c.conns.close()
	for _, p := range putters {
		p.close(true)
	}
	if c.cfg.OnClose != nil {
		c.cfg.OnClose()
	}
	return err
}

// spawn starts a goroutine that Close waits for, unless the client is closed.
func (c *Client) spawn(fn func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.work.Go(fn)
	return true
}

// queue returns the store's handle of a queue whose name was checked.
func (c *Client) queue(name string) *store.Queue {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := c.queues[name]
	if q == nil {
		q = c.store.Queue(name)
		c.queues[name] = q
	}
	return q
}

// Check reads everything that the client's prefix holds and returns what is inconsistent, in words, or nil. It scans
// the keyspace: it is for tests and diagnosis.
func (c *Client) Check(ctx context.Context) error {
	if ctx == nil {
		return &FieldError{"ctx", nil, "must not be nil"}
	}
	if c.life.Err() != nil {
		return fmt.Errorf("%w: checking the keyspace", ErrClosed)
	}
	problems, err := store.Check(ctx, c.rdb, c.cfg.Prefix)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	errs := make([]error, len(problems))
	for i, problem := range problems {
		errs[i] = errors.New(problem)
	}
	return errors.Join(errs...)
}

// patient bounds a context that has no deadline.
func (c *Client) patient(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, c.cfg.Patience)
}
