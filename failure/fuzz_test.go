package failure_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spooljobs/spool/failure"
)

// Properties of whatever decodes: it is small, encodes to itself in both forms,
// and can be printed and searched.
func checkDecoded(t *testing.T, f *failure.Failure) {
	t.Helper()
	b := f.Encode()
	j, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) >= 8<<10 || len(j) >= 8<<10 {
		t.Fatalf("%d bytes of MessagePack, %d of JSON", len(b), len(j))
	}
	g, err := failure.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(f, g) { // cmp takes seconds over a deep tree
		t.Fatalf("%+v\nbecame\n%+v", f, g)
	}
	if again := g.Encode(); !bytes.Equal(b, again) {
		t.Fatalf("% x\nbecame\n% x", b, again)
	}
	var h failure.Failure
	if err := json.Unmarshal(j, &h); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(f, &h) {
		t.Fatalf("%+v\nbecame in JSON\n%+v", f, &h)
	}
	_ = fmt.Sprintf("%+v %s", f, f.Brief())
	_ = errors.Is(f, errInsufficient)
}

func FuzzDecode(f *testing.F) {
	for _, m := range monsters() {
		f.Add(m.Encode())
	}
	f.Add([]byte{0x81, 0xa1, 'n', 0x91, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := failure.Decode(b)
		if err != nil {
			if !errors.Is(err, failure.ErrMalformed) || g != nil {
				t.Fatalf("%v, %v", g, err)
			}
			return
		}
		checkDecoded(t, g)
	})
}

func FuzzUnmarshalJSON(f *testing.F) {
	for _, m := range monsters() {
		b, _ := json.Marshal(m)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var g failure.Failure
		if json.Unmarshal(b, &g) == nil {
			checkDecoded(t, &g)
		}
	})
}

// FuzzStored builds failures of odd shapes: the stored form must be its own
// stored form, also where it had to be cut.
func FuzzStored(f *testing.F) {
	f.Add("message", uint16(3), uint16(2), uint16(40), uint16(7), uint16(100))
	f.Add("<\xff\u2028", uint16(900), uint16(30), uint16(30), uint16(90), uint16(1000))
	f.Fuzz(func(t *testing.T, s string, times, frames, vars, causes, size uint16) {
		long := ""
		for range times % 1500 {
			if long += s; len(long) > 4000 {
				break
			}
		}
		root := &failure.Failure{Message: long, Type: s, Name: "n", Value: make([]byte, size%1100)}
		for i := range int(frames % 60) {
			fr := failure.Frame{Func: long[:len(long)*i/60], File: s, Line: int(size)}
			for j := range int(vars % 200) {
				fr.Vars = append(fr.Vars, failure.Var{Name: fmt.Sprint(j), Value: long})
			}
			root.Frames = append(root.Frames, fr)
		}
		all := []*failure.Failure{root}
		for i := range int(causes % 300) {
			c := &failure.Failure{Message: long[:len(long)*i/300], Name: s, Value: root.Value, Omitted: i}
			if i%3 == 0 {
				c.Frames = root.Frames
			}
			parent := all[int(size)%len(all)]
			parent.Causes = append(parent.Causes, c)
			all = append(all, c)
		}
		g, err := failure.Decode(root.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(root.Encode(), g.Encode()) {
			t.Fatal("not its own stored form")
		}
		checkDecoded(t, g)
	})
}

func TestDecodeRefusesGarbage(t *testing.T) {
	t.Parallel()
	good := failure.New(errors.New("x"), failure.Site{}).Encode()
	for name, b := range map[string][]byte{
		"nothing":       nil,
		"nil":           {0xc0},
		"number":        {0x01},
		"no parts":      {0x81, 0xa1, 'n', 0x90},
		"cut off":       good[:len(good)-1],
		"trailing":      append(bytes.Clone(good), 0xc0),
		"array of 4G":   {0x81, 0xa1, 'n', 0xdd, 0xff, 0xff, 0xff, 0xff},
		"own parent":    {0x81, 0xa1, 'n', 0x92, 0x80, 0x81, 0xa1, 'u', 0x01},
		"minus one":     {0x81, 0xa1, 'n', 0x92, 0x80, 0x81, 0xa1, 'u', 0xff},
		"a later one":   {0x81, 0xa1, 'n', 0x93, 0x80, 0x81, 0xa1, 'u', 0x02, 0x80},
		"wrong type":    {0x81, 0xa1, 'n', 0x91, 0x81, 0xa1, 'm', 0x93, 1, 2, 3},
		"far too large": append([]byte{0x81, 0xa1, 'x', 0xc5, 0xff, 0xff}, make([]byte, 0xffff)...),
		"too deep":      append([]byte{0x81, 0xa1, 'x'}, bytes.Repeat([]byte{0x91}, 1000)...),
	} {
		if f, err := failure.Decode(b); !errors.Is(err, failure.ErrMalformed) || f != nil {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
}

func TestDecodeIgnoresWhatALaterVersionAdds(t *testing.T) {
	t.Parallel()
	b := []byte{0x83, 0xa1, 'z', 0x93, 1, 2, 3, 0xa1, 'n', 0x91, 0x83,
		0xa1, 'y', 0x81, 0xa1, 'q', 0xc0, 0xa1, 'm', 0xa2, 'h', 'i',
		0xa1, 'f', 0x91, 0x82, 0xa1, 'f', 0xa1, 'g', 0xa1, 'w', 0xc3, 0xa1, 'v', 0x01}
	f, err := failure.Decode(b)
	want := &failure.Failure{Message: "hi", Frames: []failure.Frame{{Func: "g"}}}
	if d := cmp.Diff(want, f, equal); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
}
