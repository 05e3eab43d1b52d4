package spool_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/failure"
)

// audit says what is wrong after all have gone.
func (y *play) audit(ctx context.Context, c *spool.Client, rdb *redis.Client) []string {
	y.mu.Lock()
	defer y.mu.Unlock()
	l := &ledger{play: y, texts: map[*piece]string{}, effects: map[string]int{}}
	if err := c.Check(ctx); err != nil {
		l.wrong = append(l.wrong, err.Error())
	}
	tokens, err := rdb.LRange(ctx, y.effects(), 0, -1).Result()
	if err != nil {
		return append(l.wrong, err.Error())
	}
	for _, token := range tokens {
		l.effects[token]++
	}
	for _, queue := range l.queues() {
		if n, err := c.Queue(queue).Counts(ctx); err == nil && y.timed {
			l.swept += int(n.Interrupted)
		}
	}
	l.learn(ctx, c)
	l.judge()
	l.books(ctx, c, rdb)
	slices.Sort(l.wrong)
	if len(l.wrong) > 0 {
		l.wrong = append(l.wrong, l.describe()...)
	}
	return l.wrong
}

// describe lists the pieces and the steps.
func (l *ledger) describe() []string {
	names := func(list []*piece) (all []string) {
		for _, p := range list {
			all = append(all, p.name)
		}
		return all
	}
	var lines []string
	for _, p := range l.pieces {
		line := fmt.Sprintf("  %s %s in %s, runs in %s, %s: follows %v (%c), parts %v %v (%c), put %v: %s",
			p.name, cmp.Or(p.how, "works"), p.home, p.place, p.id(), names(p.parents), p.cond, names(p.parts), names(p.added), p.rest, p.put, l.texts[p])
		for _, run := range p.runs {
			line += fmt.Sprintf("\n    %s saw %q, %d effects", run.token, run.saw, l.effects[run.token])
		}
		for _, c := range p.cancels {
			line += fmt.Sprintf("\n    cancel %q: %v", c.label, c.answer)
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return append(lines, "  "+strings.Join(l.trace, "\n  "))
}

// books: nothing is left of what jobs had to do with each other, and the counters add up.
func (l *ledger) books(ctx context.Context, c *spool.Client, rdb *redis.Client) {
	var sum spool.Counts
	for _, queue := range l.queues() {
		for _, key := range []string{"edges", "outbox"} {
			if left, err := rdb.HGetAll(ctx, c.Queue(queue).Tag()+":"+key).Result(); err != nil || len(left) > 0 {
				l.wrong = append(l.wrong, fmt.Sprintf("%s of %s: %q, %v", key, queue, left, err))
			}
		}
		n, err := c.Queue(queue).Counts(ctx)
		if err != nil || n.Pending()+n.Active+n.Adopting+n.Callbacks+n.Quarantined > 0 {
			l.wrong = append(l.wrong, fmt.Sprintf("queue %s: %+v, %v", queue, n, err))
		}
		sum.Succeeded, sum.Failed, sum.Cancelled = sum.Succeeded+n.Succeeded, sum.Failed+n.Failed, sum.Cancelled+n.Cancelled
		sum.Completed, sum.Aborted, sum.Expired = sum.Completed+n.Completed, sum.Aborted+n.Aborted, sum.Expired+n.Expired
	}
	want := map[string]int64{}
	total := 0
	for _, text := range l.texts {
		if word, _, _ := strings.Cut(text, " "); word != "" {
			want[word]++
			total++
		}
	}
	if sum.Aborted+sum.Expired > 0 {
		l.wrong = append(l.wrong, fmt.Sprintf("counters: %+v", sum))
	}
	// What one queue sends to another is counted in both.
	if one := sum.Succeeded == want["ok"] && sum.Failed == want["failed"] && sum.Cancelled == want["cancelled"] && sum.Completed == total; !l.two && !one {
		l.wrong = append(l.wrong, fmt.Sprintf("counters: %+v, and there are %d jobs, %v", sum, total, want))
	} else if sum.Succeeded < want["ok"] || sum.Failed < want["failed"] || sum.Cancelled < want["cancelled"] {
		l.wrong = append(l.wrong, fmt.Sprintf("counters: %+v, and there are %v", sum, want))
	}
}

// ledger is what has become of all pieces.
type ledger struct {
	*play
	texts   map[*piece]string // "" where nothing is stored
	effects map[string]int    // by token
	swept   int               // jobs taken from workers that were stopped for too long; only where time is real
	wrong   []string
}

func (l *ledger) fault(p *piece, format string, args ...any) {
	l.wrong = append(l.wrong, p.name+": "+fmt.Sprintf(format, args...))
}

// learn asks for the outcomes of all pieces.
func (l *ledger) learn(ctx context.Context, c *spool.Client) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second) // all have ended
	defer cancel()
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, p := range l.pieces {
		if p.id() == "" {
			continue
		}
		all.Go(func() {
			text := outcomeText(ctx, c, p, p.home)
			for _, queue := range l.queues() {
				// What follows a job that was sent elsewhere with it is there.
				if text == "" && queue != p.home {
					text = outcomeText(ctx, c, p, queue)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			l.texts[p] = text
		})
	}
	all.Wait()
}

// outcomeText is the outcome of a piece as a queue has it, or "".
func outcomeText(ctx context.Context, c *spool.Client, p *piece, queue string) string {
	ref := queue + "/" + p.id()
	var text string
	var err error
	lists := func() {
		var list []spool.Outcome[string]
		list, err = stagedList.Job(c, ref).Wait(ctx)
		text = textOf(listText(list), err)
	}
	switch p.kind {
	case isList:
		lists()
	case isGraph:
		var list []spool.Outcome[any]
		list, err = stagedGraph.Job(c, ref).Wait(ctx)
		text = textOf(listText(list), err)
	default:
		var value string
		value, err = stagedAct.Job(c, ref).Wait(ctx)
		if text = textOf(value, err); p.odd && strings.HasPrefix(text, "error ") {
			lists()
		}
	}
	var f *failure.Failure
	if errors.Is(err, spool.ErrUnknown) && !errors.As(err, &f) {
		return ""
	}
	return text
}
