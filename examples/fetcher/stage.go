package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spooljobs/spool"
)

// stage is where it happens.
type stage struct {
	client *spool.Client
	url    string // of Redis
	api    *api
	base   string // URL of the API
	stdout io.Writer
	stderr *os.File
}

// show has all lists fetched, by a worker that is killed and by one that goes on, and says what came of it.
func show(ctx context.Context, s *stage) error {
	before, err := s.client.Queue(queue).Counts(ctx)
	if err != nil {
		return err
	}
	field, err := sow(ctx, s.client, s.base, s.api.lists)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.stdout, "%d lists of %d pages are to be fetched\n", len(s.api.lists), s.api.total)
	if err := s.killOne(ctx); err != nil {
		return err
	}
	answered, _, _ := s.api.counts()
	fmt.Fprintf(s.stdout, "after %d pages the worker was killed\n", answered)
	crop, most, err := s.goOn(ctx, field)
	if err != nil {
		return err
	}
	after, err := s.client.Queue(queue).Counts(ctx)
	if err != nil {
		return err
	}
	_, again, _ := s.api.counts()
	fmt.Fprintf(s.stdout, "another one went on, with up to %d jobs at once: %d had been interrupted, %d lost a connection, %d pages were fetched again\n",
		most, after.Interrupted-before.Interrupted, after.Retried-before.Retried, again)
	return report(s.stdout, s.api, crop)
}

func (s *stage) bar() *progress {
	return startProgress(s.stderr, s.api.total, func() int {
		answered, _, _ := s.api.counts()
		return answered
	})
}

// killOne runs a worker until a quarter of the pages has been answered, and kills it.
func (s *stage) killOne(ctx context.Context) error {
	quarter := s.api.after(max(1, s.api.total/4))
	bar := s.bar()
	defer bar.end()
	victim, err := startVictim(s.url)
	if err != nil {
		return err
	}
	select {
	case <-quarter:
		return victim.kill()
	case <-time.After(20 * time.Second):
		return victim.kill() // it does not get so far; the report will say why
	case err := <-victim.ended:
		if ctx.Err() != nil {
			return context.Cause(ctx) // an interrupt from the keyboard goes to both
		}
		return fmt.Errorf("the first worker ended too soon: %v", err)
	case <-ctx.Done():
		return errors.Join(context.Cause(ctx), victim.kill())
	}
}

// goOn runs another worker until all jobs have ended, and takes in what they have stored.
func (s *stage) goOn(ctx context.Context, field *field) (all crop, most int, err error) {
	bar := s.bar()
	defer bar.end()
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		defer stop() // without a worker nobody need wait
		var err error
		most, err = work(ctx, s.client)
		ended <- err
	}()
	all, err = field.reap(ctx)
	stop()
	err = errors.Join(err, <-ended)
	return all, most, err
}

// report says what is stored, and whether that is what the API has.
func report(out io.Writer, api *api, all crop) error {
	fmt.Fprintf(out, "fetched %d items in %d pages, %d doubled, %d errors tolerated\n", all.items, all.pages, all.doubled, all.errors)
	items := 0
	for _, l := range api.lists {
		items += len(l.people)
	}
	_, _, failed := api.counts()
	if all.items == items && all.pages == api.total && all.doubled == 0 && all.errors <= failed && len(all.wrong) == 0 {
		return nil
	}
	const shown = 10
	wrong := fmt.Errorf("the API has %d items in %d pages, and has failed %d times; %d lists are wrong", items, api.total, failed, len(all.wrong))
	return errors.Join(append([]error{wrong}, all.wrong[:min(shown, len(all.wrong))]...)...)
}
