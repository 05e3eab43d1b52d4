package failure_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spooljobs/spool/failure"
)

// monsters are failures made to be too large in every way there is.
func monsters() map[string]*failure.Failure {
	mib := strings.Repeat("\x01", 1<<20)
	twenty := map[string]string{}
	for i := range 20 {
		twenty[fmt.Sprintf("argument %02d", i)] = mib
	}
	deep := errors.New("deepest")
	for i := range 10_000 {
		deep = fmt.Errorf("%d %w", i, &short{deep})
	}
	var many []error
	for i := range 5_000 {
		many = append(many, fmt.Errorf("error %d: %w", i, &short{errors.New(mib[:1000])}))
	}
	var frames []failure.Frame
	for i := range 1000 {
		frames = append(frames, failure.Frame{Func: mib[:i], File: mib[:2*i], Line: -i, Vars: []failure.Var{{Name: mib, Value: mib}}})
	}
	vars := make([]failure.Var, 1000)
	self := &failure.Failure{Message: "own cause"}
	self.Causes = []*failure.Failure{self, nil, self}
	at := func(args any) failure.Site { return siteOf(add, args) }
	return map[string]*failure.Failure{
		"twenty arguments": failure.New(errors.New("x"), at(twenty)),
		"long message":     failure.New(errors.New(mib), at(1)),
		"invalid text":     failure.New(errors.New(strings.Repeat("\xff\xe2\x82", 1000)), at(strings.Repeat("\xff", 1000))),
		"deep chain":       failure.New(deep, at(1)),
		"many joined":      failure.New(errors.Join(many...), at(twenty)),
		"all at once":      failure.New(errors.Join(errors.New(mib), deep, errors.Join(many...)), at(twenty)),
		"many frames":      {Message: "x", Frames: frames, Causes: []*failure.Failure{{Frames: frames}}},
		"many variables":   {Message: "x", Frames: []failure.Frame{{Vars: vars}}},
		"own cause":        self,
		"odd numbers":      {Omitted: -1, Frames: []failure.Frame{{Line: math.MaxInt}}, Causes: []*failure.Failure{{Omitted: math.MaxInt}}},
		"large value":      {Name: "x", Value: []byte(mib), Type: mib},
		"value of no name": {Name: mib, Value: []byte("x")},
		"escapes":          {Message: strings.Repeat("<", 5000), Type: strings.Repeat("\u2028", 500)},
		"zero":             {},
	}
}

// short is a wrapper whose message does not repeat what it wraps.
type short struct{ err error }

func (*short) Error() string   { return "short" }
func (s *short) Unwrap() error { return s.err }

// A12
func TestStoredFormStaysUnder8KiB(t *testing.T) {
	t.Parallel()
	start := time.Now()
	for name, f := range monsters() {
		b := f.Encode()
		j, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) >= 8<<10 || len(j) >= 8<<10 {
			t.Errorf("%s takes %d bytes of MessagePack, %d of JSON", name, len(b), len(j))
		}
		if s := fmt.Sprintf("%+v", f); len(s) > 300<<10 {
			t.Errorf("%s prints as %d bytes", name, len(s))
		}
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
}

// Nothing is dropped in silence.
func TestWhatIsCutIsMarked(t *testing.T) {
	t.Parallel()
	all := monsters()
	if g := stored(t, all["twenty arguments"]); len(g.Frames[0].Vars) != 20 {
		t.Errorf("twenty arguments: %d stored", len(g.Frames[0].Vars))
	}
	if g := stored(t, all["long message"]); !strings.HasSuffix(g.Message, "[...]") {
		t.Errorf("long message: %q", g.Message)
	}
	g := stored(t, all["many joined"])
	if g.Omitted != 5000-len(g.Causes) || len(g.Causes) < 5 {
		t.Errorf("many joined: %d kept, %d left out", len(g.Causes), g.Omitted)
	}
	depth := 1
	g = stored(t, all["deep chain"])
	for ; len(g.Causes) > 0; g = g.Causes[0] {
		depth++
	}
	if g.Omitted != 1 || depth != 16 {
		t.Errorf("deep chain: %d levels, %d left out below", depth, g.Omitted)
	}
	g = stored(t, all["many frames"])
	n := len(g.Frames)
	if n < 3 || g.Frames[n-2].Func != "[...]" || !strings.HasPrefix(g.Frames[n-1].Func, "[...]") || g.Frames[n-1].Vars == nil {
		t.Errorf("many frames: %+v", g.Frames)
	}
	vars := stored(t, all["many variables"]).Frames[0].Vars
	if len(vars) < 10 || vars[len(vars)-1].Name != "[...]" {
		t.Errorf("many variables: %v", vars)
	}
	if g := stored(t, all["own cause"]); !strings.Contains(fmt.Sprintf("%+v", g), "left out") {
		t.Errorf("own cause: %+v", g)
	}
}

