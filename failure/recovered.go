package failure

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// Recovered describes a handler that did not return. Call it from the deferred
// function itself, while the stack of the panic is still there, with what
// recover returned, and only if the handler did not return: a nil v says that it
// left through runtime.Goexit, as testing.T.FailNow does. (panic(nil) gives a
// *runtime.PanicNilError.)
//
// A v that is an error keeps its chain, as with [New]; anything else is printed.
// The frames run from the panic to the handler; what is outside is marked outer.
func Recovered(v any, at Site) *Failure {
	pcs := make([]uintptr, 1024)
	pcs = pcs[:runtime.Callers(2, pcs)]
	c := newCapture(at.Known)
	defer c.calls.stop()
	var f *Failure
	switch v := v.(type) {
	case nil:
		f = &Failure{Type: "runtime.Goexit", Message: "handler called runtime.Goexit"}
	case error:
		f = c.tree(v, 0, nil)
		f.Panic = true
	default:
		f = &Failure{Type: fmt.Sprintf("%T", v), Message: c.print(v, messageLimit), Panic: true}
	}
	f.Frames = slices.Concat(f.Frames, panicFrames(pcs, at, c), outerFrames(at.Outer))
	return f
}

// panicFrames are the frames below the newest panic, innermost first. The
// handler's frame is the outermost one with its name, for it may have called
// itself; it gets the arguments, and keeps the line it had reached. Frames of
// package runtime say nothing about the job and are dropped.
func panicFrames(pcs []uintptr, at Site, c *capture) []Frame {
	frames := resolve(pcs)
	top := slices.IndexFunc(frames, func(f Frame) bool {
		return f.Func == "runtime.gopanic" || f.Func == "runtime.Goexit"
	})
	if top < 0 { // not called while panicking: the stack tells nothing
		return at.frame(c)
	}
	frames = slices.DeleteFunc(frames[top:], func(f Frame) bool { return strings.HasPrefix(f.Func, "runtime.") })

	end, handler := 0, -1 // end: where the outside begins
	name := plainName(at.Func)
	for i, f := range frames {
		if f.Func == name {
			handler, end = i, i+1
		}
	}
	if handler < 0 {
		end = slices.IndexFunc(frames, isOwn)
		if end < 0 {
			end = len(frames)
		}
		// The stack was too deep to see the handler, or it has another name.
		own := at.frame(c)
		frames = slices.Insert(frames, end, own...)
		end += len(own)
	} else {
		frames[handler].Vars = c.vars(at.Args)
	}
	for i := range frames {
		frames[i].Outer = i >= end || isOwn(frames[i])
	}
	return shorten(frames, end)
}

// shorten cuts out the middle of a long stack: the calls next to the panic and
// the handler say most.
func shorten(frames []Frame, end int) []Frame {
	inner, outer := frames[:end], frames[end:]
	if len(inner) > maxFrames {
		inner = append(slices.Clone(inner[:maxFrames-2]), Frame{Func: mark}, inner[end-1])
	}
	if len(outer) > maxFrames {
		outer = outer[:maxFrames]
	}
	return slices.Concat(inner, outer)
}
