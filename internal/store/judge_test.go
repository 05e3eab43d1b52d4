package store

import (
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/spooljobs/spool/internal/txn"
)

const (
	highest = "9223372036854775807"
	lowest  = "-9223372036854775808"
)

// A check lets pass what the write behind it can do, and nothing that it cannot: a transaction is never torn. What is
// checked is the last of three writes.
func TestChecks(t *testing.T) {
	// stored: a string, or a field of a hash.
	integers := []struct {
		stored, by string
		ok         bool
	}{
		{"", "5", true}, // absent
		{"0", "0", true},
		{"-0", "1", false},
		{"007", "1", false},
		{"+5", "1", false},
		{" 5", "1", false},
		{"5 ", "1", false},
		{"5\n", "1", false},
		{"1e5", "1", false},
		{"5.0", "1", false},
		{"0x10", "1", false},
		{"inf", "1", false},
		{"nan", "1", false},
		{"-", "1", false},
		{"--5", "1", false},
		{"5\x00", "1", false},
		{"text", "1", false},
		{highest, "0", true},
		{highest, "1", false},
		{highest, "-1", true},
		{highest, lowest, true},
		{highest, highest, false},
		{"9223372036854775806", "1", true},
		{"9223372036854775806", "2", false},
		{"9223372036854775808", "0", false},
		{"9223372036854775808", "-1", false},
		{"-1", highest, true},
		{"0", highest, true},
		{"1", highest, false},
		{"", highest, true},
		{lowest, "0", true},
		{lowest, "-1", false},
		{lowest, "1", true},
		{lowest, highest, true},
		{lowest, lowest, false},
		{"-9223372036854775807", "-1", true},
		{"-9223372036854775807", "-2", false},
		{"-9223372036854775809", "1", false},
		{"0", lowest, true},
		{"", lowest, true},
		{"1", lowest, true},
		{"-1", lowest, false},
		{"5000000000000000000", "4223372036854775807", true},
		{"5000000000000000000", "4223372036854775808", false},
		{"-5000000000000000000", "-4223372036854775808", true},
		{"-5000000000000000000", "-4223372036854775809", false},
		{"9199999999999999999", "1", true},
		{"18446744073709551615", "0", false},
		{"10000000000000000000", "0", false},
		{"-10000000000000000000", "0", false},
		{strings.Repeat("9", 400), "0", false},
	}
	floats := []struct {
		stored, by string
		ok         bool
	}{
		{"", "0.5", true},
		{"5", "0.5", true},
		{"5.25", "-0.25", true},
		{"-5.25", "5.25", true},
		{".5", "1", true},
		{"1e5", "1", true},
		{"1E+5", "1", true},
		{"-1.5e-3", "1", true},
		{"0e0", "1", true},
		{"0.0e-9999", "1", true},
		{"1" + strings.Repeat("0", 300), "1", true},
		{"inf", "1", false},
		{"-inf", "1", false},
		{"infinity", "1", false},
		{"nan", "1", false},
		{" 5", "1", false},
		{"5 ", "1", false},
		{"5\n", "1", false},
		{"5\x00", "1", false},
		{".", "1", false},
		{"-", "1", false},
		{"e5", "1", false},
		{"1e", "1", false},
		{"1e+", "1", false},
		{"1e5.5", "1", false},
		{"5,5", "1", false},
		{"text", "1", false},
		{"1e-9999", "1", false},
		{"1e-99999999999999999999", "1", false},
		{"1e9999", "1", false},
		{"1.7e308", "1.7e308", false},
		{strings.Repeat("0", 9000) + "5", "1", false},
	}
	each(t, func(t *testing.T, b *bed) {
		for _, c := range integers {
			b.seed(t, c.stored)
			b.judged(t, c.ok, []string{c.stored, c.by}, b.deal().check("int", b.mine("n"), c.by).write("INCRBY", b.mine("n"), c.by))
			b.seed(t, c.stored)
			b.judged(t, c.ok, []string{"field", c.stored, c.by}, b.deal().check("hint", b.mine("h"), "f", c.by).write("HINCRBY", b.mine("h"), "f", c.by))
		}
		for _, c := range floats {
			b.seed(t, c.stored)
			b.judged(t, c.ok, []string{"float", c.stored, c.by}, b.deal().check("float", b.mine("n"), c.by).write("INCRBYFLOAT", b.mine("n"), c.by))
			b.seed(t, c.stored)
			b.judged(t, c.ok, []string{"float field", c.stored, c.by},
				b.deal().check("hfloat", b.mine("h"), "f", c.by).write("HINCRBYFLOAT", b.mine("h"), "f", c.by))
		}
		ctx := t.Context()
		b.rdb.RPush(ctx, b.mine("list"), "a", "b", "c")
		for index, ok := range map[string]bool{"0": true, "2": true, "3": false, "-1": true, "-3": true, "-4": false, highest: false, lowest: false} {
			b.judged(t, ok, []string{"lset", index}, b.deal().check("lset", b.mine("list"), index).write("LSET", b.mine("list"), index, "x"))
		}
		for _, key := range []string{"none", "n"} {
			for _, index := range []string{"0", "-1"} {
				b.seed(t, "5")
				b.judged(t, false, []string{"lset", key, index}, b.deal().check("lset", b.mine(key), index).write("LSET", b.mine(key), index, "x"))
			}
		}
		b.rdb.SAdd(ctx, b.mine("set"), "a")
		b.rdb.ZAdd(ctx, b.mine("zset"), z(1, "a"))
		b.rdb.XAdd(ctx, entry(b.mine("stream")))
		b.rdb.Set(ctx, b.mine("string"), "5", 0)
		b.rdb.HSet(ctx, b.mine("hash"), "f", "5")
		kinds := map[string][]string{"string": {"APPEND", "x"}, "hash": {"HSET", "f", "5"}, "list": {"RPUSH", "5"}, "set": {"SADD", "x"},
			"zset": {"ZADD", "1", "x"}, "stream": {"XADD", "*", "f", "v"}}
		for is := range kinds {
			for wanted, w := range kinds {
				key := b.mine(is)
				b.judged(t, is == wanted, []string{is, "as", wanted},
					b.deal().check("type", key, wanted).write(append([]string{w[0], key}, w[1:]...)...))
			}
			for _, kind := range []string{"int", "float"} {
				if is != "string" {
					b.judged(t, false, []string{kind, is}, b.deal().check(kind, b.mine(is), "1").write("SET", b.mine("x"), "1"))
				}
			}
			for _, kind := range []string{"hint", "hfloat"} {
				if is != "hash" {
					b.judged(t, false, []string{kind, is}, b.deal().check(kind, b.mine(is), "f", "1").write("SET", b.mine("x"), "1"))
				}
			}
		}
		for wanted, w := range kinds {
			b.rdb.Del(ctx, b.mine("none"))
			b.judged(t, true, []string{"absent as", wanted},
				b.deal().check("type", b.mine("none"), wanted).write(append([]string{w[0], b.mine("none")}, w[1:]...)...))
		}
	})
}

