package spool

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/spooljobs/spool/failure"
	"github.com/spooljobs/spool/internal/codec"
	"github.com/spooljobs/spool/internal/store"
)

// State is where a job is in its life.
type State string

// The states of a job. StateNew is a Partial that was not put; it is not stored. StateCallbacks is the state of a job that has
// ended while what follows it goes on.
const (
	StateNew         State = "new"
	StatePending     State = "pending" // due later, ready, waiting for a worker that knows its task or for jobs that it follows
	StateActive      State = "active"
	StateCallbacks   State = "callbacks"
	StateCompleted   State = "completed"
	StateQuarantined State = "quarantined" // broken: it cannot be decoded
)

// OutcomeKind says how a completed job ended; "" while it has not.
type OutcomeKind string

// JobInfo is what is known of a job at one moment. Times are the server's, to the millisecond; those that do not apply
// are zero.
type JobInfo struct {
	ID            string
	Queue         string
	Task          string
	State         State
	Outcome       OutcomeKind // "succeeded", "failed", "cancelled", "expired", "aborted"
	Lane          Lane
	Priority      int
	Attempts      int // that have ended
	Interruptions int
	Created       time.Time // when the Partial drew its id, by the clock of the process that put it
	Due           time.Time // while pending and due later: when; else as it was given
	Started       time.Time // of the last attempt; known once the job has ended
	Ended         time.Time
	KeptUntil     time.Time // of a completed job: when its outcome goes
	Worker        string    // the identity of the worker that runs or ran it
	Meta          map[string]string
	Failure       *failure.Failure // of the last attempt, if it failed
	Fault         string           // why it is quarantined

	record *store.Record
	raw    string
	result []byte
}

// Args decodes the job's arguments. They are known until the job has ended.
func (i *JobInfo) Args(into any) error {
	if i.record == nil {
		return fmt.Errorf("%w: the arguments of job %s are not kept", ErrBadState, i.ID)
	}
	if err := codec.Unmarshal(i.record.Args, into); err != nil {
		return fmt.Errorf("spool: the arguments of job %s: %w", i.ID, err)
	}
	return nil
}

// Result decodes the result of a job that has succeeded, and says whether there is one.
func (i *JobInfo) Result(into any) (bool, error) {
	if len(i.result) == 0 {
		return false, nil
	}
	if err := codec.Unmarshal(i.result, into); err != nil {
		return false, fmt.Errorf("spool: the result of job %s: %w", i.ID, err)
	}
	return true, nil
}

// Queue is a handle for looking at a queue and for changing jobs that have not begun. It holds no data.
type Queue struct {
	c    *Client
	name string
	err  error
}

// Queue returns the handle of a queue. It makes no call; a malformed name is reported by the handle's methods.
func (c *Client) Queue(name string) *Queue {
	return &Queue{c: c, name: name, err: checkName("queue", name, maxQueueName)}
}

// Name is the queue's name.
func (q *Queue) Name() string { return q.name }

// Counts is how many jobs of a queue are in each state, and what has happened in it so far.
type Counts struct {
	Ready       int // pending, claimable now
	Due         int // pending, due later
	Parked      int // pending, of tasks that no worker present knows
	Suspect     int // pending, interrupted more than once, run one at a time
	Waiting     int // pending, for jobs that they follow
	Active      int // in a slot
	Adopting    int // active, without a slot: another job will answer, or another queue runs it
	Callbacks   int // ended, and followed by jobs that have not
	Completed   int // outcomes that are kept
	Quarantined int
	Workers     int // engines that live

	// Since the queue began.
	Succeeded, Failed, Cancelled, Expired, Aborted int64
	Retried, Interrupted                           int64
	Refused                                        int64 // verdicts of workers that no longer owned the job
}

// Pending is the number of jobs that have not begun.
func (n Counts) Pending() int { return n.Ready + n.Due + n.Parked + n.Suspect + n.Waiting }

// Counts reads the queue's numbers, each in constant time.
func (q *Queue) Counts(ctx context.Context) (Counts, error) {
	var n *store.Numbers
	err := q.ask(ctx, "counting", func(ctx context.Context) (err error) {
		n, err = q.c.queue(q.name).Count(ctx)
		return err
	})
	if err != nil {
		return Counts{}, err
	}
	s, m := n.Sets, n.Meta
	return Counts{
		Ready: s["ready:thread"] + s["ready:reactor"], Due: s["due:thread"] + s["due:reactor"], Parked: s["parked"],
		Suspect: s["suspect:thread"] + s["suspect:reactor"], Waiting: s["waiting"], Active: s["active"], Adopting: s["adopting"], Callbacks: s["callbacks"], Completed: s["done"],
		Quarantined: s["quarantine"], Workers: s["engines"],
		Succeeded: m["succeeded"], Failed: m["failed"], Cancelled: m["cancelled"], Expired: m["expired"], Aborted: m["aborted"],
		Retried: m["retried"], Interrupted: m["interrupted"], Refused: m["lost"],
	}, nil
}

