package spool_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
)

// seeded returns a source of chance whose seed is shown if the test fails.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

// putCounted puts n jobs of a task with a result and returns their handles.
func putCounted(t *testing.T, ctx context.Context, c *spool.Client, task spool.Task[int, int], n int, opts ...spool.Option) []*spool.Job[int] {
	t.Helper()
	partials := make([]spool.Partial[int], n)
	for i := range partials {
		partials[i] = task.With(i, opts...)
	}
	jobs := make([]*spool.Job[int], n)
	for i, r := range must(spool.PutMany(ctx, c, partials))(t) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		jobs[i] = r.Job
	}
	return jobs
}

// Workers are killed at random moments, with jobs in hand, in flight and on their way back. Every job ends with one
// outcome; what was interrupted is counted as that and as no failure (G1, G2, G10).
func TestWorkersKilledAtRandom(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		const n, kills, workers = 10_000, 20, 3
		chance := seeded(t)
		c := s.client(t)
		ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
		defer cancel()
		jobs := putCounted(t, ctx, c, counted, n)
		fleet := s.fleet(t, workers, "SPOOL_TEST_SLOTS=12", "SPOOL_TEST_PAUSE=10")
		begin := time.Now()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for i, j := range jobs {
				if got, err := j.Wait(ctx); err != nil || got != 2*i {
					t.Errorf("job %d: %d, %v", i, got, err)
					return
				}
			}
		}()
		for range kills {
			time.Sleep(time.Duration(chance.IntN(250)) * time.Millisecond) // the moment is what is drawn
			fleet.replace(chance.IntN(workers))
		}
		killed := time.Since(begin)
		<-ended
		fleet.stop()
		if t.Failed() {
			return
		}
		counts := must(c.Queue("default").Counts(ctx))(t)
		if counts.Succeeded != n || counts.Completed != n || counts.Failed+counts.Retried+counts.Aborted != 0 ||
			counts.Pending()+counts.Active+counts.Workers != 0 {
			t.Errorf("%+v", counts)
		}
		// At least once outside, one outcome inside; a job that ran more often was interrupted that often at least.
		ran := must(s.raw(t).HGetAll(ctx, "effects:"+s.prefix).Result())(t)
		again, interrupted := 0, 0
		for i, j := range jobs {
			var times int
			_, _ = fmt.Sscan(ran[j.ID()], &times)
			info := must(c.Queue("default").Get(ctx, j.ID()))(t)
			if info.Attempts != 1 || times < 1 || times > 1+info.Interruptions {
				t.Errorf("job %d ran %d times: %d attempts, %d interruptions", i, times, info.Attempts, info.Interruptions)
			}
			again, interrupted = again+times-1, interrupted+info.Interruptions
		}
		if int64(interrupted) != counts.Interrupted || counts.Interrupted == 0 {
			t.Errorf("%d interruptions in outcomes, %d counted", interrupted, counts.Interrupted)
		}
		t.Logf("%d kills within %v, all done after %v; %d interruptions, %d runs more than jobs, %d refused", kills,
			killed.Round(time.Millisecond), time.Since(begin).Round(time.Millisecond), interrupted, again, counts.Refused)
	})
}

// How long it takes until a killed worker's jobs run elsewhere: its DeadAfter and two or three beats.
func TestRecoveryTime(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		p := s.spawn(t, "worker", s.addr, "SPOOL_TEST_BEAT=100", "SPOOL_TEST_SLOTS=4")
		p.line(t)
		var jobs []*spool.Job[string]
		for i := range 4 {
			jobs = append(jobs, must(stuck.Put(ctx, c, fmt.Sprintf("%s-%d", s.prefix, i)))(t))
			p.line(t)
		}
		began := make(chan time.Time, len(jobs))
		w := spool.NewWorker(c, spool.WorkerConfig{Beat: 100 * time.Millisecond, DeadAfter: 500 * time.Millisecond, ThreadSlots: 4})
		stuck.Handle(w, func(ctx context.Context, key string) (string, error) {
			began <- time.Now()
			return "here", nil
		})
		work(t, w)
		eventually(t, "two workers", func() bool { return must(c.Queue("default").Counts(ctx))(t).Workers == 2 })
		p.kill()
		killed := time.Now()
		for range jobs {
			took := recv(t, "the job begins again", began).Sub(killed)
			t.Logf("recovered after %v", took.Round(time.Millisecond))
			if took > 5*time.Second {
				t.Errorf("recovery took %v", took)
			}
		}
		for _, j := range jobs {
			if got := must(j.Wait(ctx))(t); got != "here" {
				t.Errorf("got %q", got)
			}
		}
	})
}

