package txn

import "strings"

// set is SET.
func (l *Log) set(c *Command) error {
	l.setOne(c, c.Args, timed(c.Args))
	return nil
}

// timed reports whether a SET names a point of time. If that has passed, the key is gone at once.
func timed(args []string) bool {
	return len(args) > 3 && strings.HasSuffix(args[3], "XAT")
}

// mset is MSET: a SET of each pair, so that each can be folded into.
func (l *Log) mset(c *Command) error {
	for i := 1; i < len(c.Args); i += 2 {
		one := &Command{Keys: []string{c.Args[i]}}
		l.setOne(one, []string{"SET", c.Args[i], c.Args[i+1]}, false)
	}
	return nil
}

func (l *Log) setOne(c *Command, args []string, timed bool) {
	k := l.key(args[1])
	k.clear()
	k.become(str)
	to := holds(args[2])
	to.at = l.buffer(c, args, 2, value)
	k.put("", to)
	if timed {
		k.expire()
	}
}

// append is APPEND. After a SET it becomes part of that.
func (l *Log) append(c *Command) error {
	k := l.key(c.Args[1])
	if err := k.can(str); err != nil {
		return err
	}
	l.want(k, str)
	p, _ := k.part("")
	to := part{has: yes}
	if p.settled() {
		to = holds(p.val + c.Args[2])
	}
	if p.settled() && p.at.as == value {
		to.at = p.at
		*l.at(p.at) = to.val
	} else {
		l.just(c)
	}
	k.put("", to)
	k.become(str)
	return nil
}

// setRange is SETRANGE. An empty range changes nothing, and creates nothing.
func (l *Log) setRange(c *Command) error {
	if c.Args[3] == "" {
		return l.demandOnly(c)
	}
	return l.setBit(c)
}

// setBit is SETBIT. The text afterwards is not told: it can be half a gigabyte long.
func (l *Log) setBit(c *Command) error {
	if err := l.demandOnly(c); err != nil {
		return err
	}
	k := l.key(c.Args[1])
	k.put("", part{has: yes})
	k.become(str)
	return nil
}

// demandOnly buffers a write that wants a kind, and says nothing of what becomes of the key.
func (l *Log) demandOnly(c *Command) error {
	k := l.key(c.Args[1])
	if err := k.can(c.entry.kind); err != nil {
		return err
	}
	l.want(k, c.entry.kind)
	l.just(c)
	return nil
}

// del is DEL and UNLINK.
func (l *Log) del(c *Command) error {
	for _, name := range c.Keys {
		l.key(name).clear()
	}
	l.just(c)
	return nil
}

// expire is EXPIRE and PEXPIRE. A key that is still to live is what it was for all reads of the table.
func (l *Log) expire(c *Command) error {
	if n, _ := integer(c.Args[2]); n <= 0 {
		l.key(c.Args[1]).clear()
	}
	l.just(c)
	return nil
}

// expireAt is EXPIREAT and PEXPIREAT. Whether the time has passed is for the server to say.
func (l *Log) expireAt(c *Command) error {
	k := l.key(c.Args[1])
	if n, _ := integer(c.Args[2]); n <= 0 {
		k.clear()
	} else {
		k.expire()
	}
	l.just(c)
	return nil
}

func (l *Log) persist(c *Command) error {
	l.just(c)
	return nil
}

// hset is HSET.
func (l *Log) hset(c *Command) error {
	k := l.key(c.Args[1])
	if err := k.can(hash); err != nil {
		return err
	}
	l.want(k, hash)
	at := l.buffer(c, c.Args, 0, value)
	for i := 2; i < len(c.Args); i += 2 {
		to := holds(c.Args[i+1])
		to.at = at
		to.at.arg = i + 1
		k.put(c.Args[i], to)
	}
	k.become(hash)
	return nil
}

// hsetnx is HSETNX.
func (l *Log) hsetnx(c *Command) error {
	if err := l.demandOnly(c); err != nil {
		return err
	}
	k := l.key(c.Args[1])
	switch p, _ := k.part(c.Args[2]); p.has {
	case maybe:
		k.put(c.Args[2], part{has: yes})
	case no:
		k.put(c.Args[2], holds(c.Args[3]))
	}
	k.become(hash)
	return nil
}

// drop is HDEL, SREM and ZREM.
func (l *Log) drop(c *Command) error {
	if err := l.demandOnly(c); err != nil {
		return err
	}
	k := l.key(c.Args[1])
	if k.kinds() == none {
		return nil
	}
	for _, name := range c.Args[2:] {
		k.put(name, part{has: no})
	}
	k.shrink(c.entry.kind)
	return nil
}

// push is LPUSH and RPUSH.
func (l *Log) push(c *Command) error {
	if err := l.grow(c); err != nil {
		return err
	}
	k := l.key(c.Args[1])
	k.blur()
	k.become(list)
	return nil
}

// grow is what changes a list or a stream that is there, and neither creates nor removes it.
func (l *Log) grow(c *Command) error {
	if err := l.demandOnly(c); err != nil {
		return err
	}
	if k := l.key(c.Args[1]); k.kinds() != none {
		k.blur()
		k.become(k.kinds())
	}
	return nil
}

// cut is what takes parts away without naming them.
func (l *Log) cut(c *Command) error {
	if err := l.grow(c); err != nil {
		return err
	}
	if k := l.key(c.Args[1]); k.kinds() != none {
		k.become(k.kinds() | none)
	}
	return nil
}