// seed stores a text as the string n and as the only field f of the hash h, or nothing if it is empty.
func (b *bed) seed(t *testing.T, text string) {
	t.Helper()
	ctx := t.Context()
	b.rdb.Del(ctx, b.mine("n"), b.mine("h"))
	if text == "" {
		return
	}
	if err := b.rdb.Set(ctx, b.mine("n"), text, 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := b.rdb.HSet(ctx, b.mine("h"), "f", text).Err(); err != nil {
		t.Fatal(err)
	}
}

// judged makes a transaction, with two writes before its own. Its last check is to be refused or to pass.
func (b *bed) judged(t *testing.T, ok bool, what []string, d *deal) {
	t.Helper()
	mark := drawn()
	d.Writes = append([][]string{{"SET", b.mine("first"), mark}, {"RPUSH", b.mine("second"), mark}}, d.Writes...)
	d.Keys = append(d.Keys, b.mine("first"), b.mine("second"))
	refusal := b.transact(t, d)
	wrote := b.get(t, "first") == mark
	switch {
	case ok && refusal != nil:
		t.Errorf("%.60q: %+v", what, *refusal)
	case !ok && (refusal == nil || *refusal != *refusedFor(RefusedCheck, len(d.Checks)-1)):
		t.Errorf("%.60q: it passed: %+v", what, refusal)
	case wrote != ok:
		t.Errorf("%.60q: written: %v", what, wrote)
	}
}

// Near the ends of 64 bits, where the numbers of Lua are not exact, the answer is that of arithmetic.
func TestSumsNearTheLimits(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		low, high := big.NewInt(-1<<63), big.NewInt(1<<63-1)
		near := func() int64 {
			bases := []int64{0, 1e15, -1e15, 1 << 53, 1 << 62, -1 << 62, 92e17, -92e17, 9223e15, -9223e15, 1<<63 - 1, -1 << 63}
			base := bases[rand.IntN(len(bases))]
			if by := rand.Int64N(2000) - 1000; (base > 0) != (by > 0) || base < 1<<62 && base > -1<<62 {
				return base + by
			}
			return base
		}
		for range 150 {
			x, y := near(), near()
			sum := new(big.Int).Add(big.NewInt(x), big.NewInt(y))
			ok := sum.Cmp(low) >= 0 && sum.Cmp(high) <= 0
			stored, by := strconv.FormatInt(x, 10), strconv.FormatInt(y, 10)
			b.seed(t, stored)
			b.judged(t, ok, []string{stored, by}, b.deal().check("int", b.mine("n"), by).write("INCRBY", b.mine("n"), by))
			if ok && b.get(t, "n") != sum.String() {
				t.Errorf("%s + %s = %s", stored, by, b.get(t, "n"))
			}
		}
	})
}

