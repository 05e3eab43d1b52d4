package spool_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/embedded"
	"github.com/spooljobs/spool/retry"
)

func ExampleRetry() {
	ctx, stop := context.WithCancel(context.Background())
	client, err := embedded.Open(ctx, spool.ClientConfig{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	// At most five times more, after 10 ms, 20 ms, 40 ms ... The waits are kept in Redis, not in the worker: the slot
	// is free meanwhile, and the retry survives the worker.
	flaky := spool.NewTask[string, int]("flaky", spool.Retry(5, retry.Exponential(10*time.Millisecond, time.Minute)))
	worker := spool.NewWorker(client, spool.WorkerConfig{})
	flaky.Handle(worker, func(ctx context.Context, name string) (int, error) {
		if attempt := spool.Running(ctx).Attempt(); attempt > 2 {
			return attempt, nil
		}
		return 0, errors.New("try again")
	})
	ended := make(chan error)
	go func() { ended <- worker.Run(ctx) }()

	job, err := flaky.Put(ctx, client, "it")
	if err != nil {
		log.Fatal(err)
	}
	attempts, err := job.Wait(ctx)
	fmt.Println(attempts, "attempts", err)
	stop()
	<-ended
	// Output: 3 attempts <nil>
}

func ExampleFinal() {
	ctx := context.Background()
	client, err := embedded.Open(ctx, spool.ClientConfig{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	mail := spool.NewTask[string, spool.None]("mail.send", spool.Retry(spool.Unlimited, retry.Constant(time.Minute)))
	worker := spool.NewWorker(client, spool.WorkerConfig{})
	mail.Handle(worker, func(ctx context.Context, to string) (spool.None, error) {
		// No number of attempts makes this address a good one.
		return spool.None{}, spool.Final(fmt.Errorf("no such address: %s", to))
	})
	job, err := mail.Put(ctx, client, "nobody")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := worker.Drain(ctx); err != nil {
		log.Fatal(err)
	}
	_, err = job.Wait(ctx)
	fmt.Println(err)
	// Output: no such address: nobody
}

func ExampleKnows() {
	ctx := context.Background()
	client, err := embedded.Open(ctx, spool.ClientConfig{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	errInsufficient := errors.New("insufficient funds")
	// The name goes through Redis in the error's place. Who shares the task knows which error it means.
	pay := spool.NewTask[int, spool.None]("bank.pay", spool.Knows("bank.insufficient", errInsufficient))
	worker := spool.NewWorker(client, spool.WorkerConfig{})
	pay.Handle(worker, func(ctx context.Context, amount int) (spool.None, error) {
		return spool.None{}, fmt.Errorf("paying %d: %w", amount, errInsufficient)
	})
	job, err := pay.Put(ctx, client, 100)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := worker.Drain(ctx); err != nil {
		log.Fatal(err)
	}
	_, err = job.Wait(ctx)
	fmt.Println(err, errors.Is(err, errInsufficient))
	// Output: paying 100: insufficient funds true
}
