package store

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool/internal/txn"
)

// mine is the name of a key of the user's in this queue's slot.
func (b *bed) mine(name string) string { return "{" + b.prefix + ":" + b.Name() + "}/" + name }

func parsed(args ...string) *txn.Command {
	given := make([]any, len(args))
	for i := range args {
		given[i] = args[i]
	}
	c, err := txn.Parse(given...)
	if err != nil {
		panic(err)
	}
	return c
}

func question(args ...string) Question {
	c := parsed(args...)
	return Question{Order: c.Order(), Args: c.Args, Keys: c.Keys}
}

// ask puts one question.
func (b *bed) ask(t *testing.T, args ...string) Reading {
	t.Helper()
	found, err := b.Ask(t.Context(), []Question{question(args...)})
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return found[0]
}

// deal is a transaction in the making.
type deal struct {
	Transaction
	b *bed
}

func (b *bed) deal() *deal { return &deal{b: b} }

// read asks now, and remembers.
func (d *deal) read(t *testing.T, args ...string) *deal {
	t.Helper()
	x := question(args...)
	d.Reads = append(d.Reads, txn.Read{Args: x.Args, Keys: x.Keys, Order: x.Order, Mark: d.b.ask(t, args...).Mark})
	d.Keys = append(d.Keys, x.Keys...)
	return d
}

func (d *deal) check(kind string, args ...string) *deal {
	d.Checks = append(d.Checks, txn.Check{Kind: kind, Args: args})
	d.Keys = append(d.Keys, args[0])
	return d
}

func (d *deal) write(args ...string) *deal {
	c := parsed(args...)
	d.Writes = append(d.Writes, c.Args)
	d.Keys = append(d.Keys, c.Keys...)
	d.Adds = d.Adds || Adding(c.Args[0])
	return d
}

func (d *deal) put(items ...Item) *deal {
	d.Puts, d.Adds = append(d.Puts, items...), true
	return d
}

// send puts jobs into another queue. Their ids in the outbox are those of the jobs.
func (d *deal) send(to string, items ...Item) *deal {
	for _, it := range items {
		d.Outs = append(d.Outs, Out{ID: "out-" + it.ID, To: to, Item: it})
	}
	d.Adds = true
	return d
}

func (d *deal) tx() *Transaction { return &d.Transaction }

// transactions are three: one that takes effect and touches all it can, one that does not for what it has read, and one
// that does not for what it wants to write.
func (b *bed) transactions(t *testing.T) []*Transaction {
	t.Helper()
	all := b.deal().read(t, "GET", b.mine("a")).read(t, "HGETALL", b.mine("h")).
		check("type", b.mine("a"), "string").check("int", b.mine("n"), "5").
		write("SET", b.mine("a"), "new").write("INCRBY", b.mine("n"), "5").
		put(job(), job(reactor), job(later(hour), beginBy(1)), job(reactor, later(hour))).
		send("far", job(), job(later(hour), beginBy(hour)))
	changed := b.deal().read(t, "GET", b.mine("b")).write("SET", b.mine("c"), "x")
	changed.Reads[0].Mark = "$other"
	refused := b.deal().check("lset", b.mine("none"), "0").write("SET", b.mine("d"), "x").put(job()).send("far", job())
	return []*Transaction{all.tx(), changed.tx(), refused.tx()}
}

// commit makes a call with transactions under the number the last one had.
func (h *hand) commit(ctx context.Context, a Advance) (*Advanced, error) {
	a.Engine, a.Number = h.Engine, h.n
	if a.Expired == 0 {
		a.Expired = hour
	}
	return h.b.Commit(ctx, &a)
}

// commits makes the engine's next call, with transactions.
func (h *hand) commits(t *testing.T, verdicts ...Verdict) *Advanced {
	t.Helper()
	h.n++
	answer, err := h.commit(t.Context(), Advance{Verdicts: verdicts})
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	return answer
}

// with is a verdict that comes with a transaction.
func with(v Verdict, d *deal) Verdict {
	v.Tx = d.tx()
	return v
}

// transact makes a transaction under the bed's next number. It returns why it took no effect, or nil.
func (b *bed) transact(t *testing.T, d *deal) *Refusal {
	t.Helper()
	b.n++
	refusal, err := b.Transact(t.Context(), b.line, b.n, d.tx())
	if err != nil {
		t.Fatalf("transact: %v", err)
	}
	return refusal
}

// does fails the test unless a transaction takes effect.
func (b *bed) does(t *testing.T, d *deal) {
	t.Helper()
	if refusal := b.transact(t, d); refusal != nil {
		t.Fatalf("transact: %+v", *refusal)
	}
}

// outside ends a job from outside, and fails the test if it does not end by that.
func (b *bed) outside(t *testing.T, end func(ctx context.Context, line string, n uint64, id string, body []byte, keep int64) (string, error), c Claim) {
	t.Helper()
	b.n++
	if word, err := end(t.Context(), b.line, b.n, UnpackID(c.ID), []byte{0x80}, hour); word != ChangeDone || err != nil {
		t.Errorf("%s: %s, %v", UnpackID(c.ID), word, err)
	}
}

// outgoing is what waits in the outbox.
func (b *bed) outgoing(t *testing.T) []Out {
	t.Helper()
	outs, err := b.Outgoing(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return outs
}

// get is a string of the user's, "" if there is none.
func (b *bed) get(t *testing.T, name string) string {
	t.Helper()
	return b.rdb.Get(t.Context(), b.mine(name)).Val()
}

func z(score float64, member string) redis.Z { return redis.Z{Score: score, Member: member} }

func entry(stream string) *redis.XAddArgs {
	return &redis.XAddArgs{Stream: stream, Values: []string{"f", "v"}}
}

// refusedFor is a refusal as it would be.
func refusedFor(word string, index int) *Refusal { return &Refusal{Word: word, Index: index} }
