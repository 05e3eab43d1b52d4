package failure

import (
	"cmp"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
)

// maxVars is how many variables a frame shows.
const maxVars = 64

// vars prints a handler's argument: the fields of a struct, the entries of a
// map, anything else as "args". A type that prints itself stays in one piece,
// for it may have a reason.
func (c *capture) vars(args any) []Var {
	v := reflect.ValueOf(args)
	for range printDepth {
		if !v.IsValid() || printsItself(v) {
			break
		}
		if k := v.Kind(); k != reflect.Pointer && k != reflect.Interface {
			break
		}
		v = v.Elem()
	}
	switch {
	case !v.IsValid():
		return nil
	case printsItself(v):
	case v.Kind() == reflect.Struct:
		var out []Var
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				out = c.add(out, f.Name, v.Field(i))
			}
		}
		return out
	case v.Kind() == reflect.Map:
		keys, ok := sortedKeys(v)
		if !ok {
			break
		}
		var out []Var
		for _, k := range keys {
			out = c.add(out, c.print(k.Interface(), 256), v.MapIndex(k))
		}
		return out
	}
	return c.add(nil, "args", v)
}

func (c *capture) add(vars []Var, name string, v reflect.Value) []Var {
	switch {
	case len(vars) < maxVars:
		return append(vars, Var{name, c.print(v.Interface(), printLimit)})
	case len(vars) == maxVars:
		return append(vars, Var{Name: mark})
	}
	return vars
}

func printsItself(v reflect.Value) bool {
	if k := v.Kind(); (k == reflect.Pointer || k == reflect.Interface) && v.IsNil() {
		return false
	}
	switch v.Interface().(type) {
	case slog.LogValuer, fmt.Formatter, error, fmt.Stringer:
		return true
	}
	return false
}

// sortedKeys returns the keys of a map in order, or false if it has too many of
// them, or keys that have no order.
func sortedKeys(m reflect.Value) ([]reflect.Value, bool) {
	if m.Len() > mapLimit {
		return nil, false
	}
	var less func(a, b reflect.Value) int
	switch m.Type().Key().Kind() {
	case reflect.String:
		less = func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) }
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		less = func(a, b reflect.Value) int { return cmp.Compare(a.Int(), b.Int()) }
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		less = func(a, b reflect.Value) int { return cmp.Compare(a.Uint(), b.Uint()) }
	case reflect.Float32, reflect.Float64:
		less = func(a, b reflect.Value) int { return cmp.Compare(a.Float(), b.Float()) }
	case reflect.Bool:
		less = func(a, b reflect.Value) int {
			switch {
			case a.Bool() == b.Bool():
				return 0
			case b.Bool():
				return -1
			}
			return 1
		}
	default:
		return nil, false
	}
	keys := m.MapKeys()
	slices.SortFunc(keys, less)
	return keys, true
}
