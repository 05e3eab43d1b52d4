package spool_test

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/retry"
)

// role is what a job of a schedule is told: its name, and how it goes: "" well, "fails", "retries", "becomes" another
// one, "grows" the flow that it is a part of. A job that looks makes a call from its handler.
type role struct {
	Name, How string
	Looks     bool
}

var (
	stagedAct     = spool.NewTask[role, string]("schedule.act")
	stagedActTx   = spool.NewTask[role, string]("schedule.act.tx")
	stagedReact   = spool.NewReaction[string, role, string]("schedule.react")
	stagedReactTx = spool.NewReaction[string, role, string]("schedule.react.tx")
	stagedJoin    = spool.NewReaction[[]spool.Outcome[string], role, string]("schedule.join")
	stagedJoinTx  = spool.NewReaction[[]spool.Outcome[string], role, string]("schedule.join.tx")
	// Of these there are handles only.
	stagedList  = spool.NewTask[None, []spool.Outcome[string]]("schedule.list")
	stagedGraph = spool.NewTask[None, []spool.Outcome[any]]("schedule.graph")
)

// kindOf says what a piece is.
type kindOf int

const (
	isJob   kindOf = iota // its outcome is its own handler's: a string
	isRace                // First: a string
	isList                // Parallel, Serial
	isGraph               // a graph, whose outcomes are of any type
)

// piece is a job of a schedule as the test knows it: what it follows, and what is expected of it.
type piece struct {
	name, how string
	kind      kindOf
	tx        bool
	home      string // the queue in which its handle looks for it
	place     string // where it runs
	id        func() string
	own       bool // it has an id of its own, which is known beforehand

	odd bool // if it is not run its outcome is a list: nothing follows it

	parents []*piece // that it follows; all of them
	cond    byte     // under which condition: s, f, d, or c: a failure cancels it
	sees    seesOf
	parts   []*piece    // a flow's
	rest    byte        // the condition of these
	flow    *piece      // that it is a part of
	node    *spool.Node // in a graph
	added   []*piece    // parts that Add has put

	// Guarded by play.mu.
	put     answerOf
	runs    []*runOf
	cancels []*cancelOf
}

// seesOf is what the handler is given of the parents.
type seesOf int

const (
	seesNothing seesOf = iota
	seesOne            // the outcome of the only one
	seesAll            // a list of the outcomes
)

// answerOf is what the one who put a piece, or cancelled it, was told.
type answerOf int

const (
	unsure answerOf = iota // nothing, or that it may have been done
	yes
	no
)

// runOf is one call of a piece's handler.
type runOf struct {
	token string
	saw   string
	child *piece // that its outcome is to be
}

// cancelOf is one call of Cancel.
type cancelOf struct {
	label  string
	answer answerOf
}

// author writes pieces. Partials and pieces are made together.
type author struct {
	chance *rand.Rand
	prefix string
	two    bool // queues
	n      int
	all    []*piece
}

func (a *author) one(in int) bool { return a.chance.IntN(in) == 0 }

// queue is where something runs.
func (a *author) queue() string {
	if a.two && a.one(3) {
		return "far"
	}
	return "default"
}

func (a *author) piece(kind kindOf, place string) *piece {
	a.n++
	p := &piece{name: fmt.Sprintf("%s%d", a.prefix, a.n), kind: kind, place: place, home: place, cond: 'd', rest: 'd', tx: a.one(2)}
	a.all = append(a.all, p)
	return p
}

// options are those of a piece's Partial. Some have ids of their own, some are given one.
func (a *author) options(p *piece) []spool.Option {
	opts := []spool.Option{spool.In(p.place)}
	if p.how == "retries" {
		opts = append(opts, spool.Retry(3, retry.Constant(0)))
	}
	if a.one(2) {
		opts = append(opts, spool.ID(p.name))
		p.own, p.id = true, func() string { return p.name }
	}
	return opts
}

func idBy(p *piece, drawn func() string) {
	if p.id == nil {
		p.id = drawn
	}
}

func (a *author) role(p *piece) role {
	switch a.chance.IntN(10) {
	case 0, 1:
		p.how = "fails"
	case 2:
		p.how = "retries"
	}
	return role{p.name, p.how, a.one(3)}
}

// act is a job that follows nothing.
func (a *author) act(hows ...string) (spool.Partial[string], *piece) {
	p := a.piece(isJob, a.queue())
	r := a.role(p)
	if len(hows) > 0 {
		p.how, r.How = hows[0], hows[0]
	}
	task := stagedAct
	if p.tx {
		task = stagedActTx
	}
	partial := task.With(r, a.options(p)...)
	partial = a.followed(partial, p)
	idBy(p, func() string { return spool.PartialID(partial) })
	return partial, p
}

// react is what follows one job.
func (a *author) react(parent *piece, cond byte) (spool.After[string, string], *piece) {
	p := a.piece(isJob, a.queue())
	p.parents, p.cond, p.sees, p.home = []*piece{parent}, cond, seesOne, parent.home
	def := stagedReact
	if p.tx {
		def = stagedReactTx
	}
	r := a.role(p)
	after := def.With(r, a.options(p)...)
	if a.one(5) {
		next, _ := a.react(p, 'd')
		after = after.OnDone(next)
	}
	idBy(p, func() string { return spool.AfterID(after) })
	return after, p
}

