package codec_test

import (
	"testing"

	"github.com/spooljobs/spool/internal/codec"
	"github.com/vmihailenco/msgpack/v5"
)

func BenchmarkCheck(b *testing.B) {
	in, _ := codec.Marshal(sample())
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		_ = codec.Check(in)
	}
}

func BenchmarkAppendMarshal(b *testing.B) {
	v := sample()
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = codec.AppendMarshal(dst[:0], &v)
	}
}

func BenchmarkMarshal(b *testing.B) {
	v := sample()
	b.ReportAllocs()
	for b.Loop() {
		_, _ = codec.Marshal(&v)
	}
}

func BenchmarkUnmarshal(b *testing.B) {
	in, _ := codec.Marshal(sample())
	b.ReportAllocs()
	for b.Loop() {
		var v record
		_ = codec.Unmarshal(in, &v)
	}
}

// What the guard and the pools are measured against.
func BenchmarkLibraryMarshal(b *testing.B) {
	v := sample()
	b.ReportAllocs()
	for b.Loop() {
		_, _ = msgpack.Marshal(&v)
	}
}

func BenchmarkLibraryUnmarshal(b *testing.B) {
	in, _ := msgpack.Marshal(sample())
	b.ReportAllocs()
	for b.Loop() {
		var v record
		_ = msgpack.Unmarshal(in, &v)
	}
}
