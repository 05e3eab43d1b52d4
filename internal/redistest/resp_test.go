package redistest

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadCommand(t *testing.T) {
	t.Parallel()
	in := "*2\r\n$3\r\nGET\r\n$1\r\na\r\n" + "*1\r\n$0\r\n\r\n" + "  set  a set\r\n" + "ping\n" + "\r\n" + "*0\r\n" + "*-1\r\n"
	want := [][]string{{"GET", "a"}, {""}, {"set", "a", "set"}, {"ping"}, nil, nil, nil}
	w := newWire(iotest.OneByteReader(strings.NewReader(in)))
	var all []byte
	for i, words := range want {
		if err := w.command(); err != nil {
			t.Fatalf("command %d: %v", i, err)
		}
		var got []string
		for i := range w.words {
			got = append(got, string(w.word(i)))
		}
		if !slices.Equal(got, words) {
			t.Errorf("command %d: %q, want %q", i, got, words)
		}
		all = append(all, w.raw...)
	}
	if string(all) != in {
		t.Errorf("bytes changed: %q", all)
	}
	if err := w.command(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestReadReply(t *testing.T) {
	t.Parallel()
	units := []string{
		"+OK\r\n", "-ERR no\r\n", ":-7\r\n", "$2\r\nhi\r\n", "$-1\r\n", "$0\r\n\r\n", "*-1\r\n", "*0\r\n",
		"*2\r\n*1\r\n:1\r\n$1\r\n\r\r\n", "_\r\n", "#t\r\n", ",1.5\r\n", "(12345678901234567890\r\n",
		"!3\r\nERR\r\n", "=7\r\ntxt:abc\r\n", "%1\r\n+k\r\n*1\r\n:1\r\n", "~2\r\n:1\r\n:2\r\n",
		">2\r\n$3\r\nfoo\r\n:1\r\n", "|1\r\n+a\r\n+b\r\n*1\r\n:1\r\n", "*1\r\n|1\r\n+a\r\n+b\r\n:1\r\n",
		strings.Repeat("*1\r\n", 100_000) + ":1\r\n",       // a depth that would be a problem for recursion
		"+" + strings.Repeat("x", 200<<10) + "\r\n",        // longer than the buffer
		"$200000\r\n" + strings.Repeat("\n", 2e5) + "\r\n", // line feeds inside
	}
	w := newWire(strings.NewReader(strings.Join(units, "")))
	for _, want := range units {
		if err := w.reply(); err != nil {
			t.Fatalf("%.20q: %v", want, err)
		}
		if string(w.raw) != want {
			t.Fatalf("got %.20q, want %.20q", w.raw, want)
		}
	}
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"*x\r\n", "*1\r\n+OK\r\n", "*1\r\n$-1\r\n", "*1\r\n$3\r\nabcde", "*99999999\r\n", "*1\r\n\r\n", "*1\r\n$99999999999\r\n"} {
		if err := newWire(strings.NewReader(in)).command(); !errors.Is(err, errMalformed) {
			t.Errorf("command %q: %v", in, err)
		}
	}
	for _, in := range []string{"\r\n", "hello\r\n", "*?\r\n", "$?\r\n", "$3\r\nabcde", "+" + strings.Repeat("x", 2<<20)} {
		if err := newWire(strings.NewReader(in)).reply(); !errors.Is(err, errMalformed) {
			t.Errorf("reply %.20q: %v", in, err)
		}
	}
}

// A length announced and not delivered must not be believed.
func TestAnnouncedLengthCostsNothing(t *testing.T) {
	t.Parallel()
	w := newWire(strings.NewReader("$536870912\r\nabc"))
	if err := w.reply(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
	if cap(w.raw) > 1<<20 {
		t.Errorf("%d bytes for a promise", cap(w.raw))
	}
}

// Whatever comes: no panic, and every byte is either in what was read or still
// to come, unchanged and in order.
func FuzzWire(f *testing.F) {
	f.Add([]byte("*2\r\n$3\r\nGET\r\n$1\r\na\r\nping\r\n"))
	f.Add([]byte("*2\r\n*1\r\n:1\r\n$1\r\na\r\n|1\r\n+a\r\n+b\r\n>1\r\n+x\r\n%1\r\n+k\r\n_\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		for name, read := range map[string]func(*wire) error{"command": (*wire).command, "reply": (*wire).reply} {
			w := newWire(bytes.NewReader(in))
			var g ledger
			var out []byte
			var err error
			for err == nil {
				err = read(w)
				out = append(out, w.raw...)
				if err == nil && name == "command" && len(w.words) > 0 {
					g.expect(classify(w), Pass())
				}
				if err == nil && name == "reply" {
					g.match(w.raw)
				}
			}
			if errors.Is(err, errMalformed) {
				rest, _ := io.ReadAll(w.r)
				out = append(out, rest...)
			}
			if !bytes.Equal(out, in) {
				t.Errorf("%s: %q became %q (%v)", name, in, out, err)
			}
		}
	})
}
