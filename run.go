package spool

import (
	"context"
	"time"

	"github.com/spooljobs/spool/internal/store"
)

// Run is the job at hand, as its handler sees it.
type Run struct {
	id            string
	queue         string
	task          string
	attempt       int
	interruptions int
	fence         int64
	meta          map[string]string
	client        *Client
	stopping      <-chan struct{}
	loop          *loop // where reactor handlers take turns; nil outside a worker
	onLoop        bool  // this handler is one of them

	inputs []store.Incoming // the outcomes that it follows
	joins  bool             // they are one list
	flow   string           // the flow it was put with
}

// Running returns the job that a handler's context belongs to. It is never nil: outside a worker it is attempt 1 of no
// job, so that handlers can be called by tests as they are.
func Running(ctx context.Context) *Run {
	if ctx != nil {
		if r, ok := ctx.Value(runKey{}).(*Run); ok {
			return r
		}
	}
	return &Run{attempt: 1}
}

// ID is the job's id, "" outside a worker.
func (r *Run) ID() string { return r.id }

// Queue is the job's queue.
func (r *Run) Queue() string { return r.queue }

// Task is the name of the job's task.
func (r *Run) Task() string { return r.task }

// Attempt counts from 1. Interrupted attempts do not count.
func (r *Run) Attempt() int { return r.attempt }

// Interruptions is how often the job was interrupted before, by the death of the process that ran it.
func (r *Run) Interruptions() int { return r.interruptions }

// Fence is a number that rises with every claim in this queue. Pass it to systems that can refuse what bears a lower
// number than they have seen: it keeps out a former owner of the job that does not know it is one.
func (r *Run) Fence() int64 { return r.fence }

// Meta is what the option Meta attached under a key, or "".
func (r *Run) Meta(key string) string { return r.meta[key] }

// Client is the worker's client, nil outside a worker.
func (r *Run) Client() *Client { return r.client }

// Stopping is closed when the worker begins to shut down: time to come to an end. The context ends only after
// WorkerConfig.ShutdownGrace. Outside a worker it is nil, which blocks for ever.
func (r *Run) Stopping() <-chan struct{} { return r.stopping }

type runKey struct{}

// runContext carries a Run. It saves the allocation of a context.WithValue for every job.
type runContext struct {
	context.Context
	run *Run
	tx  *Tx // of the attempt, if it runs in one
}

func (c *runContext) Value(key any) any {
	if _, ok := key.(runKey); ok {
		return c.run
	}
	if k, ok := key.(txKey); ok && c.tx != nil && k.c == c.tx.c {
		return c.tx
	}
	return c.Context.Value(key)
}

// run is a job that this engine holds, from claim to verdict.
type run struct {
	Run
	courier *courier
	lane    Lane
	claim   store.Claim
	suspect bool      // of ending the process: of these an engine holds one at a time
	queued  time.Time // when it was claimed

	// Set by the runner that takes it.
	handler *handler
	record  *store.Record
	history store.History
	started time.Time
	tx      *runTx // of a transactional handler

	// Guarded by engine.mu.
	decided    bool                    // it has its verdict, or has none to give: lost
	lost       bool                    // it is no longer ours
	cancel     context.CancelCauseFunc // set when it starts
	committing bool                    // its verdict waits for, or is in, a commit
	cancelled  bool                    // it was lost because the job was cancelled
	unclear    bool                    // it was lost, and why is not known; the job may have been cancelled
}

// take fills in what can be told without decoding anything. The script has looked at the record's header.
func (r *run) take(c *courier, claim *store.Claim, now time.Time) {
	r.courier, r.claim, r.queued = c, *claim, now
	r.task = store.TaskOf(claim.Record)
	if claim.Record[1] == store.LaneReactor {
		r.lane = Reactor
	}
	if claim.History != "" {
		if past, err := store.DecodeHistory(claim.History); err == nil {
			r.suspect = past.Interruptions >= suspectFrom
		}
	}
}

// prepare decodes what was claimed and finds the handler. If the job cannot be run here it returns the verdict that
// says so.
func (r *run) prepare() (verdict store.Verdict, ok bool) {
	c := r.courier
	if r.handler != nil {
		return verdict, true // it was prepared for an earlier attempt
	}
	verdict = store.Verdict{ID: r.claim.ID, Token: r.claim.Token}
	record, err := store.DecodeRecord(r.claim.Record)
	if err == nil {
		r.history, err = store.DecodeHistory(r.claim.History)
	}
	if err != nil {
		verdict.Word, verdict.Why = store.VerdictBreak, err.Error()
		c.e.log.Error("a job cannot be decoded", "queue", c.q.Name(), "job", store.UnpackID(r.claim.ID), "err", err)
		return verdict, false
	}
	r.record, r.handler = record, c.e.handlers[record.Task]
	if r.handler == nil {
		verdict.Word, verdict.Head, verdict.Task = store.VerdictPark, store.Head(r.claim.Record), record.Task
		c.e.stranger(c, record.Task)
		return verdict, false
	}
	r.id, r.queue, r.fence, r.meta = store.UnpackID(r.claim.ID), c.q.Name(), r.claim.Fence, record.Extra.Meta
	r.flow = record.Extra.Flow
	r.attempt, r.interruptions = r.history.Attempts+1, r.history.Interruptions
	r.client, r.stopping, r.loop = c.e.client, c.e.stopping, c.e.loop
	if cfg := r.handler.tx; cfg != nil {
		r.tx = &runTx{r: r, cfg: cfg, count: cfg.Retry.Begin()}
	}
	return verdict, true
}

// stranger names a task without a handler in the log, once.
func (e *engine) stranger(c *courier, task string) {
	e.mu.Lock()
	known := e.strange[task]
	e.strange[task] = true
	e.mu.Unlock()
	if !known {
		e.log.Warn("no handler here for a task; its jobs wait for a worker that has one", "queue", c.q.Name(), "task", task)
	}
}
