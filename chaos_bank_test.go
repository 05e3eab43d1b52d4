package spool_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
)

// Transfers among accounts, by jobs on several processes and by plain transactions, while workers are killed, connections
// cut, replies lost and scripts flushed: no money is lost or made, every transfer is made exactly once, and every receipt
// that one has put into another queue is written exactly once (G6). A run in which one of the faults, an interruption or
// a conflict between processes did not come about proves nothing, and fails.
func TestBank(t *testing.T) {
	t.Parallel()
	ownServer(t, func(t *testing.T, s *server, _ *redistest.Server) {
		b := openBank(t, s)
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		var working sync.WaitGroup
		defer func() {
			cancel()
			working.Wait()
		}()
		begin := time.Now()
		b.hire(t)
		jobs := b.put(t, ctx)
		working.Go(func() { b.byJobs(t, ctx, jobs) })
		hand := s.clientAt(t, b.x.proxy(t, s).Addr())
		for first := range bankHands {
			working.Go(func() { b.byHand(t, ctx, hand, first) })
		}
		for _, step := range bankPlan(b.chance) {
			b.await(t, ctx, step[0])
			b.strike(t, ctx, step[1])
		}
		working.Wait()
		took := time.Since(begin)
		if t.Failed() {
			return
		}
		eventually(t, "all receipts are written", func() bool {
			return b.rdb.HLen(ctx, b.receipts()).Val() == int64(len(b.orders)/10)
		})
		b.dismiss(t)
		b.audit(t, ctx)
		b.count(t, ctx)
		t.Logf("%d transfers in %v; %v", len(b.orders), took.Round(time.Millisecond), b.prove(t, ctx))
	})
}

// bank is what a test knows of its bank.
type bank struct {
	teller // for transfers by hand
	s      *server
	c      *spool.Client
	rdb    *redis.Client
	chance *rand.Rand
	x      *saboteur
	orders []bankTransfer // those by jobs, then those by hand
	made   []int64        // what each says that it has left in the account

	tellers []*process
	ways    []*redistest.Proxy // of each its own
}

func openBank(t *testing.T, s *server) *bank {
	t.Helper()
	b := &bank{teller: teller{bankKeys: bankKeys(s.prefix), name: "by hand"}, s: s, c: s.client(t), rdb: s.raw(t),
		chance: bankSeed(t), x: newSaboteur(s.verbs(t))}
	b.orders = bankOrders(b.chance)
	b.made = make([]int64, len(b.orders))
	for i := range bankAccounts {
		must(b.rdb.HSet(t.Context(), b.account(i), "balance", bankDeposit, "by", "nobody").Result())(t)
	}
	return b
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

// hire starts the processes that make transfers.
func (b *bank) hire(t *testing.T) {
	t.Helper()
	for range bankTellers {
		way := b.x.proxy(t, b.s)
		b.ways = append(b.ways, way)
		b.tellers = append(b.tellers, b.s.spawn(t, "teller", way.Addr()))
	}
}

func (b *bank) dismiss(t *testing.T) {
	t.Helper()
	for _, p := range b.tellers {
		p.stdin.Close() // all at once
	}
	for _, p := range b.tellers {
		if err := p.stop(); err != nil {
			t.Errorf("a teller: %v", err)
		}
	}
}

func (b *bank) put(t *testing.T, ctx context.Context) (jobs []*spool.Job[int64]) {
	t.Helper()
	var partials []spool.Partial[int64]
	for _, o := range b.orders[:bankTransfers] {
		partials = append(partials, bankMove.With(o))
	}
	for _, p := range must(spool.PutMany(ctx, b.c, partials))(t) {
		if p.Err != nil {
			t.Fatal(p.Err)
		}
		jobs = append(jobs, p.Job)
	}
	return jobs
}

// byJobs waits for the jobs, some hundreds at a time.
func (b *bank) byJobs(t *testing.T, ctx context.Context, jobs []*spool.Job[int64]) {
	var waits sync.WaitGroup
	for i, j := range jobs {
		waits.Go(func() {
			var err error
			if b.made[i], err = j.Wait(ctx); err != nil {
				t.Errorf("transfer %d: %v", i, err)
			}
		})
		if i%500 == 0 {
			waits.Wait()
		}
	}
	waits.Wait()
}

// byHand makes transfers by Transact, beside the jobs, all the time: one of every so many.
func (b *bank) byHand(t *testing.T, ctx context.Context, c *spool.Client, first int) {
	for i := bankTransfers + first; i < len(b.orders); i += bankHands {
		b.await(t, ctx, (i-bankTransfers)*bankTransfers/bankByHand*9/10)
		err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) (err error) {
			b.made[i], err = b.move(ctx, tx, b.orders[i])
			return err
		}, spool.TxConfig{Queue: "bank", Retry: bankPolicy})
		if err != nil {
			t.Errorf("transfer %d by hand: %v", i, err)
			return
		}
	}
}

