package failure_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spooljobs/spool/failure"
	"github.com/spooljobs/spool/internal/codec"
)

// addArgs is what the handler of the scenarios is called with.
type addArgs struct {
	Counter string
	Amount  any
}

func add(args addArgs) error {
	if _, ok := args.Amount.(int); !ok {
		return fmt.Errorf("add to %s: %w", args.Counter, &fs.PathError{Op: "add", Path: "x", Err: errors.ErrUnsupported})
	}
	return nil
}

// siteOf is the site of a handler as a worker would give it, with two frames of
// the worker around it.
func siteOf(handler, args any) failure.Site {
	at := failure.SiteOf(handler)
	at.Args = args
	at.Outer = make([]uintptr, 2)
	at.Outer = at.Outer[:runtime.Callers(1, at.Outer)]
	return at
}

func stored(t *testing.T, f *failure.Failure) *failure.Failure {
	t.Helper()
	b := f.Encode()
	if len(b) >= 8<<10 {
		t.Errorf("stored form takes %d bytes", len(b))
	}
	g, err := failure.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// equal compares what the fields hold.
var equal = cmpopts.IgnoreUnexported(failure.Failure{})

func values(f *failure.Failure) map[string]string {
	m := map[string]string{}
	for _, fr := range f.Frames {
		for _, v := range fr.Vars {
			m[v.Name] = v.Value
		}
	}
	return m
}

// TW-24, TW-25, A11
func TestErrorBecomesDataWithTypeMessageAndFrames(t *testing.T) {
	t.Parallel()
	args := addArgs{"visits", "three"}
	f := failure.New(add(args), siteOf(add, args))
	check := func(f *failure.Failure) {
		t.Helper()
		if f.Type != "*fmt.wrapError" || f.Message != "add to visits: add x: unsupported operation" || f.Panic {
			t.Errorf("got %q, %q, %v", f.Type, f.Message, f.Panic)
		}
		if len(f.Frames) == 0 || !strings.HasSuffix(f.Frames[0].Func, "failure_test.add") ||
			!strings.HasSuffix(f.Frames[0].File, "failure_test.go") || f.Frames[0].Line == 0 {
			t.Errorf("frames: %+v", f.Frames)
		}
		if d := cmp.Diff(map[string]string{"Counter": "visits", "Amount": "three"}, values(f)); d != "" {
			t.Error(d)
		}
		var types []string
		for c := f; ; c = c.Causes[0] {
			types = append(types, c.Type)
			if len(c.Causes) == 0 {
				break
			}
		}
		if d := cmp.Diff([]string{"*fmt.wrapError", "*fs.PathError", "*errors.errorString"}, types); d != "" {
			t.Error(d)
		}
	}
	check(f)
	check(stored(t, f))
}

// TW-25, A11: it holds only text, so a JSON round trip equals itself.
func TestFailureHoldsOnlyText(t *testing.T) {
	t.Parallel()
	args := addArgs{"visits", "three"}
	f := stored(t, failure.New(errors.Join(add(args), errors.New("other\x00\xff<&>")), siteOf(add, args)))
	first, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var g *failure.Failure
	if err := json.Unmarshal(first, &g); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(f, g, equal); d != "" {
		t.Error(d)
	}
	if second, _ := json.Marshal(g); !bytes.Equal(first, second) {
		t.Errorf("%s\nbecame\n%s", first, second)
	}
	if !bytes.Equal(f.Encode(), g.Encode()) {
		t.Error("JSON and MessagePack differ in content")
	}
}

// TW-26, TW-27, A12
func TestStoredFailureCutsArgumentsAt20(t *testing.T) {
	t.Parallel()
	args := map[string]string{"long": strings.Repeat("ü", 200), "short": "12345678", "exact": strings.Repeat("x", 20)}
	f := failure.New(errors.New("x"), siteOf(add, args))
	if d := cmp.Diff(args, values(f)); d != "" {
		t.Errorf("before storing: %s", d)
	}
	want := map[string]string{"long": strings.Repeat("ü", 20) + "[...]", "short": "12345678", "exact": args["exact"]}
	g := stored(t, f)
	if d := cmp.Diff(want, values(g)); d != "" {
		t.Errorf("after: %s", d)
	}
	if d := cmp.Diff(args, values(f)); d != "" {
		t.Errorf("storing changed the original: %s", d)
	}
	if d := cmp.Diff(want, values(stored(t, g))); d != "" {
		t.Errorf("stored twice: %s", d)
	}
}

// TW-26, A12
func TestStoredFailureDropsOuterFrames(t *testing.T) {
	t.Parallel()
	f := failure.New(errors.New("x"), siteOf(add, 1))
	outer := 0
	for _, fr := range f.Frames {
		if fr.Outer {
			outer++
		}
	}
	if outer != 2 || f.Frames[0].Outer {
		t.Errorf("before storing: %+v", f.Frames)
	}
	if g := stored(t, f); len(g.Frames) != 1 || g.Frames[0].Outer {
		t.Errorf("after: %+v", g.Frames)
	}
	if b, _ := json.Marshal(f); strings.Contains(string(b), "siteOf") {
		t.Errorf("JSON has an outer frame: %s", b)
	}
}

// TW-31, A12
func TestStoringWhatWasStoredGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	for name, f := range monsters() {
		b := f.Encode()
		again := stored(t, f).Encode()
		if !bytes.Equal(b, again) {
			t.Errorf("%s: %d bytes became %d", name, len(b), len(again))
		}
		j, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		var g failure.Failure
		if err := json.Unmarshal(j, &g); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b, g.Encode()) {
			t.Errorf("%s: MessagePack and JSON differ in content", name)
		}
	}
}

