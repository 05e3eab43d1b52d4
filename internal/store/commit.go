package store

import (
	"context"
	"strconv"
	"strings"

	"github.com/spooljobs/spool/internal/txn"
)

// Transaction is what one transaction asks of Redis: that its reads still answer as they did, that its writes can
// succeed, and then that they, and the jobs it puts, take effect.
type Transaction struct {
	Reads  []txn.Read
	Checks []txn.Check
	Writes [][]string
	Puts   []Item // into the same queue; no id occurs twice
	Outs   []Out  // into others, by way of the outbox
	Keys   []string
	Adds   bool // it adds to what is stored: full memory refuses it
}

// Out is a job on its way to another queue.
type Out struct {
	ID string // in the outbox; never used twice
	To string // "queue", or "queue@store"
	Item
	Mark string // instead of a due time: what it is if it is no job; see deliver.lua
}

// Arguments is how many arguments a transaction takes in a call, its keys included.
func (t *Transaction) Arguments() int {
	n := 6 + len(t.Keys) + 4*len(t.Puts) + 6*len(t.Outs)
	for i := range t.Reads {
		n += 3 + len(t.Reads[i].Args)
	}
	for i := range t.Checks {
		n += 2 + len(t.Checks[i].Args)
	}
	for _, w := range t.Writes {
		n += 1 + len(w)
	}
	return n
}

// Size is what a transaction counts towards the bytes of a call.
func (t *Transaction) Size() int {
	size := 0
	for i := range t.Reads {
		size += length(t.Reads[i].Args)
	}
	for _, w := range t.Writes {
		size += length(w)
	}
	for i := range t.Puts {
		size += t.Puts[i].Size()
	}
	for i := range t.Outs {
		size += t.Outs[i].Size()
	}
	return size
}

func length(args []string) int {
	size := 0
	for _, arg := range args {
		size += len(arg)
	}
	return size
}

// append writes a transaction as judge.lua reads it.
func (t *Transaction) append(args []any) []any {
	args = append(args, len(t.Reads), len(t.Checks), len(t.Writes), len(t.Puts), len(t.Outs))
	for i := range t.Reads {
		r := &t.Reads[i]
		args = append(args, r.Order, r.Mark, len(r.Args))
		args = appendStrings(args, r.Args)
	}
	for i := range t.Checks {
		c := &t.Checks[i]
		args = append(args, c.Kind, len(c.Args))
		args = appendStrings(args, c.Args)
	}
	for _, w := range t.Writes {
		args = append(args, len(w))
		args = appendStrings(args, w)
	}
	for i := range t.Puts {
		it := &t.Puts[i]
		args = append(args, PackID(it.ID), it.Record, it.when(PackID), it.Deadline.arg())
	}
	for i := range t.Outs {
		o := &t.Outs[i]
		args = append(args, o.ID, o.To, o.when(shown), o.Deadline.arg(), o.Item.ID, o.Record)
	}
	return args
}

func appendStrings(args []any, more []string) []any {
	for _, s := range more {
		args = append(args, s)
	}
	return args
}

// Refusal says why a transaction took no effect, and which of its reads, checks, puts or writes is the reason.
type Refusal struct {
	Word   string // one of the following
	Index  int
	Reason string // of RefusedBroken
}

// Why a transaction took no effect.
const (
	RefusedConflict = "conflict" // a read answers otherwise
	RefusedCheck    = "refused"  // a write could not succeed
	RefusedPut      = "taken"    // an id bears another job
	RefusedUnknown  = "unknown"  // a put follows what is not there
	RefusedBroken   = "broken"   // a write failed all the same; those before it had their effect
)

func parseRefusal(text string) *Refusal {
	word, rest, _ := strings.Cut(text, " ")
	place, reason, _ := strings.Cut(rest, " ")
	n, _ := strconv.Atoi(place)
	return &Refusal{Word: word, Index: n - 1, Reason: reason}
}

// removing are the writes that full memory does not refuse.
const removing = " DEL UNLINK EXPIRE PEXPIRE EXPIREAT PEXPIREAT PERSIST HDEL LPOP RPOP LREM LTRIM SREM ZREM ZREMRANGEBYRANK " +
	"ZREMRANGEBYSCORE ZREMRANGEBYLEX XDEL XTRIM "

// Adding tells whether a write adds to what is stored.
func Adding(command string) bool { return !strings.Contains(removing, " "+command+" ") }

// Commit is Advance with transactions: those of the verdicts that have one.
func (q *Queue) Commit(ctx context.Context, a *Advance) (*Advanced, error) {
	keys, args := q.commitArgs(a)
	reply, err := q.callKeys(ctx, "commit", keys, args)
	if err != nil {
		return nil, err
	}
	return q.advanced(a, reply), nil
}

func (q *Queue) commitArgs(a *Advance) (keys, args []any) {
	args = a.head()
	at := len(args)
	lean := true
	args = append(args, "", "")
	args = a.appendVerdicts(args)
	args[at+1] = len(args) + 1
	args = append(args, 0)
	count := len(args) - 1
	keys = append([]any{}, q.keys["commit"]...)
	declared := make(map[string]bool)
	n := 0
	for i := range a.Verdicts {
		t := a.Verdicts[i].Tx
		if t == nil {
			continue
		}
		n++
		lean = lean && !t.Adds
		args = append(args, i+1)
		args = t.append(args)
		keys = t.declare(keys, declared)
	}
	args[at], args[count] = bit(lean), n
	return keys, args
}

// declare adds the keys of a transaction that were not declared before.
func (t *Transaction) declare(keys []any, declared map[string]bool) []any {
	for _, key := range t.Keys {
		if !declared[key] {
			declared[key] = true
			keys = append(keys, key)
		}
	}
	return keys
}

// refusals reads what an answer says of the transactions, by index of their verdicts.
func refusals(text string) map[int]*Refusal {
	if text == "" {
		return nil
	}
	found := make(map[int]*Refusal)
	for _, entry := range strings.Split(text, ",") {
		place, why, _ := strings.Cut(entry, " ")
		if n, err := strconv.Atoi(place); err == nil {
			found[n-1] = parseRefusal(why)
		}
	}
	return found
}

// Transact makes a client's transaction take effect under a number of its line. A nil refusal says that it did.
func (q *Queue) Transact(ctx context.Context, line string, n uint64, t *Transaction) (*Refusal, error) {
	args := t.append([]any{line, n, "0", bit(!t.Adds)})
	reply, err := q.callKeys(ctx, "transact", t.declare(append([]any{}, q.keys["transact"]...), map[string]bool{}), args)
	if err != nil {
		return nil, err
	}
	q.errand(text(reply, 3))
	return transactWord(text(reply, 2)), nil
}

// transactWord turns the word of transact.lua into a refusal, or nil for done.
func transactWord(word string) *Refusal {
	if word == "done" {
		return nil
	}
	return parseRefusal(word)
}

// Settle asks whether a transaction whose answer was lost took effect. If it did not, its number is closed: what is
// still on its way will find that out.
func (q *Queue) Settle(ctx context.Context, line string, n uint64) (applied bool, refusal *Refusal, err error) {
	reply, err := q.call(ctx, "transact", []any{line, n, "1", "1", 0, 0, 0, 0, 0})
	if err != nil {
		return false, nil, err
	}
	word := text(reply, 2)
	if word == "void" {
		return false, nil, nil
	}
	return true, transactWord(word), nil
}
