package failure

import (
	"fmt"
	"log/slog"
	"reflect"
	"strconv"
	"unicode/utf8"
)

const (
	printDepth = 8        // levels of nesting
	printLimit = 4 << 10  // bytes of one value
	totalPrint = 64 << 10 // bytes of all values
	mapLimit   = 1000     // entries of a map that is still sorted, and so printed
)

// print returns v as text, in the manner of fmt's %+v, with pointers followed
// and bytes quoted. Its work is bounded by limit, whatever v is: fmt would print
// a gigabyte of which twenty characters are kept.
func (c *capture) print(v any, limit int) string {
	limit = min(limit, c.text)
	p := printer{calls: c.calls, limit: limit}
	p.value(reflect.ValueOf(v), 0)
	c.text -= len(p.buf)
	if !p.cut {
		return string(p.buf)
	}
	return string(p.buf) + mark
}

type printer struct {
	calls *calls
	buf   []byte
	limit int
	cut   bool // the limit was reached
}

func (p *printer) text(s string) {
	if room := p.limit - len(p.buf); len(s) > room {
		for room = max(room, 0); room > 0 && !utf8.RuneStart(s[room]); room-- {
		}
		s, p.cut = s[:room], true
	}
	if !p.cut || s != "" {
		p.buf = append(p.buf, s...)
	}
}

func (p *printer) value(v reflect.Value, depth int) {
	switch {
	case p.cut:
		return
	case !v.IsValid():
		p.text("<nil>")
		return
	case depth > printDepth:
		p.text(mark)
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice, reflect.Func, reflect.Chan:
		if v.IsNil() {
			p.text("<nil>")
			return
		}
	}
	if v.CanInterface() && p.method(v.Interface(), depth) {
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		p.text(strconv.FormatBool(v.Bool()))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		p.text(strconv.FormatInt(v.Int(), 10))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		p.text(strconv.FormatUint(v.Uint(), 10))
	case reflect.Float32, reflect.Float64:
		p.text(strconv.FormatFloat(v.Float(), 'g', -1, v.Type().Bits()))
	case reflect.Complex64, reflect.Complex128:
		p.text(strconv.FormatComplex(v.Complex(), 'g', -1, v.Type().Bits()))
	case reflect.String:
		p.text(v.String())
	case reflect.Pointer:
		p.text("&")
		p.value(v.Elem(), depth+1)
	case reflect.Interface:
		p.value(v.Elem(), depth) // nests nothing: what it holds is no interface
	case reflect.Struct:
		p.fields(v, depth)
	case reflect.Map:
		p.entries(v, depth)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			b := v.Bytes()
			p.text(strconv.Quote(string(b[:min(len(b), p.limit)])))
			return
		}
		p.elements(v, depth)
	case reflect.Array:
		p.elements(v, depth)
	default: // channels, functions, unsafe pointers
		p.text("(" + v.Type().String() + ")")
	}
}

func (p *printer) fields(v reflect.Value, depth int) {
	p.text("{")
	first := true
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		if p.cut {
			return
		}
		if !first {
			p.text(" ")
		}
		first = false
		p.text(f.Name + ":")
		p.value(v.Field(i), depth+1)
	}
	p.text("}")
}

func (p *printer) elements(v reflect.Value, depth int) {
	p.text("[")
	for i := range v.Len() {
		if p.cut {
			return
		}
		if i > 0 {
			p.text(" ")
		}
		p.value(v.Index(i), depth+1)
	}
	p.text("]")
}

func (p *printer) entries(v reflect.Value, depth int) {
	keys, ok := sortedKeys(v)
	if !ok {
		p.text(fmt.Sprintf("%v with %d entries", v.Type(), v.Len()))
		return
	}
	p.text("map[")
	for i, k := range keys {
		if p.cut {
			return
		}
		if i > 0 {
			p.text(" ")
		}
		p.value(k, depth+1)
		p.text(":")
		p.value(v.MapIndex(k), depth+1)
	}
	p.text("]")
}

// method lets a value print itself, if it has a way to. The order is that of
// fmt, but what a type says for logs goes first: it is where secrets are hidden.
func (p *printer) method(x any, depth int) bool {
	var fn func() string
	switch x := x.(type) {
	case slog.LogValuer:
		v, placeholder := call(p.calls, func() any { return x.LogValue().Any() })
		if placeholder != "" {
			p.text(placeholder)
		} else {
			p.value(reflect.ValueOf(v), depth+1)
		}
		return true
	case fmt.Formatter:
		fn = func() string { return fmt.Sprint(x) }
	case error:
		fn = x.Error
	case fmt.Stringer:
		fn = x.String
	default:
		return false
	}
	s, placeholder := call(p.calls, fn)
	p.text(s + placeholder)
	return true
}