// TW-28
func TestThreePrintings(t *testing.T) {
	t.Parallel()
	inner := &failure.Failure{Type: "*errors.errorString", Message: "insufficient\nfunds", Name: "bank.insufficient"}
	f := &failure.Failure{
		Type: "*bank.Refused", Message: "transfer 7", Causes: []*failure.Failure{inner}, Omitted: 2,
		Frames: []failure.Frame{
			{Func: "bank.Transfer", File: "/src/bank/transfer.go", Line: 41, Vars: []failure.Var{{Name: "Amount", Value: "100"}}},
			{Func: "spool.run", File: "/src/spool/run.go", Line: 7, Outer: true},
		},
	}
	for format, want := range map[string]string{
		"%v": "transfer 7",
		"%s": "transfer 7",
		"%q": `"transfer 7"`,
		"%+v": `*bank.Refused: transfer 7
    in bank.Transfer (transfer.go:41)
        Amount = 100
    in spool.run (run.go:7) outside
  caused by *errors.errorString: insufficient
      funds [bank.insufficient]
  [...] causes left out: 2`,
	} {
		if got := fmt.Sprintf(format, f); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", format, got, want)
		}
	}
	if got, want := f.Brief(), "*bank.Refused: transfer 7 (transfer.go:41)"; got != want {
		t.Errorf("Brief: %q, want %q", got, want)
	}
	if got, want := inner.Brief(), `*errors.errorString: insufficient\nfunds`; got != want {
		t.Errorf("Brief: %q, want %q", got, want)
	}
}

func TestNilFailure(t *testing.T) {
	t.Parallel()
	if f := failure.New(nil, failure.Site{}); f != nil {
		t.Errorf("New(nil) = %v", f)
	}
	var f *failure.Failure
	f.Resolve(nil)
	if f.Error() != "<nil>" || f.Brief() != "<nil>" || fmt.Sprintf("%+v", f) != "<nil>" || f.Encode() != nil || errors.Is(f, fs.ErrExist) {
		t.Error("a nil failure is not harmless")
	}
	if b, err := json.Marshal(f); err != nil || string(b) != "null" {
		t.Errorf("%s, %v", b, err)
	}
}

// A failure can be an argument or a result of another job, however deep.
func TestFailureInsideAnotherValue(t *testing.T) {
	t.Parallel()
	err := errors.New("root")
	for range 10 {
		err = fmt.Errorf("more: %w", err)
	}
	type letter struct {
		Err  *failure.Failure
		None *failure.Failure
		All  []*failure.Failure
	}
	f := failure.New(err, failure.Site{})
	var in any = letter{Err: f, All: []*failure.Failure{f, nil}}
	var out struct{ A []struct{ L letter } }
	for range 1 {
		in = map[string]any{"A": []any{map[string]any{"L": in}}}
	}
	b, err := codec.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := codec.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	got := out.A[0].L
	if d := cmp.Diff(stored(t, f), got.Err, equal); d != "" {
		t.Error(d)
	}
	if got.None != nil || len(got.All) != 2 || got.All[1] != nil {
		t.Errorf("%+v", got)
	}
	if err := codec.Unmarshal([]byte{0x81, 0xa3, 'E', 'r', 'r', 0xc4, 0x01, 0x00}, &got); !errors.Is(err, failure.ErrMalformed) {
		t.Errorf("garbage inside: %v", err)
	}
}

func TestSiteOfNoFunctionIsEmpty(t *testing.T) {
	t.Parallel()
	for _, v := range []any{nil, 3, (func())(nil)} {
		if got := failure.SiteOf(v); !reflect.DeepEqual(got, failure.Site{}) {
			t.Errorf("SiteOf(%v) = %+v", v, got)
		}
	}
}
