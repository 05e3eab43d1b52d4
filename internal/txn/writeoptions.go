package txn

import (
	"errors"
	"fmt"
	"strings"
)

// setOptions are those of SET.
func setOptions(c *Command, rest []string) error {
	expiry := ""
	for o := options(rest); len(o) > 0; {
		switch word := o.next(); word {
		case "EX", "PX", "EXAT", "PXAT", "KEEPTTL":
			if expiry != "" {
				return fmt.Errorf("%s and %s exclude each other", expiry, word)
			}
			expiry = word
			if word == "KEEPTTL" {
				continue
			}
			when := o
			unit := "P"
			if word[0] == 'E' {
				unit = "E"
			}
			if err := o.take(word, unit); err != nil {
				return err
			}
			if n, _ := integer(when[0]); n <= 0 {
				return fmt.Errorf("%s %s is not a time that Redis can keep", word, when[0])
			}
		case "NX", "XX", "GET":
			return fmt.Errorf("with %s it answers, and a transaction writes only when it commits; read first, then write", word)
		default:
			return badOption(word)
		}
	}
	return nil
}

// maxString is how long a string may be.
const maxString = 512 << 20

// rangeFits looks at the end of SETRANGE.
func rangeFits(c *Command, rest []string) error {
	if len(rest) > 0 {
		return errArity
	}
	if offset, _ := integer(c.Args[2]); offset > maxString-int64(len(c.Args[3])) {
		return fmt.Errorf("it would make the string longer than 512 MiB")
	}
	return nil
}

// insertOptions looks at the side of LINSERT.
func insertOptions(c *Command, rest []string) error {
	if len(rest) > 0 {
		return errArity
	}
	side := options(c.Args[2:])
	if word := side.next(); word != "BEFORE" && word != "AFTER" {
		return badOption(word)
	}
	return nil
}

// zaddFlags tells the options of ZADD from its pairs.
func zaddFlags(args []string) (flags string, pairs []string) {
	for i, arg := range args {
		switch word := strings.ToUpper(arg); word {
		case "NX", "XX", "GT", "LT", "CH", "INCR":
			flags += " " + word
		default:
			return flags, args[i:]
		}
	}
	return flags, nil
}

func zaddOptions(c *Command, rest []string) error {
	flags, pairs := zaddFlags(rest)
	if strings.Contains(flags, "INCR") {
		return errors.New("with INCR it answers, and a transaction writes only when it commits; use ZINCRBY")
	}
	var kinds []string
	for _, word := range []string{"NX", "GT", "LT"} {
		if strings.Contains(flags, word) {
			kinds = append(kinds, word)
		}
	}
	if strings.Contains(flags, "NX") && strings.Contains(flags, "XX") {
		kinds = []string{"NX", "XX"}
	}
	if len(kinds) > 1 {
		return fmt.Errorf("%s and %s exclude each other", kinds[0], kinds[1])
	}
	if len(pairs) == 0 || len(pairs)%2 != 0 {
		return errArity
	}
	for o := options(rest); len(o) > len(pairs); {
		o.next()
	}
	for i := 0; i < len(pairs); i += 2 {
		if _, ok := decimal(pairs[i]); !ok {
			return fmt.Errorf("the score %.40q is not a number", pairs[i])
		}
	}
	return nil
}

// xaddOptions are those of XADD. They are put in the one order that every server reads.
func xaddOptions(c *Command, rest []string) error {
	var head []string
	noMake := false
	o := options(rest)
	for len(o) > 0 && o[0] != "*" {
		switch word := o.next(); {
		case word == "NOMKSTREAM" && !noMake:
			noMake = true
		case word == "MAXLEN" && head == nil:
			words, err := maxLen(&o)
			if err != nil {
				return err
			}
			head = words
		case entryID(word) || strings.HasSuffix(word, "-*"):
			return errors.New("an id other than * may be taken by the time of the commit, and Redis would refuse it")
		default:
			return badOption(word)
		}
	}
	if len(o) < 3 || len(o)%2 == 0 {
		return errArity
	}
	args := []string{"XADD", c.Args[1]}
	if noMake {
		args = append(args, "NOMKSTREAM")
	}
	args = append(args, head...)
	c.Args = append(args, o...)
	return nil
}

// xtrimOptions are those of XTRIM.
func xtrimOptions(c *Command, rest []string) error {
	o := options(c.Args[2:])
	if word := o.next(); word != "MAXLEN" {
		return badOption(word)
	}
	if _, err := maxLen(&o); err != nil {
		return err
	}
	if len(o) > 0 {
		return errArity
	}
	return nil
}

// maxLen takes what follows MAXLEN, and gives both.
func maxLen(o *options) ([]string, error) {
	words := []string{"MAXLEN"}
	if len(*o) > 0 && ((*o)[0] == "=" || (*o)[0] == "~") {
		words = append(words, (*o)[0])
		*o = (*o)[1:]
	}
	length := *o
	if err := o.take("MAXLEN", "n"); err != nil {
		return nil, err
	}
	return append(words, length[0]), nil
}
