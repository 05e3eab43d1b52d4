package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spooljobs/spool"
)

// answer is one of a script: a status, 200 if it is 0, and a body.
type answer struct {
	status int
	body   string
}

// scripted is an API that answers each cursor by a script, the last line of it again and again. It keeps the cursors, in
// the order in which they were asked for.
type scripted struct {
	script map[string][]answer

	mu    sync.Mutex
	asked []string
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	cursor := r.URL.Query().Get("cursor")
	s.mu.Lock()
	s.asked = append(s.asked, cursor)
	lines := s.script[cursor]
	if len(lines) == 0 {
		s.mu.Unlock()
		http.NotFound(w, r)
		return
	}
	if len(lines) > 1 {
		s.script[cursor] = lines[1:]
	}
	s.mu.Unlock()
	if lines[0].status != 0 {
		w.WriteHeader(lines[0].status)
	}
	_, _ = io.WriteString(w, lines[0].body)
}

func (s *scripted) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func serve(t *testing.T, h http.Handler) (base string) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL + "/1/"
}

// fetchAll fetches a list of the API at a base URL.
func fetchAll[T item](t *testing.T, base string, k kind, b budget) ([]T, place, error) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	p, err := newPager[T](client, base, k, "ada", b)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return p.all(ctx)
}

// H05, TF-1, TF-4.
func TestPagesAreFollowedToTheEnd(t *testing.T) {
	t.Parallel()
	for _, end := range []string{`, "next_cursor": 0`, `, "next_cursor": null`, ``} {
		s := &scripted{script: map[string][]answer{
			"-1": {{0, `{"ids": [1, 2, 3], "next_cursor": 7, "previous_cursor": 0}`}},
			"7":  {{0, `{"ids": [3, 4, 1]` + end + `}`}},
		}}
		got, at, err := fetchAll[id](t, serve(t, s), friendsIDs, usual())
		if err != nil || !slices.Equal(got, []id{1, 2, 3, 4}) || !slices.Equal(s.requests(), []string{"-1", "7"}) {
			t.Errorf("end %q: %v, %v, requests %v", end, got, err, s.requests())
		}
		if (at != place{Pages: 2, Items: 4}) {
			t.Errorf("end %q: %+v", end, at)
		}
	}
}

