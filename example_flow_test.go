package spool_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/embedded"
)

// The tasks of the examples: what a flow does with pages.
var (
	fetch   = spool.NewTask[string, string]("example.fetch")
	count   = spool.NewReaction[string, spool.None, int]("example.count")
	report  = spool.NewReaction[string, string, string]("example.report")
	tallied = spool.NewReaction[[]spool.Outcome[string], spool.None, string]("example.tallied")
	doubled = spool.NewReaction[int, spool.None, int]("example.doubled")
	spare   = spool.NewReaction[string, string, string]("example.spare")
	crawl   = spool.NewTask[[]string, string]("example.crawl")
)

// pages runs a worker for these tasks on a Redis in the process. The function that it returns stops it.
func pages() (ctx context.Context, client *spool.Client, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	client, err := embedded.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	w := spool.NewWorker(client, spool.WorkerConfig{ThreadSlots: 4})
	fetch.Handle(w, func(_ context.Context, name string) (string, error) {
		if strings.HasPrefix(name, "lost") {
			return "", errors.New("no page " + name)
		}
		return "page " + name, nil
	})
	count.Handle(w, func(_ context.Context, page spool.Outcome[string], _ spool.None) (int, error) {
		return len(page.Value), page.Err
	})
	doubled.Handle(w, func(_ context.Context, n spool.Outcome[int], _ spool.None) (int, error) { return 2 * n.Value, n.Err })
	report.Handle(w, func(_ context.Context, page spool.Outcome[string], who string) (string, error) {
		return fmt.Sprintf("to %s: %v", who, page.Err), nil
	})
	tallied.Handle(w, func(_ context.Context, all spool.Outcome[[]spool.Outcome[string]], _ spool.None) (string, error) {
		good := 0
		for _, page := range all.Value {
			if page.Err == nil {
				good++
			}
		}
		return fmt.Sprintf("%d of %d pages", good, len(all.Value)), all.Err
	})
	spare.Handle(w, other)
	crawl.Handle(w, all)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	return ctx, client, func() {
		cancel()
		if err := errors.Join(<-ended, client.Close()); err != nil {
			log.Fatal(err)
		}
	}
}

func ExamplePartial_OnSuccess() {
	ctx, client, stop := pages()
	defer stop()

	page := fetch.With("ada").
		OnSuccess(count.With(spool.None{})).
		OnFailure(report.With("the operator"))
	job, err := page.Put(ctx, client)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(job.Wait(ctx))
	// Output: page ada <nil>
}

