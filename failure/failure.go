package failure

import (
	"slices"
	"strconv"
)

// A Failure is an error as data. Make one with [New], [Recovered] or [Decode], and
// pass it around as a pointer.
//
// Reading a Failure from several goroutines is safe; [Failure.Resolve] and
// writing to its fields are not safe beside that.
type Failure struct {
	Type    string     // the error's Go type, such as "*fs.PathError"
	Message string     // what its Error method said
	Panic   bool       // it was the value of a panic
	Name    string     // its name in a Known set; "" if not declared
	Value   []byte     // the error itself in MessagePack, if its type was declared
	Frames  []Frame    // innermost first; Spool's own come last
	Causes  []*Failure // what it wraps: one for Unwrap() error, any number for Unwrap() []error
	Omitted int        // causes left out because of a limit, or because they lead back here

	err   error // what it was made from; only in the process where that was
	known error // what Resolve attached
}

// A Frame is one call on the way to the failure.
type Frame struct {
	Func  string // with its package path
	File  string
	Line  int
	Vars  []Var // the handler's arguments, on the handler's frame only
	Outer bool  // outside the catch point: Spool's own; never stored
}

// A Var is a printed value.
type Var struct{ Name, Value string }

// mark stands where something was cut.
const mark = "[...]"

// New describes err, which the handler at the given site returned. It is nil if
// err is. If err is itself a Failure, that of a job the handler waited for, its
// frames stay in front of the handler's. It never fails and never panics, and it takes less than a second,
// whatever the methods of err and of the arguments do.
func New(err error, at Site) *Failure {
	if err == nil {
		return nil
	}
	c := newCapture(at.Known)
	defer c.calls.stop()
	f := c.tree(err, 0, nil)
	f.Frames = slices.Concat(f.Frames, at.frame(c), outerFrames(at.Outer))
	return f
}

// Error returns the message.
func (f *Failure) Error() string {
	if f == nil {
		return "<nil>"
	}
	return f.Message
}

// Brief returns one line: type, message, and where. Line breaks in the message
// are escaped.
func (f *Failure) Brief() string {
	if f == nil {
		return "<nil>"
	}
	s := f.head()
	if len(f.Frames) > 0 {
		if fr := f.Frames[0]; fr.File != "" {
			s += " (" + base(fr.File) + ":" + strconv.Itoa(fr.Line) + ")"
		}
	}
	return oneLine(s)
}

// head is "type: message", marked if it was a panic.
func (f *Failure) head() string {
	s := f.Message
	if f.Type != "" {
		s = f.Type + ": " + s
	}
	if f.Panic {
		s = "panic: " + s
	}
	return s
}
