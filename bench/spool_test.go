package main

import (
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

// Encoded, the argument is as long as the payload that the other peers carry.
func TestRawIsAsLongAsThePayload(t *testing.T) {
	t.Parallel()
	for size := minPayload; size < 70_000; size++ {
		if size > 300 && size < 65_500 {
			continue
		}
		b, err := msgpack.Marshal(asRaw(payload(1, size)))
		if err != nil {
			t.Fatal(err)
		}
		short := 0
		switch size {
		case 33, 258, 65_539:
			short = 1
		case 65_540:
			short = 2
		}
		if len(b) != size-short {
			t.Errorf("payload of %d bytes: %d encoded", size, len(b))
		}
	}
}
