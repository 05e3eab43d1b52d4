// Bank moves money with Spool, each amount exactly once, though one of its workers loses its network on the way.
//
//	go run ./examples/bank
//
// A hundred accounts hold 1000 each. Two thousand jobs each take an amount out of one account, put it into another and
// note that in a ledger; what a job reads and writes, and that it is done, are one transaction. Early on one of the three
// workers is cut off, whatever it has on the wire. It goes on with what it has in hand. The others count it as dead and
// run its jobs again. After half of the transfers it is back, with some that are no longer its own, and is refused. In the
// end the accounts are added up, and every transfer is looked for in the ledger.
//
// Without SPOOL_REDIS_URL the bank is in a Redis inside the process, with it in the one at that URL. The accounts are
// those of this run, and are gone when it has ended.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/embedded"
	"github.com/spooljobs/spool/retry"
)

const workers = 3

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bank:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) (err error) {
	url := os.Getenv("SPOOL_REDIS_URL")
	if url == "" {
		server, err := embedded.Serve()
		if err != nil {
			return err
		}
		defer server.Close()
		url = embedded.URL(server)
	}
	client, err := spool.Open(ctx, url)
	if err != nil {
		return err
	}
	defer client.Close()
	bank, err := found(ctx, client)
	if err != nil {
		return err
	}

	// Each worker has connections of its own, as if it were a process on another machine.
	ctx, stop := context.WithCancel(ctx)
	var cables [workers]cable
	ended := make(chan error, workers)
	for i := range cables {
		go func() {
			defer stop() // if one ends too soon, all do
			ended <- work(ctx, url, &cables[i])
		}()
	}
	defer func() {
		stop()
		for range cables {
			err = errors.Join(err, <-ended)
		}
	}()

	if err := trade(ctx, out, bank, &cables[0]); err != nil {
		return err
	}
	return report(ctx, out, bank)
}

// work runs a worker until ctx ends. Its log would only say what the program says itself.
func work(ctx context.Context, url string, cable *cable) error {
	client, err := cable.open(url)
	if err != nil {
		return err
	}
	defer client.Close()
	worker := spool.NewWorker(client, spool.WorkerConfig{Queues: []string{queue}, ThreadSlots: 8,
		Beat: 100 * time.Millisecond, DeadAfter: 500 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	// Two transfers of one account at the same time are a conflict. One of them is then run again, however often.
	moveMoney.HandleTx(worker, move, spool.TxConfig{Retry: retry.Forever()})
	return worker.Run(ctx)
}

// trade has the transfers made. During the first half of them a cable is pulled. That half is done when others have found
// the worker dead and have run its jobs; then the cable is plugged in again.
func trade(ctx context.Context, out io.Writer, bank *bank, cable *cable) error {
	before, err := bank.client.Queue(queue).Counts(ctx)
	if err != nil {
		return err
	}
	pull := func(done int) {
		if done == transfers/20 {
			cable.pull()
			fmt.Fprintln(out, "after", done, "transfers a worker is cut off")
		}
	}
	if err := bank.transfer(ctx, 0, transfers/2, pull); err != nil {
		return err
	}
	cable.plug()
	fmt.Fprintln(out, "after", transfers/2, "transfers it is back")
	if err := bank.transfer(ctx, transfers/2, transfers, func(int) {}); err != nil {
		return err
	}
	after, err := bank.client.Queue(queue).Counts(ctx)
	fmt.Fprintf(out, "%d of its jobs were run by others, and %d verdicts of its own came too late\n",
		after.Interrupted-before.Interrupted, after.Refused-before.Refused)
	return err
}

// report says whether the bank has all its money, and each transfer once.
func report(ctx context.Context, out io.Writer, bank *bank) error {
	sum, ledger, err := bank.close(ctx)
	if err != nil {
		return err
	}
	times := make(map[int64]int)
	for _, number := range ledger {
		times[number]++
	}
	lost, doubled := transfers-len(times), len(ledger)-len(times)
	fmt.Fprintf(out, "sum %d of %d, transfers %d, lost %d, doubled %d\n", sum, accounts*deposit, len(ledger), lost, doubled)
	if sum != accounts*deposit || lost+doubled > 0 {
		return errors.New("that is not exactly once")
	}
	return nil
}
