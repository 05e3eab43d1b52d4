package spool_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/embedded"
)

func ExampleQueue_List() {
	ctx := context.Background()
	client, err := embedded.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	mail := spool.NewTask[string, spool.None]("mail.send")
	for _, p := range []spool.Partial[spool.None]{
		mail.With("Grace", spool.ID("later"), spool.Delay(time.Hour)),
		mail.With("Ada", spool.ID("normal")),
		mail.With("Linus", spool.ID("urgent"), spool.Priority(-1)),
	} {
		if _, err := p.Put(ctx, client); err != nil {
			log.Fatal(err)
		}
	}
	page, total, err := client.Queue(spool.DefaultQueue).List(ctx, spool.StatePending, 0, 10)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("pending:", total)
	for _, job := range page {
		var to string
		if err := job.Args(&to); err != nil {
			log.Fatal(err)
		}
		fmt.Println(job.ID, job.Task, to)
	}
	// Output:
	// pending: 3
	// urgent mail.send Linus
	// normal mail.send Ada
	// later mail.send Grace
}
