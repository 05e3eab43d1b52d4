package codec_test

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spooljobs/spool/internal/codec"
	"github.com/vmihailenco/msgpack/v5"
)

type record struct {
	ID      string
	Attempt int64
	Due     time.Time
	Wait    time.Duration
	Meta    map[string]string `msgpack:",omitempty"`
	Body    []byte
	Next    *record `msgpack:",omitempty"`
}

func sample() record {
	return record{
		ID: "1f0c7a1e-9d0b-4f8e-8d9e-0a1b2c3d4e5f", Attempt: 3, Due: time.UnixMilli(1_700_000_000_123),
		Wait: time.Minute, Meta: map[string]string{"b": "2", "a": "1"}, Body: bytes.Repeat([]byte("x"), 150),
		Next: &record{ID: "inner"},
	}
}

func TestMarshalledValueComesBack(t *testing.T) {
	t.Parallel()
	want := sample()
	b, err := codec.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got record
	if err := codec.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestMarshalIsCanonical(t *testing.T) {
	t.Parallel()
	m := map[string]any{}
	for i := range 50 {
		m[fmt.Sprint(i)] = map[string]string{"x": "y", "a": "b", "k": fmt.Sprint(i)}
	}
	first, err := codec.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if again, _ := codec.Marshal(m); !bytes.Equal(first, again) {
			t.Fatal("two encodings of one map differ")
		}
	}
	if b, _ := codec.Marshal(struct{ N int64 }{5}); len(b) != 4 {
		t.Errorf("int64 5 is not compact: % x", b)
	}
	if b, _ := codec.Marshal(struct{ N int64 }{}); len(b) != 4 {
		t.Errorf("a zero field was left out: % x", b)
	}
}

func TestAppendMarshalKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	b, err := codec.AppendMarshal([]byte("head"), "tail")
	if err != nil || string(b) != "head\xa4tail" {
		t.Fatalf("%q, %v", b, err)
	}
	b, err = codec.AppendMarshal(b, make(chan int))
	if err == nil || string(b) != "head\xa4tail" {
		t.Fatalf("after an error: %q, %v", b, err)
	}
}

// badCoder panics on both ways, and leaves flags behind where it can.
type badCoder struct{ X int }

func (badCoder) EncodeMsgpack(e *msgpack.Encoder) error {
	e.UseArrayEncodedStructs(true)
	e.UseInternedStrings(true)
	panic("encoder")
}

func (*badCoder) DecodeMsgpack(d *msgpack.Decoder) error {
	d.DisallowUnknownFields(true)
	panic("decoder")
}

// flagger succeeds, but sets flags that must not outlive the call.
type flagger struct{}

func (flagger) EncodeMsgpack(e *msgpack.Encoder) error {
	e.UseArrayEncodedStructs(true)
	e.SetOmitEmpty(true)
	return e.EncodeNil()
}

func (*flagger) DecodeMsgpack(d *msgpack.Decoder) error {
	d.DisallowUnknownFields(true)
	return d.DecodeNil()
}

func TestPanicsBecomeErrors(t *testing.T) {
	t.Parallel()
	if _, err := codec.Marshal(badCoder{}); err == nil || !strings.Contains(err.Error(), "panicked: encoder") {
		t.Errorf("Marshal: %v", err)
	}
	if err := codec.Unmarshal([]byte{0x01}, &badCoder{}); err == nil || !strings.Contains(err.Error(), "panicked: decoder") {
		t.Errorf("Unmarshal: %v", err)
	}
}

func TestPooledFlagsDoNotStick(t *testing.T) {
	t.Parallel()
	for range 100 {
		if _, err := codec.Marshal(flagger{}); err != nil {
			t.Fatal(err)
		}
		b, err := codec.Marshal(struct{ A, B int }{})
		if err != nil || b[0] != 0x82 {
			t.Fatalf("% x, %v", b, err)
		}
		if err := codec.Unmarshal([]byte{0xc0}, &[]flagger{{}}[0]); err != nil {
			t.Fatal(err)
		}
		var one struct{ A int }
		if err := codec.Unmarshal(b, &one); err != nil {
			t.Fatalf("unknown field: %v", err)
		}
	}
}

