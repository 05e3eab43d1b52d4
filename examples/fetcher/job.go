package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/retry"
)

const queue = "fetcher"

// fetchList is the task: one job fetches one list. A lost connection fails the job, and it runs again, from its last
// checkpoint.
var fetchList = spool.NewTask[list, place]("fetcher.list", spool.In(queue), spool.OnReactor(), spool.Keep(10*time.Minute),
	spool.Retry(5, retry.Constant(100*time.Millisecond)))

// list is the argument of a job: what is to be fetched, and the key under which to store it. What lies there is a Redis
// list with an element for each part that was committed: the new items of these pages, in order, as JSON.
type list struct {
	Base   string
	Kind   kind
	Name   string
	Stored string
}

const (
	pagesAPart = 4         // from one checkpoint to the next
	storedFor  = time.Hour // if nobody takes it away
)

// fetcher is what the jobs of one worker share.
type fetcher struct {
	client         *http.Client
	underWay, most int // jobs. No lock guards them: handlers on the reactor take turns
}

func newFetcher() *fetcher {
	// A thousand jobs need not open a thousand connections: the transport lets them wait.
	const connections = 400
	transport := &http.Transport{MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections}
	return &fetcher{client: &http.Client{Transport: transport}}
}

// fetch is the handler.
func (f *fetcher) fetch(ctx context.Context, tx *spool.Tx, l list) (place, error) {
	f.underWay++
	f.most = max(f.most, f.underWay)
	defer func() { f.underWay-- }()
	run := fetchParts[user]
	if l.Kind.ids() {
		run = fetchParts[id]
	}
	at, err := run(ctx, tx, l, f.client)
	if _, ok := errors.AsType[*statusError](err); ok || errors.Is(err, errBadPage) {
		err = spool.Final(err) // the server has said what it has to say
	}
	return at, err
}

// fetchParts fetches a list some pages at a time. Each part and the place behind it are stored in one step; the last part
// is stored together with the end of the job.
func fetchParts[T item](ctx context.Context, tx *spool.Tx, l list, client *http.Client) (place, error) {
	at := start()
	p, err := newPager[T](client, l.Base, l.Kind, l.Name, usual())
	if err != nil {
		return at, spool.Final(err)
	}
	resumed, err := tx.Resume(ctx, &at)
	if err != nil {
		return at, err
	}
	if resumed {
		stored, err := load[T](ctx, tx, l.Stored)
		if err != nil {
			return at, err
		}
		p.fresh(stored) // what an earlier run has stored is not new
	}
	for {
		// Here the job leaves the loop, to wait for the network: others have their turn.
		part, err := spool.Await(ctx, func(ctx context.Context) (part []T, err error) {
			for n := 0; n < pagesAPart && !at.ended() && err == nil; n++ {
				var items []T
				items, err = p.next(ctx, &at)
				part = append(part, items...)
			}
			return part, err
		})
		if err != nil {
			return at, err
		}
		if err := store(ctx, tx, l.Stored, part); err != nil || at.ended() {
			return at, err
		}
		if err := tx.Checkpoint(ctx, at); err != nil {
			return at, err
		}
	}
}

func store[T item](ctx context.Context, tx *spool.Tx, key string, part []T) error {
	if len(part) == 0 {
		return nil
	}
	text, err := json.Marshal(part)
	if err != nil {
		return err
	}
	return errors.Join(
		tx.Do(ctx, "RPUSH", key, text).Err(),
		tx.Do(ctx, "EXPIRE", key, int(storedFor.Seconds())).Err())
}

// load returns what was stored, in order.
func load[T item](ctx context.Context, tx *spool.Tx, key string) ([]T, error) {
	parts, err := tx.Do(ctx, "LRANGE", key, 0, -1).StringSlice()
	if err != nil {
		return nil, err
	}
	var all []T
	for _, text := range parts {
		var part []T
		if err := json.Unmarshal([]byte(text), &part); err != nil {
			return nil, err
		}
		all = append(all, part...)
	}
	return all, nil
}
