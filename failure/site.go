package failure

import (
	"reflect"
	"runtime"
	"strings"
)

// A Site is where, and with what, a handler was called.
type Site struct {
	Func  string    // the handler's function, as package runtime names it
	File  string    // where it is defined
	Line  int       // in File
	Args  any       // the handler's argument; read while the failure is made, not kept
	Outer []uintptr // the callers outside the handler, from runtime.Callers; may be nil
	Known *Known    // errors that have a name; may be nil
}

// SiteOf returns the site of a handler, which must be a function; its Args, Outer
// and Known are for the caller to fill in. The site of anything else is empty.
func SiteOf(handler any) Site {
	v := reflect.ValueOf(handler)
	if v.Kind() != reflect.Func || v.IsNil() {
		return Site{}
	}
	fn := runtime.FuncForPC(v.Pointer())
	if fn == nil {
		return Site{}
	}
	file, line := fn.FileLine(fn.Entry())
	return Site{Func: plainName(fn.Name()), File: file, Line: line}
}

// plainName drops the mark of a method value: the stack shows the method.
func plainName(fn string) string { return strings.TrimSuffix(fn, "-fm") }

// frame is the handler's frame, with its arguments; empty for an empty site.
func (at Site) frame(c *capture) []Frame {
	vars := c.vars(at.Args)
	if at.Func == "" && vars == nil {
		return nil
	}
	return []Frame{{Func: plainName(at.Func), File: at.File, Line: at.Line, Vars: vars}}
}

// maxFrames is how many frames of one stack are kept.
const maxFrames = 64

func outerFrames(pcs []uintptr) []Frame {
	if len(pcs) == 0 {
		return nil
	}
	frames := resolve(pcs)
	if len(frames) > maxFrames {
		frames = frames[:maxFrames]
	}
	for i := range frames {
		frames[i].Outer = true
	}
	return frames
}

func resolve(pcs []uintptr) []Frame {
	var out []Frame
	frames := runtime.CallersFrames(pcs)
	for {
		f, more := frames.Next()
		if f.Function != "" {
			out = append(out, Frame{Func: plainName(f.Function), File: f.File, Line: f.Line})
		}
		if !more {
			return out
		}
	}
}

const module = "github.com/spooljobs/spool"

// isOwn reports whether a frame is Spool's, and not of its tests or examples,
// which stand for a user's code.
func isOwn(f Frame) bool {
	path := f.Func
	slash := strings.LastIndexByte(path, '/') + 1
	if dot := strings.IndexByte(path[slash:], '.'); dot >= 0 {
		path = path[:slash+dot]
	}
	rest, ok := strings.CutPrefix(path, module)
	if !ok || (rest != "" && rest[0] != '/') {
		return false
	}
	return !strings.HasPrefix(rest+"/", "/examples/") && !strings.HasSuffix(f.File, "_test.go")
}
