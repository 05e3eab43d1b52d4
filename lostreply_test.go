package spool_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
)

// losses lets calls of some verbs fail, at random, a number of times in all.
type losses struct {
	left atomic.Int64
}

// lose arms a proxy: of the calls of these verbs every other one, by chance, meets its fate, until that many have. No
// more than two in a row do: waits between attempts double.
func lose(t *testing.T, s *server, p *redistest.Proxy, action redistest.Action, times int64, verbs ...string) *losses {
	t.Helper()
	verb, chance := s.verbs(t), seeded(t)
	l := &losses{}
	l.left.Store(times)
	row := 0
	p.OnRequest(func(cmd []string) redistest.Action {
		if !slices.Contains(verbs, verb(cmd)) {
			return redistest.Pass()
		}
		if first := l.left.Load() == times; row < 2 && (first || chance.IntN(2) == 0) && l.left.Load() > 0 {
			row++
			l.left.Add(-1)
			return action
		}
		row = 0
		return redistest.Pass()
	})
	return l
}

func (l *losses) over() bool { return l.left.Load() <= 0 }

// tally counts how often each job ran.
type tally struct {
	mu   sync.Mutex
	runs map[string]int
}

func newTally() *tally { return &tally{runs: map[string]int{}} }

func (n *tally) note(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.runs[id]++
}

// once reports every job that did not run exactly once, and those that nobody put.
func (n *tally) once(t *testing.T, jobs []*spool.Job[int]) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, j := range jobs {
		if got := n.runs[j.ID()]; got != 1 {
			t.Errorf("job %d, %s, ran %d times", i, j.ID(), got)
		}
		delete(n.runs, j.ID())
	}
	if len(n.runs) > 0 {
		t.Errorf("%d jobs ran that nobody put", len(n.runs))
	}
}

// clean reports what a run without deaths and failures must not leave.
func clean(t *testing.T, c *spool.Client, succeeded int) {
	t.Helper()
	n := must(c.Queue("default").Counts(within(t)))(t)
	if n.Succeeded != int64(succeeded) || n.Failed+n.Retried+n.Interrupted+n.Aborted+n.Refused+n.Expired+n.Cancelled != 0 ||
		n.Pending()+n.Active+n.Quarantined != 0 {
		t.Errorf("after %d jobs: %+v", succeeded, n)
	}
}

// Replies are lost, or requests, two hundred times for each verb that is sent all the time. Nothing is lost and
// nothing is doubled (G6).
func TestLostTwoHundredTimes(t *testing.T) {
	t.Parallel()
	for what, action := range map[string]redistest.Action{"reply": redistest.DropReply(), "request": redistest.CutBefore()} {
		for _, verb := range []string{"put", "schedule", "advance", "beat"} {
			t.Run(what+" of "+verb, func(t *testing.T) {
				t.Parallel()
				realServer(t, func(t *testing.T, s *server) { loseSteadily(t, s, action, 200, verb) })
			})
		}
	}
}

// loseSteadily keeps producers and a worker busy behind a lossy proxy until enough has been lost.
func loseSteadily(t *testing.T, s *server, action redistest.Action, times int64, verb string) {
	proxy := s.proxied(t)
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	c, straight := s.clientAt(t, proxy.Addr()), s.client(t)
	ran := newTally()
	// Beats are dense, and patience is long: it is replies that are lost here, not workers.
	w := spool.NewWorker(c, spool.WorkerConfig{ThreadSlots: 4, Beat: 8 * time.Millisecond, DeadAfter: 30 * time.Second})
	double.Handle(w, func(ctx context.Context, n int) (int, error) {
		ran.note(spool.Running(ctx).ID())
		return 2 * n, nil
	})
	l := lose(t, s, proxy, action, times, verb)
	stop := work(t, w)
	const producers = 3
	var jobs [producers][]*spool.Job[int]
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			for i := 0; !l.over() && ctx.Err() == nil; i++ {
				// What is due later, if only by a moment, is put by another script.
				var opts []spool.Option
				if verb == "schedule" {
					opts = append(opts, spool.Delay(time.Millisecond))
				}
				j, err := double.Put(ctx, c, i, opts...)
				if err != nil {
					t.Errorf("put: %v", err)
					return
				}
				jobs[p] = append(jobs[p], j)
				if i%4 != 0 {
					continue
				}
				if got, err := j.Wait(ctx); err != nil || got != 2*i {
					t.Errorf("job %d: %d, %v", i, got, err)
					return
				}
			}
		})
	}
	wg.Wait()
	var all []*spool.Job[int]
	for p := range producers {
		for i, j := range jobs[p] {
			if got, err := j.Wait(ctx); err != nil || got != 2*i {
				t.Fatalf("job %d: %d, %v", i, got, err)
			}
		}
		all = append(all, jobs[p]...)
	}
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if !l.over() {
		t.Errorf("%d were not lost", l.left.Load())
	}
	ran.once(t, all)
	clean(t, straight, len(all))
	t.Logf("%d jobs", len(all))
}

