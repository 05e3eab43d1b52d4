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
	ID      string             // id
	Value   msgpack.RawMessage // value; not of a success without a result
	Failure []byte             // failure
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
	return w.encode(enc)
}

// encode writes a map; by hand, since a flow may have many thousands of them.
func (w *wireOutcome) encode(enc *msgpack.Encoder) error {
	fields := 1
	for _, part := range [][]byte{w.Value, w.Failure} {
		if len(part) > 0 {
			fields++
		}
	}
	err := errors.Join(enc.EncodeMapLen(fields), enc.EncodeString("id"), enc.EncodeString(w.ID))
	if len(w.Value) > 0 {
		err = errors.Join(err, enc.EncodeString("value"), enc.Encode(w.Value))
	}
	if len(w.Failure) > 0 {
		err = errors.Join(err, enc.EncodeString("failure"), enc.EncodeBytes(w.Failure))
	}
	return err
}

// decode reads what encode wrote.
func (w *wireOutcome) decode(dec *msgpack.Decoder) error {
	fields, err := dec.DecodeMapLen()
	for range fields {
		if err != nil {
			break
		}
		var name string
		if name, err = dec.DecodeString(); err != nil {
			break
		}
		switch name {
		case "id":
			w.ID, err = dec.DecodeString()
		case "value":
			w.Value, err = dec.DecodeRaw()
		case "failure":
			w.Failure, err = dec.DecodeBytes()
		default:
			err = dec.Skip()
		}
	}
	return err
}

// DecodeMsgpack gives the Outcome back. Of errors it knows Spool's own, and, in what Job.Wait returns, those the tasks declare.
func (o *Outcome[R]) DecodeMsgpack(dec *msgpack.Decoder) error {
	var w wireOutcome
	if err := w.decode(dec); err != nil {
		return fmt.Errorf("outcome: %w", err)
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
	if store.Bare(stored) {
		return w, nil
	}
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
