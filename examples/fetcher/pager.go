package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// errBadPage is an answer that is no page of a list. Asking again would not make it one.
var errBadPage = errors.New("not a page of the list")

// statusError is an answer with a status other than 200.
type statusError struct{ code int }

func (e *statusError) Error() string {
	return fmt.Sprintf("status %d %s", e.code, http.StatusText(e.code))
}

// budget is what a fetch may cost.
type budget struct {
	Tolerated []int         // statuses after which the same page is asked for again, at once
	Errors    int           // so many of them in one fetch are too many: the last of them is returned
	Patience  time.Duration // for one request: a server that falls silent is an error, too
}

// usual tolerates nine errors of servers that are overloaded.
func usual() budget {
	return budget{
		Tolerated: []int{http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable},
		Errors:    10, Patience: 30 * time.Second,
	}
}

// place is how far a fetch has come. It is plain data, so that a fetch can go on elsewhere.
type place struct {
	Cursor int64 // of the next page; -1 is the first, 0 the end
	Pages  int   // fetched
	Items  int   // fetched, without duplicates
	Errors int   // tolerated: they are counted over the whole fetch
}

func start() place { return place{Cursor: -1} }

func (at place) ended() bool { return at.Cursor == 0 }

// pager fetches one list, page by page, and gives each item once: where it came first. It is for one goroutine.
type pager[T item] struct {
	client *http.Client
	url    string
	key    string
	budget budget
	seen   map[int64]bool
}

func newPager[T item](client *http.Client, base string, k kind, name string, b budget) (*pager[T], error) {
	url, err := address(base, k, name)
	if err != nil {
		return nil, err
	}
	return &pager[T]{client, url, k.key(), b, map[int64]bool{}}, nil
}

// all fetches the whole list.
func (p *pager[T]) all(ctx context.Context) ([]T, place, error) {
	var list []T
	at := start()
	for !at.ended() {
		items, err := p.next(ctx, &at)
		if err != nil {
			return nil, at, err
		}
		list = append(list, items...)
	}
	return list, at, nil
}

// next fetches the page at a place, moves the place on, and returns what is new on the page. It always comes to an end:
// a lost connection, a silent server and the end of ctx are errors like any other. After an error that is returned the
// place is where it was, but for the errors it has counted.
func (p *pager[T]) next(ctx context.Context, at *place) ([]T, error) {
	for {
		items, cursor, err := p.ask(ctx, at.Cursor)
		if err == nil {
			items = p.fresh(items)
			at.Cursor, at.Pages, at.Items = cursor, at.Pages+1, at.Items+len(items)
			return items, nil
		}
		status, ok := errors.AsType[*statusError](err)
		if !ok || !slices.Contains(p.budget.Tolerated, status.code) || at.Errors+1 >= p.budget.Errors {
			return nil, fmt.Errorf("%s, page %d, after %d tolerated errors: %w", p.url, at.Pages+1, at.Errors, err)
		}
		at.Errors++
	}
}

// fresh returns those that were not seen before, in their order.
func (p *pager[T]) fresh(items []T) []T {
	var fresh []T
	for _, i := range items {
		if n := i.number(); !p.seen[n] {
			p.seen[n] = true
			fresh = append(fresh, i)
		}
	}
	return fresh
}

// maxPage is far more than a page has.
const maxPage = 16 << 20

// ask makes one request.
func (p *pager[T]) ask(ctx context.Context, cursor int64) ([]T, int64, error) {
	ctx, cancel := context.WithTimeout(ctx, p.budget.Patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"?cursor="+strconv.FormatInt(cursor, 10), nil)
	if err != nil {
		return nil, 0, err
	}
	res, err := p.client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		_, _ = io.CopyN(io.Discard, res.Body, 4096) // read to its end, the connection can be used again
		return nil, 0, &statusError{res.StatusCode}
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, res.Body, maxPage))
	if err != nil {
		return nil, 0, fmt.Errorf("reading the page: %w", err)
	}
	items, next, err := decode[T](body, p.key)
	if err == nil && next == cursor {
		err = errors.New("it leads to itself")
	}
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errBadPage, err)
	}
	return items, next, nil
}

// decode reads a page. Its next cursor is 0 if it is the last one, which an API says by 0, by null or not at all.
func decode[T item](body []byte, key string) (items []T, next int64, err error) {
	var page map[string]json.RawMessage
	if err := json.Unmarshal(body, &page); err != nil {
		return nil, 0, err
	}
	if err := json.Unmarshal(orNull(page[key]), &items); err != nil {
		return nil, 0, fmt.Errorf("%s: %w", key, err)
	}
	if items == nil {
		return nil, 0, fmt.Errorf("there are no %s", key)
	}
	if slices.ContainsFunc(items, func(i T) bool { return i.number() == 0 }) {
		return nil, 0, fmt.Errorf("one of the %s has no id", key)
	}
	if err := json.Unmarshal(orNull(page["next_cursor"]), &next); err != nil {
		return nil, 0, fmt.Errorf("next_cursor: %w", err)
	}
	return items, next, nil
}

func orNull(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return json.RawMessage("null")
	}
	return raw
}
