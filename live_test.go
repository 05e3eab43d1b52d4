package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/spooljobs/spool/failure"
	"github.com/spooljobs/spool/internal/codec"
)

type (
	leaf struct{ Done chan int }
	held struct{ Leaf leaf }

	list struct { // refers to itself
		Name string
		Next *list
		Any  any
		Kids []list
		By   map[string]*list
	}
	listLive struct { // refers to itself before the live part comes
		Next *listLive
		Kids map[string][]listLive
		Stop func()
	}
	ping struct{ Pong *pong }
	pong struct {
		Ping []ping
		C    net.Conn
	}
	nest []nest // nothing but itself

	Base   struct{ Done chan int }
	hidden struct { // unexported, but what is embedded is encoded
		Done chan int
		note string
	}
	embedsBase    struct{ Base }
	embedsPointer struct{ *Base }
	embedsHidden  struct{ hidden }
	embedsFunc    struct{ hook }
	hook          func()
	embedsLeftOut struct {
		Base `msgpack:"-"`
		N    int
	}
	embedsMutex   struct{ sync.Mutex }
	embedsContext struct{ context.Context }
	leavesContext struct { // has the methods of a context, but is stored without it
		context.Context `msgpack:"-"`
		N               int
	}
	leavesOne struct {
		context.Context `msgpack:"-"`
		net.Conn
	}
	leavesClient struct {
		*redis.Client `msgpack:"-,omitempty"`
		N             int
	}

	box[T any]     struct{ V T }
	pair[K, V any] struct {
		Key   K
		Value box[V]
	}

	myConn struct{ net.TCPConn }
	myCtx  struct{ context.Context }
)

// Each way in which a type encodes itself; all hold what could not be stored.
type (
	byMsgpack  struct{ Do func() }
	byPointer  struct{ Do func() }
	byMarshal  struct{ Do func() }
	byBinary   struct{ Do func() }
	byText     struct{ Do func() }
	byJSON     struct{ Do func() } // of which the codec knows nothing
	byTextConn struct{ net.Conn }
	byTextFunc func()
)

func (byMsgpack) EncodeMsgpack(e *msgpack.Encoder) error  { return e.EncodeNil() }
func (*byPointer) EncodeMsgpack(e *msgpack.Encoder) error { return e.EncodeNil() }
func (byMarshal) MarshalMsgpack() ([]byte, error)         { return []byte{0xc0}, nil }
func (byBinary) MarshalBinary() ([]byte, error)           { return nil, nil }
func (byText) MarshalText() ([]byte, error)               { return nil, nil }
func (byJSON) MarshalJSON() ([]byte, error)               { return []byte("null"), nil }
func (byTextConn) MarshalText() ([]byte, error)           { return nil, nil }
func (byTextFunc) MarshalText() ([]byte, error)           { return nil, nil }

