package spool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool/internal/store"
)

// lookAgain is how often a client asks for everything it waits for, in case a message was lost.
const lookAgain = 30 * time.Second

// pingEvery is how often the subscription's connection is written to, which shows whether it is still one.
const pingEvery = 3 * time.Second

// waiter waits for the ends of jobs, for all callers of a client together. The end of a job is pushed: first the
// subscription to the client's channel is confirmed, then Redis is asked, so that no end falls between. After every
// reconnect, and each 30 s, it asks again, by page, for all that is still awaited.
type waiter struct {
	c     *Client
	begun chan struct{} // closed once sub is set
	sub   *redis.PubSub

	mu     sync.Mutex          // guards what follows, and what hangs on it; no call is made under it
	queues map[string]*awaited // by queue
	ended  bool
}

// awaited are the jobs of one queue somebody waits for.
type awaited struct {
	w     *waiter
	q     *store.Queue
	heard bool // the subscription is confirmed
	jobs  map[string][]chan answer
	ask   []string // ids to ask for
	busy  bool     // a goroutine is asking
}

// answer is what a wait ends with: a stored outcome, or an error.
type answer struct {
	outcome string
	err     error
}

// wait returns the stored outcome of a job once it has ended.
func (c *Client) wait(ctx context.Context, queue, id string) (string, error) {
	w, err := c.waits(queue)
	if err != nil {
		return "", err
	}
	ch := make(chan answer, 1)
	if err := w.add(queue, id, ch); err != nil {
		return "", err
	}
	select {
	case a := <-ch:
		return a.outcome, a.err
	case <-ctx.Done():
		w.drop(queue, id, ch)
		return "", fmt.Errorf("spool: waiting for job %s: %w", id, ctx.Err())
	}
}

// waits returns the client's waiter, started at first use with the first channel.
func (c *Client) waits(queue string) (*waiter, error) {
	q := c.queue(queue)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	if c.waiter == nil {
		w := &waiter{c: c, queues: map[string]*awaited{}, begun: make(chan struct{})}
		w.queues[queue] = &awaited{w: w, q: q, jobs: map[string][]chan answer{}}
		c.waiter = w
		c.work.Go(func() {
			w.sub = c.rdb.Subscribe(c.life, q.Channel(c.id))
			close(w.begun)
			c.work.Go(w.tend)
			w.listen()
		})
	}
	return c.waiter, nil
}

func (w *waiter) add(queue, id string, ch chan answer) error {
	q := w.c.queue(queue)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return ErrClosed
	}
	a := w.queues[queue]
	if a == nil {
		a = &awaited{w: w, q: q, jobs: map[string][]chan answer{}}
		w.queues[queue] = a
		// It is sent now or with the next connection; the confirmation comes to listen.
		w.c.spawn(func() {
			<-w.begun
			_ = w.sub.Subscribe(w.c.life, q.Channel(w.c.id))
		})
	}
	a.jobs[id] = append(a.jobs[id], ch)
	if a.heard {
		a.askLocked(id)
	}
	return nil
}

func (w *waiter) drop(queue, id string, ch chan answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := w.queues[queue]
	rest := a.jobs[id][:0]
	for _, other := range a.jobs[id] {
		if other != ch {
			rest = append(rest, other)
		}
	}
	if len(rest) == 0 {
		delete(a.jobs, id)
	} else {
		a.jobs[id] = rest
	}
}

// listen takes confirmations and messages until the client is closed. go-redis's own loop would dial ten times a second
// while Redis is away; this one waits with everybody else.
func (w *waiter) listen() {
	life, gate := w.c.life, w.c.gate
	for {
		m, err := w.sub.Receive(life)
		switch m := m.(type) {
		case *redis.Subscription:
			if m.Kind == "subscribe" {
				w.confirmed(m.Channel)
			}
		case *redis.Message:
			w.told(m.Channel, m.Payload)
		}
		if err == nil {
			continue
		}
		if err = store.Classify(err); errors.Is(err, store.ErrAway) {
			gate.report(false, err)
			// A ping dials and subscribes again. What comes of it comes to Receive.
			err = gate.do(life, func() error { return store.Classify(w.sub.Ping(life)) })
		}
		if life.Err() != nil {
			return
		}
		if err != nil {
			w.c.cfg.Logger.Warn("listening for the ends of jobs", "err", err)
			select {
			case <-time.After(outageLongest):
			case <-life.Done():
				return
			}
		}
	}
}

