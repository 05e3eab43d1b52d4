package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/spooljobs/spool/internal/redistest"
)

// real is the Redis server of this run, or nil where there is none.
var real *redistest.Server

func TestMain(m *testing.M) {
	server, err := redistest.Launch(context.Background())
	switch {
	case err == nil:
		real = server
	case errors.Is(err, redistest.ErrMissing):
	default:
		fmt.Fprintln(os.Stderr, "starting redis-server:", err)
		os.Exit(1)
	}
	code := m.Run()
	if real != nil {
		real.Stop()
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// bed is a queue of a test's own, with a line of a client into it.
type bed struct {
	*Queue
	rdb    *redis.Client
	prefix string
	line   string
	n      uint64
	broken bool // the test leaves the keyspace inconsistent on purpose
}

// each runs a test on miniredis and on a real server, under the strict prelude, and checks the keyspace at the end.
func each(t *testing.T, test func(t *testing.T, b *bed)) {
	t.Helper()
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		mini := miniredis.NewMiniRedis()
		mini.ClockTTL(true)
		if err := mini.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(mini.Close)
		on(t, mini.Addr(), test)
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		if real == nil {
			if os.Getenv("SPOOL_REQUIRE_REDIS") == "1" {
				t.Fatal("redis-server is not installed and SPOOL_REQUIRE_REDIS=1")
			}
			t.Skip("SKIPPED: redis-server is not installed; this test needs it")
		}
		on(t, real.Addr(), test)
	})
}

func on(t *testing.T, addr string, test func(t *testing.T, b *bed)) {
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { rdb.Close() })
	b := &bed{rdb: rdb, prefix: uuid.NewString()}
	*b = *b.sub(t, "q")
	t.Cleanup(func() {
		if b.broken {
			return
		}
		problems, err := Check(context.Background(), rdb, b.prefix)
		if err != nil {
			t.Errorf("checking the keyspace: %v", err)
		}
		for _, problem := range problems {
			t.Errorf("the keyspace is inconsistent: %s", problem)
		}
	})
	test(t, b)
}

// sub is another queue beside this one.
func (b *bed) sub(t *testing.T, name string) *bed {
	t.Helper()
	s, err := New(b.rdb, b.prefix, redistest.StrictLua)
	if err != nil {
		t.Fatal(err)
	}
	return &bed{Queue: s.Queue(name), rdb: b.rdb, prefix: b.prefix, line: "line"}
}

// spec is a job to be put.
type spec struct {
	Record
	id            string
	due, deadline Moment
	edge          *Edge
}

// job makes an item of a task "work" without arguments to speak of.
func job(change ...func(*spec)) Item {
	s := spec{Record: Record{Lane: LaneThread, Interruptions: '9', Task: "work", Args: []byte{0xc0}}, id: drawn()}
	for _, fn := range change {
		fn(&s)
	}
	s.Deadline = s.deadline.Set
	record, err := s.Encode()
	if err != nil {
		panic(err)
	}
	return Item{ID: s.id, Record: record, Due: s.due, Deadline: s.deadline, Edge: s.edge}
}

func drawn() string { return strings.ReplaceAll(uuid.Must(uuid.NewV7()).String(), "-", "") }

func own(id string) func(*spec)      { return func(s *spec) { s.id, s.Own = id, true } }
func priority(n int) func(*spec)     { return func(s *spec) { s.Priority = n } }
func reactor(s *spec)                { s.Lane = LaneReactor }
func task(name string) func(*spec)   { return func(s *spec) { s.Task = name } }
func args(b []byte) func(*spec)      { return func(s *spec) { s.Args = b } }
func allowed(c byte) func(*spec)     { return func(s *spec) { s.Interruptions = c } }
func later(ms int64) func(*spec)     { return func(s *spec) { s.due = Moment{true, true, ms} } }
func dueAt(ms int64) func(*spec)     { return func(s *spec) { s.due = Moment{true, false, ms} } }
func beginBy(ms int64) func(*spec)   { return func(s *spec) { s.deadline = Moment{true, true, ms} } }
func beginByAt(ms int64) func(*spec) { return func(s *spec) { s.deadline = Moment{true, false, ms} } }