func ExampleOnDone() {
	ctx, client, stop := pages()
	defer stop()

	job, err := fetch.Put(ctx, client, "ada")
	if err != nil {
		log.Fatal(err)
	}
	// Before it has ended, while it does or after it has: the callback runs once.
	letters, err := spool.OnSuccess(ctx, client, job, count.With(spool.None{}))
	if err != nil {
		log.Fatal(err)
	}
	// A callback is a job, and has callbacks.
	twice, err := spool.OnDone(ctx, client, letters, doubled.With(spool.None{}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(letters.Wait(ctx))
	fmt.Println(twice.Wait(ctx))
	// Output:
	// 8 <nil>
	// 16 <nil>
}

func ExampleOnFailure() {
	ctx, client, stop := pages()
	defer stop()

	job, err := fetch.Put(ctx, client, "lost")
	if err != nil {
		log.Fatal(err)
	}
	letters, err := spool.OnSuccess(ctx, client, job, count.With(spool.None{}))
	if err != nil {
		log.Fatal(err)
	}
	told, err := spool.OnFailure(ctx, client, job, report.With("the operator"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(told.Wait(ctx))
	// The branch that is not taken ends as the job did.
	_, err = letters.Wait(ctx)
	fmt.Println(err)
	// Output:
	// to the operator: no page lost <nil>
	// no page lost
}

// other is the handler of a callback that chooses what follows, and hands its answer over to that.
func other(ctx context.Context, page spool.Outcome[string], name string) (string, error) {
	if page.Err == nil {
		return page.Value, nil
	}
	job, err := fetch.Put(ctx, spool.Running(ctx).Client(), name)
	if err != nil {
		return "", err
	}
	return spool.Become(job)
}

func ExampleBecome() {
	ctx, client, stop := pages()
	defer stop()

	job, err := spool.Then(fetch.With("lost"), spare.With("spare")).Put(ctx, client)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(job.Wait(ctx))
	// Output: page spare <nil>
}

func ExampleParallel() {
	ctx, client, stop := pages()
	defer stop()

	job, err := spool.Parallel(fetch.With("a"), fetch.With("lost"), fetch.With("c")).Put(ctx, client)
	if err != nil {
		log.Fatal(err)
	}
	outcomes, err := job.Wait(ctx)
	for _, o := range outcomes {
		fmt.Println(o.Value, o.Err)
	}
	fmt.Println(err)
	// Output:
	// page a <nil>
	//  no page lost
	// page c <nil>
	// <nil>
}

func ExampleWhenPartFails() {
	ctx, client, stop := pages()
	defer stop()

	job, err := spool.Serial(fetch.With("a"), fetch.With("lost"), fetch.With("c")).With(spool.WhenPartFails(spool.FailRest)).Put(ctx, client)
	if err != nil {
		log.Fatal(err)
	}
	_, err = job.Wait(ctx)
	fmt.Println(err)
	// Output: no page lost
}

func ExampleThen() {
	ctx, client, stop := pages()
	defer stop()

	all := spool.Parallel(fetch.With("a"), spool.First(fetch.With("lost"), fetch.With("b")), fetch.With("lost, too"))
	job, err := spool.Then(all, tallied.With(spool.None{})).Put(ctx, client)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(job.Wait(ctx))
	// Output: 2 of 3 pages <nil>
}

func ExampleFirst() {
	ctx, client, stop := pages()
	defer stop()

	job, err := spool.First(fetch.With("lost"), fetch.With("mirror")).Put(ctx, client)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(job.Wait(ctx))
	// Output: page mirror <nil>
}

func ExampleGraph() {
	ctx, client, stop := pages()
	defer stop()

	g := spool.NewGraph()
	index := spool.GraphTask(g, fetch.With("index"))
	left := spool.GraphTask(g, fetch.With("left"), index)
	right := spool.GraphTask(g, fetch.With("right"), index)
	spool.GraphJoin(g, tallied.With(spool.None{}), left, right)

	job, err := g.Partial().Put(ctx, client)
	if err != nil {
		log.Fatal(err)
	}
	outcomes, err := job.Wait(ctx)
	for _, o := range outcomes {
		fmt.Println(o.Value)
	}
	fmt.Println(err)
	// Output:
	// page index
	// page left
	// page right
	// 2 of 2 pages
	// <nil>
}

// all is the handler of the first part of a batch, which finds out what the others are.
func all(ctx context.Context, names []string) (string, error) {
	batch := spool.Flow[string](ctx)
	for _, name := range names {
		if _, err := spool.Add(ctx, spool.Running(ctx).Client(), batch, fetch.With(name)); err != nil {
			return "", err
		}
	}
	return fmt.Sprint(len(names), " pages found"), nil
}

func ExampleAdd() {
	ctx, client, stop := pages()
	defer stop()

	job, err := spool.Parallel(crawl.With([]string{"a", "b", "c"})).Put(ctx, client)
	if err != nil {
		log.Fatal(err)
	}
	outcomes, err := job.Wait(ctx)
	for _, o := range outcomes {
		fmt.Println(o.Value)
	}
	fmt.Println(err)
	// Output:
	// 3 pages found
	// page a
	// page b
	// page c
	// <nil>
}

func ExampleJob_CancelAll() {
	ctx := context.Background()
	client, err := embedded.Open(ctx) // no worker is there: nothing begins
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	job, err := spool.Serial(fetch.With("a"), fetch.With("b")).Put(ctx, client)
	if err != nil {
		log.Fatal(err)
	}
	parts, err := job.Parts(ctx)
	fmt.Println(parts.Ended, "of", parts.Total, err)
	stopped, err := job.CancelAll(ctx)
	fmt.Println(len(stopped.Cancelled), "cancelled,", len(stopped.TooLate), "too late", err)
	_, err = job.Wait(ctx)
	fmt.Println(err)
	// Output:
	// 0 of 2 <nil>
	// 2 cancelled, 0 too late <nil>
	// spool: the job was cancelled
}
