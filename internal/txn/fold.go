package txn

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// place is an argument of a buffered write that a later write of the same part may change instead of being made
// itself. Between the two only such writes of the key were made that do not look at the part, and that do the same
// whatever it holds: an expiry, say, which an increment leaves as it is. Every other write takes the place away, or
// puts another in its stead. Two keys never wait for each other, since nothing of a commit is seen before all of it.
type place struct {
	write, arg int
	as         form
}

type form uint8

const (
	nowhere   form = iota
	value          // it is the whole value: the new value takes its place
	increment      // it is an integer that is added: the sum takes its place
)

// buffer adds a write of its own copy of args, and gives the place at args[arg].
func (l *Log) buffer(c *Command, args []string, arg int, as form) place {
	l.writes = append(l.writes, write{slices.Clone(args), c.Keys})
	return place{len(l.writes) - 1, arg, as}
}

// just adds a write as it was given.
func (l *Log) just(c *Command) { l.buffer(c, c.Args, 0, nowhere) }

// at is the argument at a place.
func (l *Log) at(p place) *string { return &l.writes[p.write].args[p.arg] }

var (
	errNotInteger = errors.New("the value is not an integer of 64 bits")
	errNotNumber  = errors.New("the value is not a decimal number")
	errRange      = errors.New("the sum is out of range")
	errSum        = fmt.Errorf("the increments add up to what is out of range: %w", errUntold)
)

// incr is INCR and its like, and HINCRBY. The increments of one value become one write, and if the value was set by
// this transaction, that write sets the sum.
func (l *Log) incr(c *Command) error {
	k := l.key(c.Args[1])
	kind := c.entry.kind
	name, args, check := "", []string{"INCRBY", k.name, ""}, []string{k.name}
	by := int64(1)
	switch c.Args[0] {
	case "DECR":
		by = -1
	case "INCRBY":
		by, _ = integer(c.Args[2])
	case "DECRBY":
		by, _ = integer(c.Args[2])
		by = -by
	case "HINCRBY":
		name = c.Args[2]
		by, _ = integer(c.Args[3])
		args, check = []string{"HINCRBY", k.name, name, ""}, []string{k.name, name}
	}
	arg := len(args) - 1
	args[arg] = strconv.FormatInt(by, 10)
	if err := k.can(kind); err != nil {
		return err
	}

	switch p, written := k.part(name); {
	case p.settled():
		n, ok := integer(p.number())
		if !ok {
			return errNotInteger
		}
		if n, ok = plus(n, by); !ok {
			return errRange
		}
		l.want(k, kind)
		to := holds(strconv.FormatInt(n, 10))
		to.at = p.at
		switch p.at.as {
		case value:
			*l.at(p.at) = to.val
		case increment:
			old, _ := integer(*l.at(p.at))
			if sum, ok := plus(old, by); ok {
				*l.at(p.at) = strconv.FormatInt(sum, 10)
				break
			}
			fallthrough
		default:
			to.at = l.buffer(c, args, arg, increment)
		}
		k.put(name, to)

	case !written:
		t := &tally{}
		t.add(by)
		l.ask(k, kind, &demand{checkName(kind, "int"), check, t})
		k.put(name, part{has: yes, tally: t, at: l.buffer(c, args, arg, increment)})

	case p.tally != nil && !p.tally.float:
		if !p.tally.add(by) {
			return errSum
		}
		*l.at(p.at) = strconv.FormatInt(p.tally.sum, 10)

	default:
		return errUntold
	}
	k.become(kind)
	return nil
}

// incrFloat is INCRBYFLOAT and HINCRBYFLOAT. What Redis makes of a sum of floats depends on its machine, so the value
// is not known afterwards, and increments are not folded: they would round otherwise.
func (l *Log) incrFloat(c *Command) error {
	k := l.key(c.Args[1])
	kind := c.entry.kind
	last := len(c.Args) - 1
	name, check := "", c.Args[1:last]
	if kind == hash {
		name = c.Args[2]
	}
	by, _ := finite(c.Args[last])
	if err := k.can(kind); err != nil {
		return err
	}

	p, written := k.part(name)
	t := p.tally
	switch {
	case p.settled():
		from, ok := finite(p.number())
		if !ok {
			return errNotNumber
		}
		if t = (&tally{float: true, from: from}); !t.addFloat(by) {
			return errRange
		}
		l.want(k, kind)
	case !written:
		t = &tally{float: true}
		t.addFloat(by)
		l.ask(k, kind, &demand{checkName(kind, "float"), check, t})
	case t != nil && t.float:
		if !t.addFloat(by) {
			return errSum
		}
	default:
		return errUntold
	}
	l.just(c)
	k.put(name, part{has: yes, tally: t})
	k.become(kind)
	return nil
}

// checkName is the check of a string, or that of a field.
func checkName(kind kinds, name string) string {
	if kind == hash {
		return "h" + name
	}
	return name
}
