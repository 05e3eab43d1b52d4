//go:build unix

package spool_test

import (
	"context"
	"fmt"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/spooljobs/spool"
)

// RA-1 to RA-3: a worker process is stopped in the middle of transactional jobs, for longer than its DeadAfter. Another
// one runs them. The first one goes on and commits: nothing of that counts, and it says so.
func TestStoppedInTheMiddleOfTransactions(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		const n = 4
		c, ctx, rdb := s.client(t), within(t), s.raw(t)
		old := s.spawn(t, "frozen", s.addr, "SPOOL_TEST_IDENTITY=old")
		old.line(t)
		var jobs []*spool.Job[int64]
		for i := range n {
			jobs = append(jobs, must(deeds.Put(ctx, c, deed{s.mine(fmt.Sprint("n", i)), s.mine("ledger"), s.mine("gate"), i}))(t))
			old.line(t)
		}
		old.signal(t, syscall.SIGSTOP)
		w := spool.NewWorker(c, mortal("new"))
		deeds.HandleTx(w, func(ctx context.Context, tx *spool.Tx, d deed) (int64, error) {
			return do(ctx, tx, d, func(deed) {})
		})
		work(t, w)
		for i, j := range jobs {
			if got := must(j.Wait(ctx))(t); got != 1 {
				t.Errorf("job %d: %d", i, got)
			}
		}
		must(rdb.Set(ctx, s.mine("gate"), "open", time.Minute).Result())(t)
		old.signal(t, syscall.SIGCONT)
		told := map[string]bool{}
		for range n {
			told[old.line(t)] = true
		}
		for i, j := range jobs {
			if !told[fmt.Sprint("aborted ", i)] {
				t.Errorf("job %d: %v", i, told)
			}
			if info := must(c.Queue("default").Get(ctx, j.ID()))(t); info.Worker != "new" || info.Interruptions != 1 || info.Attempts != 1 {
				t.Errorf("job %d: %+v", i, info)
			}
			if got := rdb.Get(ctx, s.mine(fmt.Sprint("n", i))).Val(); got != "1" {
				t.Errorf("job %d has left %q", i, got)
			}
		}
		eventually(t, "what came too late is counted", func() bool { return must(c.Queue("default").Counts(ctx))(t).Refused >= n })
		if got := must(c.Queue("default").Counts(ctx))(t).Refused; got != n {
			t.Errorf("%d came too late", got)
		}
		if err := old.stop(); err != nil {
			t.Error(err)
		}
	})
}

// Worker processes are stopped for a while at random moments, with reads, handlers and commits under way. Every job has
// its effect once.
func TestStoppedAtRandomMoments(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		const stops, counters = 5, 8
		c, chance, rdb := s.client(t, silent), seeded(t), s.raw(t)
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		fleet := []*process{s.spawn(t, "frozen", s.addr, "SPOOL_TEST_BEAT=40"), s.spawn(t, "frozen", s.addr, "SPOOL_TEST_BEAT=40")}
		for _, p := range fleet {
			p.line(t)
		}
		over, all := make(chan struct{}), make(chan []*spool.Job[int64], 1)
		go func() {
			var jobs []*spool.Job[int64]
			defer func() { all <- jobs }()
			for entry := 0; ; {
				select {
				case <-over:
					return
				default:
				}
				var ps []spool.Partial[int64]
				for range 20 {
					ps = append(ps, deeds.With(deed{s.mine(fmt.Sprint("n", entry%counters)), s.mine("ledger"), "", entry}))
					entry++
				}
				results, err := spool.PutMany(ctx, c, ps)
				if err != nil {
					t.Error(err)
					return
				}
				for _, r := range results {
					if r.Err != nil {
						t.Error(r.Err)
						return
					}
					jobs = append(jobs, r.Job)
				}
				if _, err := results[0].Job.Wait(ctx); err != nil {
					t.Error(err)
					return
				}
			}
		}()
		for i := range stops {
			time.Sleep(time.Duration(20+chance.IntN(60)) * time.Millisecond) // the moment is what is drawn
			p := fleet[i%len(fleet)]
			p.signal(t, syscall.SIGSTOP)
			time.Sleep(500 * time.Millisecond) // twice its DeadAfter
			p.signal(t, syscall.SIGCONT)
		}
		close(over)
		jobs := recv(t, "the putting ends", all)
		for i, j := range jobs {
			if _, err := j.Wait(ctx); err != nil {
				t.Fatalf("job %d: %v", i, err)
			}
		}
		for _, p := range fleet {
			if err := p.stop(); err != nil {
				t.Error(err)
			}
		}
		sum := 0
		for i := range counters {
			sum += must(strconv.Atoi(rdb.Get(ctx, s.mine(fmt.Sprint("n", i))).Val()))(t)
		}
		ledger := must(rdb.HGetAll(ctx, s.mine("ledger")).Result())(t)
		for entry, times := range ledger {
			if times != "1" {
				t.Errorf("job %s had its effect %s times", entry, times)
			}
		}
		counts := must(c.Queue("default").Counts(ctx))(t)
		if sum != len(jobs) || len(ledger) != len(jobs) || counts.Succeeded != int64(len(jobs)) || counts.Failed+counts.Aborted+counts.Retried != 0 {
			t.Errorf("%d jobs, %d counted, %d in the ledger: %+v", len(jobs), sum, len(ledger), counts)
		}
		if counts.Interrupted == 0 {
			t.Error("no job was interrupted")
		}
		t.Logf("%d jobs, %d interruptions, %d came too late", len(jobs), counts.Interrupted, counts.Refused)
	})
}
