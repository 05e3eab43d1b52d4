package spool_test

import (
	"context"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/docs"
)

// The tables in docs/exactly-once.md name the commands that there are, and no others.
func TestTablesInTheDocument(t *testing.T) {
	t.Parallel()
	text := string(must(fs.ReadFile(docs.Files(), "exactly-once.md"))(t))
	_, section, found := strings.Cut(text, "\n## Commands\n")
	if !found {
		t.Fatal("docs/exactly-once.md has no heading Commands")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var tables [][]string
	for block := range strings.SplitSeq(section, "\n\n") {
		lines := strings.Split(strings.TrimSpace(block), "\n")
		if len(lines) < 3 || !strings.HasPrefix(lines[1], "|--") {
			continue
		}
		var names []string
		for _, line := range lines[2:] {
			names = append(names, strings.Fields(strings.Split(line, "|")[1])...)
		}
		slices.Sort(names)
		tables = append(tables, names)
	}
	if len(tables) != 2 {
		t.Fatalf("%d tables under Commands, not 2", len(tables))
	}
	for i, want := range [][]string{readCommands, writeCommands} {
		if !slices.Equal(tables[i], want) {
			t.Errorf("table %d names\n%s; there are\n%s", i+1, tables[i], want)
		}
	}
}

// refusals are commands and forms of commands that are refused, by a word of the reason.
var refusals = map[string][]string{
	"random": {"RANDOMKEY", "SRANDMEMBER @k", "HRANDFIELD @k", "ZRANDMEMBER @k", "SPOP @k"},
	"blocks": {"BLPOP @k 0", "BRPOP @k 0", "BLMOVE @k @K LEFT LEFT 0",
		"BZPOPMIN @k 0", "XREAD BLOCK 0 STREAMS @k 0", "WAIT 1 0"},
	"time":   {"TTL @k", "PTTL @k", "EXPIRETIME @k", "OBJECT IDLETIME @k", "TIME"},
	"whole":  {"KEYS *", "SCAN 0", "DBSIZE", "FLUSHALL", "FLUSHDB", "SWAPDB 0 1"},
	"cursor": {"HSCAN @k 0", "SSCAN @k 0", "ZSCAN @k 0"},
	"answers": {"GETEX @k", "GETDEL @k", "GETSET @k v", "PFCOUNT @k", "LMOVE @k @K LEFT LEFT", "ZPOPMIN @k",
		"SETNX @k v", "SET @k v NX", "SET @k v XX", "SET @k v GET", "ZADD @k INCR 1 m"},
	"other":                   {"SUNIONSTORE @k @K", "ZUNIONSTORE @k 1 @K", "BITOP NOT @k @K", "RENAME @k @K", "XADD @k 1-1 f v"},
	"transaction of its own":  {"MULTI", "EXEC", "DISCARD", "WATCH @k", "UNWATCH"},
	"script":                  {"EVAL return 0", "EVALSHA x 0", "FCALL x 0", "SCRIPT FLUSH"},
	"connection":              {"SELECT 1", "AUTH x", "CONFIG GET *", "INFO", "PUBLISH c x", "SUBSCRIBE c", "QUIT"},
	"SET with EX":             {"SETEX @k 10 v", "PSETEX @k 10 v"},
	"use HSET":                {"HMSET @k f v"},
	"it is not in the tables": {"GEOADD @k 1 1 m", "NOSUCHCOMMAND @k", ""},
	"wrong number of arguments": {"GET", "GET @k @K", "SET @k", "MSET @k v @K", "HSET @k f",
		"HSET @k f v g", "ZADD @k 1", "XADD @k *", "DEL"},
	"is not an integer":         {"INCRBY @k x", "INCRBY @k 9223372036854775808", "LSET @k x v", "LRANGE @k 0 x", "HINCRBY @k f 1.5"},
	"is not a finite number":    {"INCRBYFLOAT @k inf", "INCRBYFLOAT @k nan", "HINCRBYFLOAT @k f x", "ZINCRBY @k inf m"},
	"is not a number":           {"ZADD @k x m", "ZCOUNT @k x 1"},
	"512 MiB":                   {"SETRANGE @k 536870912 v"},
	"the offset of a bit":       {"SETBIT @k 4294967296 1"},
	"a bit":                     {"SETBIT @k 0 2"},
	"no option":                 {"SET @k v SOON", "LINSERT @k BESIDE a b", "ZRANGE @k 0 1 BYNAME"},
	"exclude each other":        {"SET @k v EX 1 KEEPTTL", "ZADD @k NX XX 1 m", "ZADD @k GT LT 1 m"},
	"LIMIT needs":               {"ZRANGE @k 0 1 LIMIT 0 1"},
	"not a time that Redis can": {"SET @k v EX 0", "SET @k v PX -1", "EXPIRE @k 9223372036854775807", "EXPIRE @k soon"},
	"is not - or +":             {"ZRANGEBYLEX @k a b", "ZREMRANGEBYLEX @k a b", "XRANGE @k x y"},
	"is not the id of an entry": {"XDEL @k x"},
}

// What is refused is refused where it is called, by name and with a reason, and the transaction goes on as if it had
// never been asked for.
func TestEverythingElseIsRefusedByName(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		sp := s.space(t, "mine")
		ctx := within(t)
		sp.must(t, commands("SET @k 1; SET @K 2", "")...)
		var known []string // to the server
		if s.name == "redis" {
			for _, about := range must(sp.rdb.Do(ctx, "COMMAND").Slice())(t) {
				known = append(known, strings.ToUpper(about.([]any)[0].(string)))
			}
		}
		for range 2 { // before anything was written, and after
			err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
				refused := func(reason string, args ...any) {
					t.Helper()
					err := tx.Do(ctx, args...).Err()
					if err == nil || !strings.Contains(err.Error(), reason) {
						t.Errorf("%q: %v; it should say %q", args, err, reason)
						return
					}
					if name, is := args[0].(string); is && !strings.Contains(err.Error(), strings.ToUpper(name)) && !strings.Contains(reason, "own") {
						t.Errorf("%q: %v; it should say what", args, err)
					}
				}
				all := func() {
					for reason, lines := range refusals {
						for _, line := range lines {
							one := cmd(line)
							if line == "" {
								one.Args = []string{""}
							}
							refused(reason, sp.args(one)...)
							one.Args[0] = strings.ToLower(one.Args[0])
							refused(reason, sp.args(one)...)
						}
					}
					for _, name := range known {
						if !slices.Contains(readCommands, name) && !slices.Contains(writeCommands, name) {
							refused("cannot be used in a transaction: ", name, sp.key("k"), "1", "2")
						}
					}
					refused("which is neither text nor a number", "SET", sp.key("k"), struct{}{})
					refused("which is neither text nor a number", "SET", sp.key("k"), nil)
					refused("which is neither text nor a number", "SET", sp.key("k"), []string{"v"})
					refused("the name of a command is of", nil)
					refused("the name of a command is of", []string{"GET"})
					refused("a key of Spool's own", "SET", s.key("default", "jobs"), "v")
					refused("a key of Spool's own", "DEL", s.key("another", "jobs"))
					refused("a key of Spool's own", "MSET", sp.key("k"), "v", s.key("default", "meta"), "v")
					many := append([]any{"RPUSH", sp.key("k")}, slices.Repeat([]any{"v"}, 999)...)
					refused("too many arguments", many...)
					if err := tx.Do(ctx).Err(); err == nil || !strings.Contains(err.Error(), "a command has no name") {
						t.Errorf("no command: %v", err)
					}
				}
				all()
				if err := tx.Do(ctx, "INCR", sp.key("k")).Err(); err != nil {
					return err
				}
				all()
				return tx.Do(ctx, "SET", sp.key("K"), "3").Err()
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for line, want := range map[string]string{"GET @k": `"3"`, "GET @K": `"3"`} {
			if got, _ := sp.do(t, cmd(line)); got != want {
				t.Errorf("%s: %s, not %s", line, got, want)
			}
		}
	})
}