func TestWrongTypesAreErrors(t *testing.T) {
	t.Parallel()
	text, _ := codec.Marshal("text")
	list, _ := codec.Marshal([]int{1, 2})
	keyed := []byte{0x81, 0x91, 0x01, 0x01} // {[1]: 1}
	ch := make(chan int)
	var iface fmt.Stringer
	for name, c := range map[string]struct {
		in []byte
		v  any
	}{
		"number":         {text, new(int)},
		"struct":         {text, new(record)},
		"list as string": {list, new(string)},
		"list as map":    {list, new(map[string]any)},
		"array key":      {keyed, new(map[any]any)},
		"channel":        {list, &ch},
		"interface":      {list, &iface},
		"nil":            {list, nil},
		"no pointer":     {list, 3},
		"nil pointer":    {list, (*int)(nil)},
		"function":       {list, new(func())},
	} {
		if err := codec.Unmarshal(c.in, c.v); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// ring contains itself; each level writes a few bytes.
type ring struct{ Next *ring }

func TestMarshalRefusesWhatCouldNotBeRead(t *testing.T) {
	t.Parallel()
	deep := any(1)
	for range codec.MaxDepth + 1 {
		deep = []any{deep}
	}
	loop := &ring{}
	loop.Next = loop
	list := []any{nil}
	list[0] = list
	table := map[string]any{}
	for i := range 1000 {
		table[fmt.Sprint(i)] = 1
	}
	table["0"] = table
	for name, v := range map[string]any{
		"too deep":        deep,
		"struct in self":  loop,
		"list in itself":  list,
		"map in itself":   table,
		"empty raw value": struct{ X msgpack.RawMessage }{msgpack.RawMessage{}},
		"interned": struct {
			A, B string `msgpack:",intern"`
		}{"long string", "long string"},
	} {
		_, err := codec.Marshal(v)
		var bad *codec.MalformedError
		if !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := codec.Marshal(deep.([]any)[0]); err != nil {
		t.Errorf("depth %d: %v", codec.MaxDepth, err)
	}
}

func TestMarshalMaxStopsEarly(t *testing.T) {
	t.Parallel()
	written := 0
	v := make([]counting, 1_000_000)
	for i := range v {
		v[i].n = &written
	}
	if _, err := codec.MarshalMax(v, 100); !errors.Is(err, codec.ErrTooLarge) {
		t.Fatal(err)
	}
	if written > 200 {
		t.Errorf("%d elements were encoded for a limit of 100 bytes", written)
	}
	if b, err := codec.MarshalMax("0123456789", 11); err != nil || len(b) != 11 {
		t.Errorf("exactly the limit: %v", err)
	}
}

type counting struct{ n *int }

func (c counting) EncodeMsgpack(e *msgpack.Encoder) error { *c.n++; return e.EncodeInt(1) }

func TestDecodedValuesDoNotShareTheInput(t *testing.T) {
	t.Parallel()
	b, err := codec.Marshal(sample())
	if err != nil {
		t.Fatal(err)
	}
	var got record
	if err := codec.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	clear(b)
	if d := cmp.Diff(sample(), got); d != "" {
		t.Error(d)
	}
}

// The pool must not keep a message alive, whether decoding it worked or not.
func TestPooledDecoderForgetsTheInput(t *testing.T) {
	type unmarshaller struct{ X rejecting }
	for name, v := range map[string]any{"good": new(map[string][]byte), "bad": new(unmarshaller)} {
		gone := make(chan struct{})
		func() {
			b, _ := codec.Marshal(map[string][]byte{"X": make([]byte, 1<<20)})
			runtime.AddCleanup(&b[0], func(struct{}) { close(gone) }, struct{}{})
			_ = codec.Unmarshal(b, v)
		}()
		for range 20 {
			runtime.GC()
			select {
			case <-gone:
			case <-time.After(50 * time.Millisecond): // only to let the cleanup run
				continue
			}
			break
		}
		select {
		case <-gone:
		default:
			t.Errorf("%s: the input is still referred to", name)
		}
	}
}

type rejecting struct{}

func (*rejecting) UnmarshalMsgpack([]byte) error { return errors.New("no") }

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 300 {
				want := record{ID: strings.Repeat(fmt.Sprint(i), 100), Attempt: int64(i)}
				b, err := codec.Marshal(want)
				var got record
				if err == nil {
					err = codec.Unmarshal(b, &got)
				}
				if err != nil || got.ID != want.ID || got.Attempt != want.Attempt {
					t.Errorf("got %v, %v", got, err)
					return
				}
				_ = codec.Unmarshal(b, new(int)) // an error in between
			}
		})
	}
	wg.Wait()
}
