package txn

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ErrReadAfterWrite is the error of a read that touches what the transaction has written, where the answer cannot be
// told before the commit.
var ErrReadAfterWrite = errors.New("the answer depends on what this transaction has written; " +
	"read before writing, or commit first")

// errUntold is in the error of a write whose outcome depends on earlier writes in a way that cannot be told. Writes
// that are refused without it could never succeed.
var errUntold = errors.New("that depends on what earlier writes of this transaction do; commit first")

// Read is a read that Redis has answered. The commit asks it again and compares.
type Read struct {
	Args  []string
	Keys  []string
	Order string // how answers compare, see Command.Order
	Mark  string // what it answered, see Mark
}

// Log is what one transaction has read and wants to write. The zero value is an empty one. It is used by one goroutine
// at a time.
type Log struct {
	reads   []Read
	answers map[string]answer // by the arguments of the read
	demands []*demand
	writes  []write
	keys    map[string]*key
}

type answer struct {
	reply any
	mark  string
}

// write is a buffered write.
type write struct {
	args []string
	keys []string
}

// Remember takes note of what Redis has answered to a read. mark is what the commit is to compare, see [Mark]; of an
// answer that is no scalar it is the caller's. The same read with the same mark counts once. The reply is copied. A
// command that is no read is ignored.
func (l *Log) Remember(c *Command, reply any, mark string) {
	if !c.Reads() {
		return
	}
	id := identity(c.Args)
	if old, ok := l.answers[id]; ok && old.mark == mark {
		return
	}
	if l.answers == nil {
		l.answers = map[string]answer{}
	}
	l.answers[id] = answer{copyReply(reply), mark}
	l.reads = append(l.reads, Read{
		Args: slices.Clone(c.Args), Keys: slices.Clone(c.Keys), Order: c.Order(), Mark: mark,
	})
	l.learn(c, reply)
}

// Write buffers a write. On an error the log is as before. A write is refused if it could never succeed after what this
// transaction has read and written, and if whether it can depends on what is not known before the commit.
func (l *Log) Write(c *Command) error {
	if c.Reads() {
		return fmt.Errorf("%s is a read", c.Args[0])
	}
	if err := c.entry.apply(l, c); err != nil {
		return fmt.Errorf("%s: %w", c.Args[0], err)
	}
	return nil
}

// Reads gives the reads to be asked again, in order.
func (l *Log) Reads() []Read {
	reads := slices.Clone(l.reads)
	for i := range reads {
		reads[i].Args, reads[i].Keys = slices.Clone(reads[i].Args), slices.Clone(reads[i].Keys)
	}
	return reads
}

// Checks gives what must be asked besides, in the order in which writes first wanted it.
func (l *Log) Checks() []Check {
	var checks []Check
	for _, d := range l.demands {
		checks = append(checks, d.checks()...)
	}
	return checks
}

// Writes gives the writes, in order. Those that could be folded into an earlier one are part of that.
func (l *Log) Writes() [][]string {
	var writes [][]string
	for _, w := range l.writes {
		writes = append(writes, slices.Clone(w.args))
	}
	return writes
}

// Keys gives the distinct keys of the reads, then of the checks, then of the writes, each in order of first use.
func (l *Log) Keys() []string {
	var keys []string
	seen := map[string]bool{}
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			keys = append(keys, name)
		}
	}
	for _, r := range l.reads {
		for _, name := range r.Keys {
			add(name)
		}
	}
	for _, d := range l.demands {
		add(d.args[0])
	}
	for _, w := range l.writes {
		for _, name := range w.keys {
			add(name)
		}
	}
	return keys
}

// Empty reports whether there is nothing to commit: neither reads nor writes.
func (l *Log) Empty() bool { return len(l.reads) == 0 && len(l.writes) == 0 }

// key is what is known of a key.
func (l *Log) key(name string) *key {
	k := l.keys[name]
	if k == nil {
		k = &key{name: name, stored: anything}
		if l.keys == nil {
			l.keys = map[string]*key{}
		}
		l.keys[name] = k
	}
	return k
}

// identity is one string for a list of them, another for every other list.
func identity(args []string) string {
	var b strings.Builder
	for _, arg := range args {
		b.WriteString(strconv.Itoa(len(arg)))
		b.WriteByte(':')
		b.WriteString(arg)
	}
	return b.String()
}

// copyReply copies a reply, so that what a caller does to his does not reach ours.
func copyReply(reply any) any {
	elems, ok := reply.([]any)
	if !ok {
		return reply
	}
	if elems == nil {
		return []any(nil)
	}
	out := make([]any, len(elems))
	for i, elem := range elems {
		out[i] = copyReply(elem)
	}
	return out
}
