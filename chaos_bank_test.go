package spool_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
	"github.com/spooljobs/spool/retry"
)

const (
	bankAccounts  = 100
	bankHot       = 4 // of them, which every fifth transfer is between
	bankDeposit   = 1000
	bankTransfers = 20_000 // by jobs
	bankByHand    = 400    // by Transact, beside them
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
	name      string
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

// bankFaults are what goes wrong while the transfers are made, and how often. A reply that is lost is one of a call that
// was executed.
var bankFaults = []struct {
	what   string
	times  int
	verb   string // of the call; "" where it is nothing that a call meets
	action redistest.Action
}{
	{"a worker is killed", 20, "", redistest.Pass()},
	{"a worker is frozen until it counts as dead", 4, "", redistest.Pass()},
	{"the scripts are flushed", 5, "", redistest.Pass()},
	{"the reply of a commit is lost", 12, "commit", redistest.DropReply()},
	{"the reply of EXEC is lost", 6, "EXEC", redistest.DropReply()},
	{"a commit is not sent", 12, "commit", redistest.CutBefore()},
	{"EXEC is not sent", 4, "EXEC", redistest.CutBefore()},
	{"the answer to a read is lost", 8, "read", redistest.DropReply()},
	{"the reply of a delivery is lost", 4, "deliver", redistest.DropReply()},
	{"the outbox is not told of a delivery", 4, "delivered", redistest.CutBefore()},
}

// saboteur lets what passes some proxies meet the faults that are due.
type saboteur struct {
	verb func(cmd []string) string

	mu     sync.Mutex
	due    map[string][]int                   // by the verb they wait for: indexes of bankFaults
	done   []int                              // how often each came about
	frozen map[*redistest.Proxy]chan struct{} // what they hold back, until it is closed
}

// proxy is one more way to the server.
func (x *saboteur) proxy(t *testing.T, s *server) *redistest.Proxy {
	t.Helper()
	p := s.proxied(t)
	p.OnRequest(func(cmd []string) redistest.Action {
		verb := cmp.Or(x.verb(cmd), cmd[0])
		x.mu.Lock()
		defer x.mu.Unlock()
		if gate := x.frozen[p]; gate != nil {
			return redistest.Hold(gate)
		}
		if len(x.due[verb]) == 0 {
			return redistest.Pass()
		}
		fault := x.due[verb][0]
		x.due[verb] = x.due[verb][1:]
		x.done[fault]++
		return bankFaults[fault].action
	})
	return p
}

// await lets the next call of its verb meet a fault.
func (x *saboteur) await(fault int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	verb := bankFaults[fault].verb
	x.due[verb] = append(x.due[verb], fault)
}

// note counts a fault that no call has to meet.
func (x *saboteur) note(fault int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.done[fault]++
}

// freeze holds back what is sent through a proxy, for a while. Then it arrives, late.
func (x *saboteur) freeze(p *redistest.Proxy, d time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	gate := make(chan struct{})
	x.frozen[p] = gate
	time.AfterFunc(d, func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		if x.frozen[p] == gate {
			delete(x.frozen, p)
		}
		close(gate)
	})
}

func (x *saboteur) isFrozen(p *redistest.Proxy) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.frozen[p] != nil
}

// bankPlan draws when what goes wrong: after how many transfers, in order.
func bankPlan(chance *rand.Rand) (plan [][2]int) {
	for fault, f := range bankFaults {
		for range f.times {
			plan = append(plan, [2]int{bankTransfers/50 + chance.IntN(bankTransfers*4/5), fault})
		}
	}
	slices.SortFunc(plan, func(a, b [2]int) int { return a[0] - b[0] })
	return plan
}

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

