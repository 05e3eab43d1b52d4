package spool_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/embedded"
	"github.com/spooljobs/spool/retry"
)

func ExampleClient_Transact() {
	ctx := context.Background()
	client, err := embedded.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	mail := spool.NewTask[string, spool.None]("mail.welcome")
	signUp := func(name string) error {
		return client.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			taken, err := tx.Do(ctx, "SISMEMBER", "names", name).Bool()
			if err != nil {
				return err
			}
			if taken {
				return fmt.Errorf("%s is taken", name) // nothing is written
			}
			if err := tx.Do(ctx, "SADD", "names", name).Err(); err != nil {
				return err
			}
			_, err = mail.Put(ctx, tx, name) // if and when this commits
			return err
		})
	}
	fmt.Println(signUp("ada"))
	fmt.Println(signUp("ada"))

	counts, err := client.Queue(spool.DefaultQueue).Counts(ctx)
	fmt.Println(counts.Ready, "mail to be sent", err)
	// Output:
	// <nil>
	// ada is taken
	// 1 mail to be sent <nil>
}

func ExampleTask_HandleTx() {
	ctx := context.Background()
	client, err := embedded.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	type transfer struct {
		From, To string
		Amount   int64
	}
	move := spool.NewTask[transfer, int64]("bank.transfer")
	worker := spool.NewWorker(client, spool.WorkerConfig{})
	// Both balances and the end of the job are one step, whatever dies, and however often.
	move.HandleTx(worker, func(ctx context.Context, tx *spool.Tx, t transfer) (int64, error) {
		from, to := spool.NewRef[int64](t.From), spool.NewRef[int64](t.To)
		balance, err := from.Load(ctx, tx)
		if err != nil {
			return 0, err
		}
		if balance < t.Amount {
			return 0, errors.New("insufficient funds") // nothing is written; the job has failed
		}
		balance -= t.Amount
		return balance, errors.Join(from.Store(ctx, tx, balance), to.Add(ctx, tx, t.Amount))
	})

	err = client.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
		return spool.NewRef[int64]("ada").Store(ctx, tx, 100)
	})
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		job, err := move.Put(ctx, client, transfer{"ada", "bob", 70})
		if err != nil {
			log.Fatal(err)
		}
		if _, err := worker.Drain(ctx); err != nil {
			log.Fatal(err)
		}
		fmt.Println(job.Wait(ctx))
	}
	// Output:
	// 30 <nil>
	// 0 insufficient funds
}

func ExampleRef() {
	ctx := context.Background()
	client, err := embedded.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	type person struct {
		Name string
		Boss spool.Ref[person] // a pointer that can be stored
	}
	visits := spool.NewRef[int]("visits")                                // a counter
	phones := spool.NewRef[map[string]string]("phones")                  // a hash, read and written by field
	ada := spool.NewRef[person](client.Queue("q").Tag() + "/person/ada") // msgpack; the tag is for clusters

	err = client.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
		_, err := ada.Load(ctx, tx)
		fmt.Println(errors.Is(err, spool.ErrNotFound))

		boss, err := spool.Create(ctx, tx, person{Name: "Charles"}) // under a key of its own
		if err != nil {
			return err
		}
		return errors.Join(
			ada.Store(ctx, tx, person{"Ada", boss}),
			phones.SetField(ctx, tx, "ada", "12 34"),
			visits.Add(ctx, tx, 2))
	})
	if err != nil {
		log.Fatal(err)
	}
	err = client.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
		p, err := ada.Load(ctx, tx)
		if err != nil {
			return err
		}
		boss, err := p.Boss.Load(ctx, tx)
		if err != nil {
			return err
		}
		phone, err := phones.Field(ctx, tx, "ada")
		if err != nil {
			return err
		}
		fmt.Println(p.Name, "works for", boss.Name, "and answers", phone)
		return visits.Update(ctx, tx, func(n int) (int, error) { return n + 1, nil })
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// true
	// Ada works for Charles and answers 12 34
}

