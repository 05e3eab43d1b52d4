package main

import "context"

// txCase: a drain of jobs that each add one to a counter of their own, beside
// drains of the same jobs that do nothing.
var txCase = Case{
	Name: "tx",
	Defaults: func(p *Params) {
		p.N = 20_000
		p.Slots = []int{10, 100}
	},
	Points: slotPoints,
	Rows: func(asked Peer) []Peer {
		if _, ok := asked.(spoolPeer); ok {
			return []Peer{spoolTx(ownCounter), plain{asked, "spool-plain"}, spoolWatch(ownCounter)}
		}
		return []Peer{plain{asked, asked.Name()}}
	},
	Measure: func(ctx context.Context, r *Run) error {
		lost, err := r.transactions(ctx, ownCounter)
		if err != nil {
			return err
		}
		r.addConflicts(lost)
		return nil
	},
}

// txHotCase: the same, and all jobs have one counter between them. Only Spool
// has transactions, so nobody else has a row.
var txHotCase = Case{
	Name: "tx-hot",
	Defaults: func(p *Params) {
		p.Peers = []string{"spool"}
		p.N = 5_000
		p.Slots = []int{16}
	},
	Points: slotPoints,
	Rows: func(asked Peer) []Peer {
		if _, ok := asked.(spoolPeer); ok {
			return []Peer{spoolTx(hotCounter), spoolWatch(hotCounter)}
		}
		return nil
	},
	Measure: func(ctx context.Context, r *Run) error {
		lost, err := r.transactions(ctx, hotCounter)
		if err != nil {
			return err
		}
		r.Row.Add("commits_per_s", round(float64(r.Commits)/r.Row.Seconds, 1))
		r.addConflicts(lost)
		return nil
	},
}

// plain is a peer whose handlers do nothing, in a case where others' do.
type plain struct {
	Peer
	name string
}

func (p plain) Name() string     { return p.name }
func (p plain) Settings() string { return p.Peer.Settings() + ", no transaction" }

// transactions is a drain, and afterwards a look at the counters. How often a
// handler ran says nothing about a transaction: what counts is its effect.
func (r *Run) transactions(ctx context.Context, key counter) (lost int64, err error) {
	if err := r.drain(ctx, r.Server.Addr, r.N, r.N); err != nil {
		return 0, err
	}
	if _, ok := r.Peer.(plain); ok {
		return 0, nil
	}
	return r.Server.audit(ctx, key, r.N)
}

// addConflicts adds the fields that both cases have.
func (r *Run) addConflicts(lost int64) {
	r.Row.Add("conflicts_per_commit", round(float64(r.Conflicts)/float64(max(r.Commits, 1)), 4))
	r.Row.Add("lost_updates", lost)
}
