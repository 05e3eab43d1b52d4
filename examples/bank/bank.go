package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/spooljobs/spool"
)

const (
	queue     = "bank"
	accounts  = 100
	deposit   = 1000
	transfers = 2000
)

var moveMoney = spool.NewTask[transfer, int64]("bank.move", spool.In(queue), spool.Keep(time.Minute))

// transfer is the argument of a job. A Ref goes with it as its key.
type transfer struct {
	Number   int
	From, To spool.Ref[int64]
	Amount   int64
	Ledger   string
}

// move is the handler. Nothing that it writes is there before the job is done, and then all of it is. Only what it reads
// can be the cause of a conflict: to be paid into, an account need not be read.
func move(ctx context.Context, tx *spool.Tx, t transfer) (int64, error) {
	balance, err := t.From.Load(ctx, tx)
	if err != nil {
		return 0, err
	}
	if balance < t.Amount {
		return 0, fmt.Errorf("%s has %d, and is to pay %d", t.From, balance, t.Amount)
	}
	balance -= t.Amount
	return balance, errors.Join(
		t.From.Store(ctx, tx, balance),
		t.To.Add(ctx, tx, t.Amount),
		tx.Do(ctx, "RPUSH", t.Ledger, t.Number).Err())
}

// bank is some accounts and a ledger, a list of the numbers of the transfers that were made.
type bank struct {
	client   *spool.Client
	accounts []spool.Ref[int64]
	ledger   string
}

// found opens the accounts. Their keys begin with the tag of the queue: in a cluster they are where its jobs are.
func found(ctx context.Context, client *spool.Client) (*bank, error) {
	name := client.Queue(queue).Tag() + "/" + uuid.NewString()
	b := &bank{client: client, ledger: name + "/ledger"}
	for i := range accounts {
		b.accounts = append(b.accounts, spool.NewRef[int64](fmt.Sprint(name, "/account/", i)))
	}
	return b, client.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
		for _, account := range b.accounts {
			if err := account.Store(ctx, tx, deposit); err != nil {
				return err
			}
		}
		return nil
	}, spool.TxConfig{Queue: queue})
}

// transfer puts a job for each of these numbers, between accounts drawn by lot, and waits for all of them.
func (b *bank) transfer(ctx context.Context, from, to int, progress func(done int)) error {
	var orders []spool.Partial[int64]
	for i := from; i < to; i++ {
		payer := rand.N(accounts)
		payee := (payer + 1 + rand.N(accounts-1)) % accounts
		orders = append(orders, moveMoney.With(transfer{i, b.accounts[payer], b.accounts[payee], 1 + rand.Int64N(10), b.ledger}))
	}
	puts, err := spool.PutMany(ctx, b.client, orders)
	if err != nil {
		return err
	}
	answers := make(chan error, len(puts))
	for _, put := range puts {
		go func() {
			if put.Err != nil {
				answers <- put.Err
				return
			}
			_, err := put.Job.Wait(ctx)
			answers <- err
		}()
	}
	for i := range puts {
		err = errors.Join(err, <-answers)
		progress(i + 1)
	}
	return err
}

// close pays everything out. It returns the sum, and what the ledger says.
func (b *bank) close(ctx context.Context) (sum int64, ledger []int64, err error) {
	err = b.client.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
		sum = 0
		for _, account := range b.accounts {
			balance, err := account.Load(ctx, tx)
			if err := errors.Join(err, account.Delete(ctx, tx)); err != nil {
				return err
			}
			sum += balance
		}
		ledger, err = tx.Do(ctx, "LRANGE", b.ledger, 0, -1).Int64Slice()
		return errors.Join(err, tx.Do(ctx, "DEL", b.ledger).Err())
	}, spool.TxConfig{Queue: queue})
	return sum, ledger, err
}