func TestLiveTypes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		t    reflect.Type
		path string
	}{
		{reflect.TypeFor[chan int](), ""}, {reflect.TypeFor[<-chan int](), ""}, {reflect.TypeFor[func()](), ""}, {reflect.TypeFor[unsafe.Pointer](), ""},
		{reflect.TypeFor[context.Context](), ""}, {reflect.TypeFor[myCtx](), ""}, {reflect.TypeFor[*runContext](), ""},
		{reflect.TypeFor[*Client](), ""}, {reflect.TypeFor[Client](), ""}, {reflect.TypeFor[**Client](), ""}, {reflect.TypeFor[*Worker](), ""},
		{reflect.TypeFor[*Queue](), ""}, {reflect.TypeFor[*Run](), ""}, {reflect.TypeFor[*Tx](), ""}, {reflect.TypeFor[[]Tx](), "[]"}, {reflect.TypeFor[Option](), "-"}, // an interface: by value
		{reflect.TypeFor[redis.UniversalClient](), ""}, {reflect.TypeFor[*redis.Client](), ""}, {reflect.TypeFor[redis.Client](), ""}, {reflect.TypeFor[*redis.Conn](), ""},
		{reflect.TypeFor[*redis.ClusterClient](), ""}, {reflect.TypeFor[*redis.Ring](), ""}, {reflect.TypeFor[*redis.Tx](), ""}, {reflect.TypeFor[redis.Pipeliner](), ""},
		{reflect.TypeFor[redis.Cmdable](), ""}, {reflect.TypeFor[*redis.PubSub](), ""},
		{reflect.TypeFor[net.Conn](), ""}, {reflect.TypeFor[*net.TCPConn](), ""}, {reflect.TypeFor[net.Listener](), ""}, {reflect.TypeFor[*net.UnixListener](), ""}, {reflect.TypeFor[myConn](), ""},
		{reflect.TypeFor[*os.File](), ""}, {reflect.TypeFor[sync.Mutex](), ""}, {reflect.TypeFor[sync.Locker](), ""}, {reflect.TypeFor[*sync.WaitGroup](), ""},
		{reflect.TypeFor[sync.Map](), ""}, {reflect.TypeFor[atomic.Int64](), ""}, {reflect.TypeFor[atomic.Pointer[int]](), ""},
		{reflect.TypeFor[*time.Timer](), "C"}, {reflect.TypeFor[http.Client](), "CheckRedirect"},

		{reflect.TypeFor[leaf](), "Done"}, {reflect.TypeFor[held](), "Leaf.Done"}, {reflect.TypeFor[***held](), "Leaf.Done"}, {reflect.TypeFor[[]*held](), "[]Leaf.Done"},
		{reflect.TypeFor[struct{ Conns []net.Conn }](), "Conns[]"}, {reflect.TypeFor[[]struct{ Conns net.Conn }](), "[]Conns"}, {reflect.TypeFor[[2]func()](), "[]"}, {reflect.TypeFor[[0]func()](), "[]"},
		{reflect.TypeFor[map[string]func()](), "[]"}, {reflect.TypeFor[map[chan int]string](), "[key]"}, {reflect.TypeFor[map[leaf]int](), "[key]Done"}, {reflect.TypeFor[map[string][]map[int]held](), "[][][]Leaf.Done"},
		{reflect.TypeFor[listLive](), "Stop"}, {reflect.TypeFor[[]*listLive](), "[]Stop"}, {reflect.TypeFor[ping](), "Pong.C"}, {reflect.TypeFor[pong](), "C"},
		{reflect.TypeFor[embedsBase](), "Base.Done"}, {reflect.TypeFor[embedsPointer](), "Base.Done"}, {reflect.TypeFor[embedsHidden](), "hidden.Done"}, {reflect.TypeFor[embedsFunc](), "hook"},
		{reflect.TypeFor[embedsMutex](), "Mutex"}, {reflect.TypeFor[embedsContext](), ""}, {reflect.TypeFor[leavesOne](), "Conn"},
		{reflect.TypeFor[box[func()]](), "V"}, {reflect.TypeFor[pair[string, chan<- bool]](), "Value.V"}, {reflect.TypeFor[box[box[*Client]]](), "V.V"},
		{reflect.TypeFor[struct {
			A any
			B func() `msgpack:"b,omitempty"`
		}](), "B"},
		{reflect.TypeFor[struct {
			F func() `json:"-"`
		}](), "F"}, // the tag is another's
		{reflect.TypeFor[byJSON](), "Do"}, {reflect.TypeFor[byTextConn](), ""}, {reflect.TypeFor[byTextFunc](), ""},

		{nil, "-"}, {reflect.TypeFor[int](), "-"}, {reflect.TypeFor[uintptr](), "-"}, {reflect.TypeFor[string](), "-"}, {reflect.TypeFor[[]byte](), "-"}, {reflect.TypeFor[None](), "-"},
		{reflect.TypeFor[any](), "-"}, {reflect.TypeFor[error](), "-"}, {reflect.TypeFor[io.Reader](), "-"}, {reflect.TypeFor[[]any](), "-"}, {reflect.TypeFor[map[any]any](), "-"},
		{reflect.TypeFor[time.Time](), "-"}, {reflect.TypeFor[*time.Time](), "-"}, {reflect.TypeFor[time.Duration](), "-"}, {reflect.TypeFor[*big.Int](), "-"}, {reflect.TypeFor[big.Float](), "-"},
		{reflect.TypeFor[net.IP](), "-"}, {reflect.TypeFor[netip.Addr](), "-"}, {reflect.TypeFor[*url.URL](), "-"}, {reflect.TypeFor[uuid.UUID](), "-"}, {reflect.TypeFor[http.Header](), "-"},
		{reflect.TypeFor[*Job[int]](), "-"}, {reflect.TypeFor[Job[chan int]](), "-"}, {reflect.TypeFor[Partial[int]](), "-"}, {reflect.TypeFor[map[string][]*Job[None]](), "-"}, {reflect.TypeFor[*failure.Failure](), "-"},
		{reflect.TypeFor[JobInfo](), "-"}, {reflect.TypeFor[Counts](), "-"},
		{reflect.TypeFor[list](), "-"}, {reflect.TypeFor[nest](), "-"}, {reflect.TypeFor[embedsLeftOut](), "-"}, {reflect.TypeFor[leavesContext](), "-"}, {reflect.TypeFor[*leavesClient](), "-"}, {reflect.TypeFor[struct{ hidden int }](), "-"},
		{reflect.TypeFor[box[*box[[]string]]](), "-"}, {reflect.TypeFor[pair[int, any]](), "-"},
		{reflect.TypeFor[struct {
			mu   sync.Mutex
			stop func()
			C    chan int  `msgpack:"-"`
			D    net.Conn  `msgpack:"-,"`
			E    io.Writer `msgpack:"-,omitempty"`
			N    int
		}](), "-"},
		{reflect.TypeFor[byMsgpack](), "-"}, {reflect.TypeFor[*byPointer](), "-"}, {reflect.TypeFor[byPointer](), "-"}, {reflect.TypeFor[byMarshal](), "-"}, {reflect.TypeFor[byBinary](), "-"}, {reflect.TypeFor[[]byText](), "-"},
		{reflect.TypeFor[struct{ *byText }](), "-"}, // encodes itself by what it embeds
	} {
		path, ok := livePart(test.t)
		if !ok {
			path = "-"
		}
		if path != test.path {
			t.Errorf("%v: %q, want %q", test.t, path, test.path)
		}
	}
}

