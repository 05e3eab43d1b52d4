package spool_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"

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
	most := 1 + l.deaths + l.swept
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
	// The word that a flow has ended takes its time to another queue: there a part may fail first, for want of the flow.
	if p.how == "grows" && p.place != p.home && l.ceased(p.flow) && strings.Contains(text, "waits for nothing more") {
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
