package redistest

import (
	"strings"
	"testing"
)

// Each case is a conversation on one connection. "> X" is a request, with a
// fault on its reply if it ends in "!". "< X" is a reply, and what follows "="
// is what the ledger must say of it: which of "matched", "fault", "stream",
// "cut". "cut" alone draws the line for a cut, with "= now" if it is due.
func TestLedger(t *testing.T) {
	t.Parallel()
	for name, talk := range map[string]string{
		"one for one": `
			> GET a; > GET b !; < +1 = matched; < +2 = matched fault; < +3 =`,
		"a push is nobody's reply": `
			> HELLO 3; < %0 = matched; > GET a !; < >message =; < +1 = matched fault`,
		"version 3: confirmations, then replies go on": `
			> HELLO 3; > SUBSCRIBE a b; > GET k !; < %0 = matched
			< >subscribe = matched; < >message =; < >subscribe =; < +1 = matched fault`,
		"version 3: the fault is on the first confirmation": `
			> HELLO 3; < %0 = matched; > SSUBSCRIBE a b !; < >ssubscribe = matched fault; < >ssubscribe =`,
		"version 3: a failed SUBSCRIBE has a reply": `
			> HELLO 3; < %0 = matched; > SUBSCRIBE a; > GET k !; < -ERR = matched; < +1 = matched fault`,
		"version 3: UNSUBSCRIBE of unknown many": `
			> HELLO 3; < %0 = matched; > UNSUBSCRIBE; > GET k !
			< >unsubscribe = matched; < >unsubscribe =; < +1 = matched fault`,
		"version 2: SUBSCRIBE makes a stream": `
			> GET k !; > SUBSCRIBE a !; > PING !; < +1 = matched fault
			< *3 = matched fault stream; < *3 = stream; < *2 = stream`,
		"HELLO 3 refused: still version 2": `
			> HELLO 3; < -NOPROTO = matched; > SUBSCRIBE a; < *3 = matched stream`,
		"HELLO 3 refused behind its back": `
			> HELLO 3; > SUBSCRIBE a; < -NOPROTO = matched; < *3 = matched stream`,
		"back to version 2": `
			> HELLO 3; < %0 = matched; > HELLO 2; < *0 = matched; > PSUBSCRIBE a; < *3 = matched stream`,
		"RESET is back to version 2": `
			> HELLO 3; < %0 = matched; > RESET; < +RESET = matched; > SUBSCRIBE a; < *3 = matched stream`,
		"HELLO alone changes nothing": `
			> HELLO 3; < %0 = matched; > HELLO; < %0 = matched; > SUBSCRIBE a; < >subscribe = matched`,
		"MONITOR is a stream":       `> HELLO 3; < %0 = matched; > MONITOR; < +OK = matched stream; < +line = stream`,
		"CLIENT REPLY OFF":          `> CLIENT REPLY OFF; > GET k !; < +1 = matched stream`,
		"CLIENT REPLY ON, CLIENT x": `> CLIENT REPLY ON; < +OK = matched; > CLIENT ID !; < :1 = matched fault`,
		"a cut with nothing open":   `cut = now`,
		"a cut behind two":          `> GET a; > GET b; cut =; < +1 = matched; < +2 = matched cut`,
		"a cut behind confirmations": `
			> HELLO 3; < %0 = matched; > SUBSCRIBE a b; cut =; < >subscribe = matched; < >subscribe = cut`,
		"a cut behind UNSUBSCRIBE": `
			> HELLO 3; < %0 = matched; > UNSUBSCRIBE; cut =; < >unsubscribe = matched cut`,
		"a cut of a stream": `> MONITOR; < +OK = matched stream; cut = now`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var g ledger
			for _, step := range strings.FieldsFunc(talk, func(r rune) bool { return r == ';' || r == '\n' }) {
				step, want, _ := strings.Cut(strings.TrimSpace(step), "=")
				step, want = strings.TrimSpace(step), strings.TrimSpace(want)
				if got := take(t, &g, step); got != want {
					t.Fatalf("%s: %q, want %q", step, got, want)
				}
			}
		})
	}
}

// take applies one step to g and returns what it says.
func take(t *testing.T, g *ledger, step string) string {
	t.Helper()
	kind, rest, _ := strings.Cut(step, " ")
	var said []string
	say := func(word string, yes bool) {
		if yes {
			said = append(said, word)
		}
	}
	switch kind {
	case "":
	case "cut":
		say("now", g.cut())
	case ">":
		line, faulty := strings.CutSuffix(rest, " !")
		w := newWire(strings.NewReader(line + "\r\n"))
		if err := w.command(); err != nil {
			t.Fatal(err)
		}
		action := Pass()
		if faulty {
			action = DropReply()
		}
		g.expect(classify(w), action)
	case "<":
		if push, ok := strings.CutPrefix(rest, ">"); ok {
			rest = ">1\r\n$" + "9\r\n" + push
		}
		a := g.match([]byte(rest + "\r\n"))
		say("matched", a.matched)
		say("fault", a.action.kind == dropReply)
		say("stream", a.stream)
		say("cut", a.cut)
	default:
		t.Fatalf("bad step %q", step)
	}
	return strings.Join(said, " ")
}
