package spool_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/spooljobs/spool"
)

// play is one schedule: the stage, the pieces, and what has become of them.
type play struct {
	*stage
	seed   uint64
	two    bool // queues
	prefix string
	beat   time.Duration
	cast   sync.WaitGroup // everybody

	mu     sync.Mutex // guards what follows, and what pieces say of it
	pieces map[string]*piece
	known  []*piece // whose handles others may use
	news   chan struct{}
	count  int
	left   int // actors that go on
	deaths int // of workers, and times that one was frozen
}

// dice are a party's own: what it does depends on the seed, not on when it does it.
func (y *play) dice(n uint64) *rand.Rand { return rand.New(rand.NewPCG(y.seed, n)) }

func (y *play) client(p *party) (*spool.Client, error) {
	return spool.New(p.rdb, spool.ClientConfig{Prefix: y.prefix, Logger: quiet})
}

// register makes pieces known to the handlers.
func (y *play) register(all ...*piece) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, p := range all {
		y.pieces[p.name] = p
	}
}

// publish lets others use the handles of pieces: at first of those whose ids are known beforehand, then of all.
func (y *play) publish(all []*piece, own bool) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, p := range all {
		if p.own == own && p.id() != "" {
			y.known = append(y.known, p)
		}
	}
	close(y.news)
	y.news = make(chan struct{})
}

// pick waits for a piece whose handle can be used.
func (y *play) pick(ctx context.Context, chance *rand.Rand, fits func(*piece) bool) *piece {
	for {
		y.mu.Lock()
		var found []*piece
		for _, p := range y.known {
			if fits(p) {
				found = append(found, p)
			}
		}
		news, last := y.news, y.left <= 0
		y.mu.Unlock()
		if len(found) > 0 {
			return found[chance.IntN(len(found))]
		}
		if last {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil
		}
	}
}

// told notes an answer, which holds for pieces that were put together.
func (y *play) told(all []*piece, err error, refusals ...error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	answer := yes
	if err != nil {
		answer = unsure
		for _, refusal := range refusals {
			if errors.Is(err, refusal) {
				answer = no
			}
		}
	}
	for _, p := range all {
		p.put = answer
	}
}

// worker is a party that works until it dies, or ctx ends.
func (y *play) worker(ctx context.Context, p *party) error {
	c, err := y.client(p)
	if err != nil {
		return err
	}
	queues := []string{"default"}
	if y.two {
		queues = append(queues, "far")
	}
	w := spool.NewWorker(c, spool.WorkerConfig{Queues: queues, ThreadSlots: 3, ReactorSlots: -1, Beat: y.beat, DeadAfter: 3 * y.beat,
		ShutdownGrace: -1, Identity: p.name})
	y.handlers(w)
	y.cast.Go(func() {
		defer close(p.done)
		defer p.rdb.Close()
		defer c.Close()
		run, stop := context.WithCancel(p.life)
		defer stop()
		defer context.AfterFunc(ctx, stop)()
		_ = w.Run(run) // of one that has died it says so
	})
	return nil
}

// begin notes a call of a handler.
func (y *play) begin(ctx context.Context, r role, saw string) (*piece, *runOf) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.count++
	p := y.pieces[r.Name]
	if p == nil {
		p = &piece{name: r.Name, id: func() string { return "" }}
		y.pieces[r.Name] = p
	}
	run := &runOf{token: fmt.Sprintf("%s#%d", r.Name, y.count), saw: saw}
	p.runs = append(p.runs, run)
	return p, run
}

func (y *play) handlers(w *spool.Worker) {
	stagedAct.Handle(w, func(ctx context.Context, r role) (string, error) { return y.plain(ctx, r, "") })
	stagedActTx.HandleTx(w, func(ctx context.Context, tx *spool.Tx, r role) (string, error) { return y.inTx(ctx, tx, r, "") })
	stagedReact.Handle(w, func(ctx context.Context, o spool.Outcome[string], r role) (string, error) {
		return y.plain(ctx, r, textOf(o.Value, o.Err))
	})
	stagedReactTx.HandleTx(w, func(ctx context.Context, tx *spool.Tx, o spool.Outcome[string], r role) (string, error) {
		return y.inTx(ctx, tx, r, textOf(o.Value, o.Err))
	})
	stagedJoin.Handle(w, func(ctx context.Context, o spool.Outcome[[]spool.Outcome[string]], r role) (string, error) {
		return y.plain(ctx, r, textOf(listText(o.Value), o.Err))
	})
	stagedJoinTx.HandleTx(w, func(ctx context.Context, tx *spool.Tx, o spool.Outcome[[]spool.Outcome[string]], r role) (string, error) {
		return y.inTx(ctx, tx, r, textOf(listText(o.Value), o.Err))
	})
}

// plain is the handler of jobs without a transaction.
func (y *play) plain(ctx context.Context, r role, saw string) (string, error) {
	p, run := y.begin(ctx, r, saw)
	c := spool.Running(ctx).Client()
	if r.Looks {
		if _, err := c.Queue("default").Counts(ctx); err != nil {
			return "", err
		}
	}
	return y.end(ctx, c, p, run)
}

// inTx is that of jobs with one: their effect is an entry in a list.
func (y *play) inTx(ctx context.Context, tx *spool.Tx, r role, saw string) (string, error) {
	p, run := y.begin(ctx, r, saw)
	if r.Looks {
		if err := tx.Do(ctx, "EXISTS", y.effects()+":none").Err(); err != nil {
			return "", err
		}
	}
	if err := tx.Do(ctx, "RPUSH", y.effects(), run.token).Err(); err != nil {
		return "", err
	}
	result, err := y.end(ctx, tx, p, run)
	if p.how == "fails" {
		err = spool.KeepWrites(err)
	}
	return result, err
}

// effects is the key of the list of effects.
func (y *play) effects() string { return "effects-" + y.prefix }

var errStaged = errors.New("failed")

// end is how a job goes.
func (y *play) end(ctx context.Context, to spool.To, p *piece, run *runOf) (string, error) {
	switch p.how {
	case "fails":
		return "", fmt.Errorf("%s %w", run.token, errStaged)
	case "retries":
		if spool.Running(ctx).Attempt() < 2 {
			return "", fmt.Errorf("%s tries: %w", run.token, errStaged)
		}
	case "becomes":
		child := &piece{name: run.token, kind: isJob, home: "default", place: "default", cond: 'd', rest: 'd'}
		other := stagedAct.With(role{Name: child.name})
		child.id = func() string { return spool.PartialID(other) }
		y.register(child)
		y.mu.Lock()
		run.child = child
		y.mu.Unlock()
		job, err := other.Put(ctx, to)
		if _, tx := to.(*spool.Tx); !tx {
			y.told([]*piece{child}, err)
		}
		if err != nil {
			return "", err
		}
		return spool.Become(job)
	case "grows":
		part := &piece{name: run.token, kind: isJob, home: p.home, place: "default", cond: 'd', rest: 'd', flow: p.flow}
		added := stagedAct.With(role{Name: part.name})
		part.id = func() string { return spool.PartialID(added) }
		y.register(part)
		y.mu.Lock()
		p.flow.added = append(p.flow.added, part)
		y.mu.Unlock()
		_, err := spool.Add(ctx, to, spool.Flow[string](ctx), added)
		if _, tx := to.(*spool.Tx); !tx {
			y.told([]*piece{part}, err, spool.ErrBadState)
		}
		if err != nil {
			return "", err
		}
	}
	return run.token, nil
}
