package failure_test

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"testing"

	"github.com/spooljobs/spool/failure"
)

func runtimeGoexit() { runtime.Goexit() }

// recovering runs a handler as a worker does.
func recovering(handler func(int), args int) *failure.Failure {
	out := make(chan *failure.Failure, 1)
	at := failure.SiteOf(handler)
	at.Args = args
	go func() {
		returned := false
		defer func() {
			if !returned {
				out <- failure.Recovered(recover(), at)
				return
			}
			out <- nil
		}()
		handler(args)
		returned = true
	}()
	return <-out
}

func panicWith(v any) { panic(v) }

func funcs(f *failure.Failure) string {
	var names []string
	for _, fr := range f.Frames {
		name := fr.Func[strings.LastIndexByte(fr.Func, '/')+1:]
		if fr.Outer {
			name = "(" + name + ")"
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

type service struct{}

func (service) handle(int) { panicWith("boom") }
func recursive(n int)      { recurse(n) }
func recurse(n int)        { recursiveStep(n) }
func recursiveStep(n int)  { descend(n); runtime.KeepAlive(n) }
func descend(n int)        { panicOrGoOn(n) }
func panicOrGoOn(n int)    { again(n) }
func again(n int) {
	if n == 0 {
		panic("deep")
	}
	recursive(n - 1)
}

func handleString(int)    { panicWith("boom") }
func handleNil(int)       { panicWith(nil) }
func handleGoexit(int)    { runtime.Goexit() }
func handleError(int)     { panicWith(fmt.Errorf("open: %w", fs.ErrNotExist)) }
func handleRuntime(n int) { _ = make([]int, 3)[n] }
func handleRepanic(int) {
	defer func() { panic(fmt.Sprint("again: ", recover())) }()
	panicWith("first")
}

// TW-25, TW-26: frames run from the panic to the handler.
func TestPanicFramesRunFromPanicToHandler(t *testing.T) {
	t.Parallel()
	f := recovering(handleString, 7)
	if f.Type != "string" || f.Message != "boom" || !f.Panic {
		t.Errorf("%+v", f)
	}
	if got, want := funcs(f), "failure_test.panicWith failure_test.handleString (failure_test.recovering.func1)"; got != want {
		t.Errorf("frames %s, want %s", got, want)
	}
	if f.Frames[0].Vars != nil || values(f)["args"] != "7" {
		t.Errorf("arguments: %+v", f.Frames)
	}
	if got := funcs(stored(t, f)); got != "failure_test.panicWith failure_test.handleString" {
		t.Errorf("stored: %s", got)
	}
	if got := f.Brief(); !strings.HasPrefix(got, "panic: string: boom (recovered_test.go:") {
		t.Errorf("Brief: %s", got)
	}
}

func TestPanicOfAMethodValue(t *testing.T) {
	t.Parallel()
	f := recovering(service{}.handle, 1)
	if got := funcs(stored(t, f)); got != "failure_test.panicWith failure_test.service.handle" {
		t.Errorf("frames: %s", got)
	}
}

func TestPanicOfAClosure(t *testing.T) {
	t.Parallel()
	f := recovering(func(int) { panicWith(3.5) }, 1)
	if got := funcs(stored(t, f)); got != "failure_test.panicWith failure_test.TestPanicOfAClosure.func1" {
		t.Errorf("frames: %s", got)
	}
	if f.Type != "float64" || f.Message != "3.5" {
		t.Errorf("%+v", f)
	}
}

func TestPanicWithAnErrorKeepsItsChain(t *testing.T) {
	t.Parallel()
	f := recovering(handleError, 1)
	if f.Type != "*fmt.wrapError" || !f.Panic || len(f.Causes) != 1 || f.Causes[0].Panic {
		t.Errorf("%+v", f)
	}
	if !errors.Is(f, fs.ErrNotExist) {
		t.Error("errors.Is does not see the cause")
	}
}

func TestRuntimeErrorsAndNilPanics(t *testing.T) {
	t.Parallel()
	f := recovering(handleRuntime, 5)
	var re runtime.Error
	if f.Type != "runtime.boundsError" || !strings.Contains(f.Message, "out of range [5]") || !errors.As(f, &re) {
		t.Errorf("%+v", f)
	}
	if got := funcs(stored(t, f)); got != "failure_test.handleRuntime" {
		t.Errorf("frames: %s", got)
	}
	f = recovering(handleNil, 5)
	if f.Type != "*runtime.PanicNilError" || !f.Panic {
		t.Errorf("%+v", f)
	}
}

func TestGoexitIsAFailureButNoPanic(t *testing.T) {
	t.Parallel()
	f := recovering(handleGoexit, 5)
	if f.Type != "runtime.Goexit" || f.Panic {
		t.Errorf("%+v", f)
	}
	if got := funcs(stored(t, f)); got != "failure_test.handleGoexit" {
		t.Errorf("frames: %s", got)
	}
}

func TestPanicWhilePanickingShowsBoth(t *testing.T) {
	t.Parallel()
	f := recovering(handleRepanic, 5)
	if f.Message != "again: first" {
		t.Errorf("%+v", f)
	}
	if got, want := funcs(stored(t, f)), "failure_test.handleRepanic.func1 failure_test.panicWith failure_test.handleRepanic"; got != want {
		t.Errorf("frames %s, want %s", got, want)
	}
}

// The handler calls itself: the outermost call is the handler's frame. A stack
// too deep to be read to its end still ends in the handler.
func TestPanicOfADeepRecursion(t *testing.T) {
	t.Parallel()
	for _, n := range []int{3, 50, 5000} {
		f := recovering(recursive, n)
		g := stored(t, f)
		if len(g.Frames) > 24 {
			t.Errorf("depth %d: %d frames", n, len(g.Frames))
		}
		last := g.Frames[len(g.Frames)-1]
		if !strings.HasSuffix(last.Func, "failure_test.recursive") || len(last.Vars) != 1 {
			t.Errorf("depth %d: the last frame is %+v", n, last)
		}
	}
}

func TestRecoveredOutsideAPanic(t *testing.T) {
	t.Parallel()
	f := failure.Recovered("found later", siteOf(handleString, 1))
	if got := funcs(stored(t, f)); got != "failure_test.handleString" {
		t.Errorf("frames: %s", got)
	}
	f = failure.Recovered(panics{}, failure.Site{})
	if f.Message != "[printing panicked]" || f.Type != "failure_test.panics" || f.Frames != nil {
		t.Errorf("%+v", f)
	}
}