// The verbs that are sent at a beginning or an end lose their replies and requests, too: an engine registers and
// leaves under one number, what was claimed is adopted though the adoption fails, and every wait gets its answer.
func TestLostAtBeginningsAndEnds(t *testing.T) {
	t.Parallel()
	for what, action := range map[string]redistest.Action{"reply": redistest.DropReply(), "request": redistest.CutBefore()} {
		for _, verbs := range [][]string{{"register"}, {"leave"}, {"watch"}, {"advance", "adopt"}, {"register", "leave", "watch", "advance", "adopt", "put", "schedule", "beat"}} {
			t.Run(fmt.Sprint(what, " of ", verbs), func(t *testing.T) {
				t.Parallel()
				realServer(t, func(t *testing.T, s *server) {
					proxy := s.proxied(t)
					c, straight := s.clientAt(t, proxy.Addr()), s.client(t)
					ctx := within(t)
					l := lose(t, s, proxy, action, 25, verbs...)
					ran := newTally()
					var jobs []*spool.Job[int]
					for round := 0; !l.over(); round++ {
						w := spool.NewWorker(c, spool.WorkerConfig{ThreadSlots: 4, Beat: 20 * time.Millisecond, DeadAfter: 30 * time.Second})
						double.Handle(w, func(ctx context.Context, n int) (int, error) {
							ran.note(spool.Running(ctx).ID())
							return 2 * n, nil
						})
						stop := work(t, w)
						fresh := putCounted(t, ctx, c, double, 6)
						for i, j := range fresh {
							if got := must(j.Wait(ctx))(t); got != 2*i {
								t.Errorf("got %d", got)
							}
						}
						jobs = append(jobs, fresh...)
						if err := stop(); err != nil {
							t.Fatalf("Run: %v", err)
						}
					}
					ran.once(t, jobs)
					clean(t, straight, len(jobs))
					// A register whose reply was lost and that was sent again is one engine, not two.
					if n := must(straight.Queue("default").Counts(ctx))(t).Workers; n != 0 {
						t.Errorf("%d workers are registered after all have left", n)
					}
				})
			})
		}
	}
}

// Sweeps lose their replies: every job of the dead worker is interrupted once, not twice.
func TestLostSweeps(t *testing.T) {
	t.Parallel()
	for what, action := range map[string]redistest.Action{"reply": redistest.DropReply(), "request": redistest.CutBefore()} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			realServer(t, func(t *testing.T, s *server) {
				const n = 450 // several slices
				c := s.client(t)
				ctx := within(t)
				p := s.spawn(t, "worker", s.addr, fmt.Sprint("SPOOL_TEST_SLOTS=", n), "SPOOL_TEST_PAUSE=60000")
				p.line(t)
				jobs := putCounted(t, ctx, c, counted, n)
				eventually(t, "the worker holds all", func() bool { return must(c.Queue("default").Counts(ctx))(t).Active == n })
				p.kill()
				proxy := s.proxied(t)
				l := lose(t, s, proxy, action, 8, "sweep")
				w := spool.NewWorker(s.clientAt(t, proxy.Addr()), spool.WorkerConfig{ThreadSlots: 20, Beat: 50 * time.Millisecond, DeadAfter: 400 * time.Millisecond})
				ran := newTally()
				counted.Handle(w, func(ctx context.Context, i int) (int, error) {
					ran.note(spool.Running(ctx).ID())
					return i, nil
				})
				work(t, w)
				for _, j := range jobs {
					must(j.Wait(ctx))(t)
				}
				ran.once(t, jobs)
				counts := must(c.Queue("default").Counts(ctx))(t)
				if counts.Interrupted != n || counts.Succeeded != n || counts.Failed+counts.Refused+counts.Aborted != 0 {
					t.Errorf("%+v", counts)
				}
				if l.left.Load() == 8 {
					t.Error("no sweep was lost")
				}
			})
		})
	}
}

// Changes of single jobs lose their replies: they are made once, and their words are the first ones.
func TestLostChanges(t *testing.T) {
	t.Parallel()
	for what, action := range map[string]redistest.Action{"reply": redistest.DropReply(), "request": redistest.CutBefore()} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			realServer(t, func(t *testing.T, s *server) {
				proxy := s.proxied(t)
				c := s.clientAt(t, proxy.Addr())
				ctx := within(t)
				const n = 40
				l := lose(t, s, proxy, action, 50, "edit", "pull", "fail")
				q := c.Queue("default")
				kept := 0
				for i := range n {
					edited := must(double.Put(ctx, c, i))(t)
					if err := q.Edit(ctx, edited.ID(), 1000+i, spool.Priority(5)); err != nil {
						t.Errorf("edit: %v", err)
					}
					var got int
					if err := must(q.Get(ctx, edited.ID()))(t).Args(&got); err != nil || got != 1000+i {
						t.Errorf("edited to %d, %v", got, err)
					}
					if i%2 == 0 {
						if err := q.Pull(ctx, edited.ID()); err != nil {
							t.Errorf("pull: %v", err)
						}
					} else {
						kept++
					}
					failed := must(double.Put(ctx, c, i))(t)
					if err := q.Fail(ctx, failed.ID(), errKnown); err != nil {
						t.Errorf("fail: %v", err)
					}
				}
				counts := must(q.Counts(ctx))(t)
				if counts.Ready != kept || counts.Failed != n || counts.Completed != n {
					t.Errorf("%+v", counts)
				}
				t.Logf("%d were lost", 50-l.left.Load())
			})
		})
	}
}
