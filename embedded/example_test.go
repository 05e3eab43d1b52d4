package embedded_test

import (
	"context"
	"fmt"
	"log"
	"testing"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/embedded"
)

var double = spool.NewTask[int, int]("double")

func twice(ctx context.Context, n int) (int, error) { return 2 * n, nil }

// A program that needs no Redis.
func ExampleOpen() {
	ctx := context.Background()
	client, err := embedded.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	worker := spool.NewWorker(client, spool.WorkerConfig{})
	double.Handle(worker, twice)
	job, err := double.Put(ctx, client, 21)
	if err != nil {
		log.Fatal(err)
	}
	n, err := worker.Drain(ctx)
	fmt.Println(n, err)
	fmt.Println(job.Wait(ctx))
	// Output:
	// 1 <nil>
	// 42 <nil>
}

// A test of your own: put, drain, look. Nothing sleeps.
func ExampleTest() {
	testDouble := func(t *testing.T) { // in your test file: func TestDouble(t *testing.T)
		client := embedded.Test(t)
		worker := spool.NewWorker(client, spool.WorkerConfig{})
		double.Handle(worker, twice)
		job, err := double.Put(t.Context(), client, 21)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := worker.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, err := job.Wait(t.Context()); got != 42 || err != nil {
			t.Errorf("got %d, %v", got, err)
		}
	}
	_ = testDouble
}
