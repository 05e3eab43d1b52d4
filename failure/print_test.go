package failure_test

import (
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spooljobs/spool/failure"
)

type (
	secret    string
	logSecret struct{ Token string }
	level     int
	node      struct {
		N    int
		Next *node
	}
	mixed struct {
		Text   string
		Bytes  []byte
		List   []string
		Map    map[int]bool
		Ptr    *node
		Any    any
		Level  level
		Secret secret
		Log    logSecret
		When   time.Time
		For    time.Duration
		Big    *big.Int
		Err    error
		Nil    *node
		Chan   chan int
		hidden string
	}
)

func (secret) String() string          { return "***" }
func (logSecret) LogValue() slog.Value { return slog.StringValue("hidden") }
func (l level) String() string         { return fmt.Sprintf("level %d", int(l)) }

// TW-25: arguments become their printed form, under their names.
func TestArgumentsArePrintedByName(t *testing.T) {
	t.Parallel()
	in := mixed{
		Text: "a\nb", Bytes: []byte("raw\x00"), List: []string{"x", "y"}, Map: map[int]bool{10: true, 9: false},
		Ptr: &node{1, nil}, Any: map[string]any{"k": 1.5}, Level: 3, Secret: "password", Log: logSecret{"password"},
		When: time.Unix(0, 0).UTC(), For: time.Minute, Big: big.NewInt(12), Err: errors.New("inner"), hidden: "hidden",
	}
	want := map[string]string{
		"Text": "a\nb", "Bytes": `"raw\x00"`, "List": "[x y]", "Map": "map[9:false 10:true]",
		"Ptr": "&{N:1 Next:<nil>}", "Any": "map[k:1.5]", "Level": "level 3", "Secret": "***", "Log": "hidden",
		"When": "1970-01-01 00:00:00 +0000 UTC", "For": "1m0s", "Big": "12", "Err": "inner", "Nil": "<nil>", "Chan": "<nil>",
	}
	for _, args := range []any{in, &in} {
		if d := cmp.Diff(want, values(failure.New(errors.New("x"), siteOf(add, args)))); d != "" {
			t.Error(d)
		}
	}
}

func TestArgumentsThatAreNoStruct(t *testing.T) {
	t.Parallel()
	n := 5
	for _, c := range []struct {
		args any
		want string
	}{
		{nil, ""},
		{struct{}{}, ""},
		{struct{ x int }{1}, ""},
		{(*node)(nil), ""},
		{"text", "args=text;"},
		{&n, "args=5;"},
		{[]int{1, 2}, "args=[1 2];"},
		{map[string]int{"b": 2, "a": 1}, "a=1;b=2;"},
		{map[int]string{10: "x", -9: "y"}, "-9=y;10=x;"},
		{map[bool]int{true: 1, false: 0}, "false=0;true=1;"},
		{map[[2]int]int{{1, 2}: 3}, "args=map[[2]int]int with 1 entries;"},
		{time.Second, "args=1s;"},
		{logSecret{"password"}, "args=hidden;"},
		{map[secret]int{"password": 1}, "***=1;"},
		{func() {}, "args=(func());"},
	} {
		got := ""
		for _, v := range failure.New(errors.New("x"), failure.Site{Args: c.args}).Frames {
			for _, v := range v.Vars {
				got += v.Name + "=" + v.Value + ";"
			}
		}
		if got != c.want {
			t.Errorf("%T: %q, want %q", c.args, got, c.want)
		}
	}
}

type wide [1 << 30]struct{}

// The work of printing is bounded, not only its result.
func TestPrintingHugeArgumentsIsCheap(t *testing.T) {
	huge := strings.Repeat("x", 64<<20)
	loop := &node{N: 1}
	loop.Next = loop
	list := []any{nil, nil}
	list[0], list[1] = list, list
	many := map[int]int{}
	for i := range 100_000 {
		many[i] = i
	}
	args := map[string]any{
		"string": huge, "list": make([]int, 8<<20), "bytes": make([]byte, 64<<20), "strings": []string{huge, huge},
		"loop": loop, "self": list, "map": many, "wide": new(wide), "struct": struct{ A, B string }{huge, huge},
	}
	at := siteOf(add, args)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	f := failure.New(errors.New(huge), at)
	d := time.Since(start)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 2<<20 {
		t.Errorf("allocated %d bytes", n)
	}
	if d > time.Second {
		t.Errorf("took %v", d)
	}
	total := 0
	for name, v := range values(f) {
		if len(v) > 4<<10+len("[...]") {
			t.Errorf("%s has %d bytes", name, len(v))
		}
		total += len(v)
	}
	if total > 65<<10 {
		t.Errorf("%d bytes in all", total)
	}
	if got := values(f)["loop"]; !strings.HasPrefix(got, "&{N:1 Next:&{N:1 ") || !strings.Contains(got, "[...]") {
		t.Errorf("loop: %s", got)
	}
	if got := values(f)["map"]; got != "map[int]int with 100000 entries" {
		t.Errorf("map: %s", got)
	}
}
