package store

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// states lists the sets one of which holds the id of every job.
var states = []string{"ready:thread", "ready:reactor", "due:thread", "due:reactor", "suspect:thread", "suspect:reactor",
	"parked", "waiting", "active", "adopting", "callbacks", "done", "quarantine"}

// maxOrder is where the orders of jobs that become ready begin; see lua/shared/record.lua.
const maxOrder = 1 << 41

// problems applies every rule of the keyspace.
func (s *space) problems() []string {
	var found []string
	report := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }

	s.checkSentinels(report)
	where := s.checkStates(report)
	s.checkRecords(where, report)
	s.checkRanks(report)
	s.checkEngines(report)
	s.checkIndexes(where, report)
	s.checkPost(report)
	s.checkEdges(where, report)
	s.checkLines(report)
	s.checkCounters(report)
	for _, name := range []string{"wake:thread", "wake:reactor"} {
		if s.lists[name] > 1 {
			report("%s: %d markers, at most one may be set", name, s.lists[name])
		}
	}
	return found
}

type reporter func(format string, args ...any)

// checkSentinels: sets that are not empty and should have the member that is no job have it, others do not. It takes
// the member out of the snapshot.
func (s *space) checkSentinels(report reporter) {
	for name, set := range s.zsets {
		guards := 0
		for member, score := range set {
			if !math.IsInf(score, 1) {
				continue
			}
			guards++
			delete(set, member)
			if !sentinel(name) || len(member) <= 64 {
				report("%s: %q has no finite score", name, UnpackID(member))
			}
		}
		if sentinel(name) && guards != 1 && guards+len(set) > 0 {
			report("%s: %d sentinels", name, guards)
		}
	}
}

// checkStates: every id is in one state.
func (s *space) checkStates(report reporter) map[string]string {
	where := make(map[string]string)
	for _, name := range states {
		for id := range s.zsets[name] {
			if strings.HasPrefix(id, "~~~~~~~~") && len(id) > 64 {
				report("%s: the sentinel was taken for a job", name)
			}
			if other, twice := where[id]; twice {
				report("id %q: in two states, %s and %s", UnpackID(id), other, name)
			}
			where[id] = name
		}
	}
	return where
}

// checkRecords: an id has a record while it lives and an outcome once it has ended, and the other way round.
func (s *space) checkRecords(where map[string]string, report reporter) {
	jobs, outcomes := s.hashes["jobs"], s.hashes["outcomes"]
	for id, name := range where {
		record, stored := jobs[id]
		_, ended := outcomes[id]
		switch {
		case over(name) && !ended:
			report("id %q: in %s without an outcome", UnpackID(id), name)
		case over(name) && stored && !(name == "callbacks" && Flow([]byte(record))):
			report("id %q: in %s and still with a record", UnpackID(id), name)
		case over(name) || name == "quarantine":
		case !stored:
			report("id %q: in %s without a record", UnpackID(id), name)
		default:
			r, err := DecodeRecord(record)
			if err != nil {
				report("id %q: in %s: %v", UnpackID(id), name, err)
			} else if _, lane, has := strings.Cut(name, ":"); has && lane[0] != r.Lane {
				report("id %q: in %s with a record of lane %c", UnpackID(id), name, r.Lane)
			}
		}
	}
	for id := range jobs {
		if where[id] == "" {
			report("id %q: a record in no state", UnpackID(id))
		}
	}
	for id, outcome := range outcomes {
		if !over(where[id]) {
			report("id %q: an outcome without a time to go", UnpackID(id))
		}
		if _, err := DecodeOutcome(outcome); err != nil {
			report("id %q: %v", UnpackID(id), err)
		}
	}
}

