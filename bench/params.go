package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Params is what the command line says. A case reads the fields that mean
// something to it; the others are accepted and ignored.
type Params struct {
	Case      string
	Peers     []string
	Redis     string
	Rounds    int
	JSON      bool
	N         int
	Payload   int
	Slots     []int
	Producers []int
	Pending   []int
	Queues    int
	Samples   int
	Idle      time.Duration
	RTT       time.Duration
	For       time.Duration
	Shapes    []string
	Children  int
	Links     int
	LinkSlots []int
	Waiting   int
}

// baseParams holds the defaults that a case may replace with its own.
func baseParams() Params {
	return Params{
		Case:      "drain",
		Peers:     []string{"spool", "asynq"},
		Rounds:    3,
		N:         50_000,
		Payload:   150,
		Slots:     []int{1, 10, 100, 500},
		Producers: []int{1, 8},
		Pending:   []int{10_000, 1_000_000},
		Queues:    3,
		Samples:   500,
		Idle:      2 * time.Second,
		RTT:       10 * time.Millisecond,
		For:       30 * time.Second,
		Shapes:    shapeNames(),
		Children:  1_000,
		Links:     1_000,
		LinkSlots: []int{1, 10},
		Waiting:   10_000,
	}
}

// parseParams reads args twice: first for the case alone, then once more with
// that case's defaults, so that -h prints the defaults that will be used.
func parseParams(args []string, out io.Writer) (Params, error) {
	p := baseParams()
	// The first pass stays silent; the second meets the same mistake again.
	_ = p.flags(io.Discard).Parse(args)
	c, ok := caseNamed(p.Case)
	if !ok {
		return Params{}, fmt.Errorf("no case %q; there are %s", p.Case, strings.Join(caseNames(), ", "))
	}
	p = baseParams()
	p.Case = c.Name
	if c.Defaults != nil {
		c.Defaults(&p)
	}
	fs := p.flags(out)
	if err := fs.Parse(args); err != nil {
		return Params{}, err
	}
	if fs.NArg() > 0 {
		return Params{}, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if err := p.validate(); err != nil {
		return Params{}, err
	}
	if len(c.measured(p.Peers)) == 0 {
		return Params{}, fmt.Errorf("-peers: %s has no rows of %s", c.Name, strings.Join(p.Peers, ", "))
	}
	return p, nil
}

// flags binds p's fields; what they hold already is their default.
func (p *Params) flags(out io.Writer) *flag.FlagSet {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.StringVar(&p.Case, "case", p.Case, "what to measure: "+strings.Join(caseNames(), ", "))
	fs.Var((*names)(&p.Peers), "peers", "who is measured, in turn: "+strings.Join(peerNames(), ", "))
	fs.StringVar(&p.Redis, "redis", p.Redis, "server `address`, or \"embedded\"; empty starts a private redis-server. The server's data is flushed")
	fs.IntVar(&p.Rounds, "rounds", p.Rounds, "how often each peer is measured")
	fs.BoolVar(&p.JSON, "json", p.JSON, "one JSON object a row instead of a table")
	fs.IntVar(&p.N, "n", p.N, "jobs a row")
	fs.IntVar(&p.Payload, "payload", p.Payload, "encoded size of a job's argument, bytes")
	fs.Var((*ints)(&p.Slots), "slots", "slots of the worker, one row each")
	fs.Var((*ints)(&p.Producers), "producers", "put: goroutines that put, one row each")
	fs.Var((*ints)(&p.Pending), "pending", "backlog: jobs that stay behind the measured ones, one row each")
	fs.IntVar(&p.Queues, "queues", p.Queues, "idle: queues the worker listens to")
	fs.IntVar(&p.Samples, "samples", p.Samples, "latency: puts to an idle worker")
	fs.DurationVar(&p.Idle, "idle", p.Idle, "latency: pause before each put")
	fs.DurationVar(&p.RTT, "rtt", p.RTT, "rtt: round trip added, half each way")
	fs.DurationVar(&p.For, "for", p.For, "idle: how long to watch")
	fs.Var((*names)(&p.Shapes), "shapes", "flow: "+strings.Join(shapeNames(), ", "))
	fs.IntVar(&p.Children, "children", p.Children, "flow: children of a fan-out; -n is those of all fan-outs together")
	fs.IntVar(&p.Links, "links", p.Links, "flow: callbacks of a chain")
	fs.Var((*ints)(&p.LinkSlots), "linkslots", "flow: slots of the worker of a chain, one row each")
	fs.IntVar(&p.Waiting, "waiting", p.Waiting, "flow: reactor jobs that wait at once")
	return fs
}

func (p *Params) validate() error {
	var errs []error
	for _, name := range p.Peers {
		if _, ok := peerNamed(name); !ok {
			errs = append(errs, fmt.Errorf("-peers: no peer %q; there are %s", name, strings.Join(peerNames(), ", ")))
		}
	}
	atLeast := func(name string, least int, values ...int) {
		if len(values) == 0 || slices.Min(values) < least {
			errs = append(errs, fmt.Errorf("-%s: must be at least %d", name, least))
		}
	}
	for _, name := range p.Shapes {
		if _, ok := shapeNamed(name); !ok {
			errs = append(errs, fmt.Errorf("-shapes: no shape %q; there are %s", name, strings.Join(shapeNames(), ", ")))
		}
	}
	atLeast("peers", 1, len(p.Peers))
	atLeast("rounds", 1, p.Rounds)
	atLeast("n", 1, p.N)
	atLeast("payload", minPayload, p.Payload)
	atLeast("slots", 1, p.Slots...)
	atLeast("producers", 1, p.Producers...)
	atLeast("pending", 0, p.Pending...)
	atLeast("queues", 1, p.Queues)
	atLeast("samples", 1, p.Samples)
	atLeast("children", 1, p.Children)
	atLeast("links", 1, p.Links)
	atLeast("linkslots", 1, p.LinkSlots...)
	atLeast("waiting", 1, p.Waiting)
	if p.Idle < 0 || p.RTT < 0 || p.For <= 0 {
		errs = append(errs, errors.New("-idle, -rtt, -for: must not be negative"))
	}
	return errors.Join(errs...)
}

// ints is a flag of numbers with commas between.
type ints []int

func (l *ints) String() string {
	words := make([]string, len(*l))
	for i, n := range *l {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, ",")
}

func (l *ints) Set(s string) error {
	var list ints
	for word := range strings.SplitSeq(s, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil {
			return fmt.Errorf("%q is not a number", word)
		}
		list = append(list, n)
	}
	*l = list
	return nil
}

// names is a flag of words with commas between.
type names []string

func (l *names) String() string { return strings.Join(*l, ",") }

func (l *names) Set(s string) error {
	var list names
	for word := range strings.SplitSeq(s, ",") {
		list = append(list, strings.TrimSpace(word))
	}
	*l = list
	return nil
}