func (q *Queue) ask(ctx context.Context, what string, call func(context.Context) error) error {
	if err := q.usable(); err != nil {
		return err
	}
	return q.c.ask(ctx, what+" in queue "+q.name, call)
}

// sets are the sets that make up a state, in the order of listing.
var sets = map[State][]string{
	StatePending: {"suspect:thread", "suspect:reactor", "ready:thread", "ready:reactor", "due:thread", "due:reactor", "parked", "waiting"},
	StateActive:  {"active", "adopting"}, StateCallbacks: {"callbacks"}, StateCompleted: {"done"}, StateQuarantined: {"quarantine"},
}

// Get looks a job up. ErrUnknown where neither it nor an outcome is stored.
func (q *Queue) Get(ctx context.Context, id string) (*JobInfo, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	var sight *store.Sight
	err := q.ask(ctx, "looking for job "+id, func(ctx context.Context) (err error) {
		sight, err = q.c.queue(q.name).Show(ctx, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	if sight.Set == "" {
		return nil, fmt.Errorf("%w: %q", ErrUnknown, id)
	}
	return q.info(sight), nil
}

// pageSize is how many jobs All asks for at a time.
const pageSize = 100

// List returns a page of the jobs in a state, from the first-th on (0 is the first; negative counts from the end),
// at most n and at most 500, in their order: pending jobs as they would be claimed, first those that are ready, then
// those due later; the others as they came. Pages of a queue at work may overlap or leave gaps. It never reads more
// than a megabyte of jobs, so a page may be short; total is how many there are.
func (q *Queue) List(ctx context.Context, state State, first, n int) (page []*JobInfo, total int, err error) {
	names := sets[state]
	if names == nil {
		return nil, 0, &FieldError{"state", string(state), "cannot be listed"}
	}
	if n < 0 {
		return nil, 0, &FieldError{"n", n, "must not be negative"}
	}
	n = min(n, store.CallItems)
	sizes := make([]int, len(names))
	for i, name := range names {
		if _, sizes[i], err = q.page(ctx, name, 0, -1<<30); err != nil {
			return nil, 0, err
		}
		total += sizes[i]
	}
	if first < 0 {
		first = max(0, total+first)
	}
	skip := first
	for i, name := range names {
		if skip >= sizes[i] {
			skip -= sizes[i]
			continue
		}
		for len(page) < n && skip < sizes[i] {
			part, _, err := q.page(ctx, name, skip, skip+n-len(page)-1)
			if err != nil {
				return nil, 0, err
			}
			if len(part) == 0 {
				break
			}
			for k := range part {
				page = append(page, q.info(&part[k]))
			}
			skip += len(part)
		}
		skip = 0
	}
	return page, total, nil
}

func (q *Queue) page(ctx context.Context, set string, first, last int) (page []store.Sight, size int, err error) {
	err = q.ask(ctx, "listing "+set, func(ctx context.Context) (err error) {
		page, size, err = q.c.queue(q.name).List(ctx, set, first, last)
		return err
	})
	return page, size, err
}

// All ranges over the jobs in a state, a page at a time. It ends with the first error.
func (q *Queue) All(ctx context.Context, state State) iter.Seq2[*JobInfo, error] {
	return func(yield func(*JobInfo, error) bool) {
		for first := 0; ; {
			page, _, err := q.List(ctx, state, first, pageSize)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, info := range page {
				if !yield(info, nil) {
					return
				}
			}
			if first += len(page); len(page) == 0 {
				return
			}
		}
	}
}

// Edit changes a job that has not begun: its arguments, unless args is nil, and the settings that are given. Of these
// In, ID and BeginBy cannot be changed, and a deadline stays the moment it was. ErrBadState if it has begun or ended,
// or if another edit came first.
func (q *Queue) Edit(ctx context.Context, id string, args any, opts ...Option) error {
	info, err := q.Get(ctx, id)
	if err != nil {
		return err
	}
	if info.State != StatePending {
		return fmt.Errorf("%w: job %q is %s", ErrBadState, id, info.State)
	}
	if info.record != nil && info.record.Graph != nil {
		return fmt.Errorf("%w: job %q is a flow", ErrBadState, id)
	}
	record, due, err := edited(info, q.name, args, opts)
	if err != nil {
		return err
	}
	if len(record) > q.c.cfg.MaxPayload {
		return fmt.Errorf("%w: the job has %d bytes, at most %d are allowed", ErrTooLarge, len(record), q.c.cfg.MaxPayload)
	}
	return q.c.alter(ctx, q.name, "editing job", id, func(ctx context.Context, line string, n uint64) (string, error) {
		return q.c.queue(q.name).Edit(ctx, line, n, id, info.raw, record, due)
	})
}

// edited is the record of a job with changes.
func edited(info *JobInfo, queue string, args any, opts []Option) ([]byte, store.Moment, error) {
	r := *info.record
	s := defaultSettings()
	s.queue, s.lane, s.priority, s.interruptions, s.retry = queue, info.Lane, r.Priority, r.Interruptions, r.Extra.Retry
	s.timeout, s.meta = time.Duration(r.Extra.Timeout)*time.Millisecond, r.Extra.Meta
	for _, opt := range opts {
		if opt == nil {
			return nil, store.Moment{}, &FieldError{"option", nil, "must not be nil"}
		}
		opt.applyPartial(&s)
	}
	if s.queue != queue || s.id != "" || s.deadline.Set {
		s.mistake("option", "In, ID or BeginBy", "cannot be changed in a stored job")
	}
	if err := s.err(); err != nil {
		return nil, store.Moment{}, err
	}
	if args != nil {
		b, err := codec.Marshal(args)
		if err != nil {
			return nil, store.Moment{}, fmt.Errorf("%w: %w", &FieldError{"args", fmt.Sprintf("%T", args), "cannot be encoded"}, err)
		}
		r.Args = b
	}
	r.Lane, r.Priority, r.Interruptions = laneLetter(s.lane), s.priority, s.interruptions
	r.Extra.Retry, r.Extra.Timeout, r.Extra.Meta = s.retry, roundMs(s.timeout), s.meta
	if s.keep != nil {
		keep := roundMs(*s.keep)
		r.Extra.Keep = &keep
	}
	if s.due.Set && !s.due.Relative {
		r.Extra.Due = s.due.Ms
	}
	b, err := r.Encode()
	return b, s.due, err
}

// Pull takes back a job that has not begun: it is gone, without an outcome, and who waits for it gets ErrUnknown. Its
// Partial may be put again, at the end of the queue. ErrBadState if it has begun or ended.
func (q *Queue) Pull(ctx context.Context, id string) error {
	if err := q.valid(id); err != nil {
		return err
	}
	return q.c.alter(ctx, q.name, "pulling job", id, func(ctx context.Context, line string, n uint64) (string, error) {
		return q.c.queue(q.name).Pull(ctx, line, n, id)
	})
}

// Fail ends a job that has not begun, or for which another one is to answer (Become), with a failure. ErrBadState if it has
// begun otherwise, has ended, or was sent to the queue that runs it: it can be ended there.
func (q *Queue) Fail(ctx context.Context, id string, reason error) error {
	if err := q.valid(id); err != nil {
		return err
	}
	if reason == nil {
		return &FieldError{"reason", nil, "must not be nil"}
	}
	body, err := codec.Marshal(&store.OutcomeBody{Failure: failureOf(reason).Encode()})
	if err != nil {
		return fmt.Errorf("spool: encoding the failure of job %s: %w", id, err)
	}
	return q.c.alter(ctx, q.name, "failing job", id, func(ctx context.Context, line string, n uint64) (string, error) {
		return q.c.queue(q.name).Fail(ctx, line, n, id, body, week.Milliseconds())
	})
}

func (q *Queue) valid(id string) error {
	if err := q.usable(); err != nil {
		return err
	}
	return checkID(id)
}

func (q *Queue) usable() error {
	if q == nil || q.c == nil {
		return &FieldError{"queue", nil, "must come from Client.Queue of an open client"}
	}
	return q.err
}

// Tag is what decides the slot of a queue's keys in a cluster, in braces: the user's keys that transactions of this queue
// read and write begin with it, as in queue.Tag() + "/account/17". Outside of a cluster any key will do.
func (q *Queue) Tag() string { return store.Tag(q.c.cfg.Prefix, q.name) }
