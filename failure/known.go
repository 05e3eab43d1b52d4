package failure

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	"github.com/spooljobs/spool/internal/codec"
)

// maxValue is the largest encoding of a typed error that is stored, in bytes.
const maxValue = 1 << 10

// The names of errors that every process knows. Their prefix is not for others.
const (
	reserved     = "context."
	nameCanceled = reserved + "canceled"
	nameDeadline = reserved + "deadline-exceeded"
)

// Known is a set of errors that have a name. Two processes that declare an error
// under one name recognise it in each other's failures.
//
// The zero Known is empty and ready. Build it in one place, with
// [Known.Declare] and [DeclareType], then only use it; that is safe from any
// number of goroutines. A nil *Known may be used as an empty one.
//
// A name has 1 to 64 letters, digits, dots, dashes and underscores, and does not
// begin with "context.", since context.Canceled and context.DeadlineExceeded are
// in every set. A name can be declared once, and so can an error and a type.
type Known struct {
	names     map[string]declared
	sentinels map[error]string
	types     map[reflect.Type]string
}

// declared is one declaration, seen from its name: a sentinel, or how to decode
// a value of a type.
type declared struct {
	sentinel error
	decode   func([]byte) error // nil if it cannot be decoded
}

// Declare gives a name to an error that is compared with ==, such as one made by
// errors.New. The set is unchanged if it returns an error.
func (k *Known) Declare(name string, target error) error {
	if err := k.check(name); err != nil {
		return err
	}
	if !isComparable(target) {
		return fmt.Errorf("failure: %q names a nil error, or one that == cannot compare", name)
	}
	if other, _ := k.nameOf(target); other != "" {
		return fmt.Errorf("failure: %q names an error that is already known as %q", name, other)
	}
	if k.sentinels == nil {
		k.sentinels = map[error]string{}
	}
	k.sentinels[target] = name
	k.add(name, declared{sentinel: target})
	return nil
}

// DeclareType gives a name to all errors of type E, which must not be an
// interface. A value travels in MessagePack: its exported fields, or what its
// own encoder writes. One that takes more than 1 KiB, or cannot be encoded, keeps
// its name but is not found by errors.As elsewhere. An error that is itself
// declared goes by that name, not by its type's. The set is unchanged if
// DeclareType returns an error.
func DeclareType[E error](k *Known, name string) error {
	if err := k.check(name); err != nil {
		return err
	}
	t := reflect.TypeFor[E]()
	if t.Kind() == reflect.Interface {
		return fmt.Errorf("failure: %q names the interface %v; declare a concrete type", name, t)
	}
	if t == reflect.TypeFor[*Failure]() {
		return fmt.Errorf("failure: %q names %v, which needs no name", name, t)
	}
	if other := k.types[t]; other != "" {
		return fmt.Errorf("failure: %q names the type %v, already known as %q", name, t, other)
	}
	if k.types == nil {
		k.types = map[reflect.Type]string{}
	}
	k.types[t] = name
	k.add(name, declared{decode: func(b []byte) error {
		var e E
		if err := codec.Unmarshal(b, &e); err != nil {
			return nil
		}
		if v := reflect.ValueOf(e); v.Kind() == reflect.Pointer && v.IsNil() {
			return nil
		}
		return e
	}})
	return nil
}

// Join returns a set of what several know. Of a name, an error or a type that more than one declares, the first counts.
func Join(sets ...*Known) *Known {
	all := &Known{names: map[string]declared{}, sentinels: map[error]string{}, types: map[reflect.Type]string{}}
	for _, k := range sets {
		if k == nil {
			continue
		}
		for name, d := range k.names {
			if _, ok := all.names[name]; !ok {
				all.names[name] = d
			}
		}
		for err, name := range k.sentinels {
			if _, ok := all.sentinels[err]; !ok {
				all.sentinels[err] = name
			}
		}
		for t, name := range k.types {
			if _, ok := all.types[t]; !ok {
				all.types[t] = name
			}
		}
	}
	return all
}

func (k *Known) add(name string, d declared) {
	if k.names == nil {
		k.names = map[string]declared{}
	}
	k.names[name] = d
}

func (k *Known) check(name string) error {
	if !validName(name) {
		return fmt.Errorf("failure: %q is no name for an error: 1 to 64 letters, digits, dots, dashes, underscores", name)
	}
	if strings.HasPrefix(name, reserved) {
		return fmt.Errorf("failure: %q is no name for an error: the prefix %q is reserved", name, reserved)
	}
	if _, ok := k.names[name]; ok {
		return fmt.Errorf("failure: %q is declared twice", name)
	}
	return nil
}

func validName(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return 1 <= len(s) && len(s) <= 64
}

// nameOf returns the name of err itself, not of what it wraps, and whether that
// is the name of its type; "" if it has none.
func (k *Known) nameOf(err error) (name string, typed bool) {
	switch {
	case same(err, context.Canceled):
		return nameCanceled, false
	case same(err, context.DeadlineExceeded):
		return nameDeadline, false
	case k == nil:
		return "", false
	}
	if isComparable(err) {
		if name := k.sentinels[err]; name != "" {
			return name, false
		}
	}
	name = k.types[reflect.TypeOf(err)]
	return name, name != ""
}

// lookup returns the local error that goes by a name, or nil.
func (k *Known) lookup(name string, value []byte) error {
	switch {
	case name == nameCanceled:
		return context.Canceled
	case name == nameDeadline:
		return context.DeadlineExceeded
	case k == nil:
		return nil
	}
	d := k.names[name]
	if d.decode != nil && len(value) > 0 {
		return d.decode(value)
	}
	return d.sentinel
}
