package spool_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/embedded"
)

func ExampleTask_Put() {
	ctx := context.Background()
	client, err := embedded.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	resize := spool.NewTask[string, int]("image.resize", spool.In("images"))
	job, err := resize.Put(ctx, client, "cat.png", spool.ID("cat"), spool.Delay(time.Hour))
	fmt.Println(job, err)

	// The id is taken while the job is stored: the same call again gives the same job, another one an error.
	job, err = resize.Put(ctx, client, "cat.png", spool.ID("cat"), spool.Delay(time.Hour))
	fmt.Println(job, err)
	_, err = resize.Put(ctx, client, "dog.png", spool.ID("cat"))
	fmt.Println(errors.Is(err, spool.ErrIDTaken))
	// Output:
	// images/cat <nil>
	// images/cat <nil>
	// true
}

func ExamplePartial_Put() {
	ctx := context.Background()
	client, err := embedded.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	mail := spool.NewTask[string, spool.None]("mail.send")
	partial := mail.With("ada@example.org")

	// A Partial is one job, however often it is put. After an error it can simply be put again.
	first, err := partial.Put(ctx, client)
	if err != nil {
		log.Fatal(err)
	}
	second, err := partial.Put(ctx, client)
	if err != nil {
		log.Fatal(err)
	}
	counts, err := client.Queue(spool.DefaultQueue).Counts(ctx)
	fmt.Println(first.ID() == second.ID(), counts.Pending(), err)
	// Output: true 1 <nil>
}

func ExamplePutMany() {
	ctx := context.Background()
	client, err := embedded.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	square := spool.NewTask[int, int]("square")
	results, err := spool.PutMany(ctx, client, []spool.Partial[int]{
		square.With(1),
		square.With(2, spool.Priority(5000)),
		square.With(3),
	})
	if err != nil {
		log.Fatal(err) // of some it is not known whether they were stored
	}
	for _, r := range results {
		fmt.Println(r.Job != nil, r.Err)
	}
	// Output:
	// true <nil>
	// false spool: Priority 5000: must be from -1000 to 1000
	// true <nil>
}
