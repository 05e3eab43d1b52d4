package spool

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/spooljobs/spool/failure"
	"github.com/spooljobs/spool/internal/codec"
	"github.com/spooljobs/spool/internal/store"
)

// Outcome is how a job ended. Err is nil for a success, else a *failure.Failure. It can be encoded: be an argument, a
// result, or part of one. An error that is no failure becomes one on the way.
type Outcome[R any] struct {
	JobID string
	Value R
	Err   error
}

// wireOutcome is how an Outcome is encoded; docs/wire.md.
type wireOutcome struct {
	ID      string             `msgpack:"id"`
	Value   msgpack.RawMessage `msgpack:"value,omitempty"`
	Failure []byte             `msgpack:"failure,omitempty"`
}

// EncodeMsgpack makes an Outcome a legal argument or result.
func (o Outcome[R]) EncodeMsgpack(enc *msgpack.Encoder) error {
	w := wireOutcome{ID: o.JobID}
	if o.Err != nil {
		var f *failure.Failure
		if !errors.As(o.Err, &f) {
			f = failure.New(o.Err, ownSite())
		}
		w.Failure = f.Encode()
	} else {
		value, err := codec.Marshal(o.Value)
		if err != nil {
			return err
		}
		w.Value = value
	}
	return enc.Encode(&w)
}

// DecodeMsgpack gives the Outcome back. Of errors it knows Spool's own, and, in what Job.Wait returns, those the tasks declare.
func (o *Outcome[R]) DecodeMsgpack(dec *msgpack.Decoder) error {
	var w wireOutcome
	if err := dec.Decode(&w); err != nil {
		return err
	}
	*o = Outcome[R]{JobID: w.ID}
	switch {
	case len(w.Failure) > 0:
		f, err := failure.Decode(w.Failure)
		if err != nil {
			return fmt.Errorf("outcome of job %s: %w", w.ID, err)
		}
		f.Resolve(ownSite().Known)
		o.Err = f
	case len(w.Value) > 0 && !is[R, None]():
		if err := codec.Unmarshal(w.Value, &o.Value); err != nil {
			return fmt.Errorf("outcome of job %s: %w", w.ID, err)
		}
	}
	return nil
}

// resolve lets errors.Is and errors.As find what is known.
func (o *Outcome[R]) resolve(known *failure.Known) {
	var f *failure.Failure
	if errors.As(o.Err, &f) {
		f.Resolve(known)
	}
}

// resolveAll does so for the outcomes of a list.
func resolveAll(list any, known *failure.Known) {
	v := reflect.ValueOf(list).Elem()
	if known == nil || v.Kind() != reflect.Slice {
		return
	}
	for i := range v.Len() {
		one, ok := v.Index(i).Addr().Interface().(interface{ resolve(*failure.Known) })
		if !ok {
			return
		}
		one.resolve(known)
	}
}

// ownSite is where failures of Spool's own come from.
func ownSite() failure.Site { return failure.Site{Known: declareOwn(&failure.Known{})} }

// outcomeOf decodes a stored outcome. What cannot be decoded is an error of its own; a failure is not.
func outcomeOf[R any](id, stored string, known *failure.Known) (Outcome[R], error) {
	out := Outcome[R]{JobID: id}
	o, err := store.DecodeOutcome(stored)
	if err != nil {
		return out, fmt.Errorf("spool: job %s: %w", id, err)
	}
	switch {
	case o.Kind != store.Succeeded:
		out.Err = outcomeFailure(id, o, known)
	case len(o.Body.Result) > 0 && !is[R, None]():
		if err := codec.Unmarshal(o.Body.Result, &out.Value); err != nil {
			return out, fmt.Errorf("spool: decoding the result of job %s: %w", id, err)
		}
	}
	return out, nil
}

// wired is a stored outcome as one of a list.
func wired(id, stored string) (wireOutcome, error) {
	w := wireOutcome{ID: id}
	o, err := store.DecodeOutcome(stored)
	switch {
	case err != nil:
		return w, fmt.Errorf("spool: job %s: %w", id, err)
	case o.Kind == store.Succeeded:
		w.Value = o.Body.Result
	default:
		f, ok := outcomeFailure(id, o, nil).(*failure.Failure)
		if !ok {
			f = failure.New(fmt.Errorf("spool: job %s failed; its failure cannot be read", id), ownSite())
		}
		w.Failure = f.Encode()
	}
	return w, nil
}