// Reads are asked before checks, checks before puts; the first that speaks against the transaction is named.
func TestTheFirstReasonIsNamed(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		b.put(t, job(own("mine")))
		b.seed(t, "text")
		stale := func(d *deal) *deal {
			d.Reads = append(d.Reads, txn.Read{Args: []string{"GET", b.mine("n")}, Mark: "$other"})
			d.Keys = append(d.Keys, b.mine("n"))
			return d
		}
		holds := func() *deal { return b.deal().read(t, "GET", b.mine("n")).read(t, "EXISTS", b.mine("n"), b.mine("h")) }
		other := job(own("mine"), task("other"))
		for want, d := range map[Refusal]*deal{
			{Word: RefusedConflict, Index: 0}: stale(b.deal()).check("int", b.mine("n"), "1").put(other),
			{Word: RefusedConflict, Index: 2}: stale(stale(holds())).check("int", b.mine("n"), "1").put(other),
			{Word: RefusedCheck, Index: 0}:    holds().check("int", b.mine("n"), "1").put(other),
			{Word: RefusedCheck, Index: 2}: holds().check("type", b.mine("n"), "string").check("type", b.mine("h"), "hash").
				check("float", b.mine("n"), "1").check("int", b.mine("n"), "1").put(job(), other),
			{Word: RefusedPut, Index: 0}: holds().check("type", b.mine("n"), "string").put(other),
			{Word: RefusedPut, Index: 2}: holds().put(job(), job(own("mine")), other, other),
		} {
			before := b.dump(t)
			refusal := b.transact(t, d.write("SET", b.mine("n"), "new").send("far", job()))
			if refusal == nil || *refusal != want {
				t.Errorf("%+v, want %+v", refusal, want)
			}
			b.unchangedButLines(t, before)
		}
	})
}

// unchangedButLines: nothing has changed but what a client's line keeps of its last call.
func (b *bed) unchangedButLines(t *testing.T, before map[string]string) {
	t.Helper()
	after := b.dump(t)
	for _, dump := range []map[string]string{before, after} {
		delete(dump, b.Key("lines"))
		delete(dump, b.Key("lastcalls"))
	}
	same(t, "the keyspace has changed", after, before)
}
