package codec_test

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/spooljobs/spool/internal/codec"
	"github.com/vmihailenco/msgpack/v5"
)

// hostile are inputs that kill, or starve, a process which hands them to the
// library as they are.
var hostile = map[string][]byte{
	"array of 4G":            {0xdd, 0xff, 0xff, 0xff, 0xff},
	"array of 10M":           {0xdd, 0x00, 0x98, 0x96, 0x80},
	"map of 100M":            {0xdf, 0x05, 0xf5, 0xe1, 0x00},
	"bin of 500M":            {0xc6, 0x1d, 0xcd, 0x65, 0x00},
	"string of 4G":           {0xdb, 0xff, 0xff, 0xff, 0xff},
	"extension of 4G":        {0xc9, 0xff, 0xff, 0xff, 0xff, 0x01},
	"3M nested arrays":       append(bytes.Repeat([]byte{0x91}, 3_000_000), 0xc0),
	"10M nested arrays":      append(bytes.Repeat([]byte{0x91}, 10_000_000), 0xc0),
	"nested maps":            append(bytes.Repeat([]byte{0x81, 0xa1, 'k'}, 1_000_000), 0xc0),
	"nested keys":            append(bytes.Repeat([]byte{0x81}, 1_000_000), 0xc0),
	"headers that multiply":  append(bytes.Repeat([]byte{0xdc, 0x00, 0xff}, 30), make([]byte, 255)...),
	"nested in unknown":      append([]byte{0x81, 0xa1, 'u'}, append(bytes.Repeat([]byte{0x91}, 1000), 0xc0)...),
	"array of 4G in a field": {0x81, 0xa1, 'A', 0xdd, 0xff, 0xff, 0xff, 0xff},
	"map claims one too few": {0x82, 0x01, 0x02, 0x03},
	"empty":                  {},
	"two values":             {0x01, 0x02},
	"reserved code":          {0xc1},
	"empty extension":        {0xc7, 0x00, 0x01},
	"interned string":        {0xd4, 0x80, 0x00},
	"cut off in a head":      {0xdc, 0x00},
	"cut off in a type":      {0xc7, 0x01},
}

func TestHostileInputIsRefused(t *testing.T) {
	for name, in := range hostile {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		for what, v := range targets() {
			err := codec.Unmarshal(in, v)
			var bad *codec.MalformedError
			if !errors.As(err, &bad) {
				t.Errorf("%s into %s: %v", name, what, err)
			}
		}
		runtime.ReadMemStats(&after)
		if d := time.Since(start); d > time.Second {
			t.Errorf("%s took %v", name, d)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
			t.Errorf("%s allocated %d bytes", name, grown)
		}
	}
}

type typedMap map[string]typedMap

type fields struct {
	A []any
	M map[string]any
	T typedMap
	R msgpack.RawMessage
	B []byte
	S []string
	W time.Time
}

func targets() map[string]any {
	return map[string]any{
		"any":         new(any),
		"slice":       new([]any),
		"structs":     new([]record),
		"map":         new(map[string]any),
		"string map":  new(map[string]string),
		"any map":     new(map[any]any),
		"typed map":   new(typedMap),
		"struct":      new(fields),
		"bytes":       new([]byte),
		"raw":         new(msgpack.RawMessage),
		"time":        new(time.Time),
		"map of maps": new(map[string]map[string]any),
	}
}

