package txn

import "strings"

// learn takes from an answer what it proves of what is stored. It is about one key: what a command over several says
// of each of them differs between servers, but for EXISTS and MGET, which look after it themselves.
func (l *Log) learn(c *Command, reply any) {
	e := c.entry
	if e.kind == 0 {
		if e.learn != nil {
			l.learnEach(c, reply)
		}
		return
	}
	k := l.key(c.Args[1])
	if fault, ok := reply.(ReplyError); ok {
		if strings.HasPrefix(string(fault), "WRONGTYPE") {
			k.stored &^= none | e.kind
		}
		return
	}
	k.stored &= none | e.kind
	if e.learn != nil {
		e.learn(k, c, reply)
	}
}

// learnEach is learn for the commands of no kind.
func (l *Log) learnEach(c *Command, reply any) {
	if elems, ok := reply.([]any); ok { // MGET
		for i := 0; i < len(elems) && i+1 < len(c.Args); i++ {
			c.entry.learn(l.key(c.Args[i+1]), c, elems[i])
		}
		return
	}
	for _, name := range c.Keys {
		c.entry.learn(l.key(name), c, reply)
	}
}

// know notes a part of what is stored.
func (k *key) know(name string, p part) {
	if old, ok := k.parts[name]; ok && old.known && p.has == yes && !p.known {
		return
	}
	if k.parts == nil {
		k.parts = map[string]part{}
	}
	k.parts[name] = p
}

func learnGet(k *key, _ *Command, reply any) {
	switch r := reply.(type) {
	case nil:
		k.stored &= none
	case string:
		k.stored &= str
		k.know("", holds(r))
	}
}

// learnMget hears nil of a key of another type, too.
func learnMget(k *key, _ *Command, reply any) {
	switch r := reply.(type) {
	case nil:
		k.stored &^= str
	case string:
		k.stored &= str
		k.know("", holds(r))
	}
}

func learnExists(k *key, c *Command, reply any) {
	switch n, ok := reply.(int64); {
	case ok && n == 0:
		k.stored &= none
	case ok && n == int64(len(c.Args)-1):
		k.stored &^= none
	}
}

func learnType(k *key, _ *Command, reply any) {
	if word, ok := reply.(string); ok {
		k.stored &= kindNamed(word)
	}
}

// learnCount hears how many parts there are. An empty value would not be there.
func learnCount(k *key, c *Command, reply any) {
	switch n, ok := reply.(int64); {
	case ok && n == 0:
		k.stored &= none
	case ok:
		k.stored &= c.entry.kind
	}
}

// learnParts hears of the parts that the command names.
func learnParts(one func(any) (part, bool), many bool) func(*key, *Command, any) {
	return func(k *key, c *Command, reply any) {
		replies := []any{reply}
		if many {
			replies, _ = reply.([]any)
		}
		for i := 0; i < len(replies) && i+2 < len(c.Args); i++ {
			if p, ok := one(replies[i]); ok {
				k.know(c.Args[i+2], p)
				if p.has == yes {
					k.stored &= c.entry.kind
				}
			}
		}
	}
}

func learnVal(reply any) (part, bool) {
	switch r := reply.(type) {
	case nil:
		return part{has: no}, true
	case string:
		return holds(r), true
	}
	return part{}, false
}

func learnThere(reply any) (part, bool) {
	switch reply {
	case int64(0):
		return part{has: no}, true
	case int64(1):
		return part{has: yes}, true
	}
	return part{}, false
}

func learnHgetall(k *key, c *Command, reply any) {
	elems, ok := reply.([]any)
	if !ok || len(elems)%2 != 0 {
		return
	}
	k.parts = nil
	for i := 0; i < len(elems); i += 2 {
		field, is := elems[i].(string)
		val, are := elems[i+1].(string)
		if !is || !are {
			return
		}
		k.know(field, holds(val))
	}
	k.learnWhole(c, len(elems))
}

func learnNames(k *key, c *Command, reply any) {
	elems, ok := reply.([]any)
	if !ok {
		return
	}
	old := k.parts
	k.parts = nil
	for _, elem := range elems {
		name, ok := elem.(string)
		if !ok {
			return
		}
		if p := old[name]; p.has == yes {
			k.know(name, p)
		} else {
			k.know(name, part{has: yes})
		}
	}
	k.learnWhole(c, len(elems))
}

// learnWhole is said once all parts are known.
func (k *key) learnWhole(c *Command, n int) {
	k.whole = true
	if n == 0 {
		k.stored &= none
	} else {
		k.stored &= c.entry.kind
	}
}
