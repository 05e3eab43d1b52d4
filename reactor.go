package spool

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// loop is where the reactor handlers of an engine take turns. There is no scheduler: each handler is a goroutine, and
// the turn is handed from one to the next in the order in which they became ready. Between two waits a handler is
// alone, so reactor handlers share memory without locks. (The reactor of Twisted, with goroutines as the stacks that
// its callbacks lacked.)
type loop struct {
	log *slog.Logger

	mu      sync.Mutex
	taken   bool
	waiting []chan struct{} // in order; closed to hand over the turn
	holder  string          // who has the turn
	since   time.Time
}

// longTurn is from when on a handler that keeps the turn is named in the log.
const longTurn = 100 * time.Millisecond

// enter waits for the turn, or for ctx to end.
func (l *loop) enter(ctx context.Context, who string) error {
	l.mu.Lock()
	if !l.taken {
		l.takeLocked(who)
		l.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	l.waiting = append(l.waiting, turn)
	l.mu.Unlock()
	select {
	case <-turn:
	case <-ctx.Done():
		if l.withdraw(turn) {
			return ctx.Err()
		}
		// The turn was handed over at the same moment: it is ours, and must be passed on.
		<-turn
		l.leave()
		return ctx.Err()
	}
	l.mu.Lock()
	l.takeLocked(who)
	l.mu.Unlock()
	return nil
}

func (l *loop) takeLocked(who string) {
	l.taken, l.holder, l.since = true, who, time.Now()
}

func (l *loop) withdraw(turn chan struct{}) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, other := range l.waiting {
		if other == turn {
			l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// leave hands the turn to who has waited longest.
func (l *loop) leave() {
	l.mu.Lock()
	who, took := l.holder, time.Since(l.since)
	l.holder = ""
	if len(l.waiting) > 0 {
		next := l.waiting[0]
		l.waiting = l.waiting[1:]
		close(next)
	} else {
		l.taken = false
	}
	l.mu.Unlock()
	if took > longTurn && who != "" {
		l.log.LogAttrs(context.Background(), slog.LevelWarn, "a reactor handler kept the loop",
			slog.String("handler", who), slog.Duration("for", took))
	}
}

// watch names a handler that keeps the turn at this moment; beats call it.
func (l *loop) watch() {
	l.mu.Lock()
	who, since := l.holder, l.since
	l.mu.Unlock()
	if took := time.Since(since); who != "" && took > longTurn {
		l.log.LogAttrs(context.Background(), slog.LevelWarn, "a reactor handler keeps the loop",
			slog.String("handler", who), slog.Duration("for", took))
	}
}

// Await lets a reactor handler wait: it leaves the loop, calls fn, and is back on the loop, alone again, when Await
// returns what fn returned. What fn does it does beside other handlers. In a thread handler, and outside a worker,
// Await just calls fn, so one handler serves both lanes. A panic of fn goes to the caller.
func Await[T any](ctx context.Context, fn func(context.Context) (T, error)) (T, error) {
	r := Running(ctx)
	if !r.onLoop {
		return fn(ctx)
	}
	r.loop.leave()
	// Back on the loop whatever happens: the handler's code after Await relies on being alone, and so do others.
	defer func() { _ = r.loop.enter(context.Background(), r.task) }()
	// Off the loop, a nested Await must not leave it again.
	return fn(off(ctx, r))
}

// OnLoop runs fn on the loop of the worker's reactor, alone, in its turn, and returns when it has run. It is the way
// in from a thread handler. If ctx ends before its turn comes, fn does not run and the context's error comes back. On
// the loop already, and outside a worker, fn just runs. A panic of fn goes to the caller.
func OnLoop(ctx context.Context, fn func()) error {
	r := Running(ctx)
	if r.loop == nil || r.onLoop {
		fn()
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := r.loop.enter(ctx, r.task); err != nil {
		return err
	}
	defer r.loop.leave()
	fn()
	return nil
}

// off returns a context for the same run, off the loop.
func off(ctx context.Context, r *Run) context.Context {
	away := *r
	away.onLoop = false
	return &runContext{ctx, &away, nil}
}
