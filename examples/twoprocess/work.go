package main

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/spooljobs/spool"
)

// work runs jobs until ctx ends, then shuts down: Run returns when nothing of it goes on any more.
func work(ctx context.Context, url string) error {
	client, err := spool.Open(ctx, url)
	if err != nil {
		return err
	}
	defer client.Close()
	worker := spool.NewWorker(client, spool.WorkerConfig{Queues: []string{queue}, ThreadSlots: 4})
	var ran atomic.Int64
	squareOf.Handle(worker, func(ctx context.Context, n int) (square, error) {
		ran.Add(1)
		return square{Value: n * n, Process: os.Getpid()}, nil
	})
	fmt.Printf("worker %d: waits for jobs\n", os.Getpid())
	if err := worker.Run(ctx); err != nil {
		return err
	}
	fmt.Printf("worker %d: was asked to end, has run %d jobs\n", os.Getpid(), ran.Load())
	return nil
}
