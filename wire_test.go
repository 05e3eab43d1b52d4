package spool_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/failure"
	"github.com/spooljobs/spool/internal/codec"
)

// wireGolden reads a golden file, which is in hex.
func wireGolden(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return wireHex(t, string(text))
}

func wireHex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const wireData = "internal/store/testdata/"

// docs/wire.md shows exactly the golden files, each of them once.
func TestWireDocShowsTheGoldenBytes(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("docs/wire.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, m := range regexp.MustCompile("(?s)```hex ([a-z-]+)\n(.*?)```").FindAllStringSubmatch(string(doc), -1) {
		name, block := m[1], m[2]
		var digits strings.Builder
		for _, line := range strings.Split(block, "\n") {
			// Two blanks end the bytes of a line and begin what they mean.
			line, _, _ = strings.Cut(line, "  ")
			digits.WriteString(line)
		}
		if shown[name] {
			t.Errorf("%s is shown twice", name)
		}
		shown[name] = true
		if got, want := wireHex(t, digits.String()), wireGolden(t, wireData+name+".golden"); !bytes.Equal(got, want) {
			t.Errorf("%s: docs/wire.md shows\n%x, the golden file has\n%x", name, got, want)
		}
	}
	files, err := filepath.Glob(wireData + "*.golden")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if name := strings.TrimSuffix(filepath.Base(path), ".golden"); !shown[name] {
			t.Errorf("docs/wire.md does not show %s", name)
		}
	}
}

// A Partial that was stored inside another job is read by later releases, and encoded as it was.
func TestWirePartial(t *testing.T) {
	t.Parallel()
	stored := wireGolden(t, wireData+"partial.golden")
	var p spool.Partial[int]
	if err := codec.Unmarshal(stored, &p); err != nil {
		t.Fatal(err)
	}
	if got := p.String(); got != "partial(mail.send)" {
		t.Errorf("it is %s", got)
	}
	for range 2 {
		b, err := codec.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b, stored) {
			t.Errorf("it is encoded as\n%x, the file says\n%x", b, stored)
		}
	}
}

// What a Partial made here encodes is of that form: the same keys in the same order.
func TestWirePartialMadeHere(t *testing.T) {
	t.Parallel()
	send := spool.NewTask[map[string]any, int]("mail.send")
	b, err := codec.Marshal(send.With(map[string]any{"n": 3, "to": "ann"}, spool.In("mail"), spool.Delay(1500e6)))
	if err != nil {
		t.Fatal(err)
	}
	keys := func(b []byte) map[string]msgpack.RawMessage {
		var m map[string]msgpack.RawMessage
		if err := codec.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	got, want := keys(b), keys(wireGolden(t, wireData+"partial.golden"))
	if diff := cmp.Diff(want, got, cmpopts.IgnoreMapEntries(func(k string, _ msgpack.RawMessage) bool { return k == "id" })); diff != "" {
		t.Error(diff)
	}
}

func TestWireJob(t *testing.T) {
	t.Parallel()
	stored := wireGolden(t, wireData+"job.golden")
	j := new(spool.Job[int])
	if err := codec.Unmarshal(stored, j); err != nil {
		t.Fatal(err)
	}
	if j.Queue() != "mail" || j.ID() != "019a0000000170008000000000000001" {
		t.Errorf("it is %s", j)
	}
	if b, err := codec.Marshal(j); err != nil || !bytes.Equal(b, stored) {
		t.Errorf("it is encoded as %x, %v", b, err)
	}
}

func TestWireFailure(t *testing.T) {
	t.Parallel()
	stored := wireGolden(t, wireData+"failure.golden")
	want := &failure.Failure{Type: "*bank.Refused", Message: "transfer 7: insufficient funds",
		Frames: []failure.Frame{{Func: "bank.Transfer", File: "bank/transfer.go", Line: 41, Vars: []failure.Var{{Name: "Amount", Value: "100"}}}},
		Causes: []*failure.Failure{{Type: "*errors.errorString", Message: "insufficient funds", Name: "bank.insufficient"}}}
	if b := want.Encode(); !bytes.Equal(b, stored) {
		t.Errorf("it is encoded as\n%x, the file says\n%x", b, stored)
	}
	got, err := failure.Decode(stored)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(failure.Failure{})); diff != "" {
		t.Error(diff)
	}
}
