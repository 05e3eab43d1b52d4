package spool_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/embedded"
)

func ExampleJob_Wait() {
	ctx, stop := context.WithCancel(context.Background())
	client, err := embedded.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	divide := spool.NewTask[[2]int, int]("divide")
	worker := spool.NewWorker(client, spool.WorkerConfig{})
	divide.Handle(worker, func(ctx context.Context, n [2]int) (int, error) {
		if n[1] == 0 {
			return 0, errors.New("division by zero")
		}
		return n[0] / n[1], nil
	})
	ended := make(chan error)
	go func() { ended <- worker.Run(ctx) }()

	for _, n := range [][2]int{{12, 4}, {1, 0}} {
		job, err := divide.Put(ctx, client, n)
		if err != nil {
			log.Fatal(err)
		}
		// Another process would wait by divide.Job(client, id).Wait(ctx).
		fmt.Println(job.Wait(ctx))
	}
	stop()
	<-ended
	// Output:
	// 3 <nil>
	// 0 division by zero
}

func ExampleWorker_Run() {
	ctx, stop := context.WithCancel(context.Background())
	client, err := embedded.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	long := spool.NewTask[string, string]("long")
	worker := spool.NewWorker(client, spool.WorkerConfig{})
	begun := make(chan bool)
	long.Handle(worker, func(ctx context.Context, name string) (string, error) {
		close(begun)
		<-spool.Running(ctx).Stopping() // the worker shuts down: come to an end
		return name + " came to an end in time", nil
	})
	ended := make(chan error)
	go func() { ended <- worker.Run(ctx) }()

	job, err := long.Put(ctx, client, "it")
	if err != nil {
		log.Fatal(err)
	}
	<-begun
	stop() // in a program: signal.NotifyContext
	fmt.Println(<-ended)
	fmt.Println(job.Wait(context.Background()))
	// Output:
	// <nil>
	// it came to an end in time <nil>
}

func ExampleWorker_Drain() {
	ctx := context.Background()
	client, err := embedded.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	countdown := spool.NewTask[int, spool.None]("countdown")
	worker := spool.NewWorker(client, spool.WorkerConfig{})
	countdown.Handle(worker, func(ctx context.Context, n int) (spool.None, error) {
		fmt.Println(n)
		if n == 0 {
			return spool.None{}, nil
		}
		_, err := countdown.Put(ctx, spool.Running(ctx).Client(), n-1)
		return spool.None{}, err
	})
	if _, err := countdown.Put(ctx, client, 2); err != nil {
		log.Fatal(err)
	}
	// Drain also runs what is put meanwhile, and returns when nothing is ready.
	n, err := worker.Drain(ctx)
	fmt.Println(n, "jobs", err)
	// Output:
	// 2
	// 1
	// 0
	// 3 jobs <nil>
}

func ExampleRunning() {
	ctx := context.Background()
	client, err := embedded.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	invoice := spool.NewTask[int, spool.None]("invoice.send")
	send := func(ctx context.Context, number int) (spool.None, error) {
		run := spool.Running(ctx)
		fmt.Printf("invoice %d, attempt %d, for %q\n", number, run.Attempt(), run.Meta("customer"))
		return spool.None{}, nil
	}
	worker := spool.NewWorker(client, spool.WorkerConfig{})
	invoice.Handle(worker, send)
	if _, err := invoice.Put(ctx, client, 7, spool.Meta("customer", "Ada")); err != nil {
		log.Fatal(err)
	}
	if _, err := worker.Drain(ctx); err != nil {
		log.Fatal(err)
	}
	// A handler is a plain function. A test can call it without Spool.
	if _, err := send(ctx, 8); err != nil {
		log.Fatal(err)
	}
	// Output:
	// invoice 7, attempt 1, for "Ada"
	// invoice 8, attempt 1, for ""
}
