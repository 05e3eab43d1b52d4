// Package codec is the one place that encodes and decodes MessagePack.
//
// The library underneath (vmihailenco/msgpack v5) trusts its input: five bytes
// that declare an array of four thousand million elements make it ask for the
// memory, and the process dies of it; no recover helps. So nothing is decoded
// here before it has been walked once by [Check], and a decoder can then only
// ask for memory in proportion to bytes that are really there. The factor is
// the size of the Go type: one byte (a nil) may become one element of a slice,
// so cap the bytes before decoding, too.
//
// What [Marshal] accepts, [Unmarshal] accepts: the output is checked as well.
// A value nested deeper than [MaxDepth], or one that contains itself, is an
// error for the producer rather than a broken record for the consumer.
//
// Where the library is silent, so are we: trailing bytes are refused, but a
// number too large for its field is cut to fit, invalid UTF-8 in strings passes,
// and of two equal keys the later one wins. Map keys are sorted for
// map[string]string, map[string]bool and map[string]any; other maps come out in
// random order. Extensions pass if their payload is not empty; interned strings
// are refused. See [Check] for the reason.
//
// One thing cannot be guarded: a pointer that leads to itself through nothing
// but pointers and interfaces writes no byte, and overflows the stack.
package codec

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/vmihailenco/msgpack/v5"
)

// ErrTooLarge reports that an encoding would exceed the size allowed.
var ErrTooLarge = errors.New("codec: encoded value is too large")

// keep is the largest buffer that goes back to a pool, in bytes. One huge value
// must not pin its memory for the life of the process.
const keep = 64 << 10

// encoder and decoder pair the library's objects with what they read from and
// write to, so that one trip to the pool fetches both. The pools are package
// variables because what is in them carries no state from one use to the next.
type (
	encoder struct {
		msgpack *msgpack.Encoder
		sink    sink
	}
	decoder struct {
		msgpack *msgpack.Decoder
		source  source
	}
)

var (
	encoders = sync.Pool{New: func() any { return &encoder{msgpack: msgpack.NewEncoder(nil)} }}
	decoders = sync.Pool{New: func() any { return &decoder{msgpack: msgpack.NewDecoder(&source{})} }}
	scratch  = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}
)

// Marshal encodes v. Integers take the fewest bytes that hold them, and the
// maps named in the package comment are sorted, so that equal values have equal
// encodings. A panic of a custom encoder becomes an error.
func Marshal(v any) ([]byte, error) { return MarshalMax(v, 0) }

// MarshalMax is [Marshal] with a limit: it gives up with [ErrTooLarge] as soon
// as more than limit bytes are written. A limit of 0 means none.
func MarshalMax(v any, limit int) ([]byte, error) {
	buf := scratch.Get().(*[]byte)
	b, err := appendMax((*buf)[:0], v, limit)
	out := bytes.Clone(b)
	if cap(b) <= keep {
		*buf = b[:0]
		scratch.Put(buf)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// AppendMarshal appends the encoding of v to dst and returns the longer slice.
// On error it returns dst as it was; bytes past its length may be overwritten.
func AppendMarshal(dst []byte, v any) ([]byte, error) { return appendMax(dst, v, 0) }

func appendMax(dst []byte, v any, limit int) (_ []byte, err error) {
	e := encoders.Get().(*encoder)
	e.sink = sink{b: dst, start: len(dst), limit: limit, look: firstLook}
	if err := e.encode(v); err != nil {
		return dst, err // e is dropped: its state is unknown
	}
	out := e.sink.b
	e.sink = sink{}
	encoders.Put(e)
	if err := Check(out[len(dst):]); err != nil {
		return dst, fmt.Errorf("codec: %T cannot be stored: %w", v, err)
	}
	return out, nil
}

func (e *encoder) encode(v any) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("codec: encoding %T panicked: %v", v, r)
		}
	}()
	e.msgpack.Reset(&e.sink) // clears every flag
	e.msgpack.SetSortMapKeys(true)
	e.msgpack.UseCompactInts(true)
	if err := e.msgpack.Encode(v); err != nil {
		return fmt.Errorf("codec: encode: %w", err)
	}
	return nil
}

// Unmarshal decodes the one value in b into the value v points to. It checks b
// first; see [Check]. Input of the wrong type, a v that is no pointer, and a
// panic of a custom decoder are errors. After an error v may be partly filled.
// Nothing decoded shares memory with b.
func Unmarshal(b []byte, v any) error {
	if err := Check(b); err != nil {
		return err
	}
	d := decoders.Get().(*decoder)
	if err := d.decode(b, v); err != nil {
		// Dropped, not returned to the pool: after an error the library may
		// still be recording everything it reads.
		return err
	}
	d.source = source{}
	if len(b) <= keep { // its buffer has grown to the longest string at most
		decoders.Put(d)
	}
	return nil
}

func (d *decoder) decode(b []byte, v any) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("codec: decoding into %T panicked: %v", v, r)
		}
	}()
	d.source.reset(b)
	d.msgpack.Reset(&d.source) // clears every flag, preallocation among them
	if err := d.msgpack.Decode(v); err != nil {
		return fmt.Errorf("codec: decode: %w", err)
	}
	return nil
}