// H05, TF-4.
func TestUsersAreToldApartByTheirIDs(t *testing.T) {
	t.Parallel()
	s := &scripted{script: map[string][]answer{
		"-1": {{0, `{"users": [{"id": 9, "screen_name": "first"}, {"id": 2, "screen_name": "b", "lang": "en"}, {"id": 9, "screen_name": "again"}], "next_cursor": 5}`}},
		"5":  {{0, `{"users": [{"id": 2, "screen_name": "renamed"}, {"id": 1, "screen_name": "b"}], "next_cursor": 0}`}},
	}}
	got, _, err := fetchAll[user](t, serve(t, s), followersUsers, usual())
	if want := []user{{9, "first"}, {2, "b"}, {1, "b"}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestEmptyLists(t *testing.T) {
	t.Parallel()
	s := &scripted{script: map[string][]answer{"-1": {{0, `{"ids": [], "next_cursor": 3}`}}, "3": {{0, `{"ids": []}`}}}}
	if got, at, err := fetchAll[id](t, serve(t, s), friendsIDs, usual()); len(got) != 0 || at.Pages != 2 || err != nil {
		t.Errorf("%v, %+v, %v", got, at, err)
	}
}

// H05, TF-3. None of these is asked for again.
func TestBadPages(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"nothing":                ``,
		"no JSON":                `<html>over capacity</html>`,
		"cut off":                `{"ids": [1, 2`,
		"more than JSON":         `{"ids": [1]} {}`,
		"a list":                 `[1, 2, 3]`,
		"null":                   `null`,
		"no key":                 `{"next_cursor": 0}`,
		"the key of other items": `{"users": [], "next_cursor": 0}`,
		"null for the items":     `{"ids": null}`,
		"an object":              `{"ids": {}}`,
		"texts":                  `{"ids": ["1"]}`,
		"a fraction":             `{"ids": [1.5]}`,
		"too large an id":        `{"ids": [9223372036854775808]}`,
		"null among the items":   `{"ids": [1, null]}`,
		"a text for the cursor":  `{"ids": [1], "next_cursor": "7"}`,
		"a page of its own":      `{"ids": [1], "next_cursor": -1}`,
	} {
		s := &scripted{script: map[string][]answer{"-1": {{0, body}}}}
		got, at, err := fetchAll[id](t, serve(t, s), friendsIDs, usual())
		if !errors.Is(err, errBadPage) || got != nil || at != start() || len(s.requests()) != 1 {
			t.Errorf("%s: %v, %+v, %v, requests %v", name, got, at, err, s.requests())
		}
	}
	for name, body := range map[string]string{
		"no id":   `{"users": [{"id": 1}, {"screen_name": "b"}]}`,
		"numbers": `{"users": [1]}`,
		"null":    `{"users": [null]}`,
	} {
		s := &scripted{script: map[string][]answer{"-1": {{0, body}}}}
		if got, _, err := fetchAll[user](t, serve(t, s), friendsUsers, usual()); !errors.Is(err, errBadPage) || len(s.requests()) != 1 {
			t.Errorf("users, %s: %v, %v, requests %v", name, got, err, s.requests())
		}
	}
}

// errs is a script of these statuses and then a page.
func errs(body string, statuses ...int) []answer {
	var lines []answer
	for _, status := range statuses {
		lines = append(lines, answer{status, "try again"})
	}
	return append(lines, answer{0, body})
}

// H05, TF-2. The errors of all pages count together.
func TestNineErrorsAreToleratedAndTheTenthIsNot(t *testing.T) {
	t.Parallel()
	script := func(last ...int) *scripted {
		return &scripted{script: map[string][]answer{
			"-1": errs(`{"ids": [1], "next_cursor": 2}`, 500, 502, 503, 500),
			"2":  errs(`{"ids": [2], "next_cursor": 3}`),
			"3":  errs(`{"ids": [3]}`, append([]int{503, 503, 502, 500, 500}, last...)...),
		}}
	}
	s := script()
	got, at, err := fetchAll[id](t, serve(t, s), friendsIDs, usual())
	want := []string{"-1", "-1", "-1", "-1", "-1", "2", "3", "3", "3", "3", "3", "3"}
	if err != nil || !slices.Equal(got, []id{1, 2, 3}) || at.Errors != 9 || !slices.Equal(s.requests(), want) {
		t.Errorf("nine: %v, %+v, %v, requests %v", got, at, err, s.requests())
	}
	s = script(502)
	got, at, err = fetchAll[id](t, serve(t, s), friendsIDs, usual())
	status, ok := errors.AsType[*statusError](err)
	if got != nil || !ok || status.code != 502 || at.Errors != 9 || !slices.Equal(s.requests(), want) {
		t.Errorf("ten: %v, %+v, %v, requests %v", got, at, err, s.requests())
	}
	if text := fmt.Sprint(err); !strings.Contains(text, "/1/friends/ids/ada.json, page 3, after 9 tolerated errors: status 502 Bad Gateway") {
		t.Errorf("it says: %s", text)
	}
}

// H05, TF-2.
func TestOtherStatusesEndTheFetchAtOnce(t *testing.T) {
	t.Parallel()
	for _, code := range []int{201, 204, 304, 400, 401, 404, 420, 429, 501, 504} {
		s := &scripted{script: map[string][]answer{"-1": {{code, ""}}}}
		_, at, err := fetchAll[id](t, serve(t, s), friendsIDs, usual())
		if status, ok := errors.AsType[*statusError](err); !ok || status.code != code || at.Errors != 0 || len(s.requests()) != 1 {
			t.Errorf("%d: %v, %+v, requests %v", code, err, at, s.requests())
		}
	}
}

func TestBudgetCanBeChosen(t *testing.T) {
	t.Parallel()
	b := usual()
	b.Tolerated, b.Errors = []int{504}, 2
	for _, c := range []struct {
		statuses []int
		requests int
		fails    int
	}{{[]int{504}, 2, 0}, {[]int{504, 504}, 2, 504}, {[]int{503}, 1, 503}} {
		s := &scripted{script: map[string][]answer{"-1": errs(`{"ids": [1]}`, c.statuses...)}}
		_, _, err := fetchAll[id](t, serve(t, s), friendsIDs, b)
		status, failed := errors.AsType[*statusError](err)
		if failed != (c.fails != 0) || (failed && status.code != c.fails) || len(s.requests()) != c.requests {
			t.Errorf("%v: %v, requests %v", c.statuses, err, s.requests())
		}
	}
}

// roundTrip is a server without a network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TF-2: without delay. TF-6: a server that falls silent, before the answer or in it, is an error when patience ends.
func TestNoDelayAndAnEndOfPatience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began, requests := time.Now(), 0
		client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			requests++
			return &http.Response{StatusCode: 503, Body: http.NoBody, Request: r}, nil
		})}
		p, err := newPager[id](client, "http://api/", friendsIDs, "ada", usual())
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := p.all(t.Context()); err == nil || requests != 10 || time.Since(began) != 0 {
			t.Errorf("%v after %d requests and %v", err, requests, time.Since(began))
		}
		for name, silent := range map[string]roundTrip{
			"before the answer": func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			},
			"in the answer": func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Body: io.NopCloser(silence{r.Context()}), Request: r}, nil
			},
		} {
			began := time.Now()
			p.client = &http.Client{Transport: silent}
			_, _, err = p.all(t.Context())
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errBadPage) || time.Since(began) != usual().Patience {
				t.Errorf("silent %s: %v after %v", name, err, time.Since(began))
			}
		}
	})
}

