package future

import (
	"context"
	"slices"
	"sync"
)

// Gate stands before something that takes its time to open, such as a connection.
// Calls that come too early wait, and then run in the order in which they came. Once
// it is open they just run. If opening fails, all calls get its error, those that wait
// and those that come later.
//
// Those that waited run one after the other, each when the one before has returned; one
// that waits for another behind it waits for ever. A call that comes after the opening
// does not queue behind them, so they may make calls themselves.
//
// Any number of goroutines may use a Gate at once.
type Gate struct {
	opening *Future[struct{}]

	mu     sync.Mutex
	opened bool            // turns are being given
	line   []chan struct{} // who waits; the channel of the first is closed when its turn comes
}

// NewGate calls open in a goroutine, once, and returns a Gate that opens when open has
// returned. If that returns an error or panics, or if ctx has ended before, the gate
// opens to that error. The end of ctx is the way to give up opening; it has no effect
// later. The context that open gets ends when open returns.
func NewGate(ctx context.Context, open func(context.Context) error) *Gate {
	g := &Gate{opening: Go(ctx, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, open(ctx)
	})}
	g.opening.watch(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.opened = true
		g.callFirstLocked()
	})
	return g
}

// Wait waits until the gate has opened, and returns the error of that. If ctx ends
// first, it returns the context's. There is no order among those who wait so.
func (g *Gate) Wait(ctx context.Context) error {
	_, err := g.opening.Wait(ctx)
	return err
}

// Do calls fn in the caller's goroutine when the gate has opened and its turn has come,
// and returns what fn returns. If opening failed it returns that error, if ctx ends
// first the context's; fn is not called then, and others do not wait for it. A panic of
// fn goes to the caller.
func (g *Gate) Do(ctx context.Context, fn func() error) error {
	turn := g.lineUp()
	defer g.leave(turn)
	if err := g.await(ctx, turn); err != nil {
		return err
	}
	return fn()
}

// Through is Do for who does not want to wait: it takes its place in the line, and
// returns the future of what fn will return in a goroutine of its own. So calls made one
// after the other in one goroutine run in that order. For cancellation and panics see
// Go; one that is cancelled before its turn leaves the line, and fn is not called.
func Through[T any](ctx context.Context, g *Gate, fn func(context.Context) (T, error)) *Future[T] {
	turn := g.lineUp()
	f := Go(ctx, func(ctx context.Context) (T, error) {
		if err := g.await(ctx, turn); err != nil {
			var none T
			return none, err
		}
		return fn(ctx)
	})
	f.watch(func() { g.leave(turn) })
	return f
}

// lineUp takes a place in the line. It returns nil if there is no need to.
func (g *Gate) lineUp() chan struct{} {
	if g.opening.isSettled() {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened {
		return nil
	}
	turn := make(chan struct{})
	g.line = append(g.line, turn)
	return turn
}

// await waits for the turn. It returns nil if the call may run.
func (g *Gate) await(ctx context.Context, turn chan struct{}) error {
	if turn != nil {
		select {
		case <-turn:
		case <-ctx.Done():
		}
	}
	if err := g.opening.Err(); err != nil {
		return err
	}
	return ctx.Err()
}

// leave gives up the place in the line, and the turn if it has come.
func (g *Gate) leave(turn chan struct{}) {
	if turn == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.line, turn)
	g.line = slices.Delete(g.line, i, i+1)
	if i == 0 && g.opened {
		g.callFirstLocked()
	}
}

func (g *Gate) callFirstLocked() {
	if len(g.line) > 0 {
		close(g.line[0])
	}
}
