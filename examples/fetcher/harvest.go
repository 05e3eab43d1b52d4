package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/google/uuid"

	"github.com/spooljobs/spool"
)

// field is all lists of an API, and the jobs that fetch them.
type field struct {
	client *spool.Client
	lists  []*served
	jobs   []*spool.Job[place]
	keys   []string // where they are stored
}

// sow puts a job for each list. The keys begin with the tag of the queue: in a cluster they are where its jobs are.
func sow(ctx context.Context, client *spool.Client, base string, lists []*served) (*field, error) {
	f := &field{client: client, lists: lists}
	name := client.Queue(queue).Tag() + "/" + uuid.NewString()
	var partials []spool.Partial[place]
	for i, l := range lists {
		f.keys = append(f.keys, fmt.Sprint(name, "/list/", i))
		partials = append(partials, fetchList.With(list{base, l.kind, l.name, f.keys[i]}))
	}
	puts, err := spool.PutMany(ctx, client, partials)
	if err != nil {
		return nil, err
	}
	for _, put := range puts {
		if put.Err != nil {
			return nil, put.Err
		}
		f.jobs = append(f.jobs, put.Job)
	}
	return f, nil
}

// crop is what was stored.
type crop struct {
	items, doubled, pages, errors int
	wrong                         []error // of lists that are not what the server has
}

// reap waits for all jobs. Whatever has ended is taken out of Redis, the outcome and the list together. A job that failed
// makes its list a wrong one; the error is that ctx has ended.
func (f *field) reap(ctx context.Context) (crop, error) {
	var mu sync.Mutex // guards all
	var all crop
	next := make(chan int)
	var reapers sync.WaitGroup
	for range 8 {
		reapers.Go(func() {
			for i := range next {
				one, err := f.reapOne(ctx, i)
				if err != nil {
					one.wrong = []error{fmt.Errorf("%s of %s: %w", f.lists[i].kind, f.lists[i].name, err)}
				}
				mu.Lock()
				all.add(one)
				mu.Unlock()
			}
		})
	}
	for i := range f.jobs {
		next <- i
	}
	close(next)
	reapers.Wait()
	if ctx.Err() != nil {
		return all, context.Cause(ctx)
	}
	return all, nil
}

func (f *field) reapOne(ctx context.Context, i int) (crop, error) {
	if _, err := f.jobs[i].Wait(ctx); err != nil {
		return crop{}, err
	}
	var numbers []int64
	var outcome spool.Outcome[place]
	err := f.client.Transact(ctx, func(ctx context.Context, tx *spool.Tx) (err error) {
		if outcome, err = f.jobs[i].Take(ctx, tx); err != nil {
			return err
		}
		if f.lists[i].kind.ids() {
			numbers, err = loadNumbers[id](ctx, tx, f.keys[i])
		} else {
			numbers, err = loadNumbers[user](ctx, tx, f.keys[i])
		}
		return errors.Join(err, tx.Do(ctx, "DEL", f.keys[i]).Err())
	}, spool.TxConfig{Queue: queue})
	if err != nil {
		return crop{}, err
	}
	return weigh(f.lists[i], numbers, outcome.Value), nil
}

func loadNumbers[T item](ctx context.Context, tx *spool.Tx, key string) ([]int64, error) {
	items, err := load[T](ctx, tx, key)
	numbers := make([]int64, len(items))
	for i := range items {
		numbers[i] = items[i].number()
	}
	return numbers, err
}

// weigh compares what was stored of a list, and what its job says of it, with the list.
func weigh(l *served, numbers []int64, said place) crop {
	distinct := make(map[int64]bool)
	for _, n := range numbers {
		distinct[n] = true
	}
	c := crop{items: len(numbers), doubled: len(numbers) - len(distinct), pages: said.Pages, errors: said.Errors}
	if !slices.Equal(numbers, l.people) || said.Items != len(l.people) || said.Pages != len(l.pages) {
		c.wrong = append(c.wrong, fmt.Errorf("%s of %s: stored are %d items, the job says %d in %d pages, the server has %d in %d",
			l.kind, l.name, len(numbers), said.Items, said.Pages, len(l.people), len(l.pages)))
	}
	return c
}

func (c *crop) add(other crop) {
	c.items += other.items
	c.doubled += other.doubled
	c.pages += other.pages
	c.errors += other.errors
	c.wrong = append(c.wrong, other.wrong...)
}
