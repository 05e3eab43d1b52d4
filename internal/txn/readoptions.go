package txn

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// bitcountOptions: a range or none.
func bitcountOptions(_ *Command, rest []string) error {
	if len(rest) != 0 && len(rest) != 2 {
		return errArity
	}
	o := options(rest)
	if len(o) == 0 {
		return nil
	}
	return o.take("range", "ii")
}

// lposOptions are RANK, COUNT and MAXLEN.
func lposOptions(_ *Command, rest []string) error {
	for o := options(rest); len(o) > 0; {
		word, kind := o.next(), "n"
		switch word {
		case "RANK":
			kind = "i"
		case "COUNT", "MAXLEN":
		default:
			return badOption(word)
		}
		value := o
		if err := o.take(word, kind); err != nil {
			return err
		}
		if n, _ := integer(value[0]); word == "RANK" && (n == 0 || n == math.MinInt64) {
			return fmt.Errorf("RANK %s counts nothing", value[0])
		}
	}
	return nil
}

// rangeOptions are those of the older range commands, out of WITHSCORES and LIMIT.
func rangeOptions(allowed string) func(*Command, []string) error {
	words := strings.Fields(allowed)
	return func(_ *Command, rest []string) error {
		for o := options(rest); len(o) > 0; {
			word := o.next()
			if !slices.Contains(words, word) {
				return badOption(word)
			}
			if word == "LIMIT" {
				if err := o.take(word, "ii"); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

// zrangeOptions are those of ZRANGE. They say what its ends have to be.
func zrangeOptions(c *Command, rest []string) error {
	by, rev, limit, scores := "", false, false, false
	for o := options(rest); len(o) > 0; {
		switch word := o.next(); word {
		case "BYSCORE", "BYLEX":
			if by != "" {
				return fmt.Errorf("%s and %s exclude each other", by, word)
			}
			by = word
		case "REV":
			if rev {
				return fmt.Errorf("REV stands twice")
			}
			rev = true
		case "WITHSCORES":
			scores = true
		case "LIMIT":
			limit = true
			if err := o.take(word, "ii"); err != nil {
				return err
			}
		default:
			return badOption(word)
		}
	}
	ends, kinds := options(c.Args[2:4]), map[string]string{"": "ii", "BYSCORE": "cc", "BYLEX": "xx"}
	switch {
	case limit && by == "":
		return fmt.Errorf("LIMIT needs BYSCORE or BYLEX")
	case scores && by == "BYLEX":
		return fmt.Errorf("BYLEX and WITHSCORES exclude each other")
	}
	return ends.take("range", kinds[by])
}

// combineOptions are the keys and options of ZINTER, ZUNION and ZDIFF.
func combineOptions(c *Command, rest []string) error {
	n, _ := integer(c.Args[1])
	if n < 1 || n > int64(len(rest)) {
		return errArity
	}
	for _, name := range rest[:n] {
		c.key(name)
	}
	for o := options(rest[n:]); len(o) > 0; {
		word := o.next()
		var err error
		switch {
		case word == "WITHSCORES":
		case word == "WEIGHTS" && c.Args[0] != "ZDIFF":
			err = o.take(word, strings.Repeat("f", int(n)))
		case word == "AGGREGATE" && c.Args[0] != "ZDIFF":
			if len(o) == 0 {
				return o.take(word, "s")
			}
			if how := o.next(); how != "SUM" && how != "MIN" && how != "MAX" {
				err = badOption(how)
			}
		default:
			err = badOption(word)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// xrangeOptions is COUNT.
func xrangeOptions(_ *Command, rest []string) error {
	o := options(rest)
	if len(o) == 0 {
		return nil
	}
	if word := o.next(); word != "COUNT" {
		return badOption(word)
	}
	if err := o.take("COUNT", "n"); err != nil {
		return err
	}
	if len(o) > 0 {
		return errArity
	}
	return nil
}
