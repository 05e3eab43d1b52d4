package failure

import "testing"

// TW-26: what "outside the catch point" means.
func TestOwnFrames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fn, file string
		own      bool
	}{
		{"github.com/spooljobs/spool.(*Worker).run", "worker.go", true},
		{"github.com/spooljobs/spool.Await[...]", "reactor.go", true},
		{"github.com/spooljobs/spool/internal/store.Claim", "store.go", true},
		{"github.com/spooljobs/spool.TestPut.func1", "put_test.go", false},
		{"github.com/spooljobs/spool_test.TestPut", "put_test.go", false},
		{"github.com/spooljobs/spool/examples/bank.transfer", "main.go", false},
		{"github.com/spooljobs/spooling.Run", "run.go", false},
		{"github.com/spooljobs/spool-extra.Run", "run.go", false},
		{"example.com/fork/github.com/spooljobs/spool.Run", "run.go", false},
		{"main.handle", "main.go", false},
		{"", "", false},
	} {
		if got := isOwn(Frame{Func: c.fn, File: c.file}); got != c.own {
			t.Errorf("%s in %s: %v", c.fn, c.file, got)
		}
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"12345", "12345"},
		{"123456", "12345[...]"},
		{"12345[...]", "12345[...]"},
		{"123456[...]", "12345[...]"},
		{"1[...]", "1[...]"},
		{"ääääää", "äääää[...]"},
		{"\xff\xff\xe2\x82", "\ufffd\ufffd\ufffd\ufffd"},
	} {
		if got := cut(c.in, 5, 1000); got != c.want {
			t.Errorf("cut(%q) = %q, want %q", c.in, got, c.want)
		}
	}
	for _, c := range []struct{ in, want string }{
		{"/a/b.go", "/a/b.go"},
		{"/src/a/b.go", "[...]/a/b.go"},
		{"[...]/a/b.go", "[...]/a/b.go"},
	} {
		if got := cutFront(c.in, 7); got != c.want {
			t.Errorf("cutFront(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func FuzzCut(f *testing.F) {
	f.Add("text", 3, 10)
	f.Add("\xff\xe2\x82<>[...]", 2, 9)
	f.Fuzz(func(t *testing.T, s string, runes, limit int) {
		runes, limit = min(max(runes, 0), 100), min(max(limit, 0), 100)
		once := cut(s, runes, limit)
		if again := cut(once, runes, limit); again != once {
			t.Fatalf("%q became %q became %q", s, once, again)
		}
		if n := costOf(once); n > limit+len(mark) {
			t.Fatalf("%q costs %d", once, n)
		}
		once = cutFront(s, limit)
		if again := cutFront(once, limit); again != once {
			t.Fatalf("front: %q became %q became %q", s, once, again)
		}
	})
}
