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

// textOf is an outcome in words: that of a job, what others saw of it, or what a list says of it.
func textOf(value string, err error) string {
	var f *failure.Failure
	switch {
	case err == nil:
		return "ok " + value
	case errors.As(err, &f) && (f.Name == "spool.cancelled" || len(f.Causes) > 0 && f.Causes[0].Name == "spool.cancelled"):
		// Not whatever is ErrCancelled: a race fails with all failures of its parts.
		return "cancelled " + strings.ReplaceAll(err.Error(), "\n", " ")
	case errors.As(err, &f):
		return "failed " + strings.ReplaceAll(f.Error(), "\n", " ")
	}
	return "error " + err.Error()
}

func listText[R any](list []spool.Outcome[R]) string {
	texts := make([]string, len(list))
	for i, o := range list {
		texts[i] = textOf(fmt.Sprint(o.Value), o.Err)
	}
	return "[" + strings.Join(texts, "; ") + "]"
}

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

// met says whether an outcome meets a condition.
func met(cond byte, text string) bool {
	good := strings.HasPrefix(text, "ok ")
	return cond == 'd' || good == (cond != 'f')
}

// judge compares what has become of the pieces with what should.
func (l *ledger) judge() {
	for _, p := range l.pieces {
		text := l.texts[p]
		switch {
		case p.put == yes && text == "" && !l.neverCame(p):
			l.fault(p, "it was accepted, and nothing is stored")
		case p.put == no && text != "":
			l.fault(p, "it was refused, and ended as %q", text)
		case strings.HasPrefix(text, "error "):
			l.fault(p, "its outcome: %s", text)
		}
		if text == "" {
			if len(p.runs) > 0 {
				l.fault(p, "it is not known, and was run %d times", len(p.runs))
			}
			continue
		}
		l.calls(p)
		if p.kind == isJob {
			l.job(p, text)
		} else {
			l.whole(p, text)
		}
		for _, c := range p.cancels {
			if said := strings.Contains(text, c.label); c.answer == yes && !said || c.answer == no && said && !l.blamed(p, c) {
				l.fault(p, "it was cancelled with %q, which was answered %v, and ended as %q", c.label, c.answer, text)
			}
		}
	}
}

// neverCame says that a piece was part of a flow that was over before it was taken apart.
func (l *ledger) neverCame(p *piece) bool {
	if f := p.flow; f != nil && (l.texts[f] == "" && l.neverCame(f) || l.texts[f] != "" && l.ceased(f)) {
		return true
	}
	return slices.ContainsFunc(p.parents, func(parent *piece) bool { return l.texts[parent] == "" && l.neverCame(parent) })
}

// blamed says whether another call of Cancel had the same reason.
func (l *ledger) blamed(p *piece, c *cancelOf) bool {
	return slices.ContainsFunc(p.cancels, func(other *cancelOf) bool { return other != c && other.label == c.label }) ||
		slices.ContainsFunc(p.parents, func(parent *piece) bool { return l.texts[parent] == l.texts[p] })
}

// calls looks at each call of the handler, also those that came to nothing: it was called for, and saw what the parents
// have ended as.
func (l *ledger) calls(p *piece) {
	var seen []string
	for _, parent := range p.parents {
		if seen = append(seen, l.texts[parent]); !met(p.cond, l.texts[parent]) && len(p.runs) > 0 {
			l.fault(p, "condition %c: it was run, and %s has ended as %q", p.cond, parent.name, l.texts[parent])
		}
	}
	want := ""
	switch p.sees {
	case seesOne:
		want = seen[0]
	case seesAll:
		want = "ok [" + strings.Join(seen, "; ") + "]"
	}
	for _, run := range p.runs {
		if run.saw != want {
			l.fault(p, "it was told %q, and should have been told %q", run.saw, want)
		}
	}
	most := 1 + l.deaths
	if p.tx {
		most += l.stage.tally.lost + l.stage.tally.cut // a transaction whose read was lost is run again
	}
	if p.how == "retries" {
		most++
	}
	if p.kind == isJob && len(p.runs) > most {
		l.fault(p, "it was run %d times, with %d deaths", len(p.runs), l.deaths)
	}
}

