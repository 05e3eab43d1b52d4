package spool

import (
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/spooljobs/spool/failure"
	"github.com/spooljobs/spool/internal/codec"
	"github.com/spooljobs/spool/internal/store"
)

// kinds are the words for stored outcomes.
var kinds = map[byte]OutcomeKind{store.Succeeded: "succeeded", store.Failed: "failed", store.Cancelled: "cancelled",
	store.Expired: "expired", store.Aborted: "aborted"}

// info tells what is stored of a job. What cannot be decoded is left out: looking must work on broken jobs, too.
func (q *Queue) info(s *store.Sight) *JobInfo {
	info := &JobInfo{ID: s.ID, Queue: q.name, State: stateOf(s.Set), Fault: s.Fault, raw: s.Record, Created: drawn(s.ID)}
	if strings.HasPrefix(s.Set, "due:") {
		info.Due = time.UnixMilli(s.Score)
	}
	if record, err := store.DecodeRecord(s.Record); err == nil {
		info.record, info.Task, info.Priority, info.Meta = record, record.Task, record.Priority, record.Extra.Meta
		if record.Lane == store.LaneReactor {
			info.Lane = Reactor
		}
		if record.Extra.Created > 0 {
			info.Created = time.UnixMilli(record.Extra.Created)
		}
		if info.Due.IsZero() && record.Extra.Due > 0 {
			info.Due = time.UnixMilli(record.Extra.Due)
		}
	}
	if past, err := store.DecodeHistory(s.History); err == nil {
		info.Attempts, info.Interruptions = past.Attempts, past.Interruptions
		if f, err := failure.Decode(past.Failure); err == nil && len(past.Failure) > 0 {
			info.Failure = f
		}
	}
	if s.Worker != "" {
		var a about
		if codec.Unmarshal([]byte(s.Worker), &a) == nil {
			info.Worker = a.Worker
		}
	}
	if info.State == StateCompleted || info.State == StateCallbacks {
		if info.State == StateCompleted {
			info.KeptUntil = time.UnixMilli(s.Score)
		}
		if o, err := store.DecodeOutcome(s.Outcome); err == nil {
			info.ended(o)
		}
	}
	return info
}

func (i *JobInfo) ended(o *store.Outcome) {
	i.Task, i.Outcome, i.Attempts, i.Interruptions = o.Task, kinds[o.Kind], o.Attempts, o.Interruptions
	i.Ended, i.Worker, i.result = time.UnixMilli(o.Ended), o.Body.Worker, o.Body.Result
	if o.Body.Started > 0 {
		i.Started = time.UnixMilli(o.Body.Started)
	}
	if o.Kind != store.Succeeded {
		if f, ok := outcomeFailure(i.ID, o, nil).(*failure.Failure); ok {
			i.Failure = f
		}
	}
}

func stateOf(set string) State {
	for state, names := range sets {
		for _, name := range names {
			if name == set {
				return state
			}
		}
	}
	return ""
}

// drawn is when an id of Spool's own was drawn; zero for others.
func drawn(id string) time.Time {
	if !store.Generated(id) {
		return time.Time{}
	}
	u, err := uuid.Parse(id)
	if err != nil {
		return time.Time{}
	}
	sec, nsec := u.Time().UnixTime()
	return time.Unix(sec, nsec)
}