// checkRanks: no order was given out beyond its counter, and the priority before it is the record's.
func (s *space) checkRanks(report reporter) {
	given, _ := strconv.ParseInt(s.hashes["meta"]["order"], 10, 64)
	back, _ := strconv.ParseInt(s.hashes["meta"]["front"], 10, 64)
	for _, name := range []string{"ready:thread", "ready:reactor", "suspect:thread", "suspect:reactor", "parked"} {
		for id, rank := range s.zsets[name] {
			order := int64(rank) % (1 << 42)
			if (order >= maxOrder && order-maxOrder > given) || (order < maxOrder && order > back) {
				report("id %q: in %s at order %d, beyond the counter", UnpackID(id), name, order)
			}
			if r, err := DecodeRecord(s.hashes["jobs"][id]); err == nil && int64(rank)>>42 != int64(r.Priority+MaxPriority) {
				report("id %q: in %s at priority %d, its record says %d", UnpackID(id), name, int64(rank)>>42-MaxPriority, r.Priority)
			}
		}
	}
}

// checkEngines: a holder is an engine that lives or is being swept.
func (s *space) checkEngines(report reporter) {
	engines := make(map[int64]string)
	count, _ := strconv.ParseInt(s.hashes["meta"]["engines"], 10, 64)
	for _, set := range []string{"engines", "dying"} {
		for name := range s.zsets[set] {
			e := parseEngine(name)
			if e.Number < 1 || e.Number > count {
				report("%s: %s bears a number never given out", set, name)
			}
			if other := engines[e.Number]; other != "" {
				report("%s: %s and %s share a number", set, name, other)
			}
			engines[e.Number] = name
			workers := s.hashes["workers"]
			_, about := workers[strconv.FormatInt(e.Number, 10)]
			// The uuid of one that dies may have been given another number since.
			if !about || (set == "engines" && workers[e.UUID] != strconv.FormatInt(e.Number, 10)) {
				report("%s: %s is not among the workers", set, name)
			}
			if _, ok := s.hashes["calls"][name]; !ok {
				report("%s: %s has no line", set, name)
			}
		}
	}
	for id, token := range s.zsets["active"] {
		n := int64(token) >> claimBits
		switch {
		case n < 1 || n > count:
			report("id %q: active under engine %d, a number never given out", UnpackID(id), n)
		case engines[n] == "":
			report("id %q: active under engine %d, which is dead and swept", UnpackID(id), n)
		}
	}
	for id, token := range s.zsets["leaving"] {
		n := int64(token) >> claimBits
		if engines[n] == "" {
			report("leaving: id %q: of engine %d, which is gone", UnpackID(id), n)
		}
		if held, active := s.zsets["active"][id]; active && held == token {
			report("leaving: id %q: the run is active", UnpackID(id))
		}
	}
	for name := range s.hashes["calls"] {
		if engines[parseEngine(name).Number] != name {
			report("calls: the line of %s, which is gone", name)
		}
	}
	for field, value := range s.hashes["workers"] {
		if n, err := strconv.ParseInt(field, 10, 64); err == nil {
			if engines[n] == "" {
				report("workers: engine %d, which is gone", n)
			}
		} else if n, _ := strconv.ParseInt(value, 10, 64); engines[n] != value+":"+field {
			report("workers: engine %s, which is gone", field)
		}
	}
}

