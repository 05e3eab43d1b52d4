package store

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What can be decoded is encoded to the same record again. The bytes may differ where the input was not ours: keys in
// another order, numbers longer than they need be. Encoded once, they stay.

func FuzzDecodeRecord(f *testing.F) {
	for _, it := range []Item{job(), job(own("x"), reactor, priority(-1000), beginBy(1)), job(args(blob(40)), priority(1000))} {
		f.Add(string(it.Record))
	}
	f.Add("1t9---10000004work")
	f.Add("1t9ao-1000000" + "4work\xc0\x81")
	f.Fuzz(func(t *testing.T, in string) {
		r, err := DecodeRecord(in)
		if err != nil {
			return
		}
		out, err := r.Encode()
		if err != nil {
			t.Fatalf("%q was decoded and cannot be encoded: %v", in, err)
		}
		again, err := DecodeRecord(string(out))
		if err != nil {
			t.Fatalf("%q was encoded as %q: %v", in, out, err)
		}
		if diff := cmp.Diff(r, again); diff != "" {
			t.Fatalf("%q comes back different:\n%s", in, diff)
		}
		if twice, _ := again.Encode(); string(twice) != string(out) {
			t.Fatalf("%q is encoded as %q, then as %q", in, out, twice)
		}
		if Head(string(out)) != string(out[:headLen]) || TaskOf(string(out)) != r.Task || (DigestOf(string(out)) != "") != r.Own {
			t.Fatalf("%q: the header says otherwise", out)
		}
	})
}

func FuzzDecodeOutcome(f *testing.F) {
	for _, o := range []Outcome{
		{Kind: Succeeded, Attempts: 1, Task: "work", Body: OutcomeBody{Result: []byte{1}}},
		{Kind: Failed, Attempts: 999999, Interruptions: 9999, Ended: 1e12, Task: "t", Digest: "0123456789abcdef", Body: OutcomeBody{Failure: []byte{0x80}, Started: 5, Worker: "w"}},
	} {
		b, err := o.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Add("1e-00000000001600000000000004work")
	f.Fuzz(func(t *testing.T, in string) {
		o, err := DecodeOutcome(in)
		if err != nil {
			return
		}
		out, err := o.Encode()
		if err != nil {
			t.Fatalf("%q was decoded and cannot be encoded: %v", in, err)
		}
		again, err := DecodeOutcome(string(out))
		if err != nil {
			t.Fatalf("%q was encoded as %q: %v", in, out, err)
		}
		o.Ended = 0 // the script that ends the job fills it in
		if diff := cmp.Diff(o, again); diff != "" {
			t.Fatalf("%q comes back different:\n%s", in, diff)
		}
	})
}

func FuzzDecodeHistory(f *testing.F) {
	f.Add("")
	f.Add("0000010002")
	f.Add("0000010002\x81")
	f.Fuzz(func(t *testing.T, in string) {
		h, err := DecodeHistory(in)
		if err != nil {
			return
		}
		if out := string(h.Encode()); out != in && in != "" {
			t.Fatalf("%q comes back as %q", in, out)
		}
	})
}
