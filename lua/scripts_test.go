package lua_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool/internal/redistest"
	"github.com/spooljobs/spool/lua"
)

// text is a script as it stands in its file.
type text struct {
	verb string
	head string // the first paragraph
	all  string
}

func texts(t *testing.T) []text {
	t.Helper()
	var found []text
	for _, path := range glob(t, "*.lua") {
		all := read(t, path)
		head, _, ok := strings.Cut(all, "\n\n")
		if !ok {
			t.Fatalf("%s: no empty line after its head", path)
		}
		found = append(found, text{strings.TrimSuffix(path, ".lua"), head, all})
	}
	return found
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %v, %v", pattern, paths, err)
	}
	return paths
}

// read returns a file, with what it includes.
func read(t *testing.T, path string) string {
	t.Helper()
	all := raw(t, path)
	before, rest, ok := strings.Cut(all, "-- include: ")
	if !ok {
		return all
	}
	line, after, _ := strings.Cut(rest, "\n")
	for _, name := range strings.Fields(line) {
		before += raw(t, strings.TrimSuffix(path, ".lua")+"/"+name+".lua")
	}
	return before + after
}

func raw(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Every header says what the script is for, its keys and arguments, what it returns and moves, why a repeat is safe,
// and what bounds it.
func TestHeaders(t *testing.T) {
	for _, s := range texts(t) {
		for _, field := range []string{s.verb, "keys", "args", "returns", "moves", "repeat", "bound"} {
			if lua.Field(s.head, field) == "" {
				t.Errorf("%s.lua: the header has no %s", s.verb, field)
			}
		}
		if !strings.HasPrefix(s.all, "-- "+s.verb+": ") {
			t.Errorf("%s.lua does not begin with its name and purpose", s.verb)
		}
	}
}

// keysOf are the keys that a header declares, but for those of the caller's, "...", which can only follow.
func keysOf(s text) []string {
	names := strings.Fields(lua.Field(s.head, "keys"))
	if n := len(names); n > 0 && names[n-1] == "..." {
		names = names[:n-1]
	}
	return names
}

// What a header declares is bound in the first paragraph, in order and completely; nothing else is.
func TestKeysAndArgumentsAreBound(t *testing.T) {
	key, arg := regexp.MustCompile(`KEYS\[(\d+)\]`), regexp.MustCompile(`ARGV\[(\d+)\]`)
	for _, s := range texts(t) {
		_, body, _ := strings.Cut(s.all, "\n\n")
		if strings.Contains(body, "KEYS") {
			t.Errorf("%s.lua: KEYS is used beyond the first paragraph", s.verb)
		}
		names := keysOf(s)
		if got := numbers(key, s.head); !slices.Equal(got, upTo(len(names))) {
			t.Errorf("%s.lua: it declares %d keys and binds %v", s.verb, len(names), got)
		}
		if got := numbers(arg, s.head); !slices.Equal(got, upTo(len(got))) {
			t.Errorf("%s.lua: it binds the arguments %v", s.verb, got)
		}
		args := lua.Field(s.head, "args")
		if declared := args != "none"; declared != strings.Contains(s.all, "ARGV") {
			t.Errorf("%s.lua: args are %q, ARGV used: %v", s.verb, args, !declared)
		}
		// Fixed arguments are bound one by one; only those of a list are reached by a computed index.
		for _, n := range numbers(arg, body) {
			if n > len(numbers(arg, s.head)) {
				t.Errorf("%s.lua: ARGV[%d] is not bound in the first paragraph", s.verb, n)
			}
		}
		for i, name := range names {
			if slices.Contains(names[:i], name) {
				t.Errorf("%s.lua: %s is declared twice", s.verb, name)
			}
			checkBinding(t, s, name, i+1)
		}
	}
}

// checkBinding: the local that KEYS[n] is bound to has the key's name, or the first part of it in a table by lane.
func checkBinding(t *testing.T, s text, name string, n int) {
	t.Helper()
	base, _, _ := strings.Cut(name, ":")
	for _, line := range strings.Split(s.head, "\n") {
		before, _, has := strings.Cut(line, fmt.Sprintf("KEYS[%d]", n))
		if has && strings.HasPrefix(line, "--") {
			t.Errorf("%s.lua: KEYS[%d] stands in a comment", s.verb, n)
		}
		if !has {
			continue
		}
		left, _, _ := strings.Cut(line, " = ")
		if !regexp.MustCompile(`\b` + base + `\b`).MatchString(left + before) {
			// A list of sets that are treated alike.
			if !regexp.MustCompile(`\b(sets|pending)\b`).MatchString(left) && !strings.Contains(before, "[") {
				t.Errorf("%s.lua: KEYS[%d] is %s and is bound to another name: %s", s.verb, n, name, line)
			}
		}
		return
	}
}

func numbers(re *regexp.Regexp, text string) []int {
	found := map[int]bool{}
	for _, m := range re.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(m[1])
		found[n] = true
	}
	var list []int
	for n := range found {
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}

func upTo(n int) []int {
	var list []int
	for i := range n {
		list = append(list, i+1)
	}
	return list
}

var variable = regexp.MustCompile(`(?m)^local (\w+) =`)

var function = regexp.MustCompile(`(?m)^local function (\w+)`)

// explanation is what a list of needs says in brackets.
var explanation = regexp.MustCompile(` *\([^)]*\)`)

// named is the script of a verb.
func named(t *testing.T, verb string) text {
	t.Helper()
	all := texts(t)
	i := slices.IndexFunc(all, func(s text) bool { return s.verb == verb })
	if i < 0 {
		t.Fatalf("there is no %s.lua", verb)
	}
	return all[i]
}

// Every shared file that is named exists and is used; what a script calls of a shared file, it names; and the names a
// shared file needs are there.
func TestSharedFiles(t *testing.T) {
	owner := map[string]string{} // function to file
	needs := map[string][]string{}
	for _, path := range glob(t, "shared/*.lua") {
		name := strings.TrimSuffix(filepath.Base(path), ".lua")
		all := read(t, path)
		if !strings.HasPrefix(all, "-- "+name+": ") {
			t.Errorf("%s does not begin with its name and purpose", path)
		}
		for _, m := range function.FindAllStringSubmatch(all, -1) {
			owner[m[1]] = name
		}
		if need := lua.Field(all, "needs"); need != "" {
			needs[name] = regexp.MustCompile(`, *`).Split(explanation.ReplaceAllString(need, ""), -1)
		}
	}
	keysOfAdvance := keysOf(named(t, "advance"))
	used := map[string]bool{"common": true}
	for _, s := range texts(t) {
		with := strings.Fields(lua.Field(s.head, "with"))
		before := strings.Builder{}
		for _, name := range with {
			if strings.Contains(name, "/") {
				continue // a part of a shared file by itself
			}
			all := read(t, "shared/"+name+".lua")
			used[name] = true
			calls := false
			for _, m := range variable.FindAllStringSubmatch(all, -1) {
				calls = calls || uses(s.all, m[1]) || usesOfOthers(t, with, name, m[1])
			}
			for fn, file := range owner {
				if file == name && (callsOf(s.all, fn) || callsOfOthers(t, with, name, fn)) {
					calls = true
				}
			}
			if !calls {
				t.Errorf("%s.lua: it names %s and uses nothing of it", s.verb, name)
			}
			wanted := needs[name]
			if i := slices.Index(wanted, "the keys of advance"); i >= 0 {
				wanted = slices.Concat(wanted[:i], keysOfAdvance, wanted[i+1:])
			}
			for _, need := range wanted {
				base, _, _ := strings.Cut(need, ":")
				if !regexp.MustCompile(`(?m)^local .*\b` + base + `\b`).MatchString(s.head) {
					t.Errorf("%s.lua: %s needs %s", s.verb, name, need)
				}
			}
			// In Lua a local function is known from its definition on: a shared file can use those before it.
			for fn, file := range owner {
				if file != name && file != "common" && callsOf(all, fn) && !strings.Contains(before.String(), "local function "+fn) {
					t.Errorf("%s.lua: %s calls %s, which is not before it", s.verb, name, fn)
				}
			}
			before.WriteString(all)
		}
		for fn, file := range owner {
			if file != "common" && callsOf(s.all, fn) && !slices.Contains(with, file) && !slices.ContainsFunc(with, func(name string) bool { return strings.HasPrefix(name, file+"/") }) && !strings.Contains(s.all, "function "+fn) {
				t.Errorf("%s.lua: it calls %s and does not name %s", s.verb, fn, file)
			}
		}
	}
	for _, path := range glob(t, "shared/*.lua") {
		if name := strings.TrimSuffix(filepath.Base(path), ".lua"); !used[name] {
			t.Errorf("nothing uses %s", path)
		}
	}
}

// The first paragraph stands before the shared files: it can use nothing of them, not even the time.
func TestFirstParagraphsStandAlone(t *testing.T) {
	for _, path := range glob(t, "shared/*.lua") {
		all := read(t, path)
		for _, s := range texts(t) {
			for _, m := range variable.FindAllStringSubmatch(all, -1) {
				if regexp.MustCompile(`[^\w.'"]` + m[1] + `\b`).MatchString(afterEqual(s.head)) {
					t.Errorf("%s.lua: the first paragraph uses %s of %s", s.verb, m[1], path)
				}
			}
			for _, m := range function.FindAllStringSubmatch(all, -1) {
				if callsOf(s.head, m[1]) {
					t.Errorf("%s.lua: the first paragraph calls %s of %s", s.verb, m[1], path)
				}
			}
		}
	}
}

// afterEqual is what the locals of a paragraph are bound to.
func afterEqual(head string) string {
	var values []string
	for _, line := range strings.Split(code(head), "\n") {
		_, value, _ := strings.Cut(line, " = ")
		values = append(values, " "+value)
	}
	return strings.Join(values, "\n")
}

func callsOf(text, fn string) bool {
	return regexp.MustCompile(`(^|[^\w.:'])` + fn + `\(`).MatchString(code(text))
}

func callsOfOthers(t *testing.T, with []string, not, fn string) bool {
	for _, name := range with {
		if name != not && callsOf(read(t, "shared/"+name+".lua"), fn) {
			return true
		}
	}
	return false
}

func uses(text, variable string) bool {
	return regexp.MustCompile(`\b` + variable + `\b`).MatchString(code(text))
}

func usesOfOthers(t *testing.T, with []string, not, variable string) bool {
	return slices.ContainsFunc(with, func(name string) bool {
		return name != not && uses(read(t, "shared/"+name+".lua"), variable)
	})
}

// code is a script without its comments.
func code(text string) string {
	var kept []string
	for _, line := range strings.Split(text, "\n") {
		if trimmed := strings.TrimSpace(line); !strings.HasPrefix(trimmed, "--") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

// k1: the subset of Lua and of Redis that every server has, and words that no client takes for an error of the server.
func TestScriptsKeepToWhatEveryServerHas(t *testing.T) {
	banned := regexp.MustCompile(`\b(cjson|cmsgpack|bit|struct|loadstring|dofile|require|os\.|io\.|table\.getn|goto|RANDOMKEY|KEYS \*|SCAN|redis\.setresp|redis\.replicate_commands)\b`)
	words := regexp.MustCompile(`(?:return|=) ?\{ ?'([^']*)'`)
	reserved := []string{"READONLY", "LOADING", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "NOREPLICAS", "NOSCRIPT", "MOVED", "ASK", "BUSY",
		"MISCONF", "UNBLOCKED", "OOM", "ERR", "WRONGTYPE", "EXECABORT", "NOAUTH", "NOPERM"}
	for _, path := range slices.Concat(glob(t, "*.lua"), glob(t, "shared/*.lua"), glob(t, "shared/kin/*.lua")) {
		all := raw(t, path)
		if found := banned.FindString(code(all)); found != "" {
			t.Errorf("%s uses %s", path, found)
		}
		// Commands of the caller's may fail, and that is an answer. What is Spool's own does not fail, or should be heard of.
		if asks := path == "read.lua" || path == "shared/judge.lua"; strings.Contains(code(all), "pcall") != asks {
			t.Errorf("%s: whether it uses pcall should be %v", path, asks)
		}
		if strings.HasPrefix(all, "#!") {
			t.Errorf("%s has a shebang", path)
		}
		if n := strings.Count(all, "\n"); n > 500 {
			t.Errorf("%s has %d lines", path, n)
		}
		if strings.Contains(code(all), "redis.call") != (path == "shared/common.lua") {
			t.Errorf("%s does not leave redis.call to common.lua", path)
		}
		// put asks for the time itself, and seldom.
		if timed := path == "shared/clock.lua" || path == "put.lua"; strings.Contains(code(all), "'TIME'") != timed {
			t.Errorf("%s does not leave the time to clock.lua", path)
		}
		for _, m := range words.FindAllStringSubmatch(code(all), -1) {
			for _, word := range reserved {
				if strings.HasPrefix(strings.ToUpper(m[1]), word) {
					t.Errorf("%s returns the word %q", path, m[1])
				}
			}
		}
	}
}

// a1: no key is made of data. A key is a name that the first paragraph has bound, or one of a table of them.
func TestKeysAreNeverBuilt(t *testing.T) {
	first := regexp.MustCompile(`call\('(\w+)'(?:, ([\w.]+(?:\[[^\]]*\])?|[^,)]+))?`)
	index := regexp.MustCompile(`\[.*\]`) // into a table of keys
	built := regexp.MustCompile(`\.\.|'|ARGV|string\.|num\(`)
	for _, path := range append(glob(t, "*.lua"), glob(t, "shared/*.lua")...) {
		for _, m := range first.FindAllStringSubmatch(code(read(t, path)), -1) {
			if m[1] == "PUBLISH" || m[1] == "TIME" {
				continue
			}
			if m[2] == "" || built.MatchString(index.ReplaceAllString(m[2], "")) {
				t.Errorf("%s: %s of the key %q", path, m[1], m[2])
			}
		}
	}
}

// Every script can be loaded, with and without the strict prelude, and is the same each time.
func TestScriptsLoad(t *testing.T) {
	mini := miniredis.RunT(t)
	t.Run("miniredis", func(t *testing.T) { loadAll(t, mini.Addr()) })
	t.Run("redis", func(t *testing.T) { loadAll(t, redistest.Start(t).Addr()) })
}

func loadAll(t *testing.T, addr string) {
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	defer rdb.Close()
	for _, prelude := range []string{"", redistest.StrictLua} {
		scripts, err := lua.Load(prelude)
		if err != nil {
			t.Fatal(err)
		}
		if len(scripts) != len(glob(t, "*.lua")) {
			t.Errorf("%d scripts of %d files", len(scripts), len(glob(t, "*.lua")))
		}
		for verb, s := range scripts {
			sha, err := rdb.ScriptLoad(context.Background(), s.Source).Result()
			if err != nil || sha != redis.NewScript(s.Source).Hash() {
				t.Errorf("%s: %q, %v", verb, sha, err)
			}
			if s.Verb != verb || len(s.Keys) == 0 && !s.Open || strings.Contains(s.Source, "\n--") {
				t.Errorf("%s: assembled as %q with the keys %v", verb, s.Verb, s.Keys)
			}
		}
	}
}

// A script's locals, shared functions included, stay below the 200 that Lua allows, with room for more. Those within a
// function are its own.
func TestLocalsAreFew(t *testing.T) {
	names := regexp.MustCompile(`(?m)^local (function )?([\w, ]+)`)
	for _, s := range texts(t) {
		parts := []string{s.all, read(t, "shared/common.lua")}
		for _, name := range strings.Fields(lua.Field(s.head, "with")) {
			parts = append(parts, raw(t, "shared/"+name+".lua")) // what is included is within a function
		}
		n := 0
		for _, part := range parts {
			for _, m := range names.FindAllStringSubmatch(part, -1) {
				n += 1 + strings.Count(m[2], ",")
			}
		}
		if n > 160 {
			t.Errorf("%s: %d locals", s.verb, n)
		}
	}
}

func TestField(t *testing.T) {
	head := "-- verb: does it: well.\n-- keys:    a b\n--          c\n-- args:    '+ms' from now | '@ms': at\n-- moves:   nothing\nlocal x = 1\n-- keys: no"
	for field, want := range map[string]string{"verb": "does it: well.", "keys": "a b c", "args": "'+ms' from now | '@ms': at", "moves": "nothing", "with": ""} {
		if got := lua.Field(head, field); got != want {
			t.Errorf("%s: %q", field, got)
		}
	}
}

// The README names every script, every shared file and every key.
func TestREADMENamesEverything(t *testing.T) {
	readme := read(t, "README.md")
	names := map[string]bool{}
	for _, s := range texts(t) {
		names["**`"+s.verb+"`**"] = true
		for _, key := range keysOf(s) {
			if key != "set" {
				base, lane, _ := strings.Cut(key, ":")
				if lane != "" {
					base += ":<lane>"
				}
				names["| `"+base+"` |"] = true
			}
		}
	}
	for _, path := range append(glob(t, "shared/*.lua"), glob(t, "shared/kin/*.lua")...) {
		names["`"+strings.TrimPrefix(path, "shared/")+"`"] = true
	}
	for name := range names {
		if !strings.Contains(readme, name) {
			t.Errorf("README.md does not have %s", name)
		}
	}
}