// silence is a body that does not come.
type silence struct{ ctx context.Context }

func (s silence) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

// H05, TF-6. What is not an answer is an error, at once.
func TestLostConnectionsSettle(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for name, base := range map[string]string{
		"nobody there": closed.URL + "/",
		"no answer":    serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })),
		"half an answer": serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"ids": [1, `)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		})),
		"no HTTP":       "nonsense://api/",
		"no URL":        "http://a b/",
		"no such place": "http:///",
	} {
		got, at, err := fetchAll[id](t, base, friendsIDs, usual())
		if err == nil || errors.Is(err, errBadPage) || got != nil || at != start() {
			t.Errorf("%s: %v, %+v, %v", name, got, at, err)
		}
		if _, ok := errors.AsType[*statusError](err); ok {
			t.Errorf("%s: a status: %v", name, err)
		}
	}
}

// TF-6.
func TestEndOfTheContextEndsAFetch(t *testing.T) {
	t.Parallel()
	asked, release := make(chan bool, 1), make(chan bool)
	base := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked <- true; <-release }))
	defer close(release)
	p, err := newPager[id](&http.Client{}, base, friendsIDs, "ada", usual())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if _, _, err := p.all(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// After an error the fetch can go on where it was, with another pager.
func TestAFetchGoesOnFromItsPlace(t *testing.T) {
	t.Parallel()
	s := &scripted{script: map[string][]answer{
		"-1": {{0, `{"ids": [1, 2], "next_cursor": 2}`}},
		"2":  {{503, ""}, {404, ""}, {0, `{"ids": [2, 3], "next_cursor": 0}`}},
	}}
	base := serve(t, s)
	at := start()
	var got []id
	for range 3 {
		p, err := newPager[id](http.DefaultClient, base, friendsIDs, "ada", usual())
		if err != nil {
			t.Fatal(err)
		}
		p.fresh(got)
		for err == nil && !at.ended() {
			var items []id
			items, err = p.next(t.Context(), &at)
			got = append(got, items...)
		}
	}
	if !slices.Equal(got, []id{1, 2, 3}) || (at != place{Pages: 2, Items: 3, Errors: 1}) || !slices.Equal(s.requests(), []string{"-1", "2", "2", "2"}) {
		t.Errorf("%v, %+v, requests %v", got, at, s.requests())
	}
}

// H05, TF-5.
func TestAddresses(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var paths []string
	base := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		paths = append(paths, r.URL.EscapedPath())
		_, _ = io.WriteString(w, `{"ids": [], "users": []}`)
	}))
	for _, k := range kinds() {
		if _, _, err := fetchAll[id](t, base, k, usual()); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"a/b", "..", "a b?c#d", "50%", "é"} {
		p, err := newPager[id](http.DefaultClient, base, friendsIDs, name, usual())
		if err == nil {
			_, _, err = p.all(t.Context())
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	want := []string{"/1/statuses/friends/ada.json", "/1/statuses/followers/ada.json", "/1/friends/ids/ada.json", "/1/followers/ids/ada.json",
		"/1/friends/ids/a%2Fb.json", "/1/friends/ids/...json", "/1/friends/ids/a%20b%3Fc%23d.json", "/1/friends/ids/50%25.json", "/1/friends/ids/%C3%A9.json"}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Error(diff)
	}
	for _, c := range []struct {
		base  string
		kind  kind
		name  string
		field string
	}{{"http://api", friendsIDs, "ada", "Base"}, {"", friendsIDs, "ada", "Base"}, {"http://api/", "enemies/ids", "ada", "Kind"}, {"http://api/", friendsIDs, "", "Name"}} {
		_, err := newPager[id](http.DefaultClient, c.base, c.kind, c.name, usual())
		if wrong, ok := errors.AsType[*spool.FieldError](err); !ok || wrong.Field != c.field {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// A page of the API is read back as it was written; whatever else comes is an error or items with ids, no panic.
func FuzzDecode(f *testing.F) {
	for _, body := range []string{`{"ids": [1, 2], "next_cursor": 7}`, `{"ids": null}`, `{"ids": [0]}`, `[`, `{"ids": [1], "next_cursor": {}}`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		items, _, err := decode[id](body, "ids")
		if (err == nil) != (items != nil) || slices.Contains(items, 0) {
			t.Errorf("%v, %v", items, err)
		}
	})
}