func ExampleRefSet() {
	ctx := context.Background()
	client, err := embedded.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	sum := spool.NewTask[spool.RefSet, int]("sum")
	worker := spool.NewWorker(client, spool.WorkerConfig{})
	sum.HandleTx(worker, func(ctx context.Context, tx *spool.Tx, set spool.RefSet) (total int, err error) {
		for i := range set.Len() {
			var n spool.Ref[int]
			if err := set.At(i, &n); err != nil {
				return 0, err
			}
			value, err := n.Load(ctx, tx)
			if err != nil {
				return 0, err
			}
			total += value
		}
		into := spool.NewRef[int]("somewhere")
		if err := set.Get("into", &into); err != nil && !errors.Is(err, spool.ErrNotFound) {
			return 0, err
		}
		return total, into.Store(ctx, tx, total)
	})

	var job *spool.Job[int]
	err = client.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
		var set spool.RefSet
		for n := range 4 {
			ref, err := spool.Create(ctx, tx, n) // not committed: good for what is put to this transaction
			if err != nil {
				return err
			}
			if err := set.Add(ref); err != nil {
				return err
			}
		}
		if err := set.Set("into", spool.NewRef[int]("total")); err != nil {
			return err
		}
		var err error
		job, err = sum.Put(ctx, tx, set)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := worker.Drain(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(job.Wait(ctx))
	// Output: 6 <nil>
}

func ExampleTx_Checkpoint() {
	ctx := context.Background()
	client, err := embedded.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	rows := []string{"a", "b", "c", "d", "e", "f", "g"}
	load := spool.NewTask[int, spool.None]("rows.load", spool.Retry(1, retry.Constant(0)))
	worker := spool.NewWorker(client, spool.WorkerConfig{})
	load.HandleTx(worker, func(ctx context.Context, tx *spool.Tx, batch int) (spool.None, error) {
		next := 0
		if _, err := tx.Resume(ctx, &next); err != nil {
			return spool.None{}, err
		}
		fmt.Println("attempt", spool.Running(ctx).Attempt(), "begins at row", next)
		for next < len(rows) {
			for end := min(next+batch, len(rows)); next < end; next++ {
				if err := tx.Do(ctx, "RPUSH", "rows", rows[next]).Err(); err != nil {
					return spool.None{}, err
				}
			}
			if next >= 6 && spool.Running(ctx).Attempt() == 1 {
				return spool.None{}, errors.New("out of luck") // or a crash
			}
			// The rows so far, and where to go on from: one step.
			if err := tx.Checkpoint(ctx, next); err != nil {
				return spool.None{}, err
			}
		}
		return spool.None{}, nil
	})
	if _, err := load.Put(ctx, client, 2); err != nil {
		log.Fatal(err)
	}
	if _, err := worker.Drain(ctx); err != nil {
		log.Fatal(err)
	}
	err = client.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
		fmt.Println(tx.Do(ctx, "LRANGE", "rows", 0, -1).StringSlice())
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// attempt 1 begins at row 0
	// attempt 2 begins at row 4
	// [a b c d e f g] <nil>
}

func ExampleJob_Take() {
	ctx := context.Background()
	client, err := embedded.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	measure := spool.NewTask[string, int]("measure")
	worker := spool.NewWorker(client, spool.WorkerConfig{})
	measure.Handle(worker, func(ctx context.Context, text string) (int, error) { return len(text), nil })
	job, err := measure.Put(ctx, client, "twelve chars")
	if err != nil {
		log.Fatal(err)
	}
	take := func() error {
		return client.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			out, err := job.Take(ctx, tx)
			switch {
			case errors.Is(err, spool.ErrIncomplete):
				fmt.Println("not yet")
				return nil
			case errors.Is(err, spool.ErrUnknown):
				fmt.Println("nothing there")
				return nil
			case err != nil:
				return err
			}
			fmt.Println("the outcome is", out.Value, out.Err)
			// The outcome goes, and the total grows, in one step.
			return spool.NewRef[int]("total").Add(ctx, tx, int64(out.Value))
		})
	}
	if err := take(); err != nil {
		log.Fatal(err)
	}
	if _, err := worker.Drain(ctx); err != nil {
		log.Fatal(err)
	}
	if err := errors.Join(take(), take()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// not yet
	// the outcome is 12 <nil>
	// nothing there
}

func ExampleJob_Cancel() {
	ctx, stop := context.WithCancel(context.Background())
	client, err := embedded.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	slow := spool.NewTask[int, int]("slow")
	worker := spool.NewWorker(client, spool.WorkerConfig{Beat: 50 * time.Millisecond, DeadAfter: time.Second})
	begun := make(chan bool)
	slow.HandleTx(worker, func(ctx context.Context, tx *spool.Tx, n int) (int, error) {
		if err := spool.NewRef[int]("n").Store(ctx, tx, n); err != nil {
			return 0, err
		}
		close(begun)
		<-ctx.Done() // by the next beat of the worker
		return 0, context.Cause(ctx)
	})
	ended := make(chan error)
	go func() { ended <- worker.Run(ctx) }()

	job, err := slow.Put(ctx, client, 1)
	if err != nil {
		log.Fatal(err)
	}
	<-begun
	fmt.Println(job.Cancel(ctx, errors.New("it takes too long"))) // nil: nothing was written, and nothing will be
	_, err = job.Wait(ctx)
	fmt.Println(errors.Is(err, spool.ErrCancelled), errors.Is(job.Cancel(ctx), spool.ErrBadState))
	stop()
	<-ended
	// Output:
	// <nil>
	// true true
}