// join is what follows jobs, and is given a list.
func (a *author) join(sees seesOf, cond byte, parents ...*piece) (spool.After[[]spool.Outcome[string], string], *piece) {
	p := a.piece(isJob, a.queue())
	p.parents, p.cond, p.sees, p.home = parents, cond, sees, parents[0].home
	p.odd = sees == seesOne && cond != 'd'
	def := stagedJoin
	if p.tx {
		def = stagedJoinTx
	}
	r := a.role(p)
	after := def.With(r, a.options(p)...)
	idBy(p, func() string { return spool.AfterID(after) })
	return after, p
}

// followed gives a job callbacks, sometimes.
func (a *author) followed(partial spool.Partial[string], p *piece) spool.Partial[string] {
	for a.one(3) {
		after, cond := spool.After[string, string]{}, "sfd"[a.chance.IntN(3)]
		after, _ = a.react(p, cond)
		switch cond {
		case 's':
			partial = partial.OnSuccess(after)
		case 'f':
			partial = partial.OnFailure(after)
		default:
			partial = partial.OnDone(after)
		}
	}
	return partial
}

// within makes pieces parts of a flow: they, and what follows them, belong to the queue in which it is taken apart.
func (a *author) within(flow *piece, parts ...*piece) {
	flow.parts = parts
	for _, p := range parts {
		p.flow = flow
		a.home(p, flow.place)
	}
}

// home is where the handles of a piece and of its followers look.
func (a *author) home(p *piece, queue string) {
	p.home = queue
	for _, other := range a.all {
		if other.flow == nil && slices.Contains(other.parents, p) {
			a.home(other, queue)
		}
	}
}

// rest says what becomes of a flow when a part fails.
func (a *author) rest(p *piece) []spool.Option {
	opts := a.options(p)
	switch a.chance.IntN(5) {
	case 0:
		p.rest = 's'
		opts = append(opts, spool.WhenPartFails(spool.FailRest))
	case 1:
		p.rest = 'c'
		opts = append(opts, spool.WhenPartFails(spool.CancelRest))
	}
	return opts
}

// list is a flow whose result is a list.
func (a *author) list() (spool.Partial[[]spool.Outcome[string]], *piece) {
	flow := a.piece(isList, a.queue())
	flow.tx = false
	opts := a.rest(flow)
	serial, n := a.one(2), 2+a.chance.IntN(2)
	var partials []spool.Partial[string]
	var parts []*piece
	for i := range n {
		var hows []string
		if i == 0 && a.one(5) {
			hows = []string{"grows"}
		}
		partial, p := a.act(hows...)
		if serial && i > 0 {
			p.parents, p.cond = []*piece{parts[i-1]}, flow.rest
		}
		partials, parts = append(partials, partial), append(parts, p)
	}
	var whole spool.Partial[[]spool.Outcome[string]]
	if serial {
		whole = spool.Serial(partials...).With(opts...)
	} else {
		whole = spool.Parallel(partials...).With(opts...)
	}
	a.within(flow, parts...)
	idBy(flow, func() string { return spool.PartialID(whole) })
	return whole, flow
}

// race is First.
func (a *author) race() (spool.Partial[string], *piece) {
	flow := a.piece(isRace, a.queue())
	flow.tx = false
	opts := a.options(flow)
	one, p := a.act()
	two, q := a.act()
	whole := spool.First(one, two).With(opts...)
	a.within(flow, p, q)
	whole = a.followed(whole, flow)
	idBy(flow, func() string { return spool.PartialID(whole) })
	return whole, flow
}

// then is a flow whose result is that of what follows a job or a list.
func (a *author) then() (spool.Partial[string], *piece) {
	var whole spool.Partial[string]
	var last *piece
	if a.one(2) {
		first, p := a.act()
		after, q := a.react(p, 'd')
		whole, last = spool.Then(first, after), q
		a.within(q, p)
	} else {
		first, p := a.list()
		after, q := a.join(seesOne, 'd', p)
		whole, last = spool.Then(first, after), q
		a.within(q, p)
	}
	last.home = last.place
	if !last.own {
		last.id = func() string { return spool.PartialID(whole) }
	}
	return whole, last
}

// graph is a diamond with a tail.
func (a *author) graph() (spool.Partial[[]spool.Outcome[any]], *piece) {
	flow := a.piece(isGraph, a.queue())
	flow.tx = false
	opts := a.rest(flow)
	g := spool.NewGraph(opts...)
	var parts []*piece
	node := func(after ...int) *spool.Node {
		partial, p := a.act()
		var nodes []*spool.Node
		for _, i := range after {
			p.parents, p.cond = append(p.parents, parts[i]), flow.rest
			nodes = append(nodes, parts[i].node)
		}
		n := spool.GraphTask(g, partial, nodes...)
		p.node = n
		parts = append(parts, p)
		return n
	}
	node()
	left, right := node(0), node(0)
	after, p := a.join(seesAll, flow.rest, parts[1], parts[2])
	n := spool.GraphJoin(g, after, left, right)
	if !p.own {
		p.id = func() string { return spool.NodeID(n) }
	}
	parts = append(parts, p)
	whole := g.Partial()
	a.within(flow, parts...)
	idBy(flow, func() string { return spool.PartialID(whole) })
	return whole, flow
}
