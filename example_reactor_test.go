package spool_test

import (
	"context"
	"fmt"
	"log"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/embedded"
)

func ExampleAwait() {
	ctx := context.Background()
	client, err := embedded.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	fetch := spool.NewTask[string, spool.None]("page.fetch", spool.OnReactor())
	bytes := 0 // shared by all handlers, without a lock: between two waits a handler is alone
	worker := spool.NewWorker(client, spool.WorkerConfig{ReactorSlots: 100})
	fetch.Handle(worker, func(ctx context.Context, url string) (spool.None, error) {
		// Others have their turn while this one waits.
		page, err := spool.Await(ctx, func(ctx context.Context) (string, error) {
			return "the page at " + url, nil
		})
		if err != nil {
			return spool.None{}, err
		}
		bytes += len(page)
		return spool.None{}, nil
	})
	for _, url := range []string{"/a", "/bb", "/ccc"} {
		if _, err := fetch.Put(ctx, client, url); err != nil {
			log.Fatal(err)
		}
	}
	n, err := worker.Drain(ctx)
	fmt.Println(n, "pages,", bytes, "bytes,", err)
	// Output: 3 pages, 45 bytes, <nil>
}

func ExampleOnLoop() {
	ctx := context.Background()
	client, err := embedded.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	visit := spool.NewTask[string, spool.None]("visit", spool.OnReactor())
	compute := spool.NewTask[string, spool.None]("compute")
	seen := make(map[string]int) // belongs to the loop
	worker := spool.NewWorker(client, spool.WorkerConfig{ThreadSlots: 4, ReactorSlots: 4})
	visit.Handle(worker, func(ctx context.Context, who string) (spool.None, error) {
		seen[who]++
		return spool.None{}, nil
	})
	compute.Handle(worker, func(ctx context.Context, who string) (spool.None, error) {
		// A thread handler has a goroutine of its own. It goes through the loop to what belongs to it.
		return spool.None{}, spool.OnLoop(ctx, func() { seen[who]++ })
	})
	for range 3 {
		if _, err := visit.Put(ctx, client, "Ada"); err != nil {
			log.Fatal(err)
		}
		if _, err := compute.Put(ctx, client, "Ada"); err != nil {
			log.Fatal(err)
		}
	}
	n, err := worker.Drain(ctx)
	fmt.Println(n, "jobs,", seen["Ada"], "times,", err)
	// Output: 6 jobs, 6 times, <nil>
}