// checkIndexes: what stands beside the states points at something.
func (s *space) checkIndexes(where map[string]string, report reporter) {
	jobs := s.hashes["jobs"]
	for _, name := range []string{"history", "checkpoints", "watched"} {
		for id := range s.hashes[name] {
			if _, ok := jobs[id]; !ok && where[id] != "quarantine" {
				report("%s: id %q has no record", name, UnpackID(id))
			}
		}
	}
	for id := range s.zsets["deadlines"] {
		record, ok := jobs[id]
		if !ok {
			report("deadlines: id %q has no record", UnpackID(id))
		} else if len(record) > 5 && record[5] != 'd' {
			report("deadlines: id %q has a record without one", UnpackID(id))
		}
	}
	for id, record := range jobs {
		_, limited := s.zsets["deadlines"][id]
		if len(record) > 5 && record[5] == 'd' && !limited && pending(where[id]) && where[id] != "waiting" {
			report("id %q: in %s without its deadline", UnpackID(id), where[id])
		}
	}
	for id := range s.hashes["faults"] {
		if where[id] != "quarantine" {
			report("faults: id %q is not in quarantine", UnpackID(id))
		}
	}
	for id := range s.zsets["quarantine"] {
		if _, ok := s.hashes["faults"][id]; !ok {
			report("quarantine: id %q without a fault", UnpackID(id))
		}
	}
	for id, past := range s.hashes["history"] {
		if _, err := DecodeHistory(past); (err != nil || past == "") && where[id] != "quarantine" {
			report("history: id %q cannot be read", UnpackID(id))
		}
	}
	kinds := make(map[string]bool)
	for member := range s.zsets["kinds"] {
		parts := strings.SplitN(member, "/", 3)
		if len(parts) != 3 || where[parts[2]] != "parked" {
			report("kinds: %q points at no parked job", member)
			continue
		}
		if r, err := DecodeRecord(jobs[parts[2]]); err == nil && parts[0]+"/"+parts[1] != string(r.Lane)+"/"+r.Task {
			report("kinds: %q names a job of %c/%s", member, r.Lane, r.Task)
		}
		kinds[parts[2]] = true
	}
	for id := range s.zsets["parked"] {
		if !kinds[id] {
			report("parked: id %q is not among the kinds", UnpackID(id))
		}
	}
}

// checkPost: what waits for its way to another queue can be read and has its time; so has what arrived.
func (s *space) checkPost(report reporter) {
	for id, entry := range s.hashes["outbox"] {
		if _, ok := s.zsets["outgoing"][id]; !ok {
			report("outbox: %q has no time", id)
		}
		o := parseOut(id, entry)
		if o.To == "" || o.Item.ID == "" {
			report("outbox: %q cannot be read", id)
		} else if !o.Job() {
			continue
		} else if r, err := DecodeRecord(string(o.Record)); err != nil {
			report("outbox: %q: %v", id, err)
		} else if r.Deadline != o.Deadline.Set && o.Mark == "" {
			report("outbox: %q: its record has another opinion of whether it has a deadline", id)
		}
	}
	for id := range s.zsets["outgoing"] {
		if _, ok := s.hashes["outbox"][id]; !ok {
			report("outgoing: %q has left the outbox", id)
		}
	}
	for _, name := range []string{"outgoing", "inbox"} {
		for id, since := range s.zsets[name] {
			if since < 1 || since >= 1e14 || since != math.Trunc(since) {
				report("%s: %q has the time %v", name, id, since)
			}
		}
	}
}

// pending tells whether a job in this set has not begun.
func pending(set string) bool {
	return set != "" && set != "active" && set != "adopting" && set != "quarantine" && !over(set)
}

// over tells whether a job in this set has ended.
func over(set string) bool { return set == "done" || set == "callbacks" }

// checkLines: the time of a line stands in it and among the last calls, and is the same.
func (s *space) checkLines(report reporter) {
	for line, entry := range s.hashes["lines"] {
		at, ok := s.zsets["lastcalls"][line]
		fields := strings.SplitN(entry, " ", 3)
		switch {
		case len(fields) != 3:
			report("lines: the entry of %s cannot be read", line)
		case !ok:
			report("lines: %s has no time", line)
		case fields[1] != strconv.FormatFloat(at, 'f', -1, 64):
			report("lines: %s was last called at %s, lastcalls says %.0f", line, fields[1], at)
		}
	}
	for line := range s.zsets["lastcalls"] {
		if _, ok := s.hashes["lines"][line]; !ok {
			report("lastcalls: %s is no line", line)
		}
	}
}

// checkCounters: meta holds the counters of the table in lua/README.md and nothing else.
func (s *space) checkCounters(report reporter) {
	for name, value := range s.hashes["meta"] {
		switch name {
		case "order", "front", "engines", "fence", "posts", "succeeded", "failed", "cancelled", "expired", "aborted", "retried", "interrupted", "lost":
			if n, err := strconv.ParseInt(value, 10, 64); err != nil || n < 0 {
				report("meta: %s is %q", name, value)
			}
		default:
			report("meta: %s is no counter", name)
		}
	}
}
