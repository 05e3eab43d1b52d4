package spool_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/retry"
)

const (
	bankAccounts  = 100
	bankHot       = 4 // of them, which every fifth transfer is between
	bankDeposit   = 1000
	bankTransfers = 20_000 // by jobs
	bankByHand    = 400    // by Transact, beside them
	bankHands     = 4      // that do so
	bankTellers   = 4
	bankPatience  = time.Second // a worker that is silent for so long counts as dead
)

var (
	bankMove    = spool.NewTask[bankTransfer, int64]("bank.move", spool.In("bank"), spool.Interruptions(spool.Unlimited))
	bankReceipt = spool.NewTask[int, spool.None]("bank.receipt", spool.In("receipts"), spool.Interruptions(spool.Unlimited))
)

// bankPolicy gives up on nothing: each transfer is to be made.
var bankPolicy = retry.Policy{Conflicts: retry.Unlimited, Disconnects: retry.Linear(10*time.Millisecond, 10*time.Millisecond, 100*time.Millisecond)}

type bankTransfer struct{ Number, From, To, Amount int }

// bankOrders draws transfers.
func bankOrders(chance *rand.Rand) (orders []bankTransfer) {
	for i := range bankTransfers + bankByHand {
		within := bankAccounts
		if chance.IntN(5) == 0 {
			within = bankHot
		}
		from := chance.IntN(within)
		orders = append(orders, bankTransfer{i, from, (from + 1 + chance.IntN(within-1)) % within, 1 + chance.IntN(20)})
	}
	return orders
}

// bankKeys are where a bank is: accounts are hashes of a balance and who wrote it; the others are hashes by the numbers
// of transfers, or by processes.
type bankKeys string

func (b bankKeys) account(n int) string { return fmt.Sprint(string(b), "/account/", n) }
func (b bankKeys) times() string        { return string(b) + "/times" }    // how often it was made
func (b bankKeys) left() string         { return string(b) + "/left" }     // what it has left in the account
func (b bankKeys) receipts() string     { return string(b) + "/receipts" } // how often its receipt was written
func (b bankKeys) conflicts() string    { return string(b) + "/conflicts" }
func (b bankKeys) overtakings() string  { return string(b) + "/overtakings" }

// teller makes transfers.
type teller struct {
	bankKeys
	name      string       // written to the accounts
	seen      sync.Map     // what the last attempt of a transfer has read, by number
	overtaken atomic.Int64 // attempts that came too late: another process has written what they had read
}

func (b *teller) move(ctx context.Context, tx *spool.Tx, t bankTransfer) (int64, error) {
	from, to := b.account(t.From), b.account(t.To)
	row, err := tx.Do(ctx, "HMGET", from, "balance", "by").StringSlice()
	if err != nil {
		return 0, err
	}
	if old, again := b.seen.Swap(t.Number, row); again && !slices.Equal(old.([]string), row) && row[1] != b.name {
		b.overtaken.Add(1)
	}
	tx.OnCommit(func(context.Context) { b.seen.Delete(t.Number) })
	balance, err := strconv.Atoi(row[0])
	if err != nil {
		return 0, err
	}
	balance -= t.Amount
	for _, write := range [][]any{
		{"HSET", from, "balance", balance, "by", b.name},
		{"HINCRBY", to, "balance", t.Amount},
		{"HSET", to, "by", b.name},
		{"HINCRBY", b.times(), t.Number, 1},
		{"HSET", b.left(), t.Number, balance},
	} {
		if err := tx.Do(ctx, write...).Err(); err != nil {
			return 0, err
		}
	}
	if t.Number%10 == 0 {
		_, err = bankReceipt.Put(ctx, tx, t.Number)
	}
	return int64(balance), err
}

func (b *teller) receipt(ctx context.Context, tx *spool.Tx, number int) (spool.None, error) {
	return spool.None{}, tx.Do(ctx, "HINCRBY", b.receipts(), number, 1).Err()
}

// childTeller runs transfers until its standard input ends, and says now and then how many conflicts it has had.
func childTeller() error {
	ctx, c, rdb, err := childClient()
	if err != nil {
		return err
	}
	defer c.Close()
	defer rdb.Close()
	b := &teller{bankKeys: bankKeys(os.Getenv("SPOOL_TEST_PREFIX")), name: strconv.Itoa(os.Getpid())}
	w := spool.NewWorker(c, spool.WorkerConfig{Queues: []string{"receipts", "bank"}, ThreadSlots: 8,
		Beat: bankPatience / 10, DeadAfter: bankPatience})
	bankMove.HandleTx(w, b.move, spool.TxConfig{Retry: bankPolicy})
	bankReceipt.HandleTx(w, b.receipt, spool.TxConfig{Retry: bankPolicy})
	report := func() {
		_, conflicts := c.Transactions()
		_ = rdb.HSet(context.Background(), b.conflicts(), b.name, conflicts).Err()
		_ = rdb.HSet(context.Background(), b.overtakings(), b.name, b.overtaken.Load()).Err()
	}
	var reports sync.WaitGroup
	reports.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				report()
			case <-ctx.Done():
				return
			}
		}
	})
	fmt.Println("runs")
	err = w.Run(ctx)
	reports.Wait()
	report()
	return err
}