// The library takes the payload of an extension for a map where it wants one, so
// bytes the guard holds to be opaque would be decoded unguarded.
func TestExtensionIsNotReadAsMap(t *testing.T) {
	huge := []byte{0xdf, 0x05, 0xf5, 0xe1, 0x00} // a map of 100 million
	for name, in := range map[string][]byte{
		"ext8":     append([]byte{0xc7, 0x05, 0x01}, huge...),
		"ext16":    append([]byte{0xc8, 0x00, 0x05, 0x01}, huge...),
		"ext32":    append([]byte{0xc9, 0x00, 0x00, 0x00, 0x05, 0x01}, huge...),
		"fixext8":  append(append([]byte{0xd7, 0x01}, huge...), 0, 0, 0),
		"a time":   append(append([]byte{0xd7, 0xff}, huge...), 0, 0, 0),
		"nil":      {0xd4, 0x01, 0xc0},
		"in field": append([]byte{0x81, 0xa1, 'M', 0xc7, 0x05, 0x01}, huge...),
		"in map":   append([]byte{0x81, 0xa1, 'k', 0xc7, 0x05, 0x01}, huge...),
	} {
		if err := codec.Check(in); err != nil {
			t.Errorf("%s: the guard alone cannot see this: %v", name, err)
		}
		for what, v := range targets() {
			n := allocated(func() { _ = codec.Unmarshal(in, v) })
			if n > 1<<20 {
				t.Errorf("%s into %s allocated %d bytes", name, what, n)
			}
		}
		if err := codec.Unmarshal(in, new(map[string]any)); err == nil {
			t.Errorf("%s was read as a map", name)
		}
	}
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A time whose encoding looks like a map's head is still a time.
func TestTimesThatLookLikeMaps(t *testing.T) {
	t.Parallel()
	for _, ns := range []int64{0, 1, 805_306_368, 931_135_488, 935_329_792, 999_999_999} {
		want := struct {
			At  time.Time
			Any any
		}{time.Unix(1_700_000_000, ns), time.Unix(0x8f000000, 0)}
		b, err := codec.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got := want
		got.At, got.Any = time.Time{}, nil
		if err := codec.Unmarshal(b, &got); err != nil || !got.At.Equal(want.At) || !got.Any.(time.Time).Equal(want.Any.(time.Time)) {
			t.Errorf("%v: got %v, %v", want, got, err)
		}
	}
}

func TestDepthLimitIsExact(t *testing.T) {
	t.Parallel()
	for depth, ok := range map[int]bool{0: true, 31: true, 32: true, 33: false} {
		in := append(bytes.Repeat([]byte{0x91}, depth), 0xc0)
		if err := codec.Check(in); (err == nil) != ok {
			t.Errorf("depth %d: %v", depth, err)
		}
	}
}

func TestSkipReturnsTheRest(t *testing.T) {
	t.Parallel()
	var in []byte
	values := []any{1, "two", sample(), nil, []any{}, map[string]int{"a": 1}, time.Unix(5, 0), 3.5, -200, strings.Repeat("x", 300)}
	for _, v := range values {
		var err error
		if in, err = codec.AppendMarshal(in, v); err != nil {
			t.Fatal(err)
		}
	}
	rest := in
	for i := range values {
		next, err := codec.Skip(rest)
		if err != nil {
			t.Fatalf("value %d: %v", i, err)
		}
		if err := codec.Check(rest[:len(rest)-len(next)]); err != nil {
			t.Errorf("value %d: %v", i, err)
		}
		rest = next
	}
	if len(rest) != 0 {
		t.Errorf("%d bytes left", len(rest))
	}
	if got, err := codec.Skip([]byte{0x92, 0x01}); err == nil || len(got) != 2 {
		t.Errorf("cut off: %x, %v", got, err)
	}
}

func TestCheckAndAppendDoNotAllocate(t *testing.T) {
	// Omitted fields, times and sorted maps allocate inside the library.
	var arg any = &struct {
		ID   string
		N    int64
		Body []byte
	}{"some id", 3, make([]byte, 150)}
	b, err := codec.Marshal(arg)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { _ = codec.Check(b) }); n != 0 {
		t.Errorf("Check: %v allocations", n)
	}
	if raceEnabled {
		t.Skip("under the race detector pools lose objects on purpose")
	}
	dst := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() { dst, _ = codec.AppendMarshal(dst[:0], arg) }); n != 0 {
		t.Errorf("AppendMarshal: %v allocations", n)
	}
}