// What is refused for its kind is what the codec cannot encode, and what is accepted is nothing of the sort.
func TestLiveIsWhatTheCodecRefuses(t *testing.T) {
	t.Parallel()
	for _, v := range []any{
		make(chan int), func() {}, leaf{}, held{}, &held{}, []*held{{}}, embedsBase{}, embedsHidden{hidden{note: "n"}}, embedsFunc{hook: nil}, box[func()]{}, pair[int, chan int]{}, map[string]func(){"": nil},
		map[chan int]int{make(chan int): 1}, [1]func(){}, listLive{}, byJSON{}, time.NewTimer(0), []any{1, map[string]any{"f": leaf{}}}, &list{Any: []any{func() {}}}, list{Kids: []list{{By: map[string]*list{"x": {Any: leaf{}}}}}},
		nil, 1, []byte("b"), list{Next: &list{}, Kids: []list{{}}}, nest{{}, {{}}}, embedsLeftOut{}, leavesContext{}, &leavesClient{}, struct{ hidden int }{1}, byMsgpack{}, &byPointer{}, byMarshal{}, byBinary{}, byText{},
		box[any]{time.Now()}, []error{errors.New("e"), &loud{}}, map[any]any{1: "x", "y": nil}, &url.URL{Host: "h"}, struct {
			F func() `msgpack:"-"`
			f func()
		}{}, JobInfo{}, failure.New(io.EOF, failure.Site{}),
	} {
		path, ok := liveValue(v)
		if _, err := codec.Marshal(v); (err != nil) != ok {
			t.Errorf("%T: live %v (%q), encoding: %v", v, ok, path, err)
		}
	}
}

// loud is an error that only its text can be stored of.
type loud struct{ Stop func() }

func (*loud) Error() string { return "loud" }