// tend keeps the connection alive, and looks again from time to time.
func (w *waiter) tend() {
	ping, look := time.NewTicker(pingEvery), time.NewTicker(lookAgain)
	defer ping.Stop()
	defer look.Stop()
	for {
		select {
		case <-ping.C:
			// If it fails, so does the Receive under way.
			_ = w.c.gate.do(w.c.life, func() error { return store.Classify(w.sub.Ping(w.c.life)) })
		case <-look.C:
			w.mu.Lock()
			for _, a := range w.queues {
				a.askAllLocked()
			}
			w.mu.Unlock()
		case <-w.c.life.Done():
			return
		}
	}
}

func (w *waiter) confirmed(channel string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.queues {
		if a.q.Channel(w.c.id) == channel {
			a.heard = true
			a.askAllLocked()
		}
	}
}

func (w *waiter) told(channel, message string) {
	if len(message) < 2 {
		return
	}
	id := store.UnpackID(message[1:])
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.queues {
		if a.q.Channel(w.c.id) == channel && a.jobs[id] != nil {
			a.askLocked(id)
		}
	}
}

func (a *awaited) askAllLocked() {
	a.ask = a.ask[:0]
	for id := range a.jobs {
		a.ask = append(a.ask, id)
	}
	a.startLocked()
}

func (a *awaited) askLocked(id string) {
	a.ask = append(a.ask, id)
	a.startLocked()
}

func (a *awaited) startLocked() {
	if !a.busy && len(a.ask) > 0 {
		a.busy = a.w.c.spawn(a.run)
	}
}

// run asks, a page a call, until there is nothing to ask for. Those who come meanwhile share the next call.
func (a *awaited) run() {
	for {
		a.w.mu.Lock()
		n := min(len(a.ask), store.CallItems)
		page := append([]string(nil), a.ask[:n]...)
		a.ask = append(a.ask[:0], a.ask[n:]...)
		a.busy = n > 0
		a.w.mu.Unlock()
		if n == 0 {
			return
		}
		var answers []store.Answer
		err := a.w.c.gate.do(a.w.c.life, func() error {
			var err error
			answers, err = a.q.Watch(a.w.c.life, a.w.c.id, page)
			return err
		})
		a.settle(page, answers, err)
	}
}

// settle hands out the answers that are final and asks again for those that did not fit.
func (a *awaited) settle(page []string, answers []store.Answer, err error) {
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	for i, id := range page {
		var final answer
		switch {
		case a.w.c.life.Err() != nil:
			final.err = ErrClosed
		case err != nil:
			final.err = fmt.Errorf("spool: waiting for job %s: %w", id, err)
		case answers[i].State == store.AnswerDone:
			final.outcome = answers[i].Outcome
		case answers[i].State == store.AnswerUnknown && slices.Contains(a.ask, id):
			continue // somebody began to wait meanwhile, perhaps for a job that was put meanwhile: ask again
		case answers[i].State == store.AnswerUnknown:
			final.err = fmt.Errorf("%w: %q", ErrUnknown, id)
		case answers[i].State == store.AnswerLater:
			a.ask = append(a.ask, id)
			continue
		default:
			continue
		}
		for _, ch := range a.jobs[id] {
			ch <- final
		}
		delete(a.jobs, id)
	}
}

// close ends every wait.
func (w *waiter) close() {
	w.mu.Lock()
	w.ended = true
	for _, a := range w.queues {
		for id, waiting := range a.jobs {
			for _, ch := range waiting {
				ch <- answer{err: ErrClosed}
			}
			delete(a.jobs, id)
		}
	}
	w.mu.Unlock()
	<-w.begun
	if err := w.sub.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		w.c.cfg.Logger.Debug("closing the subscription", "err", err)
	}
}