// bankSeed is that of SPOOL_BANK_SEED, or a new one.
func bankSeed(t *testing.T) *rand.Rand {
	t.Helper()
	seed, err := strconv.ParseUint(os.Getenv("SPOOL_BANK_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	t.Logf("again with SPOOL_BANK_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// Transfers among accounts, by jobs on several processes and by plain transactions, while workers are killed, connections
// cut, replies lost and scripts flushed: no money is lost or made, every transfer is made exactly once, and every receipt
// that one has put into another queue is written exactly once (G6). A run in which one of the faults, an interruption or
// a conflict between processes did not come about proves nothing, and fails.
func TestBank(t *testing.T) {
	t.Parallel()
	ownServer(t, func(t *testing.T, s *server, r *redistest.Server) {
		chance := bankSeed(t)
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Second)
		var working sync.WaitGroup
		defer func() {
			cancel()
			working.Wait()
		}()
		rdb, c := s.raw(t), s.client(t)
		x := &saboteur{verb: s.verbs(t), due: map[string][]int{}, done: make([]int, len(bankFaults)), frozen: map[*redistest.Proxy]chan struct{}{}}
		b := &teller{bankKeys: bankKeys(s.prefix), name: "by hand"}
		for i := range bankAccounts {
			must(rdb.HSet(ctx, b.account(i), "balance", bankDeposit, "by", "nobody").Result())(t)
		}
		orders := bankOrders(chance)
		var partials []spool.Partial[int64]
		for _, o := range orders[:bankTransfers] {
			partials = append(partials, bankMove.With(o))
		}
		begin := time.Now()
		var tellers []*process
		var ways []*redistest.Proxy // of each its own
		for i := range bankTellers {
			ways = append(ways, x.proxy(t, s))
			tellers = append(tellers, s.spawn(t, "teller", ways[i].Addr()))
		}
		puts := must(spool.PutMany(ctx, c, partials))(t)

		// Those by hand are made beside the jobs, all the time.
		hand := s.clientAt(t, x.proxy(t, s).Addr())
		made := make([]int64, len(orders)) // what each says it has left in the account
		progress := func() int { return int(rdb.HLen(ctx, b.times()).Val()) }
		const hands = 4
		for h := range hands {
			working.Go(func() {
				for i := bankTransfers + h; i < len(orders); i += hands {
					for ctx.Err() == nil && progress() < (i-bankTransfers)*bankTransfers/bankByHand*9/10 {
						time.Sleep(50 * time.Millisecond) // no signal tells of it
					}
					if err := hand.Transact(ctx, func(ctx context.Context, tx *spool.Tx) (err error) {
						made[i], err = b.move(ctx, tx, orders[i])
						return err
					}, spool.TxConfig{Queue: "bank", Retry: bankPolicy}); err != nil {
						t.Errorf("transfer %d by hand: %v", i, err)
						return
					}
				}
			})
		}
		working.Go(func() {
			for i, p := range puts {
				if p.Err != nil {
					t.Errorf("transfer %d: %v", i, p.Err)
					return
				}
				var err error
				if made[i], err = p.Job.Wait(ctx); err != nil {
					t.Errorf("transfer %d: %v", i, err)
					return
				}
			}
		})

		for _, step := range bankPlan(chance) {
			for progress() < step[0] && !t.Failed() && ctx.Err() == nil {
				time.Sleep(10 * time.Millisecond)
			}
			victim := chance.IntN(bankTellers)
			for i := 1; x.isFrozen(ways[victim]) && i < bankTellers; i++ {
				victim = (victim + 1) % bankTellers
			}
			switch fault := step[1]; bankFaults[fault].what {
			case "a worker is killed":
				tellers[victim].line(t) // that it runs
				tellers[victim].kill()
				tellers[victim] = s.spawn(t, "teller", ways[victim].Addr())
				x.note(fault)
			case "a worker is frozen until it counts as dead":
				x.freeze(ways[victim], 5*bankPatience/2)
				x.note(fault)
			case "the scripts are flushed":
				must(rdb.ScriptFlush(ctx).Result())(t)
				x.note(fault)
			default:
				x.await(fault)
			}
		}
		working.Wait()
		moved := time.Since(begin)
		if t.Failed() {
			return
		}
		eventually(t, "all receipts are written", func() bool {
			return rdb.HLen(ctx, b.receipts()).Val() == int64(len(orders)/10)
		})
		for _, p := range tellers {
			p.stdin.Close() // all at once
		}
		for _, p := range tellers {
			if err := p.stop(); err != nil {
				t.Errorf("a teller: %v", err)
			}
		}
		b.audit(t, ctx, rdb, made)
		counts := must(c.Queue("bank").Counts(ctx))(t)
		if counts.Succeeded != bankTransfers || counts.Failed+counts.Aborted+counts.Retried != 0 || counts.Pending()+counts.Active != 0 {
			t.Errorf("transfers: %+v", counts)
		}
		receipts := must(c.Queue("receipts").Counts(ctx))(t)
		if receipts.Succeeded != int64(len(orders)/10) || receipts.Failed+receipts.Aborted != 0 || receipts.Pending()+receipts.Active != 0 {
			t.Errorf("receipts: %+v", receipts)
		}
		if left := rdb.HLen(ctx, s.key("bank", "outbox")).Val(); left != 0 {
			t.Errorf("%d jobs lie in the outbox", left)
		}
		proven := map[string]int64{"interruptions": counts.Interrupted, "verdicts refused": counts.Refused,
			"conflicts": total(t, rdb.HVals(ctx, b.conflicts())), "attempts overtaken by another process": total(t, rdb.HVals(ctx, b.overtakings()))}
		for i, f := range bankFaults {
			proven[f.what] = int64(x.done[i])
			if x.done[i] != f.times {
				t.Errorf("%s: %d times, not %d", f.what, x.done[i], f.times)
			}
		}
		for what, n := range proven {
			if n == 0 {
				t.Errorf("it has not come about: %s", what)
			}
		}
		t.Logf("%d transfers in %v; %v", len(orders), moved.Round(time.Millisecond), proven)
	})
}

// audit counts the money and looks for every transfer.
func (b *teller) audit(t *testing.T, ctx context.Context, rdb *redis.Client, made []int64) {
	t.Helper()
	sum := 0
	for i := range bankAccounts {
		sum += must(rdb.HGet(ctx, b.account(i), "balance").Int())(t)
	}
	if sum != bankAccounts*bankDeposit {
		t.Errorf("there are %d, not %d", sum, bankAccounts*bankDeposit)
	}
	times, left := must(rdb.HGetAll(ctx, b.times()).Result())(t), must(rdb.HGetAll(ctx, b.left()).Result())(t)
	receipts := must(rdb.HGetAll(ctx, b.receipts()).Result())(t)
	var wrong []error
	for i, balance := range made {
		n := strconv.Itoa(i)
		if times[n] != "1" {
			wrong = append(wrong, fmt.Errorf("transfer %d was made %q times", i, times[n]))
		}
		if left[n] != strconv.FormatInt(balance, 10) {
			wrong = append(wrong, fmt.Errorf("transfer %d says that it left %d, and has left %s", i, balance, left[n]))
		}
		if want := map[bool]string{true: "1"}[i%10 == 0]; receipts[n] != want {
			wrong = append(wrong, fmt.Errorf("the receipt of transfer %d was written %q times", i, receipts[n]))
		}
	}
	if len(times) != len(made) {
		wrong = append(wrong, fmt.Errorf("%d transfers were made", len(times)))
	}
	if len(wrong) > 0 {
		t.Errorf("%d errors, first of all:\n%v", len(wrong), errors.Join(wrong[:min(len(wrong), 10)]...))
	}
}

func total(t *testing.T, cmd *redis.StringSliceCmd) (sum int64) {
	t.Helper()
	for _, text := range must(cmd.Result())(t) {
		sum += must(strconv.ParseInt(text, 10, 64))(t)
	}
	return sum
}
