package spool_test

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
)

// childChunks runs lengthy jobs.
func childChunks() error {
	ctx, c, rdb, err := childClient()
	if err != nil {
		return err
	}
	defer c.Close()
	defer rdb.Close()
	beat := time.Duration(env("SPOOL_TEST_BEAT", 20)) * time.Millisecond
	w := spool.NewWorker(c, spool.WorkerConfig{ThreadSlots: env("SPOOL_TEST_SLOTS", 4), Beat: beat, DeadAfter: 5 * beat})
	chunks.HandleTx(w, func(ctx context.Context, tx *spool.Tx, job lengthy) (int, error) {
		return inChunks(ctx, tx, job, func(i int) { fmt.Println("chunk", job.Key, i) })
	})
	fmt.Println("runs")
	return w.Run(ctx)
}

// Jobs of fifty chunks, in processes that are killed at random moments. Every chunk takes effect exactly once.
func TestCheckpointsOfKilledProcesses(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		chance := seeded(t)
		c := s.client(t)
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		var jobs []*spool.Job[int]
		var all []lengthy
		for i := range 3 {
			all = append(all, lengthy{s.mine(strconv.Itoa(i)), 50, 2 * time.Millisecond})
			jobs = append(jobs, must(chunks.Put(ctx, c, all[i]))(t))
		}
		ended := make(chan bool)
		go func() {
			defer close(ended)
			for i, j := range jobs {
				if got, err := j.Wait(ctx); got != all[i].Chunks || err != nil {
					t.Errorf("job %d: %d, %v", i, got, err)
				}
			}
		}()
		kills := 0
		for over := false; !over; kills++ {
			p := s.spawn(t, "chunks", s.addr)
			p.line(t)
			// So many chunks after its beginning, and a moment.
			for range chance.IntN(30) {
				select {
				case <-p.lines:
				case <-ended:
				}
			}
			time.Sleep(time.Duration(chance.IntN(4000)) * time.Microsecond)
			p.kill()
			select {
			case <-ended:
				over = true
			default:
			}
		}
		for _, job := range all {
			job.once(t, s)
		}
		noCursor(t, s)
		counts := must(c.Queue("default").Counts(ctx))(t)
		if counts.Interrupted == 0 || counts.Retried+counts.Failed != 0 {
			t.Errorf("%+v", counts)
		}
		t.Logf("%d processes were killed, %d interruptions", kills, counts.Interrupted)
	})
}

// Redis goes away while a checkpoint flies, and the worker shuts down: the handler is let go, and Run returns.
func TestShutdownWhileACheckpointFlies(t *testing.T) {
	t.Parallel()
	ownServer(t, func(t *testing.T, s *server, r *redistest.Server) {
		c := s.client(t)
		ctx := within(t)
		proxy := s.proxied(t)
		verb := s.verbs(t)
		far := s.clientAt(t, proxy.Addr())
		w := spool.NewWorker(far, fast(spool.WorkerConfig{ShutdownGrace: time.Millisecond}))
		began, ended := make(chan bool), make(chan error, 1)
		var gone atomic.Bool
		chunks.HandleTx(w, func(ctx context.Context, tx *spool.Tx, job lengthy) (int, error) {
			_, err := inChunks(ctx, tx, job, func(i int) {
				if i == 1 {
					gone.Store(true)
					close(began)
				}
			})
			ended <- err
			return 0, err
		})
		job := lengthy{Key: s.mine("list"), Chunks: 3}
		handle := must(chunks.Put(ctx, c, job))(t)
		proxy.OnRequest(func(cmd []string) redistest.Action {
			if gone.Load() && verb(cmd) == "commit" {
				return redistest.CutBefore()
			}
			return redistest.Pass()
		})
		run, cancel := context.WithCancel(ctx)
		over := make(chan error, 1)
		go func() { over <- w.Run(run) }()
		recv(t, "the first chunk is there", began)
		cancel()
		if err := recv(t, "the handler ends", ended); err == nil {
			t.Error("the checkpoint is said to be made")
		}
		_ = recv(t, "Run returns", over)
		proxy.OnRequest(nil)
		next := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		chunks.HandleTx(next, func(ctx context.Context, tx *spool.Tx, job lengthy) (int, error) {
			return inChunks(ctx, tx, job, func(int) {})
		})
		work(t, next)
		must(handle.Wait(ctx))(t)
		job.once(t, s)
		noCursor(t, s)
	})
}
