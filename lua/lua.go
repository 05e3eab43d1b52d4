// Package lua holds Spool's scripts, one file a verb. Each begins with a header that says what it does, which keys
// and arguments it takes, what it returns, which states it moves jobs between, why a repeat is safe and what bounds
// its work. README.md has the table of keys and states.
package lua

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed *.lua shared/*.lua shared/kin/*.lua
var files embed.FS

// Script is a script ready to be sent.
type Script struct {
	Verb   string
	Keys   []string // names of its keys, in the order of KEYS; "set" stands for one that the caller chooses
	Open   bool     // keys of the caller's follow: the header ends its list with "..."
	Source string
}

// Load reads and assembles every script. The prelude, empty but in tests, goes in front of each.
//
// Assembling is concatenation: the shared files that a header names under "with:", and always common.lua, stand
// before the script, but after its first paragraph, which is the header and the names of its keys and arguments.
func Load(prelude string) (map[string]Script, error) {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, err
	}
	scripts := make(map[string]Script)
	for _, entry := range entries {
		verb, ok := strings.CutSuffix(entry.Name(), ".lua")
		if !ok {
			continue
		}
		script, err := assemble(verb, prelude)
		if err != nil {
			return nil, fmt.Errorf("lua/%s.lua: %w", verb, err)
		}
		scripts[verb] = script
	}
	return scripts, nil
}

func assemble(verb, prelude string) (Script, error) {
	text, err := files.ReadFile(verb + ".lua")
	if err != nil {
		return Script{}, err
	}
	head, body, ok := strings.Cut(string(text), "\n\n")
	if !ok {
		return Script{}, fmt.Errorf("no empty line after the header")
	}
	script := Script{Verb: verb, Keys: strings.Fields(Field(head, "keys"))}
	if n := len(script.Keys); n > 0 && script.Keys[n-1] == "..." {
		script.Keys, script.Open = script.Keys[:n-1], true
	}
	var source strings.Builder
	source.WriteString(prelude)
	// Comments cost nothing to run but are sent and hashed with every load.
	source.WriteString(strip(head))
	for _, name := range append([]string{"common"}, strings.Fields(Field(head, "with"))...) {
		shared, err := files.ReadFile("shared/" + name + ".lua")
		if err != nil {
			return Script{}, err
		}
		all, err := include(name, string(shared))
		if err != nil {
			return Script{}, err
		}
		source.WriteString(strip(all))
	}
	source.WriteString(strip(body))
	script.Source = source.String()
	return script, nil
}

// include puts the files that a shared file names in a line "-- include:", from the folder of its name, in that place.
func include(name, text string) (string, error) {
	before, rest, ok := strings.Cut(text, "-- include: ")
	if !ok {
		return text, nil
	}
	line, after, _ := strings.Cut(rest, "\n")
	for _, part := range strings.Fields(line) {
		b, err := files.ReadFile("shared/" + name + "/" + part + ".lua")
		if err != nil {
			return "", err
		}
		before += string(b)
	}
	return before + after, nil
}

// Field returns one field of a script's header, its lines joined by blanks, or "".
func Field(head, name string) string {
	var found []string
	in := false
	for _, line := range strings.Split(head, "\n") {
		text, ok := strings.CutPrefix(line, "-- ")
		if !ok {
			break
		}
		label, rest, has := strings.Cut(text, ":")
		switch {
		case has && label == name:
			in, text = true, rest
		case has && !strings.ContainsAny(label, " '|{"):
			in = false
		}
		if in {
			found = append(found, strings.TrimSpace(text))
		}
	}
	return strings.Join(found, " ")
}

// strip drops the lines that are only a comment or empty.
func strip(text string) string {
	var out strings.Builder
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "--") {
			out.WriteString(line)
			out.WriteByte('\n')
		}
	}
	return out.String()
}
