package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
)

// WorkerConfig is how a worker differs from the default. The zero value is the default.
type WorkerConfig struct {
	// Queues in strict order: a queue is served while those before it have nothing to claim. Defaults to "default".
	Queues []string
	// ThreadSlots is how many jobs of the thread lane run at once. Defaults to 1; -1 is none.
	ThreadSlots int
	// ReactorSlots is how many jobs of the reactor lane are under way at once, taking turns on one loop. Thousands
	// are fine. Defaults to 4; -1 is none.
	ReactorSlots int
	// Beat is how often the worker says that it lives, and sees to what dead ones held. Defaults to 5 s.
	Beat time.Duration
	// DeadAfter is the silence after which others count the worker as dead and run its jobs again; at least twice
	// Beat. Defaults to three times Beat: 15 s.
	DeadAfter time.Duration
	// ShutdownGrace is how long handlers may go on after Run's context has ended, before theirs do. Defaults to 10 s;
	// -1 is no time at all.
	ShutdownGrace time.Duration
	// Timeout bounds one attempt of jobs whose task and Partial name no Timeout. Defaults to none.
	Timeout time.Duration
	// Retry is the retry policy of jobs whose task and Partial name none: the option Retry. Defaults to no retry.
	Retry Option
	// KeepFailures is how long the outcomes of jobs that did not succeed are kept. Defaults to seven days.
	KeepFailures time.Duration
	// Identity names the worker to those who look. Defaults to a new UUID.
	Identity string
	// Logger takes the worker's log. Defaults to the client's.
	Logger *slog.Logger
}

func (cfg WorkerConfig) withDefaults(c *Client) (WorkerConfig, []error) {
	var mistakes []error
	wrong := func(field string, value any, rule string) {
		mistakes = append(mistakes, &FieldError{"WorkerConfig." + field, value, rule})
	}
	if len(cfg.Queues) == 0 {
		cfg.Queues = []string{DefaultQueue}
	}
	cfg.Queues = append([]string(nil), cfg.Queues...)
	seen := make(map[string]bool)
	for _, name := range cfg.Queues {
		if err := checkName("WorkerConfig.Queues", name, maxQueueName); err != nil {
			mistakes = append(mistakes, err)
		}
		if seen[name] {
			wrong("Queues", name, "names a queue twice")
		}
		seen[name] = true
	}
	slots := func(field string, n *int, standard int) {
		switch {
		case *n == 0:
			*n = standard
		case *n == -1:
			*n = 0
		case *n < 0 || *n > maxSlots:
			wrong(field, *n, fmt.Sprintf("must be from 1 to %d, or -1 for none", maxSlots))
			*n = 0
		}
	}
	slots("ThreadSlots", &cfg.ThreadSlots, 1)
	slots("ReactorSlots", &cfg.ReactorSlots, 4)
	period := func(field string, d *time.Duration, standard time.Duration) {
		if *d == 0 {
			*d = standard
		}
		if *d < 0 {
			wrong(field, *d, "must not be negative")
		}
	}
	period("Beat", &cfg.Beat, 5*time.Second)
	period("DeadAfter", &cfg.DeadAfter, 3*cfg.Beat)
	period("KeepFailures", &cfg.KeepFailures, 7*24*time.Hour)
	if cfg.DeadAfter < 2*cfg.Beat {
		wrong("DeadAfter", cfg.DeadAfter, "must be at least twice Beat, "+cfg.Beat.String())
	}
	if cfg.Timeout < 0 {
		wrong("Timeout", cfg.Timeout, "must not be negative")
	}
	switch {
	case cfg.ShutdownGrace == 0:
		cfg.ShutdownGrace = 10 * time.Second
	case cfg.ShutdownGrace == -1:
		cfg.ShutdownGrace = 0
	case cfg.ShutdownGrace < 0:
		wrong("ShutdownGrace", cfg.ShutdownGrace, "must not be negative, but for -1")
	}
	if cfg.Identity == "" {
		cfg.Identity = uuid.NewString()
	}
	if len(cfg.Identity) > maxTaskName {
		wrong("Identity", cfg.Identity, "must have at most 128 bytes")
	}
	if cfg.Logger == nil && c != nil {
		cfg.Logger = c.cfg.Logger
	}
	return cfg, mistakes
}

