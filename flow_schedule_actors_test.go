package spool_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/spooljobs/spool"
)

// actor lets a party do something with a client of its own until it is done or the party dies.
func (y *play) actor(p *party, do func(ctx context.Context, c *spool.Client)) error {
	c, err := y.client(p)
	if err != nil {
		return err
	}
	y.mu.Lock()
	y.left++
	y.mu.Unlock()
	y.cast.Go(func() {
		defer close(p.done)
		defer p.rdb.Close()
		defer c.Close()
		do(p.life, c)
		y.mu.Lock()
		defer y.mu.Unlock()
		y.left--
		close(y.news)
		y.news = make(chan struct{})
	})
	return nil
}

// puts puts jobs and flows.
func (y *play) puts(a *author, n int) func(ctx context.Context, c *spool.Client) {
	return func(ctx context.Context, c *spool.Client) {
		for range n {
			from := len(a.all)
			put := y.write(a)
			fresh := a.all[from:]
			y.register(fresh...)
			y.publish(fresh, true)
			err := put(ctx, c)
			y.told(fresh, err, spool.ErrIDTaken)
			y.publish(fresh, false)
		}
	}
}

// write makes something to put.
func (y *play) write(a *author) func(ctx context.Context, c *spool.Client) error {
	switch a.chance.IntN(8) {
	case 0:
		p, _ := a.act()
		return putting(p)
	case 1:
		p, _ := a.act("becomes")
		return putting(p)
	case 2:
		p, _ := a.race()
		return putting(p)
	case 3, 4:
		p, _ := a.then()
		return putting(p)
	case 5:
		p, _ := a.graph()
		return putting(p)
	}
	p, _ := a.list()
	return putting(p)
}

func putting[R any](p spool.Partial[R]) func(ctx context.Context, c *spool.Client) error {
	return func(ctx context.Context, c *spool.Client) error {
		_, err := p.Put(ctx, c)
		return err
	}
}

// adds adds callbacks to what others have put, in one way or another.
func (y *play) adds(a *author, n int) func(ctx context.Context, c *spool.Client) {
	return func(ctx context.Context, c *spool.Client) {
		for range n {
			parent := y.pick(ctx, a.chance, func(p *piece) bool { return p.kind != isGraph && !p.odd })
			if parent == nil {
				return
			}
			y.add(ctx, c, a, parent)
		}
	}
}

func (y *play) add(ctx context.Context, c *spool.Client, a *author, parent *piece) {
	from, cond := len(a.all), "sfd"[a.chance.IntN(3)]
	var follow func(ctx context.Context, to spool.To) error
	if parent.kind == isList {
		if a.one(3) {
			y.grow(ctx, c, a, parent)
			return
		}
		after, _ := a.join(seesOne, cond, parent)
		follow = following(stagedList.Job(c, parent.ref()), after, cond)
	} else {
		after, _ := a.react(parent, cond)
		follow = following(stagedAct.Job(c, parent.ref()), after, cond)
	}
	fresh := a.all[from:]
	y.register(fresh...)
	y.publish(fresh, true)
	var err error
	if a.one(4) {
		err = c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error { return follow(ctx, tx) }, spool.TxConfig{Queue: parent.home})
	} else {
		err = follow(ctx, c)
	}
	y.told(fresh, err, spool.ErrUnknown)
	if err == nil {
		y.publish(fresh, false)
	}
}

func following[P, R any](j *spool.Job[P], after spool.After[P, R], cond byte) func(ctx context.Context, to spool.To) error {
	return func(ctx context.Context, to spool.To) (err error) {
		switch cond {
		case 's':
			_, err = spool.OnSuccess(ctx, to, j, after)
		case 'f':
			_, err = spool.OnFailure(ctx, to, j, after)
		default:
			_, err = spool.OnDone(ctx, to, j, after)
		}
		return err
	}
}

// grow adds a part to a flow.
func (y *play) grow(ctx context.Context, c *spool.Client, a *author, flow *piece) {
	from := len(a.all)
	partial, part := a.act()
	a.home(part, flow.home)
	part.flow = flow
	fresh := a.all[from:]
	y.register(fresh...)
	y.mu.Lock()
	flow.added = append(flow.added, part)
	y.mu.Unlock()
	_, err := spool.Add(ctx, c, stagedList.Job(c, flow.ref()), partial)
	y.told(fresh, err, spool.ErrBadState, spool.ErrUnknown)
	if err == nil {
		y.publish(fresh, true)
		y.publish(fresh, false)
	}
}

// cancels cancels what others have put.
func (y *play) cancels(chance *rand.Rand, n int) func(ctx context.Context, c *spool.Client) {
	return func(ctx context.Context, c *spool.Client) {
		for i := range n {
			p := y.pick(ctx, chance, func(*piece) bool { return true })
			if p == nil {
				return
			}
			call := &cancelOf{label: fmt.Sprintf("reason %d.", i)}
			y.mu.Lock()
			p.cancels = append(p.cancels, call)
			y.mu.Unlock()
			why, all := errors.New(call.label), chance.IntN(2) == 0
			var err error
			switch {
			case p.kind == isList && all:
				y.blame(p, call.label)
				_, err = stagedList.Job(c, p.ref()).CancelAll(ctx, why)
			case p.kind == isGraph && all:
				y.blame(p, call.label)
				_, err = stagedGraph.Job(c, p.ref()).CancelAll(ctx, why)
			default:
				err = stagedAct.Job(c, p.ref()).Cancel(ctx, why)
			}
			y.mu.Lock()
			switch {
			case err == nil:
				call.answer = yes
			case errors.Is(err, spool.ErrBadState), errors.Is(err, spool.ErrUnknown):
				call.answer = no
			}
			y.mu.Unlock()
		}
	}
}

// blame notes that CancelAll may cancel the parts with the same reason.
func (y *play) blame(flow *piece, label string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, list := range [][]*piece{flow.parts, flow.added} {
		for _, p := range list {
			p.cancels = append(p.cancels, &cancelOf{label: label})
		}
	}
}

// ref is what Task.Job takes.
func (p *piece) ref() string { return p.home + "/" + p.id() }
