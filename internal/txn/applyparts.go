package txn

import (
	"errors"
	"slices"
	"strings"
)

// lset is LSET. It leaves the length of the list as it is, so that another may follow; nothing else may have changed
// the list before it, since its index is asked of what is stored.
func (l *Log) lset(c *Command) error {
	k := l.key(c.Args[1])
	if err := k.can(list); err != nil {
		return err
	}
	if k.kinds() == none {
		return errors.New("there is no such key")
	}
	if k.murky || k.bare {
		return errUntold
	}
	d := &demand{kind: "lset", args: []string{k.name, c.Args[2]}}
	if !slices.ContainsFunc(l.demands, func(old *demand) bool {
		return old.kind == d.kind && slices.Equal(old.args, d.args)
	}) {
		l.ask(k, list, d)
	}
	k.become(list)
	l.just(c)
	return nil
}

// sadd is SADD.
func (l *Log) sadd(c *Command) error {
	if err := l.demandOnly(c); err != nil {
		return err
	}
	k := l.key(c.Args[1])
	for _, member := range c.Args[2:] {
		k.put(member, holds(""))
	}
	k.become(set)
	return nil
}

// smove is SMOVE. Both keys must be sets or absent. Redis does not mind what the second is if the first is absent;
// where that is not known, this is stricter.
func (l *Log) smove(c *Command) error {
	from, to, member := l.key(c.Args[1]), l.key(c.Args[2]), c.Args[3]
	if from.kinds() == none {
		l.just(c)
		return nil
	}
	if err := from.can(set); err != nil {
		return err
	}
	if err := to.can(set); err != nil {
		return err
	}
	l.want(from, set)
	l.want(to, set)
	l.just(c)
	p, _ := from.part(member)
	if from == to || p.has == no {
		return nil
	}
	from.put(member, part{has: no})
	from.shrink(set)
	switch old, _ := to.part(member); {
	case p.has == yes:
		to.put(member, holds(""))
		to.become(set)
	case old.has != yes:
		to.put(member, part{})
		to.become(to.kinds() | set)
	}
	return nil
}

// zadd is ZADD. Pairs are taken in turn, as Redis does.
func (l *Log) zadd(c *Command) error {
	if err := l.demandOnly(c); err != nil {
		return err
	}
	k := l.key(c.Args[1])
	flags, pairs := zaddFlags(c.Args[2:])
	for i := 0; i < len(pairs); i += 2 {
		to, _ := decimal(pairs[i])
		old, _ := k.part(pairs[i+1])
		if p, changes := zaddOne(old, to, flags); changes {
			k.put(pairs[i+1], p)
		}
	}
	if parts, _ := k.all(); anyThere(parts) {
		k.become(zset)
	} else if k.wrote {
		k.become(k.kinds())
	}
	return nil
}

// zaddOne is what ZADD makes of a member. changes is false if it surely leaves it as it is.
func zaddOne(old part, to float64, flags string) (p part, changes bool) {
	has := func(flag string) bool { return strings.Contains(flags, flag) }
	switch {
	case old.has == no && has("XX"), old.has == yes && has("NX"):
		return old, false
	case old.has == no:
		return holds(score(to)), true
	case old.has == maybe && has("XX"):
		return part{}, true
	case old.has == maybe && (has("NX") || has("GT") || has("LT")):
		return part{has: yes}, true
	case has("GT") || has("LT"):
		if !old.known {
			return part{has: yes}, true
		}
		from, _ := decimal(old.val)
		if has("GT") && to <= from || has("LT") && to >= from {
			return old, false
		}
	}
	return holds(score(to)), true
}

// zincrby is ZINCRBY.
func (l *Log) zincrby(c *Command) error {
	if err := l.demandOnly(c); err != nil {
		return err
	}
	k := l.key(c.Args[1])
	to := part{has: yes}
	if p, _ := k.part(c.Args[3]); p.settled() {
		from, _ := decimal(p.number())
		by, _ := finite(c.Args[2])
		to = holds(score(from + by))
	}
	k.put(c.Args[3], to)
	k.become(zset)
	return nil
}

// xadd is XADD.
func (l *Log) xadd(c *Command) error {
	if c.Args[2] == "NOMKSTREAM" {
		return l.grow(c)
	}
	if err := l.demandOnly(c); err != nil {
		return err
	}
	k := l.key(c.Args[1])
	k.blur()
	k.become(stream)
	return nil
}
