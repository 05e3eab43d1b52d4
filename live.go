package spool

import (
	"context"
	"encoding"
	"fmt"
	"net"
	"os"
	"reflect"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/spooljobs/spool/internal/codec"
)

// Arguments and results are data. What is live belongs to a process: it cannot be stored at all, as a channel, or is
// stored as an empty map without a word, as a client, all of whose fields are unexported. So types that hold something
// live are refused when a task is made. What an interface holds is seen only in a value, when arguments are bound.
//
// Both walks follow what the codec encodes, and end where it ends: at types that encode themselves. Those that a user
// has given to msgpack.Register cannot be told; they are walked as any other.

const plainRule = "must not hold anything live, such as a function, a channel, a connection or a client"

// checkPlain is the mistake of a type that holds something live. open says that it has interfaces, too: the rest is
// for checkPlainValue.
func checkPlain(field string, t reflect.Type) (open bool, err error) {
	s := surveyOf(t)
	if s.live != nil {
		return false, liveError(field, s.path, s.live)
	}
	// An error is encoded as its text, but not if it is the whole: there the codec sees only what the interface holds.
	return s.open || t.Kind() == reflect.Interface, nil
}

// checkPlainValue is the mistake of a value that holds something live in its interfaces.
func checkPlainValue(field string, v any) error {
	if path, live := inspect(v); live != nil {
		return liveError(field, path, live)
	}
	return nil
}

func liveError(field, path string, live reflect.Type) error {
	if path != "" {
		field += " " + path
	}
	return &FieldError{field, live.String(), plainRule}
}

// livePart finds in a type the first part that can never be stored. The path is "" for the type itself, else made of
// names of fields, [] for what a container holds and [key] for the keys of a map; a dot stands between two names.
func livePart(t reflect.Type) (path string, ok bool) {
	s := surveyOf(t)
	return s.path, s.live != nil
}

// liveValue finds in a value, and in whatever its interfaces hold, a part that can never be stored. The path is that of
// livePart with indices and keys. It ends on values that contain themselves.
func liveValue(v any) (path string, ok bool) {
	path, live := inspect(v)
	return path, live != nil
}

// survey is what a type alone can tell.
type survey struct {
	path string
	live reflect.Type // what stands at the path; nil if nothing live was found
	open bool         // it has interfaces, which may hold anything; not set if something live was found
}

func surveyOf(t reflect.Type) survey {
	if t == nil { // that of a nil interface
		return survey{}
	}
	s := surveyor{seen: map[reflect.Type]bool{}}
	path, live := s.walk(t)
	return survey{path, live, s.open && live == nil}
}

type surveyor struct {
	seen map[reflect.Type]bool // walked, or being walked: types refer to themselves
	open bool
}

func (s *surveyor) walk(t reflect.Type) (path string, live reflect.Type) {
	if scalar(t.Kind()) || s.seen[t] {
		return "", nil
	}
	s.seen[t] = true
	switch {
	case isLive(t) || actsLive(t):
		return "", t
	case t.Kind() == reflect.Pointer:
		if path, live = s.walk(t.Elem()); live != nil && path == "" {
			live = t
		}
		return path, live
	case t.Kind() == reflect.Interface:
		s.open = s.open || t != reflect.TypeFor[error]() // an error is encoded as its text
		return "", nil
	case encodesItself(t):
		return "", nil
	}
	return s.parts(t)
}

func (s *surveyor) parts(t reflect.Type) (path string, live reflect.Type) {
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		if path, live = s.walk(t.Elem()); live != nil {
			return joinPath("[]", path), live
		}
	case reflect.Map:
		if path, live = s.walk(t.Key()); live != nil {
			return joinPath("[key]", path), live
		}
		if path, live = s.walk(t.Elem()); live != nil {
			return joinPath("[]", path), live
		}
	case reflect.Struct:
		for f := range t.Fields() {
			if !encoded(&f) {
				continue
			}
			if path, live = s.walk(f.Type); live != nil {
				return joinPath(f.Name, path), live
			}
		}
	}
	return "", nil
}

// isLive judges a type by what it is.
func isLive(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return true
	}
	switch t.PkgPath() {
	case "sync", "sync/atomic": // what guards or is shared means nothing in a copy
		return true
	}
	switch t {
	case reflect.TypeFor[Client](), reflect.TypeFor[Worker](), reflect.TypeFor[Queue](), reflect.TypeFor[Run](), reflect.TypeFor[Tx](),
		reflect.TypeFor[os.File](), reflect.TypeFor[redis.PubSub]():
		return true
	}
	return false
}

// actsLive judges a type by what it can do. Most clients and connections are known by nothing else.
func actsLive(t reflect.Type) bool {
	does := t
	if t.Kind() != reflect.Interface {
		does = reflect.PointerTo(t) // has the methods of both
	}
	if !does.Implements(reflect.TypeFor[context.Context]()) && !does.Implements(reflect.TypeFor[net.Conn]()) &&
		!does.Implements(reflect.TypeFor[net.Listener]()) && !does.Implements(reflect.TypeFor[redis.Cmdable]()) {
		return false
	}
	if t.Kind() == reflect.Struct {
		for f := range t.Fields() {
			if f.Anonymous && !encoded(&f) && actsLive(deref(f.Type)) {
				return false // it can only by what is left out
			}
		}
	}
	return true
}

