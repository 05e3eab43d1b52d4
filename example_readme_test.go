package spool_test

import (
	"context"
	"fmt"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/embedded"
)

var greet = spool.NewTask[string, string]("greet")

func Example() {
	ctx, stop := context.WithCancel(context.Background())
	client, err := embedded.Open(ctx) // or spool.Open(ctx, "redis://localhost:6379")
	if err != nil {
		panic(err)
	}
	worker := spool.NewWorker(client, spool.WorkerConfig{ThreadSlots: 8})
	greet.Handle(worker, func(ctx context.Context, name string) (string, error) { return "Hello, " + name, nil })
	ended := make(chan error)
	go func() { ended <- worker.Run(ctx) }()

	job, err := greet.Put(ctx, client, "Ada")
	if err != nil {
		panic(err)
	}
	fmt.Println(job.Wait(ctx))
	stop()
	fmt.Println(<-ended, client.Close())
	// Output:
	// Hello, Ada <nil>
	// <nil> <nil>
}