// maxSlots bounds the slots of a lane.
const maxSlots = 1_000_000

// Worker runs jobs. Give it handlers, then call Run.
type Worker struct {
	client   *Client
	cfg      WorkerConfig
	defaults settings // timeout and retry of jobs that name none

	mu       sync.Mutex // guards what follows
	mistakes []error
	handlers map[string]*handler
	running  *engine // while Run or Drain is under way
}

// NewWorker returns a worker on a client's Redis. It makes no call; mistakes in the configuration are returned by Run.
func NewWorker(c *Client, cfg WorkerConfig) *Worker {
	full, mistakes := cfg.withDefaults(c)
	w := &Worker{client: c, cfg: full, mistakes: mistakes, handlers: ownHandlers(), defaults: defaultSettings()}
	if c == nil {
		w.mistake(&FieldError{"client", nil, "must not be nil"})
	}
	w.defaults.timeout = full.Timeout
	if full.Retry != nil {
		full.Retry.applyPartial(&w.defaults)
		if err := w.defaults.err(); err != nil {
			w.mistake(fmt.Errorf("WorkerConfig.Retry: %w", err))
		}
	}
	return w
}

func (w *Worker) mistake(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mistakes = append(w.mistakes, err)
}

func (w *Worker) handle(h *handler) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.running != nil:
		w.mistakes = append(w.mistakes, &FieldError{"handler of " + h.def.name, nil, "must be given before Run"})
	case w.handlers[h.def.name] != nil:
		w.mistakes = append(w.mistakes, &FieldError{"handler of " + h.def.name, nil, "was given before"})
	default:
		w.handlers[h.def.name] = h
	}
}

// Run claims and runs jobs until ctx ends, and then shuts down in order: it claims nothing more, lets handlers learn
// (Run.Stopping) and gives them ShutdownGrace, ends their contexts, gives back to the front of the queue what still
// runs, delivers the last outcomes, unregisters, and returns with nothing of its own still running. The error is nil,
// or it lists mistakes made before, or it names handlers that ignored the end of their context and still run.
//
// While Redis is away handlers go on, and outcomes wait and are delivered afterwards. One Run may be under way at a
// time; after it has returned, Run may be called again.
func (w *Worker) Run(ctx context.Context) error {
	_, err := w.start(ctx, false)
	return err
}

// Drain runs what is ready until nothing is, flows, callbacks and what outboxes have for its queues included, then shuts
// down like Run and returns how many jobs it ran. Jobs that are due later, or that nobody here has a slot or a handler for,
// are left. No test needs to sleep.
func (w *Worker) Drain(ctx context.Context) (n int, err error) {
	return w.start(ctx, true)
}

func (w *Worker) start(ctx context.Context, drain bool) (int, error) {
	if ctx == nil {
		return 0, &FieldError{"ctx", nil, "must not be nil"}
	}
	e, err := w.engage(drain)
	if err != nil {
		return 0, err
	}
	defer func() {
		w.mu.Lock()
		w.running = nil
		w.mu.Unlock()
	}()
	return e.run(ctx)
}

func (w *Worker) engage(drain bool) (*engine, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.mistakes) > 0 {
		return nil, errors.Join(w.mistakes...)
	}
	if w.running != nil {
		return nil, fmt.Errorf("%w: the worker runs already", ErrBadState)
	}
	if w.client.life.Err() != nil {
		return nil, ErrClosed
	}
	e, err := newEngine(w, drain)
	if err != nil {
		return nil, fmt.Errorf("spool: starting the worker: %w", err)
	}
	w.running = e
	return e, nil
}

// Resize changes how many slots a lane has, at once. A smaller number never cuts a running job: new ones wait until
// fewer run. It holds for this Worker, also for a later Run.
func (w *Worker) Resize(lane Lane, slots int) error {
	if slots < 0 || slots > maxSlots {
		return &FieldError{"slots", slots, fmt.Sprintf("must be from 0 to %d", maxSlots)}
	}
	w.mu.Lock()
	if lane == Reactor {
		w.cfg.ReactorSlots = slots
	} else {
		w.cfg.ThreadSlots = slots
	}
	e := w.running
	w.mu.Unlock()
	if e != nil {
		e.resize(lane, slots)
	}
	return nil
}

// Identity is what names the worker to those who look.
func (w *Worker) Identity() string { return w.cfg.Identity }