// await waits until so many transfers have been made. No signal tells of that.
func (b *bank) await(t *testing.T, ctx context.Context, transfers int) {
	for ctx.Err() == nil && !t.Failed() && int(b.rdb.HLen(ctx, b.times()).Val()) < transfers {
		time.Sleep(20 * time.Millisecond)
	}
}

// strike lets a fault come about, or the next call meet it that can.
func (b *bank) strike(t *testing.T, ctx context.Context, fault int) {
	t.Helper()
	victim := b.chance.IntN(bankTellers)
	for i := 1; b.x.isFrozen(b.ways[victim]) && i < bankTellers; i++ {
		victim = (victim + 1) % bankTellers
	}
	switch bankFaults[fault].what {
	case "a worker is killed":
		b.tellers[victim].line(t) // that it runs
		b.tellers[victim].kill()
		b.tellers[victim] = b.s.spawn(t, "teller", b.ways[victim].Addr())
	case "a worker is frozen until it counts as dead":
		b.x.freeze(b.ways[victim], 5*bankPatience/2)
	case "the scripts are flushed":
		must(b.rdb.ScriptFlush(ctx).Result())(t)
	default:
		b.x.await(fault)
		return
	}
	b.x.note(fault)
}

// audit counts the money and looks for every transfer.
func (b *bank) audit(t *testing.T, ctx context.Context) {
	t.Helper()
	sum := 0
	for i := range bankAccounts {
		sum += must(b.rdb.HGet(ctx, b.account(i), "balance").Int())(t)
	}
	if sum != bankAccounts*bankDeposit {
		t.Errorf("there are %d, not %d", sum, bankAccounts*bankDeposit)
	}
	times, left := must(b.rdb.HGetAll(ctx, b.times()).Result())(t), must(b.rdb.HGetAll(ctx, b.left()).Result())(t)
	receipts := must(b.rdb.HGetAll(ctx, b.receipts()).Result())(t)
	var wrong []error
	for i, balance := range b.made {
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
	if len(times) != len(b.made) {
		wrong = append(wrong, fmt.Errorf("%d transfers were made", len(times)))
	}
	if len(wrong) > 0 {
		t.Errorf("%d errors, first of all:\n%v", len(wrong), errors.Join(wrong[:min(len(wrong), 10)]...))
	}
}

// count looks at what Spool itself says of the jobs.
func (b *bank) count(t *testing.T, ctx context.Context) {
	t.Helper()
	for queue, want := range map[string]int{"bank": bankTransfers, "receipts": len(b.orders) / 10} {
		n := must(b.c.Queue(queue).Counts(ctx))(t)
		if n.Succeeded != int64(want) || n.Failed+n.Aborted+n.Retried+n.Cancelled+n.Expired != 0 || n.Pending()+n.Active+n.Quarantined != 0 {
			t.Errorf("of the %d jobs of %s: %+v", want, queue, n)
		}
	}
	if left := must(b.rdb.HLen(ctx, b.s.key("bank", "outbox")).Result())(t); left != 0 {
		t.Errorf("%d jobs lie in the outbox", left)
	}
}

// prove returns how often what the test is about came about, and reports what did not.
func (b *bank) prove(t *testing.T, ctx context.Context) map[string]int64 {
	t.Helper()
	n := must(b.c.Queue("bank").Counts(ctx))(t)
	proven := map[string]int64{"interruptions": n.Interrupted, "verdicts refused": n.Refused,
		"conflicts": total(t, b.rdb.HVals(ctx, b.conflicts())), "attempts overtaken by another process": total(t, b.rdb.HVals(ctx, b.overtakings()))}
	for i, f := range bankFaults {
		if proven[f.what] = int64(b.x.done[i]); b.x.done[i] != f.times {
			t.Errorf("%s: %d times, not %d", f.what, b.x.done[i], f.times)
		}
	}
	for what, n := range proven {
		if n == 0 {
			t.Errorf("it has not come about: %s", what)
		}
	}
	return proven
}

func total(t *testing.T, cmd *redis.StringSliceCmd) (sum int64) {
	t.Helper()
	for _, text := range must(cmd.Result())(t) {
		sum += must(strconv.ParseInt(text, 10, 64))(t)
	}
	return sum
}