// encodesItself says whether the codec leaves the encoding to the type.
func encodesItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[msgpack.CustomEncoder]()) || p.Implements(reflect.TypeFor[msgpack.Marshaler]()) ||
		p.Implements(reflect.TypeFor[encoding.BinaryMarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextMarshaler]())
}

// encoded says whether the codec encodes a field: if it is exported or embedded, and not named "-".
func encoded(f *reflect.StructField) bool {
	name, _, _ := strings.Cut(f.Tag.Get("msgpack"), ",")
	return name != "-" && (f.IsExported() || f.Anonymous)
}

// scalar says whether a kind has neither parts nor life.
func scalar(k reflect.Kind) bool {
	return k >= reflect.Bool && k <= reflect.Complex128 || k == reflect.String
}

func deref(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// inspect finds what is live in a value, as liveValue does, and its type.
func inspect(v any) (path string, live reflect.Type) {
	if v == nil {
		return "", nil
	}
	i := inspector{shapes: map[reflect.Type]*shape{}, seen: map[place]bool{}}
	return i.content(reflect.ValueOf(v), 0)
}

// inspector walks the open parts of one value. Of what it meets in an interface it asks for the survey; only where that
// says open does it go on.
type inspector struct {
	shapes map[reflect.Type]*shape
	seen   map[place]bool
}

// shape is the survey of a type and, of a struct that is open, the fields that are.
type shape struct {
	survey
	fields []reflect.StructField
}

// place is a value that others may lead to as well.
type place struct {
	at  uintptr
	len int
	t   reflect.Type
}

func (i *inspector) shape(t reflect.Type) *shape {
	if s := i.shapes[t]; s != nil {
		return s
	}
	s := &shape{survey: surveyOf(t)}
	i.shapes[t] = s // before the fields are asked: they may be of this type
	if s.open && t.Kind() == reflect.Struct {
		for f := range t.Fields() {
			if encoded(&f) && i.shape(f.Type).open {
				s.fields = append(s.fields, f)
			}
		}
	}
	return s
}

// content looks at what an interface holds.
func (i *inspector) content(v reflect.Value, depth int) (path string, live reflect.Type) {
	if scalar(v.Kind()) {
		return "", nil
	}
	if s := i.shape(v.Type()); !s.open {
		return s.path, s.live
	}
	return i.parts(v, depth)
}

// parts looks into a value inside depth containers. A value that is open by its type has no live part but in its
// interfaces. One that nests deeper than the codec allows is refused when it is encoded.
func (i *inspector) parts(v reflect.Value, depth int) (path string, live reflect.Type) {
	if scalar(v.Kind()) || depth > codec.MaxDepth || !i.shape(v.Type()).open || i.met(v) {
		return "", nil
	}
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			return "", nil
		}
		if v.Kind() == reflect.Interface {
			return i.content(v.Elem(), depth)
		}
		return i.parts(v.Elem(), depth)
	case reflect.Slice, reflect.Array:
		for n := range v.Len() {
			if path, live = i.parts(v.Index(n), depth+1); live != nil {
				return joinPath("["+strconv.Itoa(n)+"]", path), live
			}
		}
	case reflect.Map:
		for at := v.MapRange(); at.Next(); {
			if path, live = i.parts(at.Key(), depth+1); live != nil {
				return joinPath("[key]", path), live
			}
			if path, live = i.parts(at.Value(), depth+1); live != nil {
				return joinPath("["+keyText(at.Key())+"]", path), live
			}
		}
	case reflect.Struct:
		for _, f := range i.shape(v.Type()).fields {
			inner := depth + 1
			if f.Anonymous { // its fields may be encoded as if they were those of v
				inner = depth
			}
			if path, live = i.parts(v.FieldByIndex(f.Index), inner); live != nil {
				return joinPath(f.Name, path), live
			}
		}
	}
	return "", nil
}

// met says whether a value was met before. Without it a value that contains itself would have no end, and one that is
// shared by many would be walked for each.
func (i *inspector) met(v reflect.Value) bool {
	p := place{t: v.Type()}
	switch v.Kind() {
	case reflect.Pointer, reflect.Map:
		p.at = v.Pointer()
	case reflect.Slice:
		p.at, p.len = v.Pointer(), v.Len()
	default:
		return false
	}
	if i.seen[p] {
		return true
	}
	i.seen[p] = true
	return false
}

// keyText is a key of a map, short, as Go would write it; of keys that are no plain text or number, nothing.
func keyText(k reflect.Value) string {
	if k.Kind() == reflect.Interface {
		k = k.Elem()
	}
	switch {
	case k.Kind() == reflect.String:
		return fmt.Sprintf("%.40q", k.String())
	case k.CanInt():
		return strconv.FormatInt(k.Int(), 10)
	case k.CanUint():
		return strconv.FormatUint(k.Uint(), 10)
	}
	return ""
}

// joinPath puts a dot between two names.
func joinPath(a, b string) string {
	if a == "" || b == "" || a[len(a)-1] == ']' || b[0] == '[' {
		return a + b
	}
	return a + "." + b
}
