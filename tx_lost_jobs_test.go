package spool_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
)

// Transactional jobs lose replies and requests of their reads and commits, or these come late, or twice: two hundred
// times each. Each has its effect once, and its result is that of the commit (G3).
func TestTransactionalJobsLoseEachStep(t *testing.T) {
	t.Parallel()
	late := func() redistest.Action {
		release := make(chan struct{})
		time.AfterFunc(2*jobPatience, func() { close(release) })
		return redistest.Hold(release)
	}
	always := func(a redistest.Action) func() redistest.Action { return func() redistest.Action { return a } }
	for _, verb := range []string{"read", "commit"} {
		for what, action := range map[string]func() redistest.Action{
			"reply lost":   always(redistest.DropReply()),
			"request lost": always(redistest.CutBefore()),
			"reply late":   always(redistest.DelayReply(2 * jobPatience)),
			"sent twice":   late, // the first arrives after the second was answered
		} {
			t.Run(verb+" "+what, func(t *testing.T) {
				t.Parallel()
				realServer(t, func(t *testing.T, s *server) { loseJobs(t, s, verb, action) })
			})
		}
	}
}

// jobPatience is how long the workers here wait for an answer.
const jobPatience = 40 * time.Millisecond

// loseJobs keeps some workers busy with transactional jobs until two hundred calls of a verb have met their fate.
func loseJobs(t *testing.T, s *server, verb string, action func() redistest.Action) {
	const workers, keys, faults = 6, 4, 200
	proxy, straight := s.proxied(t), s.client(t)
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	named, chance := s.verbs(t), seeded(t)
	var hit atomic.Int64
	row := 0
	proxy.OnRequest(func(cmd []string) redistest.Action {
		if named(cmd) != verb || hit.Load() >= faults || row == 2 || chance.IntN(3) == 0 {
			if named(cmd) == verb {
				row = 0
			}
			return redistest.Pass()
		}
		row++
		hit.Add(1)
		return action()
	})
	var committed sync.Map // job id to a number of hooks
	for range workers {
		c := s.clientAt(t, proxy.Addr()+"?read_timeout="+jobPatience.String(), silent,
			func(cfg *spool.ClientConfig) { cfg.WaitForRedis = true })
		w := spool.NewWorker(c, spool.WorkerConfig{ThreadSlots: 3, Beat: 100 * time.Millisecond, DeadAfter: 30 * time.Second})
		credit.HandleTx(w, func(ctx context.Context, tx *spool.Tx, args credits) (int64, error) {
			id := spool.Running(ctx).ID()
			tx.OnCommit(func(context.Context) {
				times, _ := committed.LoadOrStore(id, new(atomic.Int64))
				times.(*atomic.Int64).Add(1)
			})
			n, err := addTo(ctx, tx, args)
			if err != nil {
				return 0, err
			}
			return n, putBoth(ctx, tx)
		}, patient)
		work(t, w)
	}
	var jobs []*spool.Job[int64]
	for hit.Load() < faults && ctx.Err() == nil {
		var ps []spool.Partial[int64]
		for i := range 48 {
			ps = append(ps, credit.With(credits{s.mine(fmt.Sprint("n", i%keys)), 1}))
		}
		for _, r := range must(spool.PutMany(ctx, straight, ps))(t) {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			jobs = append(jobs, r.Job)
		}
		last := jobs[len(jobs)-1]
		must(last.Wait(ctx))(t)
	}
	results := make([]map[int64]bool, keys)
	for i, j := range jobs {
		k := i % 48 % keys
		n, err := j.Wait(ctx)
		if err != nil {
			t.Fatalf("job %d: %v", i, err)
		}
		if results[k] == nil {
			results[k] = map[int64]bool{}
		}
		if results[k][n] {
			t.Errorf("two jobs have made counter %d %d", k, n)
		}
		results[k][n] = true
	}
	sum := 0
	for k := range keys {
		n := must(s.raw(t).Get(ctx, s.mine(fmt.Sprint("n", k))).Int())(t)
		for i := range n {
			if !results[k][int64(i+1)] {
				t.Errorf("no job has made counter %d %d", k, i+1)
			}
		}
		sum += n
	}
	if sum != len(jobs) {
		t.Errorf("%d after %d jobs", sum, len(jobs))
	}
	counts := must(straight.Queue("default").Counts(ctx))(t)
	if counts.Succeeded != int64(len(jobs)) || counts.Due != len(jobs) || counts.Failed+counts.Retried+counts.Interrupted+counts.Refused != 0 {
		t.Errorf("after %d jobs: %+v", len(jobs), counts)
	}
	eventually(t, "the outbox is empty", func() bool { return s.raw(t).Exists(ctx, outboxOf(straight)).Val() == 0 })
	if n := must(straight.Queue("others").Counts(ctx))(t); n.Ready != len(jobs) {
		t.Errorf("%d jobs in the other queue of %d transactions", n.Ready, len(jobs))
	}
	eventually(t, "all hooks have run", func() bool {
		n := 0
		committed.Range(func(_, times any) bool { n++; return times.(*atomic.Int64).Load() == 1 })
		return n == len(jobs)
	})
	t.Logf("%d jobs, %d calls met their fate", len(jobs), hit.Load())
}