func TestLiveValues(t *testing.T) {
	t.Parallel()
	client := &Client{}
	var nilClient *Client
	rdb := redis.NewClient(&redis.Options{})
	defer rdb.Close()
	deep := func(n int, v any) any {
		for range n {
			v = []any{v}
		}
		return v
	}
	shared := []any{1, func() {}}
	for i, test := range []struct {
		v    any
		path string
	}{
		{func() {}, ""}, {client, ""}, {nilClient, ""}, {rdb, ""}, {t.Context(), ""}, {os.Stdout, ""}, {&sync.Mutex{}, ""}, {Priority(1), ""},
		{[]any{1, "a", func() {}}, "[2]"}, {[]any{[]any{nil, leaf{}}}, "[0][1]Done"}, {[2]any{nil, client}, "[1]"}, {box[any]{client}, "V"}, {&box[any]{&box[any]{rdb}}, "V.V"},
		{map[string]any{"a": func() {}}, `["a"]`}, {map[string]any{"a": map[string]any{"b": client}}, `["a"]["b"]`}, {map[any]any{7: client}, "[7]"}, {map[any]any{uint8(7): held{}}, "[7]Leaf.Done"},
		{map[any]int{client: 1}, "[key]"}, {map[any]any{1.5: client}, "[]"}, {map[string]any{strings.Repeat("k", 100): client}, `["` + strings.Repeat("k", 40) + `"]`},
		{list{Any: 1, Next: &list{Kids: []list{{}, {Any: io.Reader(os.Stdin)}}}}, "Next.Kids[1]Any"}, {list{By: map[string]*list{"x": {Any: &list{Any: t.Context()}}}}, `By["x"]Any.Any`},
		{[]io.Reader{strings.NewReader("x"), os.Stdin}, "[1]"}, {[]fmt.Stringer{time.Second, sayer{}}, "[1]Do"}, {box[To]{client}, "V"}, {struct{ embedsAny }{embedsAny{client}}, "embedsAny.Any"},
		{struct{ *embedsAny }{&embedsAny{leaf{}}}, "embedsAny.Any.Done"}, {ptr[any](ptr[any](ptr(client))), ""}, {[]any{shared[:1], shared}, "[1][1]"}, {[]any{&loud{}}, "[0]Stop"},
		{deep(32, client), strings.Repeat("[0]", 32)},

		{nil, "-"}, {1, "-"}, {"x", "-"}, {[]any{}, "-"}, {[]any(nil), "-"}, {map[string]any(nil), "-"}, {(*box[any])(nil), "-"}, {box[any]{}, "-"}, {list{}, "-"}, {error(io.EOF), "-"}, {[]error{&loud{}}, "-"},
		{map[any]any{1: time.Now(), "t": &url.URL{}, 1.5: []byte("x")}, "-"}, {[]any{&Job[int]{}, Partial[int]{}, byText{}, &byPointer{}, byMsgpack{func() {}}}, "-"},
		{struct {
			A any `msgpack:"-"`
			b any
			C any
		}{client, func() {}, 1}, "-"}, {leavesContext{t.Context(), 1}, "-"}, {[]any{leavesClient{rdb, 1}}, "-"},
		{struct{ *embedsAny }{}, "-"}, {deep(100000, client), "-"}, // too deep for the codec
	} {
		path, ok := liveValue(test.v)
		if !ok {
			path = "-"
		}
		if path != test.path {
			t.Errorf("%d: %T: %.200q, want %.200q", i, test.v, path, test.path)
		}
	}
}

type embedsAny struct{ Any any }

type sayer struct{ Do func() }

func (sayer) String() string { return "" }

func ptr[T any](v T) *T { return &v }

// Values that contain themselves have an end, and what is shared by many is looked at once.
func TestLiveValuesThatContainThemselves(t *testing.T) {
	t.Parallel()
	var itself any
	itself = &itself
	m := map[string]any{}
	m["m"] = m
	s := make([]any, 3)
	s[0], s[1] = s, s[:2]
	ring := &list{}
	ring.Next = &list{Next: ring, Any: ring, By: map[string]*list{"": ring}, Kids: []list{{Next: ring}}}
	wide := any([]any{1})
	for range 200 { // 2^200 ways to the end; the pointers are no containers
		half := wide
		wide = &box[[2]any]{[2]any{&half, half}}
	}
	knot := nest{nil}
	knot[0] = knot
	for i, v := range []any{itself, m, s, ring, wide, knot} {
		if path, ok := liveValue(v); ok {
			t.Errorf("%d: %q", i, path)
		}
	}
	s[2], m["f"], ring.Next.Kids[0].Any = func() {}, leaf{}, os.Stdout
	for i, v := range []any{s, m, ring} {
		if _, ok := liveValue(v); !ok {
			t.Errorf("%d: what is live beside the circle is not found", i)
		}
	}
}

// TW-37, TW-39: a task whose arguments or results could hold something live is refused where it is made.
func TestNewTaskRefusesWhatIsLive(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		make               func()
		field, value, text string
	}{
		{func() { NewTask[chan int, int]("t") }, "task t: argument", "chan int", `spool: task t: argument "chan int": must not hold anything live`},
		{func() { NewTask[held, *Client]("t") }, "task t: argument Leaf.Done", "chan int", `argument Leaf.Done "chan int"`},
		{func() { NewTask[int, []*Client]("t") }, "task t: result []", "*spool.Client", `result [] "*spool.Client"`},
		{func() { NewTask[None, func()]("mail.send") }, "task mail.send: result", "func()", "must not hold"},
		{func() { NewTask[map[string]struct{ By context.Context }, int]("t") }, "task t: argument []By", "context.Context", "must not hold"},
	} {
		func() {
			defer func() {
				err, _ := recover().(error)
				var f *FieldError
				if !errors.As(err, &f) || f.Field != test.field || f.Value != test.value || !strings.Contains(err.Error(), test.text) {
					t.Errorf("%s: %v", test.field, err)
				}
			}()
			test.make()
		}()
	}
	// These are not.
	NewTask[list, any]("t")
	NewTask[[]Partial[int], map[string]*Job[int]]("t")
	NewTask[struct {
		By context.Context `msgpack:"-"`
	}, error]("t")
}

