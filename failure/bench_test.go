package failure_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/spooljobs/spool/failure"
)

func BenchmarkNew(b *testing.B) {
	err := fmt.Errorf("transfer: %w", errors.Join(errInsufficient, errors.New("other")))
	at := siteOf(add, addArgs{"visits", 3})
	at.Outer = nil
	b.ReportAllocs()
	for b.Loop() {
		_ = failure.New(err, at)
	}
}

func BenchmarkEncode(b *testing.B) {
	f := failure.New(fmt.Errorf("transfer: %w", errInsufficient), siteOf(add, addArgs{"visits", 3}))
	b.ReportAllocs()
	for b.Loop() {
		_ = f.Encode()
	}
}

func BenchmarkDecode(b *testing.B) {
	in := failure.New(fmt.Errorf("transfer: %w", errInsufficient), siteOf(add, addArgs{"visits", 3})).Encode()
	b.ReportAllocs()
	for b.Loop() {
		_, _ = failure.Decode(in)
	}
}

func BenchmarkEncodeLargest(b *testing.B) {
	f := monsters()["all at once"]
	for b.Loop() {
		_ = f.Encode()
	}
}
