package spool_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool"
)

// director decides who goes on. Half of the seeds choose among all; the others give parties ranks that change now and
// then, so that some are overtaken by everybody for long (Burckhardt et al., A Randomized Scheduler with Probabilistic
// Guarantees of Finding Bugs, 2010).
type director struct {
	*play
	chance  *rand.Rand
	settle  func() // waits until nothing moves
	ranked  bool
	ranks   map[*party]int
	budget  tolls // what may still be done to the parties
	workers []*party
	others  []*party
	curtain context.Context // ends when the survivors may go
	look    *spool.Client   // of nobody on the stage
	rdb     *redis.Client   // likewise
}

const (
	mostSteps = 5000
	mostTime  = 5 * time.Minute
)

// plan decides what the parties have to bear. Some are spared.
func (d *director) plan() {
	d.ranked = d.chance.IntN(2) == 0
	if d.chance.IntN(4) > 0 {
		d.budget.lost = d.chance.IntN(6)
		d.budget.cut = d.chance.IntN(3)
	}
	if d.chance.IntN(4) > 0 {
		d.budget.kills = d.chance.IntN(3)
		d.budget.freezes = d.chance.IntN(2)
	}
}

// open brings the cast onto the stage.
func (d *director) open() error {
	for i := range 2 + d.chance.IntN(2) {
		p := d.enter(fmt.Sprintf("worker %d", i))
		d.workers = append(d.workers, p)
		if err := d.worker(d.curtain, p); err != nil {
			return err
		}
	}
	extra := func(name string, do func(ctx context.Context, c *spool.Client)) error {
		p := d.enter(name)
		d.others = append(d.others, p)
		return d.actor(p, do)
	}
	writer := func(prefix string, n uint64) *author { return &author{chance: d.dice(n), prefix: prefix, two: d.two} }
	return errors.Join(
		extra("putter", d.puts(writer("put", 1), 2)),
		extra("adder", d.adds(writer("add", 2), 1+d.chance.IntN(3))),
		extra("other adder", d.adds(writer("more", 3), d.chance.IntN(3))),
		extra("canceller", d.cancels(d.dice(4), d.chance.IntN(3))),
	)
}

// leave waits for those who have not died.
func (d *director) leave() {
	for _, p := range append(d.workers, d.others...) {
		select {
		case <-p.done:
		case <-p.life.Done():
		}
	}
}

// direct lets the schedule go on until all have ended and nothing is left to do.
func (d *director) direct(ctx context.Context) error {
	begun := time.Now()
	for {
		d.settle()
		waiting := d.waiting()
		if len(waiting) == 0 || d.chance.IntN(200) == 0 {
			if len(waiting) == 0 && d.over() {
				left, err := d.left(ctx)
				if left == "" || err != nil {
					return err
				}
				if time.Since(begun) > mostTime {
					return fmt.Errorf("what has begun does not end: %s", left)
				}
			}
			time.Sleep(d.beat / 2) // beats run
			continue
		}
		d.tally.steps++
		if d.tally.steps > mostSteps {
			return fmt.Errorf("after %d steps it goes on", mostSteps)
		}
		if err := d.step(waiting); err != nil {
			return err
		}
	}
}

// over says whether all who put, add and cancel have done so, and nobody is frozen, who may yet put something.
func (d *director) over() bool {
	d.play.mu.Lock()
	defer d.play.mu.Unlock()
	return d.play.left <= 0 && !d.chilled()
}

// step lets one call meet its fate.
func (d *director) step(waiting []*stop) error {
	next := waiting[d.chance.IntN(len(waiting))]
	if d.ranked {
		if d.chance.IntN(15) == 0 {
			d.ranks = map[*party]int{}
		}
		for _, stop := range waiting {
			if d.ranks[stop.by] == 0 {
				d.ranks[stop.by] = 1 + d.chance.IntN(1000)
			}
			if d.ranks[stop.by] > d.ranks[next.by] {
				next = stop
			}
		}
	}
	works := contains(d.workers, next.by)
	t := &d.stage.tally
	switch roll := d.chance.IntN(100); {
	case roll < 8 && d.budget.lost > 0:
		d.budget.lost--
		t.lost++
		d.release(next, unheard)
	case roll < 11 && d.budget.cut > 0:
		d.budget.cut--
		t.cut++
		d.release(next, cutOff)
	case roll < 18 && d.budget.kills > 0:
		d.budget.kills--
		t.kills++
		d.release(next, diesHere+fateOf(d.chance.IntN(2)))
		if works {
			return d.replace(next.by)
		}
	case roll < 22 && d.budget.freezes > 0 && works:
		d.budget.freezes--
		t.freezes++
		d.mu.Lock()
		d.deaths++
		d.mu.Unlock()
		next.by.freeze(d.beat * time.Duration(1+d.chance.IntN(12)))
	default:
		d.release(next, goes)
	}
	return nil
}

// replace lets another worker come for one that dies.
func (d *director) replace(old *party) error {
	d.mu.Lock()
	d.deaths++
	d.mu.Unlock()
	p := d.enter(fmt.Sprintf("worker %d", len(d.workers)))
	d.workers = append(d.workers, p)
	return d.worker(d.curtain, p)
}

// left says what of the queues is not at its end.
func (d *director) left(ctx context.Context) (string, error) {
	for _, queue := range d.queues() {
		n, err := d.look.Queue(queue).Counts(ctx)
		if err != nil {
			return "", err
		}
		out, err := d.rdb.HLen(ctx, d.look.Queue(queue).Tag()+":outbox").Result()
		if err != nil {
			return "", err
		}
		if n.Pending()+n.Active+n.Adopting+n.Callbacks > 0 || out > 0 {
			return fmt.Sprintf("queue %s: %+v, in the outbox %d", queue, n, out), nil
		}
	}
	return "", nil
}

func (y *play) queues() []string {
	if y.two {
		return []string{"default", "far"}
	}
	return []string{"default"}
}

func contains(list []*party, p *party) bool {
	for _, other := range list {
		if other == p {
			return true
		}
	}
	return false
}
