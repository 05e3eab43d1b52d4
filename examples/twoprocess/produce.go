package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spooljobs/spool"
)

const jobs = 20

// produce puts jobs and waits for their results. It never runs one.
func produce(ctx context.Context, url string) error {
	client, err := spool.Open(ctx, url)
	if err != nil {
		return err
	}
	defer client.Close()
	var partials []spool.Partial[square]
	for n := range jobs {
		partials = append(partials, squareOf.With(n+1))
	}
	puts, err := spool.PutMany(ctx, client, partials)
	if err != nil {
		return err
	}
	for _, put := range puts {
		if put.Err != nil {
			return put.Err
		}
	}
	fmt.Printf("producer %d: has put %d jobs\n", os.Getpid(), len(puts))
	sum := 0
	for n, put := range puts {
		s, err := put.Job.Wait(ctx)
		if err != nil {
			return fmt.Errorf("job %s: %w", put.Job.ID(), err)
		}
		if s.Process == os.Getpid() || s.Value != (n+1)*(n+1) {
			return fmt.Errorf("the square of %d is said to be %d, by process %d", n+1, s.Value, s.Process)
		}
		sum += s.Value
	}
	fmt.Printf("producer %d: the squares of 1 to %d add up to %d\n", os.Getpid(), jobs, sum)
	return nil
}
