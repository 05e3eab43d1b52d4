package failure

import (
	"errors"
	"fmt"

	"github.com/spooljobs/spool/internal/codec"
	"github.com/vmihailenco/msgpack/v5"
)

// maxInput is how many bytes a decoder accepts: more than is ever written, so
// that a later version may store more and this one still cut it down.
const maxInput = 32 << 10

// ErrMalformed reports bytes that are no failure.
var ErrMalformed = errors.New("failure: malformed")

// The failures of a tree are stored as a flat list, parents first, each with the
// position of its parent. So a long chain of causes does not nest deep: the limit
// on nesting is meant for values, and a failure may itself be deep in one.
//
// All maps: unknown keys are ignored and missing ones are zero, so that fields
// can be added.
type (
	wire struct {
		Nodes []wireNode `msgpack:"n"`
	}
	wireNode struct {
		Parent  int         `msgpack:"u,omitempty"` // the root has none
		Type    string      `msgpack:"t,omitempty"`
		Message string      `msgpack:"m"`
		Panic   bool        `msgpack:"p,omitempty"`
		Name    string      `msgpack:"k,omitempty"`
		Value   []byte      `msgpack:"v,omitempty"`
		Frames  []wireFrame `msgpack:"f,omitempty"`
		Omitted int         `msgpack:"o,omitempty"`
	}
	wireFrame struct {
		Func string   `msgpack:"f"`
		File string   `msgpack:"s,omitempty"`
		Line int      `msgpack:"l,omitempty"`
		Vars []string `msgpack:"v,omitempty"` // name, value, name, value ...
	}
)

// Encode returns the stored form in MessagePack, in less than 8 KiB: a map, in
// which unknown keys are ignored. It does not change f, and encoding what was
// decoded gives the same bytes. A nil f gives nil.
func (f *Failure) Encode() []byte {
	if f == nil {
		return nil
	}
	var w wire
	w.add(f.stored(), 0)
	b, err := codec.Marshal(w)
	if err != nil {
		panic("failure: bug: plain data does not encode: " + err.Error()) // unreachable: strings and numbers only
	}
	return b
}

func (w *wire) add(f *Failure, parent int) {
	self := len(w.Nodes)
	n := wireNode{
		Parent: parent, Type: f.Type, Message: f.Message, Panic: f.Panic,
		Name: f.Name, Value: f.Value, Omitted: f.Omitted,
	}
	for _, fr := range f.Frames {
		wf := wireFrame{Func: fr.Func, File: fr.File, Line: fr.Line}
		for _, v := range fr.Vars {
			wf.Vars = append(wf.Vars, v.Name, v.Value)
		}
		n.Frames = append(n.Frames, wf)
	}
	w.Nodes = append(w.Nodes, n)
	for _, cause := range f.Causes {
		w.add(cause, self)
	}
}

// Decode reads what [Failure.Encode] wrote. The input may come from anyone: it is
// checked before it is decoded, and what is longer than the stored form allows is
// cut. Bytes that are no failure give [ErrMalformed]. context.Canceled and
// context.DeadlineExceeded are resolved; for more, call [Failure.Resolve].
func Decode(b []byte) (*Failure, error) {
	if len(b) > maxInput {
		return nil, fmt.Errorf("%w: %d bytes", ErrMalformed, len(b))
	}
	var w wire
	if err := codec.Unmarshal(b, &w); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if len(w.Nodes) == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrMalformed)
	}
	all := make([]*Failure, len(w.Nodes))
	for i, n := range w.Nodes {
		f := &Failure{
			Type: n.Type, Message: n.Message, Panic: n.Panic,
			Name: n.Name, Value: n.Value, Omitted: n.Omitted,
		}
		for _, wf := range n.Frames {
			fr := Frame{Func: wf.Func, File: wf.File, Line: wf.Line}
			for v := wf.Vars; len(v) >= 2; v = v[2:] {
				fr.Vars = append(fr.Vars, Var{v[0], v[1]})
			}
			f.Frames = append(f.Frames, fr)
		}
		all[i] = f
		if i == 0 {
			continue
		}
		if n.Parent < 0 || n.Parent >= i { // parents first: so it is a tree
			return nil, fmt.Errorf("%w: part %d has the parent %d", ErrMalformed, i, n.Parent)
		}
		all[n.Parent].Causes = append(all[n.Parent].Causes, f)
	}
	return all[0].restored(), nil
}

// restored is the stored form of what was read, with the errors everyone knows.
func (f *Failure) restored() *Failure {
	f = f.stored()
	f.Resolve(nil)
	return f
}

// EncodeMsgpack makes a Failure part of another value, as one opaque string of
// bytes: its own nesting and size do not count there.
func (f *Failure) EncodeMsgpack(e *msgpack.Encoder) error { return e.EncodeBytes(f.Encode()) }

// DecodeMsgpack reads what [Failure.EncodeMsgpack] wrote, as [Decode] does. A nil
// becomes the zero Failure.
func (f *Failure) DecodeMsgpack(d *msgpack.Decoder) error {
	b, err := d.DecodeBytes()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if b == nil {
		*f = Failure{}
		return nil
	}
	g, err := Decode(b)
	if err != nil {
		return err
	}
	*f = *g
	return nil
}