// holder is an object that holds the failure which came from it.
type holder struct {
	Failure *failure.Failure
	Self    *holder
}

type holderError struct{ h *holder }

func (e *holderError) Error() string { return "holder" }
func (e *holderError) Unwrap() error {
	if e.h.Failure == nil {
		return e
	}
	return e.h.Failure
}

// TW-29, A13
func TestFailureThatContainsItself(t *testing.T) {
	t.Parallel()
	start := time.Now()
	h := &holder{}
	h.Self = h
	err := &holderError{h}
	f := failure.New(err, siteOf(add, h))
	h.Failure = f
	if len(f.Causes) != 0 || f.Omitted != 1 {
		t.Errorf("err wraps itself: %+v", f)
	}
	g := failure.New(err, siteOf(add, h)) // now it goes over f, back to err
	h.Failure = g
	for _, f := range []*failure.Failure{f, g} {
		if errors.Is(f, errors.ErrUnsupported) || !errors.Is(f, err) {
			t.Error("errors.Is is wrong")
		}
		var he *holderError
		var none *short
		if !errors.As(f, &he) || errors.As(f, &none) {
			t.Error("errors.As is wrong")
		}
		_ = fmt.Sprintf("%+v", f)
		stored(t, f)
	}
	own := monsters()["own cause"]
	own.Resolve(nil)
	if errors.Is(own, errors.ErrUnsupported) {
		t.Error("errors.Is is wrong")
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("took %v", d)
	}
}

type (
	panics  struct{ N int }
	exits   struct{}
	counts  struct{ calls *int }
	nilSafe struct{ s string }
)

func (panics) String() string     { panic(errors.New("no")) }
func (exits) String() string      { runtimeGoexit(); return "" }
func (c counts) String() string   { *c.calls++; return "counted" }
func (n *nilSafe) String() string { return n.s }

type badError struct{}

func (badError) Error() string { panic("no message") }
func (badError) Unwrap() error { panic("no cause") }

// TW-30, A13
func TestPrintingThatPanicsLeavesAPlaceholder(t *testing.T) {
	t.Parallel()
	calls := 0
	args := struct {
		Bad    panics
		Gone   exits
		Inside []any
		Nil    *nilSafe
		Once   counts
		Good   string
		hidden panics
	}{Inside: []any{1, panics{}, "x"}, Once: counts{&calls}, Good: "good"}
	_ = args.hidden
	f := failure.New(badError{}, siteOf(add, args))
	if f.Message != "[printing panicked]" || f.Type != "failure_test.badError" || f.Causes != nil {
		t.Errorf("%+v", f)
	}
	got := values(f)
	for name, want := range map[string]string{
		"Bad": "[printing panicked]", "Gone": "[printing exited]", "Inside": "[1 [printing panicked] x]",
		"Nil": "<nil>", "Once": "counted", "Good": "good",
	} {
		if got[name] != want {
			t.Errorf("%s = %q, want %q", name, got[name], want)
		}
	}
	if g := values(stored(t, f)); g["Bad"] != "[printing panicked]" {
		t.Errorf("stored: %q", g["Bad"])
	}
	_ = fmt.Sprintf("%+v", f)
	if calls != 1 {
		t.Errorf("an argument was printed %d times, not once", calls)
	}
}

type blocks struct{ until chan struct{} }

func (b blocks) String() string { <-b.until; return "late" }
func (b blocks) Error() string  { <-b.until; return "late" }

// TW-30, A13: String may want a lock which the failed handler still holds.
func TestPrintingThatBlocksIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until := make(chan struct{})
		start := time.Now()
		f := failure.New(blocks{until}, siteOf(add, map[string]any{"a": blocks{until}, "b": counts{new(int)}, "c": 1}))
		if d := time.Since(start); d >= time.Second {
			t.Errorf("took %v", d)
		}
		close(until)
		if f.Message != "[printing too slow]" || values(f)["a"] != "[printing too slow]" ||
			values(f)["b"] != "[printing too slow]" || values(f)["c"] != "1" {
			t.Errorf("%+v", f)
		}
	})
}