// blob is a msgpack value of n bytes.
func blob(n int) []byte {
	return append([]byte{0xc6, byte((n - 5) >> 24), byte((n - 5) >> 16), byte((n - 5) >> 8), byte(n - 5)}, make([]byte, n-5)...)
}

// put puts jobs in one call and fails the test if one is refused. It returns their stored ids.
func (b *bed) put(t *testing.T, items ...Item) []string {
	t.Helper()
	b.n++
	refused, err := b.Schedule(t.Context(), b.line, b.n, items)
	if err != nil || refused != nil {
		t.Fatalf("put: refused %v, %v", refused, err)
	}
	ids := make([]string, len(items))
	for i := range items {
		ids[i] = PackID(items[i].ID)
	}
	return ids
}

// hand is an engine with its numbers.
type hand struct {
	*Engine
	b *bed
	n uint64
}

const hour = int64(3600_000)

func (b *bed) engine(t *testing.T) *hand {
	t.Helper()
	e, err := b.Register(t.Context(), uuid.NewString(), hour, []byte{0x80})
	if err != nil {
		t.Fatal(err)
	}
	return &hand{e, b, 0}
}

// call makes the engine's next call.
func (h *hand) call(t *testing.T, a Advance) *Advanced {
	t.Helper()
	h.n++
	answer, err := h.send(t.Context(), a)
	if err != nil {
		t.Fatalf("advance: %v", err)
	}
	return answer
}

// send makes a call under the number the last one had.
func (h *hand) send(ctx context.Context, a Advance) (*Advanced, error) {
	a.Engine, a.Number = h.Engine, h.n
	if a.Expired == 0 {
		a.Expired = hour
	}
	return h.b.Advance(ctx, &a)
}

// claim claims up to so many jobs of the thread lane and returns them.
func (h *hand) claim(t *testing.T, room int) []Claim {
	t.Helper()
	return h.call(t, Advance{Thread: room, Suspect: true}).Claims
}

// tell gives verdicts and claims nothing.
func (h *hand) tell(t *testing.T, verdicts ...Verdict) *Advanced {
	t.Helper()
	return h.call(t, Advance{Verdicts: verdicts})
}

func of(c Claim, word string) Verdict {
	return Verdict{ID: c.ID, Token: c.Token, Word: word, Head: Head(c.Record)}
}

func plain(c Claim) Verdict { return of(c, VerdictPlain) }
func back(c Claim) Verdict  { return of(c, VerdictBack) }

func park(c Claim) Verdict {
	v := of(c, VerdictPark)
	v.Task = TaskOf(c.Record)
	return v
}

// point lets what a run has written so far take effect, and the run go on.
func point(c Claim, cursor string) Verdict {
	v := of(c, VerdictPoint)
	v.Outcome = []byte(cursor)
	return v
}

// retry is a failed attempt, counted.
func retry(c Claim, wait int64) Verdict {
	v := of(c, VerdictRetry)
	v.Wait, v.History = wait, (&History{Attempts: 1}).Encode()
	if past, err := DecodeHistory(c.History); err == nil {
		past.Attempts++
		v.History = past.Encode()
	}
	v.Outcome = outcome(c, Failed)
	return v
}

func keep(c Claim, kind byte, ms int64) Verdict {
	v := of(c, VerdictKeep)
	v.Outcome, v.Keep = outcome(c, kind), ms
	return v
}

func outcome(c Claim, kind byte) []byte {
	o := Outcome{Kind: kind, Attempts: 1, Task: TaskOf(c.Record), Digest: DigestOf(c.Record)}
	b, err := o.Encode()
	if err != nil {
		panic(err)
	}
	return b
}

