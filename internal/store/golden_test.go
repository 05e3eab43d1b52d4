package store

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The golden files of testdata are what this package stores, in hex. docs/wire.md explains them byte by byte. A file
// that no longer fits means that jobs stored by the last release cannot be read by the next.

func golden(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".golden"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func isGolden(t *testing.T, name string, b []byte) {
	t.Helper()
	if want := golden(t, name); !bytes.Equal(b, want) {
		t.Errorf("%s: it is encoded as\n%x, the file says\n%x", name, b, want)
	}
}

var goldenKeep = int64(60_000)

var goldenRecords = map[string]*Record{
	"record-plain": {Lane: LaneThread, Interruptions: '9', Answer: true, Task: "mail.send",
		Args: []byte("\x82\xa1n\x03\xa2to\xa3ann")},
	"record-full": {Lane: LaneReactor, Interruptions: InterruptedForEver, Own: true, Deadline: true, Priority: -5, Task: "thumb",
		Args: []byte{7}, Extra: Extra{Timeout: 30_000, Retry: &Retry{Times: 3, Waits: []int64{1000, 2000}}, Keep: &goldenKeep,
			Meta: map[string]string{"trace": "4f", "by": "ann"}, Created: 1_800_000_000_000, Due: 1_800_000_600_000}},
}

func TestGoldenRecords(t *testing.T) {
	for name, want := range goldenRecords {
		b, err := want.Encode()
		if err != nil {
			t.Fatal(err)
		}
		isGolden(t, name, b)
		got, err := DecodeRecord(string(golden(t, name)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestGoldenGraph(t *testing.T) {
	record := func(task string) []byte {
		b, err := (&Record{Lane: LaneThread, Interruptions: '9', Task: task, Args: []byte{0xc0}}).Encode()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	graph := &Graph{Parts: 1, Nodes: []Node{
		{Item: Item{ID: "one", Record: record("a"), Due: Moment{true, true, 5}}, Root: &Edge{Condition: OnEnd, Class: Part}},
		{Item: Item{ID: "two", Record: record("b")}, To: "far", Parents: []Parent{{ID: "one", Condition: OnGood, Class: Callback}}},
	}}
	isGolden(t, "graph", graph.Encode())
}

var goldenOutcomes = map[string]*Outcome{
	"outcome-success": {Kind: Succeeded, Attempts: 1, Ended: 1_800_000_001_234, Task: "mail.send",
		Body: OutcomeBody{Result: []byte{0x2a}, Started: 1_800_000_001_200, Worker: "host-7"}},
	"outcome-failure": {Kind: Failed, Attempts: 4, Interruptions: 1, Ended: 1_800_000_001_234, Task: "thumb", Digest: digest("thumb", []byte{7}),
		Body: OutcomeBody{Failure: []byte("\x81\xa1n\x91\x81\xa1m\xa7no disk"), Started: 1_800_000_001_200, Worker: "host-7"}},
	"outcome-expired": {Kind: Expired, Ended: 1_800_000_001_234, Task: "mail.send"},
}

func TestGoldenOutcomes(t *testing.T) {
	for name, want := range goldenOutcomes {
		stored := golden(t, name)
		got, err := DecodeOutcome(string(stored))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		b, err := want.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if name == "outcome-expired" {
			// A script writes it, and without a body.
			b = bytes.TrimSuffix(b, []byte{0x80})
		}
		// The end is filled in by the script that ends the job.
		copy(b[13:26], stored[13:26])
		isGolden(t, name, b)
	}
}

// What the scripts write themselves is what the golden files say: same header, an end of now.
func TestScriptsWriteGoldenOutcomes(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		it := Item{ID: drawn(), Record: golden(t, "record-plain"), Due: Moment{true, true, hour}}
		b.put(t, it)
		b.rdb.HSet(t.Context(), b.Key("jobs"), PackID(it.ID), strings.Replace(string(it.Record), "1t9a--", "1t9a-d", 1))
		b.zadd(t, "deadlines", 1, PackID(it.ID))
		b.engine(t).tell(t)
		sight, err := b.Show(t.Context(), it.ID)
		if err != nil || len(sight.Outcome) < 26 {
			t.Fatal(sight, err)
		}
		stored := []byte(sight.Outcome)
		want := golden(t, "outcome-expired")
		copy(stored[13:26], want[13:26])
		isGolden(t, "outcome-expired", stored)
	})
}

func TestGoldenHistories(t *testing.T) {
	for name, want := range map[string]History{
		"history-interrupted": {Attempts: 0, Interruptions: 1, Failure: []byte{}},
		"history-failed":      {Attempts: 2, Interruptions: 1, Failure: []byte("\x81\xa1n\x91\x81\xa1m\xa7no disk")},
	} {
		isGolden(t, name, want.Encode())
		got, err := DecodeHistory(string(golden(t, name)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

// Entries that only scripts write and read are compared with what a script has written, times apart.
func TestGoldenEntries(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		ctx := t.Context()
		b.put(t, job(own("a")), job(own("b"), task("mail.send")))
		items := []Item{job(later(0)), job(own("a"), task("x")), job(later(0)), job(own("b"), task("x"))}
		b.n = 8
		if refused, err := b.Schedule(ctx, b.line, b.n, items); err != nil || len(refused) != 2 {
			t.Fatal(refused, err)
		}
		entry, err := decodeLine(b.rdb.HGet(ctx, b.Key("lines"), b.line).Val())
		if err != nil {
			t.Fatal(err)
		}
		entry.ms = 1_800_000_001_234
		isGolden(t, "line", []byte(entry.String()))

		h := b.engine(t)
		c := h.claim(t, 2)
		h.n = 11
		gone := plain(c[0])
		gone.Token++
		h.tell(t, gone, park(c[1]))
		isGolden(t, "call", []byte(b.rdb.HGet(ctx, b.Key("calls"), h.name).Val()))
		isGolden(t, "kind", []byte(b.rdb.ZRange(ctx, b.Key("kinds"), 0, -1).Val()[0]))
		name := strings.Replace(h.name, h.UUID, "0d2f8a52-5c1e-4f83-9a53-0b9c7f6f2d11", 1)
		isGolden(t, "engine", []byte(name))

		heard := b.subscribe(t, "client")
		it := job(func(s *spec) { s.id = "019a0000000170008000000000000001" })
		b.put(t, it)
		b.watch(t, it.ID)
		for _, c := range h.claim(t, 10) {
			if UnpackID(c.ID) == it.ID {
				h.tell(t, plain(c))
			}
		}
		isGolden(t, "message", []byte(heard()))
		isGolden(t, "id", []byte(PackID(it.ID)))
		if UnpackID(string(golden(t, "id"))) != it.ID {
			t.Error("the id comes back different")
		}
	})
}

// Those of transactions.
func TestGoldenEntriesOfTransactions(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		ctx := t.Context()
		b.put(t, job(own("a")), job(), job(), job())
		h := b.engine(t)
		c := h.claim(t, 4)
		gone := plain(c[0])
		gone.Token++
		h.n = 11
		h.commits(t, with(gone, b.good(t, "x")), with(plain(c[1]), b.stale(t, "x")), with(plain(c[2]), b.good(t, "x")),
			with(keep(c[3], Succeeded, hour), b.good(t, "x").check("lset", b.mine("none"), "0")))
		isGolden(t, "call-commit", []byte(b.rdb.HGet(ctx, b.Key("calls"), h.name).Val()))

		b.n = 7
		b.transact(t, b.deal().put(job(), job(own("a"), task("other"))))
		entry, err := decodeLine(b.rdb.HGet(ctx, b.Key("lines"), b.line).Val())
		if err != nil {
			t.Fatal(err)
		}
		entry.ms = 1_800_000_001_234
		isGolden(t, "line-transact", []byte(entry.String()))

		it := Item{ID: "019a0000000170008000000000000001", Record: golden(t, "record-plain"), Due: Moment{true, false, 4_000_000_000_000}}
		b.does(t, b.deal().send("mail@eu", it))
		isGolden(t, "outbox", []byte(b.rdb.HVals(ctx, b.Key("outbox")).Val()[0]))
		got := b.outgoing(t)[0]
		same(t, "what is sent", got.Item, it)
		same(t, "where to", got.To, "mail@eu")
	})
}
