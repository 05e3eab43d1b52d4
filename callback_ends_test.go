package spool_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool"
)

// callbackAbort makes a worker that runs nothing but one task die under it, for others to find.
func (s *server) callbackAbort(t *testing.T, ctx context.Context, c *spool.Client) {
	t.Helper()
	dead := spool.NewWorker(c, spool.WorkerConfig{ReactorSlots: -1, Beat: time.Hour})
	began := make(chan struct{})
	callbackVictim.Handle(dead, func(ctx context.Context, n int) (int, error) {
		close(began)
		<-spool.Running(ctx).Stopping()
		return n, nil
	})
	work(t, dead)
	recv(t, "the victim begins", began)
	rdb := s.raw(t)
	name, _ := s.lastEngine(ctx, t, rdb)
	must(rdb.ZAddXX(ctx, s.key("default", "engines"), redis.Z{Score: 1, Member: name}).Result())(t)
}

// Callbacks of jobs that end in every way, added before the end, after it, and to what is long over: who is to run does,
// once, and is told of the job's own end; who is not ends as the job did, and so does its handle say. The jobs stay what
// they are. CB-2, CB-3, CB-4, CB-5, PT-12, B11.
func TestCallbacksOfEveryEnd(t *testing.T) {
	t.Parallel()
	callbackShapes(t, func(t *testing.T, s *server, c *spool.Client, w *spool.Worker, far []spool.Option) {
		ctx, q, book := within(t), c.Queue("default"), newCallbackBook()
		book.handle(w)
		later := spool.Delay(time.Hour)
		kinds := []struct {
			name string
			job  *spool.Job[int]
			end  func(j *spool.Job[int]) error
			is   error // nil: a success
			text string
		}{
			{"succeeded", must(times.Put(ctx, c, [2]int{3, 4}))(t), nil, nil, ""},
			{"failed", must(breaks.Put(ctx, c, "no"))(t), nil, nil, "no"},
			{"failed from outside", must(times.Put(ctx, c, [2]int{3, 4}, later))(t),
				func(j *spool.Job[int]) error { return q.Fail(ctx, j.ID(), errors.New("not wanted")) }, nil, "not wanted"},
			{"cancelled before", must(times.Put(ctx, c, [2]int{3, 4}, later))(t),
				func(j *spool.Job[int]) error { return j.Cancel(ctx) }, spool.ErrCancelled, ""},
			{"cancelled at work", must(callbackGate.Put(ctx, c, "cancel"))(t), func(j *spool.Job[int]) error {
				recv(t, "it begins", book.gate("cancel").began)
				return j.Cancel(ctx)
			}, spool.ErrCancelled, ""},
			{"expired", must(double.Put(ctx, c, 1, spool.BeginBy(time.Millisecond)))(t), nil, spool.ErrExpired, ""},
			{"aborted", must(callbackVictim.Put(ctx, c, 1))(t), nil, spool.ErrAborted, ""},
		}
		type threesome struct{ good, bad, done *spool.Job[int] }
		add := func(j *spool.Job[int], label string) threesome {
			t.Helper()
			return threesome{
				must(spool.OnSuccess(ctx, c, j, callbackTold.With(label+" good", far...)))(t),
				must(spool.OnFailure(ctx, c, j, callbackTold.With(label+" bad", far...)))(t),
				must(spool.OnDone(ctx, c, j, callbackTold.With(label+" done", far...)))(t),
			}
		}
		look := func(three threesome, j *spool.Job[int], label string, is error, text string) {
			t.Helper()
			failed := is != nil || text != ""
			same := func(err error) bool {
				return err != nil && (is == nil || errors.Is(err, is)) && (text == "" || err.Error() == text)
			}
			g, gErr := three.good.Wait(ctx)
			b, bErr := three.bad.Wait(ctx)
			d, dErr := three.done.Wait(ctx)
			var ran []string
			if failed {
				if !same(gErr) || b != -1 || bErr != nil || d != -1 || dErr != nil {
					t.Errorf("%s: %v; %d, %v; %d, %v", label, gErr, b, bErr, d, dErr)
				}
				ran = []string{label + " bad", label + " done"}
			} else {
				if g != 1012 || gErr != nil || b != 12 || bErr != nil || d != 1012 || dErr != nil {
					t.Errorf("%s: %d, %v; %d, %v; %d, %v", label, g, gErr, b, bErr, d, dErr)
				}
				ran = []string{label + " good", label + " done"}
			}
			n := book.runs()
			if n[label+" good"]+n[label+" bad"]+n[label+" done"] != 2 {
				t.Errorf("%s: %v", label, n)
			}
			for _, one := range ran {
				if told := book.of(one); len(told) != 1 || told[0].JobID != j.ID() || failed != (told[0].Err != nil) || failed && !same(told[0].Err) {
					t.Errorf("%s was told %+v", one, told)
				}
			}
		}
		before := make([]threesome, len(kinds))
		for i, k := range kinds {
			before[i] = add(k.job, k.name+" before")
		}
		s.callbackAbort(t, ctx, c)
		work(t, w)
		for i, k := range kinds {
			if k.end != nil {
				if err := k.end(k.job); err != nil {
					t.Fatalf("%s: %v", k.name, err)
				}
			}
			_, err := k.job.Wait(ctx)
			if (err != nil) != (k.is != nil || k.text != "") || k.is != nil && !errors.Is(err, k.is) {
				t.Errorf("%s: %v", k.name, err)
			}
			after := add(k.job, k.name+" after")
			look(before[i], k.job, k.name+" before", k.is, k.text)
			look(after, k.job, k.name+" after", k.is, k.text)
			var over *spool.JobInfo
			eventually(t, "it is completed", func() bool {
				over = must(q.Get(ctx, k.job.ID()))(t)
				return over.State == spool.StateCompleted
			})
			// What comes now leaves the state alone.
			long := add(k.job, k.name+" long after")
			info := must(q.Get(ctx, k.job.ID()))(t)
			if info.State != spool.StateCompleted || !info.KeptUntil.Equal(over.KeptUntil) {
				t.Errorf("%s: %+v", k.name, info)
			}
			look(long, k.job, k.name+" long after", k.is, k.text)
		}
	})
}
