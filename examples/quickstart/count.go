package main

import (
	"bufio"
	"cmp"
	"context"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/docs"
)

const queue = "quickstart"

// countWords counts one text. Its argument says where the text is and does not carry it. What is put lies in Redis's
// memory and has at most 1 MiB by default, and a file may have any size. It works because producer and worker see the
// same files: they are one process. Workers on other machines would be given an address that they can read, too.
//
// The result is wanted once, at once: it is kept for a minute.
var countWords = spool.NewTask[text, map[string]int]("quickstart.count", spool.In(queue), spool.Keep(time.Minute))

// text is a file on this machine or, without a path, a document that the program carries.
type text struct {
	Name string
	Path string
}

func (t text) open() (io.ReadCloser, error) {
	if t.Path == "" {
		return docs.Files().Open(t.Name)
	}
	return os.Open(t.Path)
}

// documents are the texts that the program carries.
func documents() ([]text, error) {
	names, err := fs.Glob(docs.Files(), "*.md")
	list := make([]text, len(names))
	for i, name := range names {
		list[i] = text{Name: name}
	}
	return list, err
}

// count is the handler: a function that knows nothing of queues. A file that cannot be read fails the job; the error
// comes back from Wait.
func count(ctx context.Context, t text) (map[string]int, error) {
	r, err := t.open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	words := make(map[string]int)
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, math.MaxInt) // a word may be long
	scanner.Split(bufio.ScanWords)
	for n := 0; scanner.Scan(); n++ {
		if n%10_000 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		words[strings.ToLower(scanner.Text())]++
	}
	return words, scanner.Err()
}

// frequent returns the n most frequent words, the most frequent first; equally frequent ones by the alphabet.
func frequent(words map[string]int, n int) []string {
	before := func(a, b string) int {
		return cmp.Or(cmp.Compare(words[b], words[a]), cmp.Compare(a, b))
	}
	var list []string
	for word := range words {
		at, _ := slices.BinarySearchFunc(list, word, before)
		if at < n {
			list = slices.Insert(list, at, word)
			list = list[:min(n, len(list))]
		}
	}
	return list
}
