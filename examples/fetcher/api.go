package main

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// api is the server whose lists are fetched: an http.Handler. It is slow, fails now and then, and keeps count.
type api struct {
	mux    *http.ServeMux
	lists  []*served
	byPath map[kind]map[string]*served
	total  int // pages

	mu       sync.Mutex // guards what follows, and the failures, breaks and times of pages
	answered int        // pages, each once
	again    int        // pages that had been answered before
	failed   int        // requests answered by a status that is tolerated
	alarms   map[int]chan struct{}
}

func newAPI(seed uint64, names int) *api {
	a := &api{mux: http.NewServeMux(), lists: drawLists(seed, names), byPath: map[kind]map[string]*served{}, alarms: map[int]chan struct{}{}}
	for _, k := range kinds() {
		a.byPath[k] = map[string]*served{}
		a.mux.HandleFunc("GET /1/"+string(k)+"/{name}", func(w http.ResponseWriter, r *http.Request) { a.serve(k, w, r) })
	}
	for _, l := range a.lists {
		a.byPath[l.kind][l.name] = l
		a.total += len(l.pages)
	}
	return a
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// after returns a channel that is closed when so many pages have been answered.
func (a *api) after(pages int) <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	alarm := make(chan struct{})
	a.alarms[pages] = alarm
	return alarm
}

// counts says how many pages have been answered, how many of them once more, and how many requests have failed.
func (a *api) counts() (answered, again, failed int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.answered, a.again, a.failed
}

func (a *api) serve(k kind, w http.ResponseWriter, r *http.Request) {
	name, _ := strings.CutSuffix(r.PathValue("name"), ".json")
	l := a.byPath[k][name]
	cursor, err := strconv.ParseInt(r.FormValue("cursor"), 10, 64)
	if l == nil || err != nil {
		http.NotFound(w, r)
		return
	}
	n, ok := l.cursors[cursor]
	if !ok {
		http.NotFound(w, r)
		return
	}
	page := l.pages[n]
	select {
	case <-time.After(time.Duration(100+len(page.ids)%100) * time.Millisecond):
	case <-r.Context().Done():
		return
	}
	status, breaks := a.decide(page)
	if status != http.StatusOK {
		http.Error(w, "try again", status)
		return
	}
	body := l.encode(page)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if breaks {
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(body)
}

// decide says what becomes of a request, and counts it.
func (a *api) decide(p *servedPage) (status int, breaks bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(p.failures) > 0 {
		status, p.failures = p.failures[0], p.failures[1:]
		a.failed++
		return status, false
	}
	if p.breaks {
		p.breaks = false
		return http.StatusOK, true
	}
	if p.times++; p.times > 1 {
		a.again++
		return http.StatusOK, false
	}
	a.answered++
	if alarm := a.alarms[a.answered]; alarm != nil {
		close(alarm)
	}
	return http.StatusOK, false
}

// encode is a page as JSON. There are three ways to say that it is the last one.
func (l *served) encode(p *servedPage) []byte {
	page := map[string]any{"previous_cursor": 0}
	if l.kind.ids() {
		page[l.kind.key()] = append([]int64{}, p.ids...)
	} else {
		users := make([]user, 0, len(p.ids))
		for _, n := range p.ids {
			users = append(users, user{ID: n, Name: "u" + strconv.FormatInt(n, 36)})
		}
		page[l.kind.key()] = users
	}
	switch {
	case p.next != 0:
		page["next_cursor"] = p.next
	case len(l.people)%3 == 0:
		page["next_cursor"] = 0
	case len(l.people)%3 == 1:
		page["next_cursor"] = nil
	}
	body, err := json.Marshal(page)
	if err != nil {
		panic(err) // numbers and letters can be encoded
	}
	return body
}
