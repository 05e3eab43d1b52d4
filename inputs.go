package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/spooljobs/spool/failure"
	"github.com/spooljobs/spool/internal/store"
)

// errOrphan ends a job whose flow has ended without it.
var errOrphan = errors.New("spool: what the job was to follow has ended without it")

// bring gets the outcomes that a job follows, before its handler is called. They lie in the queue where the job waited for
// them: in this one, or in the one that has sent it here. If the job cannot run it returns the verdict that says so.
func (e *engine) bring(r *run) (store.Verdict, bool) {
	if !r.record.Inputs || r.inputs != nil {
		return store.Verdict{}, true
	}
	all, verdict, ok := e.incoming(r)
	if !ok {
		return verdict, false
	}
	found := []store.Incoming{}
	for _, one := range all {
		if one.Class != store.Order && one.Condition != store.Adoption && (one.Arrived || r.task != firstTask) {
			found = append(found, one)
		}
	}
	r.inputs, r.joins = found, r.record.Extra.Join
	return store.Verdict{}, true
}

// incoming is what comes in at a job, each edge once, in order.
func (e *engine) incoming(r *run) (all []store.Incoming, verdict store.Verdict, ok bool) {
	queue, away := e.client.queue(r.queue), false
	for from := 1; from > 0; {
		var in *store.Inputs
		err := e.gate.do(e.calls, func() (err error) {
			in, err = queue.Inputs(e.calls, r.id, from)
			return err
		})
		home, sent := "", false
		if err == nil {
			home, sent = strings.CutPrefix(in.To, "<")
		}
		switch {
		case err != nil && errors.Is(err, store.ErrAway):
			return nil, backVerdict(r), false // the worker is at its end
		case err != nil:
			return nil, e.judge(r, failing(err)), false
		case sent && !away && in.Total == 0: // what a flow waits for lies where it was taken apart: here
			queue, away = e.client.queue(home), true
			continue
		case in.To == "":
			return nil, e.judge(r, failing(Cancelled(errOrphan))), false
		}
		all, from = append(all, in.Inputs...), in.Next
	}
	return byPlace(all), store.Verdict{}, true
}

// byPlace puts edges in order. Of one that is there twice, in a list and arrived, the one that has arrived counts.
func byPlace(all []store.Incoming) []store.Incoming {
	slices.SortFunc(all, func(a, b store.Incoming) int {
		if a.Place == b.Place && a.Arrived != b.Arrived {
			if a.Arrived {
				return -1
			}
			return 1
		}
		return a.Place - b.Place
	})
	return slices.CompactFunc(all, func(a, b store.Incoming) bool { return a.Place == b.Place })
}

// failing is the end of a call that was not made.
func failing(err error) *ending {
	return &ending{err: err, failure: failure.New(aboutOf(err), ownSite())}
}

// maxList bounds the outcomes that are brought together in one result.
const maxList = 16 << 20

// listOf encodes outcomes as a []Outcome.
func listOf(inputs []store.Incoming) ([]byte, error) {
	var b bytes.Buffer
	enc := msgpack.NewEncoder(&b)
	if err := enc.EncodeArrayLen(len(inputs)); err != nil {
		return nil, err
	}
	for _, in := range inputs {
		w, err := wired(in.Parent, in.Outcome)
		if err != nil {
			return nil, err
		}
		if err := w.encode(enc); err != nil {
			return nil, err
		}
		if b.Len() > maxList {
			return nil, fmt.Errorf("%w: the outcomes of %d jobs have more than %d bytes together", ErrTooLarge, len(inputs), maxList)
		}
	}
	return b.Bytes(), nil
}

// The tasks that every worker knows: they bring outcomes together.
const (
	gatherTask = ownTasks + "gather" // all outcomes, in order
	firstTask  = ownTasks + "first"  // the first success, or all failures
)

// ownHandlers are the handlers of these tasks.
func ownHandlers() map[string]*handler {
	own := map[string]*handler{}
	for name, call := range map[string]func(*Run) ([]byte, error){gatherTask: gather, firstTask: winner} {
		def := &taskDef{name: name, defaults: defaultSettings(), answer: true, reacts: true, known: ownSite().Known}
		own[name] = &handler{def: def, call: func(ctx context.Context, _ []byte, end *ending) {
			if end.result, end.err = call(Running(ctx)); end.err != nil {
				*end = *failing(end.err)
			}
		}}
	}
	return own
}

func gather(r *Run) ([]byte, error) {
	list, err := listOf(r.inputs)
	if err != nil {
		return nil, Final(err)
	}
	return list, nil
}

// winner is the result of the first job that has succeeded. The others are cancelled with the end of the race.
func winner(r *Run) ([]byte, error) {
	var failures []error
	for _, in := range r.inputs {
		o, err := store.DecodeOutcome(in.Outcome)
		switch {
		case err != nil:
			return nil, Final(fmt.Errorf("spool: job %s: %w", in.Parent, err))
		case o.Kind == store.Succeeded && len(o.Body.Result) == 0:
			return []byte{0xc0}, nil // nil in msgpack: it has none
		case o.Kind == store.Succeeded:
			return o.Body.Result, nil
		}
		failures = append(failures, outcomeFailure(in.Parent, o, nil))
	}
	return nil, Final(errors.Join(failures...))
}