func ExamplePartial_Call() {
	ctx := context.Background()
	client, err := embedded.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	next := spool.NewTask[string, int]("next")
	worker := spool.NewWorker(client, spool.WorkerConfig{})
	next.HandleTx(worker, func(ctx context.Context, tx *spool.Tx, name string) (int, error) {
		counter := spool.NewRef[int](name)
		if err := counter.Update(ctx, tx, func(n int) (int, error) { return n + 1, nil }); err != nil {
			return 0, err
		}
		return counter.Load(ctx, tx)
	})
	// Here and now: no queue, and the worker need not run.
	fmt.Println(next.With("invoice").Call(ctx, worker))
	// Two calls, one commit.
	err = client.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
		for range 2 {
			fmt.Println(next.With("invoice").Call(ctx, worker))
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	commits, conflicts := client.Transactions()
	fmt.Println(commits, "commits,", conflicts, "conflicts")
	// Output:
	// 1 <nil>
	// 2 <nil>
	// 3 <nil>
	// 2 commits, 0 conflicts
}

func ExampleKeepWrites() {
	ctx := context.Background()
	client, err := embedded.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	login := spool.NewTask[string, spool.None]("login")
	worker := spool.NewWorker(client, spool.WorkerConfig{})
	login.HandleTx(worker, func(ctx context.Context, tx *spool.Tx, password string) (spool.None, error) {
		if password == "secret" {
			return spool.None{}, nil
		}
		if err := spool.NewRef[int]("failures").Add(ctx, tx, 1); err != nil {
			return spool.None{}, err
		}
		return spool.None{}, spool.KeepWrites(errors.New("wrong password")) // failed, and counted
	})
	for _, password := range []string{"guess", "another guess", "secret"} {
		_, err := login.With(password).Call(ctx, worker)
		fmt.Println(err)
	}
	err = client.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
		failures, err := spool.NewRef[int]("failures").Load(ctx, tx)
		fmt.Println(failures, "failures")
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// wrong password
	// wrong password
	// <nil>
	// 2 failures
}

func ExampleTx_Via() {
	ctx, stop := context.WithCancel(context.Background())
	shop, err := embedded.Open(ctx) // where the data is
	if err != nil {
		log.Fatal(err)
	}
	defer shop.Close()
	jobs, err := embedded.Open(ctx) // and where the jobs are: another Redis
	if err != nil {
		log.Fatal(err)
	}
	defer jobs.Close()

	ship := spool.NewTask[int, string]("ship")
	worker := spool.NewWorker(jobs, spool.WorkerConfig{})
	ship.Handle(worker, func(ctx context.Context, order int) (string, error) {
		return fmt.Sprint("order ", order, " is on its way"), nil
	})
	ended := make(chan error)
	go func() { ended <- worker.Run(ctx) }()

	var job *spool.Job[string]
	err = shop.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
		if err := spool.NewRef[int]("stock").Add(ctx, tx, -1); err != nil {
			return err
		}
		var err error
		job, err = ship.Put(ctx, tx.Via("jobs", jobs), 7)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(job.Wait(ctx))
	// What a crash has left lying is delivered by whoever calls this now and then.
	fmt.Println(shop.Relay(ctx, spool.DefaultQueue, "jobs", jobs))
	stop()
	<-ended
	// Output:
	// order 7 is on its way <nil>
	// 0 <nil>
}

func ExampleTx_OnCommit() {
	ctx := context.Background()
	client, err := embedded.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	step := func(fail error) error {
		return client.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			tx.OnCommit(func(context.Context) { fmt.Println("it is done") })
			tx.OnAbort(func(context.Context) { fmt.Println("it was not done") })
			if err := spool.NewRef[int]("n").Add(ctx, tx, 1); err != nil {
				return err
			}
			fmt.Println("not done yet")
			return fail
		})
	}
	fmt.Println(step(nil))
	fmt.Println(step(errors.New("no")))
	// Output:
	// not done yet
	// it is done
	// <nil>
	// not done yet
	// it was not done
	// no
}
