package failure

import (
	"reflect"
	"strings"

	"github.com/spooljobs/spool/internal/codec"
)

const (
	captureDepth = 32       // levels of causes looked at
	captureNodes = 256      // errors looked at
	messageLimit = 64 << 10 // bytes of a message before it is stored
)

// capture makes one failure.
type capture struct {
	calls *calls
	known *Known
	nodes int
	text  int // bytes of printed arguments still allowed
}

func newCapture(known *Known) *capture {
	return &capture{calls: newCalls(), known: known, text: totalPrint}
}

// tree describes err and what it wraps. path holds the errors above it, so that
// one which leads back to itself is left out. Errors that cannot be compared, or
// that Unwrap makes afresh each time, are stopped by the depth.
func (c *capture) tree(err error, depth int, path []error) *Failure {
	c.nodes++
	if f, ok := err.(*Failure); ok && f != nil {
		return c.adopt(f, depth, path)
	}
	f := &Failure{Type: reflect.TypeOf(err).String(), err: err}
	f.Message = c.message(err)
	c.name(f, err)
	causes, _ := call(c.calls, func() []error { return unwrap(err) })
	path = append(path, err)
	for _, cause := range causes {
		switch {
		case cause == nil:
		case c.full(depth) || contains(path, cause):
			f.Omitted++
		default:
			f.Causes = append(f.Causes, c.tree(cause, depth+1, path))
		}
	}
	return f
}

// adopt copies a failure found in a tree: most often that of another job, which
// this handler waited for. Its frames stay, except the outer ones.
func (c *capture) adopt(f *Failure, depth int, path []error) *Failure {
	n := &Failure{
		Type: f.Type, Message: f.Message, Panic: f.Panic, Name: f.Name, Value: f.Value,
		Omitted: f.Omitted, err: f,
	}
	for _, fr := range f.Frames {
		if !fr.Outer {
			n.Frames = append(n.Frames, fr)
		}
	}
	if f.known != nil {
		c.name(n, f.known) // this side may know it by another name
	}
	path = append(path, f)
	for _, cause := range f.Causes {
		switch {
		case cause == nil:
		case c.full(depth) || contains(path, cause):
			n.Omitted++
		default:
			c.nodes++
			n.Causes = append(n.Causes, c.adopt(cause, depth+1, path))
		}
	}
	return n
}

func (c *capture) full(depth int) bool {
	return depth+1 >= captureDepth || c.nodes >= captureNodes
}

func (c *capture) message(err error) string {
	if v := reflect.ValueOf(err); v.Kind() == reflect.Pointer && v.IsNil() {
		return "<nil>"
	}
	s, placeholder := call(c.calls, err.Error)
	if placeholder != "" {
		return placeholder
	}
	if len(s) > messageLimit {
		return strings.Clone(s[:messageLimit]) + mark
	}
	return s
}

// name gives f the name under which err is declared, and its value if that is a
// matter of the type.
func (c *capture) name(f *Failure, err error) {
	name, typed := c.known.nameOf(err)
	if name == "" {
		return
	}
	f.Name, f.Value = name, nil
	if !typed {
		return
	}
	f.Value, _ = call(c.calls, func() []byte {
		b, err := codec.MarshalMax(err, maxValue)
		if err != nil {
			return nil
		}
		return b
	})
}

// unwrap returns what err wraps.
func unwrap(err error) []error {
	switch x := err.(type) {
	case interface{ Unwrap() error }:
		if e := x.Unwrap(); e != nil {
			return []error{e}
		}
	case interface{ Unwrap() []error }:
		return x.Unwrap()
	}
	return nil
}

func contains(path []error, err error) bool {
	for _, e := range path {
		if same(e, err) {
			return true
		}
	}
	return false
}

// same is == for errors of any type: those that cannot be compared differ.
func same(a, b error) bool {
	return reflect.TypeOf(a) == reflect.TypeOf(b) && isComparable(a) && isComparable(b) && a == b
}

func isComparable(err error) bool { return err != nil && reflect.ValueOf(err).Comparable() }