// TW-37: what an interface holds is seen when arguments are bound. It is a mistake like any other: nothing is sent.
func TestWithRefusesWhatIsLive(t *testing.T) {
	t.Parallel()
	c, to := &Client{}, nowhere{t}
	for _, test := range []struct {
		p            Partial[int]
		field, value string
	}{
		{NewTask[map[string]any, int]("t").With(map[string]any{"a": []any{func() {}}}), `arguments of t ["a"][0]`, "func()"},
		{NewTask[any, int]("t").With(c), "arguments of t", "*spool.Client"},
		{NewTask[*list, int]("t").With(&list{Next: &list{Any: c}}), "arguments of t Next.Any", "*spool.Client"},
		{NewTask[error, int]("t").With(&loud{}), "arguments of t Stop", "func()"}, // alone it is not stored as its text
	} {
		for range 2 { // the same again
			_, err := test.p.Put(t.Context(), to)
			var f *FieldError
			if !errors.As(err, &f) || f.Field != test.field || f.Value != test.value {
				t.Errorf("%s: %v", test.field, err)
			}
		}
		if results, err := PutMany(t.Context(), to, []Partial[int]{test.p}); err != nil || results[0].Err == nil {
			t.Errorf("%s: PutMany: %v, %v", test.field, results, err)
		}
	}
	both := NewTask[any, int]("t").With(c, Priority(5000))
	if _, err := both.Put(t.Context(), to); err == nil || !strings.Contains(err.Error(), "Priority") || !strings.Contains(err.Error(), "live") {
		t.Errorf("two mistakes: %v", err)
	}
	// A mistake is that of its Partial, not of the task.
	task := NewTask[any, int]("t")
	task.With(c)
	for _, p := range []Partial[int]{task.With(nil), task.With([]any{1, "x"}), NewTask[error, int]("t").With(nil), NewTask[*list, int]("t").With(nil)} {
		if err := p.p.ready(nil); err != nil {
			t.Error(err)
		}
	}
}

// nowhere is where nothing must be put.
type nowhere struct{ t *testing.T }

func (n nowhere) put(_ context.Context, items []putItem) error {
	if len(items) > 0 {
		n.t.Errorf("%d jobs were put", len(items))
	}
	return nil
}

// Tasks of plain types pay nothing for the others.
func TestWithOfPlainTypesLooksAtNothing(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]bool{
		"plain":  NewTask[pair[string, []error], any]("t").def.open,
		"any":    !NewTask[any, int]("t").def.open,
		"nested": !NewTask[map[string][]*pair[int, io.Reader], int]("t").def.open,
		"itself": !NewTask[list, int]("t").def.open,
		"left out": NewTask[struct {
			A any `msgpack:"-"`
			b any
		}, int]("t").def.open,
		"by itself": NewTask[struct{ byText }, int]("t").def.open,
	} {
		if open {
			t.Error(name)
		}
	}
}

func BenchmarkWith(b *testing.B) {
	type args struct {
		ID   string
		N    int64
		Body []byte
	}
	b.Run("plain", func(b *testing.B) {
		task, v := NewTask[args, int]("t"), args{"some id", 3, make([]byte, 150)}
		b.ReportAllocs()
		for b.Loop() {
			task.With(v)
		}
	})
	b.Run("map", func(b *testing.B) {
		task, v := NewTask[map[string]any, int]("t"), map[string]any{"id": "some id", "n": 3, "tags": []any{"a", "b"}}
		b.ReportAllocs()
		for b.Loop() {
			task.With(v)
		}
	})
	b.Run("list", func(b *testing.B) {
		task, v := NewTask[list, int]("t"), list{Name: "x", Any: 1, Kids: make([]list, 10)}
		b.ReportAllocs()
		for b.Loop() {
			task.With(v)
		}
	})
}