// A job that ends its process is aborted after its cap. Those that ran beside it, and those that came after it, are
// not: suspects run one at a time (c7).
func TestPoisonIsAbortedAndBystandersAreNot(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		bad := must(poison.Put(ctx, c, 0, spool.Priority(-1)))(t)
		beside := putCounted(t, ctx, c, counted, 40)
		fleet := s.fleet(t, 2, "SPOOL_TEST_BEAT=20", "SPOOL_TEST_SLOTS=6", "SPOOL_TEST_PAUSE=20")
		begin := time.Now()
		aborted := make(chan error, 1)
		go func() {
			_, err := bad.Wait(ctx)
			aborted <- err
		}()
		deaths := 0
		var err error
	wait:
		for {
			for i, p := range fleet.workers {
				select {
				case <-p.ended:
					if code := p.cmd.ProcessState.ExitCode(); code != 3 {
						t.Fatalf("a worker ended with %d", code)
					}
					deaths++
					// There is always something to do for those beside it.
					beside = append(beside, putCounted(t, ctx, c, counted, 10)...)
					fleet.replace(i)
				default:
				}
			}
			select {
			case err = <-aborted:
				break wait
			case <-time.After(5 * time.Millisecond):
			}
		}
		if !strings.Contains(fmt.Sprint(err), "interrupted too often") {
			t.Errorf("the poison job: %v", err)
		}
		worst := 0
		for i, j := range beside {
			if _, err := j.Wait(ctx); err != nil {
				t.Errorf("bystander %d: %v", i, err)
				continue
			}
			worst = max(worst, must(c.Queue("default").Get(ctx, j.ID()))(t).Interruptions)
		}
		fleet.stop()
		info := must(c.Queue("default").Get(ctx, bad.ID()))(t)
		if info.Interruptions != 10 || deaths != 10 {
			t.Errorf("%d interruptions, %d processes ended", info.Interruptions, deaths)
		}
		counts := must(c.Queue("default").Counts(ctx))(t)
		if counts.Aborted != 1 || counts.Failed != 0 || counts.Succeeded != int64(len(beside)) {
			t.Errorf("%+v", counts)
		}
		if worst > 4 {
			t.Errorf("a bystander was interrupted %d times", worst)
		}
		t.Logf("aborted after %v; the worst bystander was interrupted %d times", time.Since(begin).Round(time.Millisecond), worst)
	})
}

// A worker that serves several queues runs one suspect at a time of all of them together: a job of one queue that ends
// processes must not take those of another with it (c7).
func TestSuspectsRunOneAtATimeOverAllQueues(t *testing.T) {
	t.Parallel()
	realServer(t, func(t *testing.T, s *server) {
		const each = 3
		c := s.client(t)
		ctx := within(t)
		jobs := putCounted(t, ctx, c, counted, each, spool.In("a"))
		jobs = append(jobs, putCounted(t, ctx, c, counted, each, spool.In("b"))...)
		for round := range int64(2) {
			p := s.spawn(t, "worker", s.addr, "SPOOL_TEST_QUEUES=a,b", "SPOOL_TEST_PAUSE=60000", "SPOOL_TEST_BEAT=20")
			eventually(t, "the worker holds all", func() bool {
				a, b := must(c.Queue("a").Counts(ctx))(t), must(c.Queue("b").Counts(ctx))(t)
				return a.Active == each && b.Active == each && a.Interrupted == round*each && b.Interrupted == round*each
			})
			p.kill()
		}
		var running, most atomic.Int32
		w := spool.NewWorker(c, spool.WorkerConfig{Queues: []string{"a", "b"}, ThreadSlots: 6, Beat: 50 * time.Millisecond, DeadAfter: 250 * time.Millisecond})
		counted.Handle(w, func(ctx context.Context, n int) (int, error) {
			if now := running.Add(1); now > most.Load() {
				most.Store(now)
			}
			defer running.Add(-1)
			time.Sleep(30 * time.Millisecond) // others have their chance
			return n, nil
		})
		work(t, w)
		for i, j := range jobs {
			must(j.Wait(ctx))(t)
			queue := []string{"a", "b"}[i/each]
			if info := must(c.Queue(queue).Get(ctx, j.ID()))(t); info.Interruptions != 2 {
				t.Errorf("job %d was interrupted %d times", i, info.Interruptions)
			}
		}
		if most.Load() != 1 {
			t.Errorf("%d suspects ran side by side", most.Load())
		}
	})
}

// A producer dies between its request and the reply. Another process puts the same ids: there is one job of each,
// whether the first request had been executed or not.
func TestProducerKilledBetweenRequestAndReply(t *testing.T) {
	t.Parallel()
	held := make(chan struct{}) // never closed: the reply is on its way for ever
	for name, action := range map[string]redistest.Action{"executed": redistest.HoldReply(held), "not executed": redistest.Hold(held)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			realServer(t, func(t *testing.T, s *server) {
				proxy := s.proxied(t)
				verb := s.verbs(t)
				sent := make(chan struct{}, 100)
				proxy.OnRequest(func(cmd []string) redistest.Action {
					if v := verb(cmd); v != "put" && v != "schedule" {
						return redistest.Pass()
					}
					sent <- struct{}{}
					return action
				})
				ids := []string{"a", "b", "c"}
				list := "SPOOL_TEST_IDS=" + strings.Join(ids, ",")
				p := s.spawn(t, "putter", proxy.Addr(), list)
				if got := p.line(t); got != "putting" {
					t.Fatal(got)
				}
				recv(t, "the put", sent)
				c := s.client(t)
				ctx := within(t)
				if name == "executed" {
					eventually(t, "the first put is stored", func() bool { return must(c.Queue("default").Counts(ctx))(t).Ready == len(ids) })
				}
				p.kill()
				q := s.spawn(t, "putter", s.addr, list)
				var said []string
				for line := range q.lines {
					said = append(said, line)
				}
				if err := q.stop(); err != nil || !slices.Equal(said, []string{"putting", "put"}) {
					t.Fatalf("the second process: %v, %v", said, err)
				}
				if counts := must(c.Queue("default").Counts(ctx))(t); counts.Ready != len(ids) {
					t.Errorf("%+v", counts)
				}
				w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
				double.Handle(w, func(ctx context.Context, n int) (int, error) { return 2 * n, nil })
				if ran := must(w.Drain(ctx))(t); ran != len(ids) {
					t.Errorf("%d jobs ran", ran)
				}
			})
		})
	}
}
