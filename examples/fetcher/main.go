// Fetcher pages through the lists of an HTTP API with Spool: a thousand at a time in one process, though their worker is
// killed on the way.
//
//	go run ./examples/fetcher
//
// The API is a server in this process. It has the friends and the followers of some hundred names, as users and as ids,
// in pages that name the cursor of the next one. It is slow; some pages answer 500, 502 or 503 before they come, some
// connections break, and items show up on more than one page. Each list is a job on the reactor lane: while it waits for
// the network it leaves the loop to others. Every four pages the job makes a checkpoint, which stores the new items and
// the cursor in one step. When a quarter of the pages is there the worker, a process of its own, is killed. A second
// worker, in this process, goes on from the checkpoints: what was under way is fetched again, nothing before it is, and
// nothing is stored twice. In the end every stored list is compared with the list that the server has.
//
// Without SPOOL_REDIS_URL the jobs go through a Redis in this process, with it through the one at that URL. There the
// worker also runs what earlier runs have left in the queue. The lists are taken out of it as they are read.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/signal"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/embedded"
)

func main() {
	names := flag.Int("names", 300, "how many `names` the API has; each has four lists")
	seed := flag.Uint64("seed", 1, "what the API draws its lists and failures from")
	worker := flag.Bool("worker", false, "be the worker that is to be killed: the program starts itself so")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
	url := os.Getenv("SPOOL_REDIS_URL")
	var err error
	switch {
	case *names < 1:
		err = &spool.FieldError{Field: "names", Value: *names, Rule: "must be at least 1"}
	case *worker:
		err = beVictim(ctx, url, os.Stdin)
	default:
		err = run(ctx, url, newAPI(*seed, *names), os.Stdout, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fetcher:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url string, api *api, stdout io.Writer, stderr *os.File) error {
	if url == "" {
		server, err := embedded.Serve()
		if err != nil {
			return err
		}
		defer server.Close()
		url = embedded.URL(server)
	}
	client, err := spool.Open(ctx, url)
	if err != nil {
		return err
	}
	defer client.Close()
	server := httptest.NewServer(api)
	defer server.Close()

	return show(ctx, &stage{client, url, api, server.URL + "/1/", stdout, stderr})
}
