package store

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spooljobs/spool/lua"
)

// The table of keys, that of lua/README.md and what the scripts declare are the same.
func TestKeysAreThoseOfTheREADMEAndTheScripts(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../lua/README.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]string)
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z]+)(:<lane>)?` \\| (hash|zset|list) \\|").FindAllStringSubmatch(string(text), -1) {
		if m[2] == "" {
			documented[m[1]] = m[3]
			continue
		}
		documented[m[1]+":thread"], documented[m[1]+":reactor"] = m[3], m[3]
	}
	same(t, "keys of the README", documented, table)
	scripts, err := lua.Load("")
	if err != nil {
		t.Fatal(err)
	}
	used := make(map[string]string)
	for _, s := range scripts {
		for _, key := range s.Keys {
			if key != "set" {
				used[key] = table[key]
			}
		}
	}
	same(t, "keys of the scripts", used, table)
}

func TestKeysShareTheirHashTag(t *testing.T) {
	t.Parallel()
	tag, name, ok := split(Tag("pre-fix:x", "queue") + ":ready:thread")
	if !ok || tag != "pre-fix:x:queue" || name != "ready:thread" {
		t.Errorf("%q, %q, %v", tag, name, ok)
	}
	for _, key := range []string{"", "{", "x{a}:b", "{a}b", strings.Repeat("{", 9)} {
		if _, _, ok := split(key); ok {
			t.Errorf("%q is taken for a key of ours", key)
		}
	}
}
