package codec_test

import (
	"bytes"
	"testing"

	"github.com/spooljobs/spool/internal/codec"
	"github.com/vmihailenco/msgpack/v5"
)

func seed(f *testing.F) {
	for _, in := range hostile {
		if len(in) < 1000 {
			f.Add(in)
		}
	}
	for _, v := range []any{nil, 1, "text", sample(), []any{1.5, true, map[string]any{"k": []byte("v")}}} {
		b, err := codec.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0xc7, 0x05, 0x01, 0xdf, 0x05, 0xf5, 0xe1, 0x00})
}

// What the guard accepts, the library's own Skip walks to the same end. What
// the guard refuses, Skip refuses too, or the refusal is one of the stricter rules.
func FuzzCheckAgreesWithSkip(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		rest, err := codec.Skip(in)
		if err != nil {
			return
		}
		r := bytes.NewReader(in)
		if err := msgpack.NewDecoder(r).Skip(); err != nil {
			t.Fatalf("the library refuses % x: %v", in, err)
		}
		if r.Len() != len(rest) {
			t.Fatalf("% x: %d bytes left, the library says %d", in, len(rest), r.Len())
		}
		if (codec.Check(in) == nil) != (len(rest) == 0) {
			t.Fatalf("Check and Skip disagree on % x", in)
		}
	})
}

func FuzzUnmarshal(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		for what, v := range targets() {
			// 300 bytes an element is more than any type in targets needs.
			if n := allocated(func() { _ = codec.Unmarshal(in, v) }); n > 1<<20+300*uint64(len(in)) {
				t.Fatalf("% x into %s allocated %d bytes", in, what, n)
			}
		}
		var v any
		if codec.Unmarshal(in, &v) != nil {
			return
		}
		b, err := codec.Marshal(v)
		if err != nil {
			t.Fatalf("decoded, but not encodable: %v", err)
		}
		if err := codec.Unmarshal(b, new(any)); err != nil {
			t.Fatalf("own encoding refused: %v", err)
		}
	})
}