// job: its outcome is that of one of its own calls, and that one had its effect once; or there is a reason why it is not,
// and no call had an effect.
func (l *ledger) job(p *piece, text string) {
	var own *runOf
	for _, run := range p.runs {
		// A failure's text may have more in it.
		if text == "ok "+run.token || strings.HasPrefix(text, "failed "+run.token+" ") ||
			run.child != nil && l.texts[run.child] == text {
			own = run
		}
	}
	if own == nil && !l.explained(p, text) {
		l.fault(p, "it ended as %q, for no reason", text)
	}
	for _, run := range p.runs {
		want := 0
		if run == own && p.tx {
			want = 1
		}
		if p.how == "becomes" && p.tx && run != own && l.texts[run.child] != "" {
			continue // it had its effect, and was then cancelled
		}
		if got := l.effects[run.token]; got != want {
			l.fault(p, "call %s has had its effect %d times, not %d; it ended as %q", run.token, got, want, text)
		}
	}
}

// explained says whether there is a reason for an outcome that is not the piece's own.
func (l *ledger) explained(p *piece, text string) bool {
	cancelled := strings.HasPrefix(text, "cancelled ")
	unmet := func(of []*piece, cond byte) bool {
		return slices.ContainsFunc(of, func(other *piece) bool {
			if met(cond, l.texts[other]) {
				return false
			}
			return cond == 'c' && cancelled || text == l.texts[other]
		})
	}
	if unmet(p.parents, p.cond) || unmet(p.parts, p.rest) || unmet(p.added, p.rest) {
		return true
	}
	if !cancelled {
		return false
	}
	if p.flow != nil && l.ceased(p.flow) {
		return true
	}
	return slices.ContainsFunc(p.cancels, func(c *cancelOf) bool { return c.answer != no && strings.Contains(text, c.label) })
}

// ceased says that a flow has ended without waiting for all of its parts.
func (l *ledger) ceased(flow *piece) bool {
	text := l.texts[flow]
	return flow.kind == isRace || !strings.HasPrefix(text, "ok ") && (flow.kind != isJob || l.explained(flow, text))
}

// whole: a flow's outcome is made of those of its parts, or there is a reason why it is not.
func (l *ledger) whole(p *piece, text string) {
	if l.explained(p, text) {
		return
	}
	if p.kind == isRace {
		wins := func(part *piece) bool { return text == l.texts[part] && met('s', text) }
		lost := slices.ContainsFunc(p.parts, func(part *piece) bool { return met('s', l.texts[part]) })
		if !slices.ContainsFunc(p.parts, wins) && (lost || !strings.HasPrefix(text, "failed ")) {
			l.fault(p, "the race ended as %q, its parts as %q and %q", text, l.texts[p.parts[0]], l.texts[p.parts[1]])
		}
		return
	}
	var texts []string
	for _, part := range p.parts {
		texts = append(texts, l.texts[part])
	}
	first := len(texts)
	for _, part := range p.added {
		if l.texts[part] != "" {
			texts = append(texts, l.texts[part])
		}
	}
	// Nobody knows in which order the added ones came.
	ok := false
	permute(texts[first:], func() { ok = ok || text == "ok ["+strings.Join(texts, "; ")+"]" })
	if !ok {
		l.fault(p, "the flow ended as %q, its parts as %q", text, texts)
	}
}

// permute calls fn for every order of a list.
func permute(list []string, fn func()) {
	if len(list) < 2 {
		fn()
		return
	}
	for i := range list {
		list[0], list[i] = list[i], list[0]
		permute(list[1:], fn)
		list[0], list[i] = list[i], list[0]
	}
}
