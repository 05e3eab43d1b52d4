package txn

import (
	"fmt"
	"maps"
	"slices"
)

// Answer answers a read without Redis if it can: from memory, if the same read was remembered and nothing it touches
// was written since, or from the buffer, if what was written tells the answer. Else known is false, and Redis is to be
// asked, for what is stored is what the transaction would see; or the error is [ErrReadAfterWrite]. The reply is the
// caller's to change.
func (l *Log) Answer(c *Command) (reply any, known bool, err error) {
	if !c.Reads() {
		return nil, false, fmt.Errorf("%s is a write", c.Args[0])
	}
	reply, t := l.tell(c)
	switch t {
	case told:
		return reply, true, nil
	case untold:
		return nil, false, fmt.Errorf("%s %.60q: %w", c.Args[0], c.Keys[0], ErrReadAfterWrite)
	}
	old, ok := l.answers[identity(c.Args)]
	return copyReply(old.reply), ok, nil
}

// telling says whether a read can be answered from the buffer.
type telling uint8

const (
	untold telling = iota // no, and Redis would answer with what was before
	told                  // yes
	asked                 // no, but what it touches is as stored: Redis can be asked
)

func (l *Log) tell(c *Command) (any, telling) {
	wrote, absent := false, true
	for _, name := range c.Keys {
		k := l.key(name)
		wrote = wrote || k.wrote
		absent = absent && k.kinds() == none
	}
	if !wrote {
		return nil, asked
	}
	if absent {
		return c.entry.empty(c), told
	}
	if want := c.entry.kind; want != 0 {
		switch now := l.key(c.Args[1]).kinds(); {
		case now != 0 && now&(none|want) == 0:
			return wrongType, told
		case now&^(none|want) != 0:
			return nil, untold
		}
	}
	if c.entry.tell == nil {
		return nil, untold
	}
	return c.entry.tell(l, c)
}

func tellGet(l *Log, c *Command) (any, telling) { return val(l.part(c.Args[1], "")) }

func tellStrlen(l *Log, c *Command) (any, telling) { return length(l.part(c.Args[1], "")) }

// part is a part of a key now, and whether it is as stored.
func (l *Log) part(key, name string) (part, bool) {
	p, written := l.key(key).part(name)
	return p, !written
}

// tellMget is about several keys, of any type.
func tellMget(l *Log, c *Command) (any, telling) {
	var out []any
	for _, name := range c.Args[1:] {
		k := l.key(name)
		if kinds := k.kinds(); kinds&str == 0 {
			out = append(out, nil)
			continue
		} else if kinds&^(none|str) != 0 {
			return nil, untold
		}
		p, _ := k.part("")
		reply, t := val(p, false)
		if t != told {
			return nil, untold
		}
		out = append(out, reply)
	}
	return out, told
}

func tellExists(l *Log, c *Command) (any, telling) {
	n := int64(0)
	for _, name := range c.Args[1:] {
		switch kinds := l.key(name).kinds(); {
		case kinds&none == 0:
			n++
		case kinds != none:
			return nil, untold
		}
	}
	return n, told
}

func tellType(l *Log, c *Command) (any, telling) {
	if word, ok := l.key(c.Args[1]).kinds().name(); ok {
		return word, told
	}
	return nil, untold
}

// A teller answers of one part. as says that it is as stored.
type teller func(p part, as bool) (any, telling)

func val(p part, as bool) (any, telling) {
	switch {
	case p.has == no:
		return nil, told
	case p.settled():
		return p.val, told
	}
	return open(as)
}

func there(p part, as bool) (any, telling) {
	switch p.has {
	case no:
		return int64(0), told
	case yes:
		return int64(1), told
	}
	return open(as)
}

func length(p part, as bool) (any, telling) {
	if p.settled() {
		return int64(len(p.val)), told
	}
	return open(as)
}

// open is the telling of a part of which not enough is known.
func open(as bool) (any, telling) {
	if as {
		return nil, asked
	}
	return nil, untold
}

// tellPart is a read of one part.
func tellPart(one teller) func(*Log, *Command) (any, telling) {
	return func(l *Log, c *Command) (any, telling) { return one(l.part(c.Args[1], c.Args[2])) }
}

// tellParts is a read of several parts. If all are as stored, Redis can be asked; but not for some.
func tellParts(one teller) func(*Log, *Command) (any, telling) {
	return func(l *Log, c *Command) (any, telling) {
		var out []any
		stored, known := true, true
		for _, name := range c.Args[2:] {
			p, as := l.part(c.Args[1], name)
			reply, t := one(p, as)
			out = append(out, reply)
			stored = stored && as
			known = known && t == told
		}
		switch {
		case known:
			return out, told
		case stored:
			return nil, asked
		}
		return nil, untold
	}
}

// tellAll is a read of all parts, in the order of their names.
func tellAll(of func(name string, p part) []any) func(*Log, *Command) (any, telling) {
	return func(l *Log, c *Command) (any, telling) {
		parts, closed := l.key(c.Args[1]).all()
		if !closed {
			return nil, untold
		}
		out := []any{}
		for _, name := range slices.Sorted(maps.Keys(parts)) {
			elems := of(name, parts[name])
			if elems == nil || parts[name].has == maybe {
				return nil, untold
			}
			out = append(out, elems...)
		}
		return out, told
	}
}

func name(name string, _ part) []any { return []any{name} }

func only(_ string, p part) []any {
	if !p.known {
		return nil
	}
	return []any{p.val}
}

func pair(name string, p part) []any {
	if !p.known {
		return nil
	}
	return []any{name, p.val}
}

// tellCount counts the parts.
func tellCount(l *Log, c *Command) (any, telling) {
	names, t := tellAll(name)(l, c)
	if t != told {
		return nil, t
	}
	return int64(len(names.([]any))), told
}
