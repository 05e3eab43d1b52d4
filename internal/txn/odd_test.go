package txn

import (
	"slices"
	"strings"
	"testing"
)

// odd are arguments that one server or another takes otherwise than one thinks.
var odd = []string{
	"", "0", "-0", "+0", "1", "-1", "+1", "01", " 1", "1 ", "1.", ".1", "1.5", "1e3", "1E3", "1e400", "-1e400", "1e-400", "0e9999", "0x10", "0x1p2",
	"1_000", "inf", "+inf", "-inf", "infinity", "INFINITY", "infi", "nan", "-nan", "(1", "((1", "(", "[", "[a", "(inf", "(nan", "-", "+", "*",
	"1-1", "1-*", "(1-1", "-1-1", "1-", "-1", "18446744073709551615-18446744073709551615", "18446744073709551616", "9223372036854775807",
	"9223372036854775808", "-9223372036854775808", "9223372036854775", "9223372036854776", "-9223372036854775", "4294967295", "4294967296",
	"536870912", "EX", "KEEPTTL", "NX", "xx", "CH", "GT", "LIMIT", "COUNT", "MAXLEN", "WITHSCORES", "BYLEX", "REV", "~", "=", "BEFORE", "x\x00y",
	"1\x00", "\xff",
}

// What Parse takes, Redis takes: of a key that is not there, and of one of the type of the command.
func TestWhatIsTakenRedisTakes(t *testing.T) {
	t.Parallel()
	live, _ := realPair(t)
	values := map[kinds][]string{
		str: {"SET", "k", "5"}, hash: {"HSET", "k", "f", "5"}, list: {"RPUSH", "k", "a", "b"}, set: {"SADD", "k", "m"},
		zset: {"ZADD", "k", "1", "m"}, stream: {"XADD", "k", "1-1", "f", "v"},
	}
	tried := 0
	for _, line := range right {
		words := strings.Fields(line)
		for i := 1; i < len(words); i++ {
			if words[i][0] == 'k' {
				continue
			}
			for _, arg := range odd {
				args := slices.Clone(words)
				args[i] = arg
				c, err := parse(args)
				if err != nil {
					continue
				}
				if args[0] == "SETBIT" || args[0] == "SETRANGE" {
					if n, _ := integer(args[2]); n > 1<<20 {
						continue // half a gigabyte
					}
				}
				for _, stored := range [][]string{nil, values[c.entry.kind]} {
					live.must("FLUSHDB")
					if stored != nil {
						live.must(stored...)
					}
					var l Log
					if c.Reads() {
						l.Remember(c, nil, "-")
					} else if err := l.Write(c); err != nil {
						t.Errorf("%q: %v", args, err)
					}
					if slices.ContainsFunc(l.Checks(), func(c Check) bool { return !live.holds(c) }) {
						continue
					}
					tried++
					asked := l.Writes()
					if c.Reads() {
						asked = [][]string{c.Args}
					}
					for _, args := range asked {
						if fault, failed := live.do(args...).(ReplyError); failed {
							t.Errorf("%q on %q: %v", args, stored, fault)
						}
					}
				}
			}
		}
	}
	if tried < 5000 {
		t.Errorf("only %d commands were tried", tried)
	}
}