// state is the set that holds an id, "" if none does.
func (b *bed) state(t *testing.T, id string) string {
	t.Helper()
	sight, err := b.Show(t.Context(), UnpackID(id))
	if err != nil {
		t.Fatal(err)
	}
	return sight.Set
}

func (b *bed) expect(t *testing.T, id, set string) {
	t.Helper()
	if got := b.state(t, id); got != set {
		t.Errorf("job %s is in %q, want %q", UnpackID(id), got, set)
	}
}

// rewind moves time for one member: it is as if its score had been given then.
func (b *bed) rewind(t *testing.T, set, member string, score int64) {
	t.Helper()
	if err := b.rdb.ZAddXX(t.Context(), b.Key(set), redis.Z{Score: float64(score), Member: member}).Err(); err != nil {
		t.Fatal(err)
	}
}

// kill declares an engine dead, as another finds it silent.
func (b *bed) kill(t *testing.T, h *hand) {
	t.Helper()
	b.rewind(t, "engines", h.name, 1)
	judge := b.engine(t)
	if _, err := b.Beat(t.Context(), judge.Engine, hour, forEver); err != nil {
		t.Fatal(err)
	}
	if err := b.Leave(t.Context(), judge.Engine); err != nil {
		t.Fatal(err)
	}
}

// sweep empties a dead engine.
func (b *bed) sweep(t *testing.T, h *hand) {
	t.Helper()
	for more := true; more; {
		var err error
		if _, more, err = b.Sweep(t.Context(), h.name, hour); err != nil {
			t.Fatal(err)
		}
	}
}

// interrupt claims all there is and dies, so often.
func (b *bed) interrupt(t *testing.T, times int) {
	t.Helper()
	for range times {
		h := b.engine(t)
		if len(h.claim(t, 100)) == 0 {
			t.Fatal("there was nothing to interrupt")
		}
		b.kill(t, h)
		b.sweep(t, h)
	}
}

func (b *bed) count(t *testing.T) *Numbers {
	t.Helper()
	n, err := b.Count(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// dump is every key of the prefix with all it holds.
func (b *bed) dump(t *testing.T) map[string]string {
	t.Helper()
	ctx := t.Context()
	found := make(map[string]string)
	keys, err := b.rdb.Keys(ctx, "{"+b.prefix+":"+b.Name()+"}*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		var lines []string
		kind := b.rdb.Type(ctx, key).Val()
		switch kind {
		case hash:
			for k, v := range b.rdb.HGetAll(ctx, key).Val() {
				lines = append(lines, fmt.Sprintf("%q = %q", k, v))
			}
		case zset:
			for _, z := range b.rdb.ZRangeWithScores(ctx, key, 0, -1).Val() {
				lines = append(lines, fmt.Sprintf("%q at %.0f", z.Member, z.Score))
			}
		case list:
			lines = b.rdb.LRange(ctx, key, 0, -1).Val()
		default:
			lines = []string{b.rdb.Get(ctx, key).Val()}
		}
		sort.Strings(lines)
		found[key] = kind + "\n" + strings.Join(lines, "\n")
	}
	return found
}

func (b *bed) unchanged(t *testing.T, before map[string]string) {
	t.Helper()
	if diff := cmp.Diff(before, b.dump(t)); diff != "" {
		t.Errorf("the keyspace has changed:\n%s", diff)
	}
}

func ids(claims []Claim) []string {
	var found []string
	for _, c := range claims {
		found = append(found, UnpackID(c.ID))
	}
	return found
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// subscribe returns the messages of a client's channel. It is confirmed when it returns.
func (b *bed) subscribe(t *testing.T, client string) func() string {
	t.Helper()
	sub := b.rdb.Subscribe(t.Context(), b.Channel(client))
	t.Cleanup(func() { sub.Close() })
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	return func() string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		m, err := sub.ReceiveMessage(ctx)
		if err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		return m.Payload
	}
}

// forEver lets a beat judge others whatever the server's clock says.
const forEver = 1<<53 - 1
