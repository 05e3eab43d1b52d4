package txn

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// A shape spells the arguments behind the name, a letter each. Letters in brackets may be missing, from the right;
// letters in round ones come once or more often.
//
//	k  a key                       o  the offset of a bit, below 2^32
//	s  anything                    b  a bit
//	i  an integer                  E  a time to live, or a time, in seconds
//	d  an integer that has a       P  the same in milliseconds
//	   negative                    x  an end of a range by name: - + (name [name
//	n  an integer from 0 on        r  an end of a range of a stream: - + (id id
//	f  a number, no infinity       e  the id of a stream entry
//	c  an end of a range of scores: a number or (number
type letter byte

var errArity = errors.New("wrong number of arguments")

// farthest is the last time in milliseconds that Redis takes, counted from now as well as from the epoch. He refuses
// what overflows when he adds the time of day; here that is taken to be before the year 10000.
const farthest = math.MaxInt64 - 253402300800000

// fit holds the arguments against the shape and the options, and collects the keys.
func (c *Command) fit() error {
	shape, args := c.entry.shape, c.Args[1:]
	fixed, more := shape, ""
	if i := strings.IndexAny(shape, "(["); i >= 0 {
		fixed, more = shape[:i], shape[i:]
	}
	if len(args) < len(fixed) {
		return errArity
	}
	letters := fixed
	switch rest := len(args) - len(fixed); {
	case strings.HasPrefix(more, "["):
		optional := strings.Trim(more, "[]")
		letters += optional[:min(rest, len(optional))]
	case strings.HasPrefix(more, "("):
		group := strings.Trim(more, "()")
		if rest == 0 || rest%len(group) != 0 {
			return errArity
		}
		letters += strings.Repeat(group, rest/len(group))
	}
	for i := range len(letters) {
		if fault := letter(letters[i]).fault(args[i]); fault != "" {
			return fmt.Errorf("argument %d, %.40q, is not %s", i+1, args[i], fault)
		}
		if letters[i] == 'k' {
			c.key(args[i])
		}
	}
	rest := args[len(letters):]
	if c.entry.rest != nil {
		return c.entry.rest(c, rest)
	}
	if len(rest) > 0 {
		return errArity
	}
	return nil
}

// fault says what s should be and is not, or "".
func (x letter) fault(s string) string {
	ok, want := true, ""
	switch x {
	case 'k', 's':
	case 'i':
		_, ok = integer(s)
		want = "an integer of 64 bits"
	case 'd':
		n, is := integer(s)
		ok = is && n != math.MinInt64
		want = "an integer of 64 bits with a negative"
	case 'n':
		n, is := integer(s)
		ok = is && n >= 0
		want = "an integer from 0 on"
	case 'o':
		n, is := integer(s)
		ok = is && n >= 0 && n < 1<<32
		want = "the offset of a bit, from 0 to 2^32-1"
	case 'b':
		ok = s == "0" || s == "1"
		want = "a bit"
	case 'E', 'P':
		n, is := integer(s)
		ok = is && n <= farthest && (x == 'P' || n >= math.MinInt64/1000 && n <= farthest/1000)
		want = "a time that Redis can keep"
	case 'f':
		_, ok = finite(s)
		want = "a finite number"
	case 'c':
		_, ok = decimal(strings.TrimPrefix(s, "("))
		want = "a number, or ( and a number"
	case 'x':
		ok = s == "-" || s == "+" || strings.HasPrefix(s, "(") || strings.HasPrefix(s, "[")
		want = "- or +, or ( or [ and a name"
	case 'r':
		ok = s == "-" || s == "+" || entryID(strings.TrimPrefix(s, "("))
		want = "- or +, or the id of an entry"
	case 'e':
		ok = entryID(s)
		want = "the id of an entry"
	}
	if ok {
		return ""
	}
	return want
}

// options is what is left of a command behind its shape.
type options []string

// next takes the next word, in capitals. It leaves the capitals in the command.
func (o *options) next() string {
	(*o)[0] = strings.ToUpper((*o)[0])
	word := (*o)[0]
	*o = (*o)[1:]
	return word
}

// take takes the arguments of a word, one for each letter.
func (o *options) take(word, letters string) error {
	if len(*o) < len(letters) {
		return fmt.Errorf("%s stands without its value", word)
	}
	for i := range len(letters) {
		if fault := letter(letters[i]).fault((*o)[i]); fault != "" {
			return fmt.Errorf("%s %.40q is not %s", word, (*o)[i], fault)
		}
	}
	*o = (*o)[len(letters):]
	return nil
}

func badOption(word string) error { return fmt.Errorf("%.40q is no option here", word) }
