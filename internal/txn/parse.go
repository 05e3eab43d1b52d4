package txn

import (
	"fmt"
	"slices"
	"strings"
)

// Command is a command of one of the two tables, with arguments that Redis takes.
type Command struct {
	Args []string // the name and the words among the options in capitals, the rest as given
	Keys []string // the distinct keys it touches, in their order

	entry *entry
}

// entry is a line of a table.
type entry struct {
	shape string                                  // of the arguments, see shape.go
	rest  func(c *Command, rest []string) error   // looks at the arguments behind the shape; nil: there may be none
	kind  kinds                                   // the type of its keys, if it has one
	apply func(l *Log, c *Command) error          // a write: buffers it
	empty func(c *Command) any                    // a read: its answer if none of its keys exists
	order string                                  // a read: see Command.Order
	tell  func(l *Log, c *Command) (any, telling) // a read: its answer from the buffer; nil: cannot be told
	learn func(k *key, c *Command, reply any)     // a read: what its answer says of what is stored
}

// Parse takes a command apart. A value may be a string, []byte, any integer or float, a bool (1 or 0), or of a named
// type of these kinds; a time.Duration is its nanoseconds, as in go-redis. Names and options are taken in any case.
//
// Parse refuses what no state of Redis could make right: the error names the command and says why. An accepted command
// can still be refused by [Log.Write] for what the transaction has read or written before.
func Parse(args ...any) (*Command, error) {
	if len(args) == 0 {
		return nil, fmt.Errorf("a command has no name")
	}
	c := &Command{Args: make([]string, len(args))}
	for i, arg := range args {
		s, err := text(arg)
		if err != nil {
			if i == 0 {
				return nil, fmt.Errorf("the name of a command %w", err)
			}
			return nil, fmt.Errorf("%s: argument %d %w", strings.ToUpper(c.Args[0]), i, err)
		}
		c.Args[i] = s
	}
	name := strings.ToUpper(c.Args[0])
	c.Args[0] = name
	if c.entry = reads[name]; c.entry == nil {
		c.entry = writes[name]
	}
	if c.entry == nil {
		return nil, refuse(c.Args)
	}
	if err := c.fit(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// Reads reports whether the command is a read; if not, it is a write.
func (c *Command) Reads() bool { return c.entry.apply == nil }

// Order says how two answers of a read compare: "" as they come, "set" as elements in no order, "pairs" as pairs in no
// order. It is "" for a write.
func (c *Command) Order() string { return c.entry.order }

// key adds a key, unless it is known.
func (c *Command) key(name string) {
	if !slices.Contains(c.Keys, name) {
		c.Keys = append(c.Keys, name)
	}
}
