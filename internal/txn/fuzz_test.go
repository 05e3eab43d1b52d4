package txn

import (
	"strings"
	"testing"
)

// Whatever is parsed, and whatever Redis is said to have answered, a log neither panics nor loses its head: its writes
// are commands of the table, and a read that is answered from memory is answered as it was.
func FuzzParse(f *testing.F) {
	for _, line := range right {
		f.Add(strings.ReplaceAll(line, " ", "\n"), "x")
	}
	for _, w := range wrong {
		f.Add(strings.ReplaceAll(w.line, " ", "\n"), "")
	}
	f.Add("GET\nk\n\nINCR\nk\n\nHGET\nk\n\n\nHINCRBY\nk\n\n5", "5")
	f.Fuzz(func(t *testing.T, script, reply string) {
		var l Log
		for line := range strings.SplitSeq(script, "\n\n") {
			c, err := parse(strings.Split(line, "\n"))
			if err != nil {
				if c != nil {
					t.Errorf("%q: a command and the error %v", line, err)
				}
				continue
			}
			if len(c.Keys) == 0 {
				t.Errorf("%q: no keys", line)
			}
			if again, err := parse(c.Args); err != nil || identity(again.Args) != identity(c.Args) {
				t.Errorf("%q: parsed again: %v %v", line, again, err)
			}
			if !c.Reads() {
				_ = l.Write(c)
				continue
			}
			if _, known, err := l.Answer(c); known || err != nil {
				continue
			}
			l.Remember(c, reply, Mark(reply))
			l.Remember(c, []any{reply, nil, int64(len(reply))}, "list")
			if got, known, err := l.Answer(c); err != nil || !known || len(got.([]any)) != 3 {
				t.Errorf("%q: answered %v %v %v", line, got, known, err)
			}
		}
		for _, w := range l.Writes() {
			if c, err := parse(w); err != nil || c.Reads() {
				t.Errorf("%q would be written: %v", w, err)
			}
		}
		for _, c := range l.Checks() {
			if len(c.Args) < 2 || len(c.Args) > 3 {
				t.Errorf("check %v", c)
			}
		}
	})
}
