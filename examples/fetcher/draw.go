package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
)

// What a page of the API holds. (The real one had 100 users or 5000 ids; less makes more pages.)
const (
	usersAPage = 100
	idsAPage   = 250
	mostPeople = 1200 // in a list
)

// served is a list of the API. What it holds, and what goes wrong with it, follows from the seed.
type served struct {
	kind    kind
	name    string
	people  []int64 // each once, in order: what a fetch should give
	pages   []*servedPage
	cursors map[int64]int // of the pages
}

type servedPage struct {
	ids      []int64 // with some that were on an earlier page, or are twice on this one
	next     int64   // cursor, 0 on the last page
	failures []int   // statuses that are answered before the page is
	breaks   bool    // and once the connection is lost in the middle of it
	times    int     // that it was answered
}

// drawLists makes the lists of so many names. Friends and followers of a name are the same people in both forms.
func drawLists(seed uint64, names int) []*served {
	chance := rand.New(rand.NewPCG(seed, 0))
	var all []*served
	for i := range names {
		name := fmt.Sprintf("reader %d/%d", i+1, names) // with characters that a path must quote
		friends, followers := drawPeople(chance), drawPeople(chance)
		all = append(all,
			newServed(chance, friendsUsers, name, friends), newServed(chance, followersUsers, name, followers),
			newServed(chance, friendsIDs, name, friends), newServed(chance, followersIDs, name, followers))
	}
	return all
}

func drawPeople(chance *rand.Rand) []int64 {
	people := make([]int64, 0, chance.IntN(mostPeople+1))
	known := make(map[int64]bool, cap(people))
	for len(people) < cap(people) {
		if n := 1 + chance.Int64N(1_000_000); !known[n] {
			known[n] = true
			people = append(people, n)
		}
	}
	return people
}

func newServed(chance *rand.Rand, k kind, name string, people []int64) *served {
	l := &served{kind: k, name: name, people: people, cursors: map[int64]int{-1: 0}}
	size := usersAPage
	if k.ids() {
		size = idsAPage
	}
	for at := 0; at == 0 || at < len(people); at += size {
		if at > 0 {
			cursor := 1 + chance.Int64N(1<<60)
			l.cursors[cursor] = len(l.pages)
			l.pages[len(l.pages)-1].next = cursor
		}
		l.pages = append(l.pages, &servedPage{ids: double(chance, people, at, min(at+size, len(people)))})
	}
	l.fail(chance)
	return l
}

// double returns people[from:to] and some that came earlier: in front the last ones of the page before, as if the list had
// grown while it was read, and at the end any others.
func double(chance *rand.Rand, people []int64, from, to int) []int64 {
	var ids []int64
	ids = append(ids, people[from-min(from, chance.IntN(4)):to]...)
	for range chance.IntN(3) {
		if to > 0 {
			ids = append(ids, people[chance.IntN(to)])
		}
	}
	return ids
}

// fail makes some pages fail at first, in no list more often than is tolerated.
func (l *served) fail(chance *rand.Rand) {
	failures := chance.IntN(3)
	if chance.IntN(20) == 0 {
		failures = usual().Errors - 1
	}
	for range failures {
		page := l.pages[chance.IntN(len(l.pages))]
		page.failures = append(page.failures, http.StatusInternalServerError+[]int{0, 2, 3}[chance.IntN(3)])
	}
	l.pages[chance.IntN(len(l.pages))].breaks = chance.IntN(50) == 0
}
