package spool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/failure"
	"github.com/spooljobs/spool/retry"
)

// Partial.Call: TW-1 to TW-8, TW-37, and what a call shares with a job.

// A call is what the job would be: arguments and result are copies, errors keep what they are, no queue is involved.
func TestCallIsLikeTheJob(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		type word struct{ Letters []string }
		turn := spool.NewTask[word, word]("call.turn")
		var kept *word
		var ids []string
		turn.Handle(w, func(ctx context.Context, x word) (word, error) {
			ids = append(ids, spool.Running(ctx).ID())
			if len(x.Letters) == 0 {
				return x, errKnown
			}
			x.Letters[0] = "changed"
			kept = &x
			return x, nil
		})
		given := word{[]string{"a", "b"}}
		p := turn.With(given)
		for range 2 {
			got := must(p.Call(ctx, w))(t)
			if fmt.Sprint(got) != "{[changed b]}" || given.Letters[0] != "a" {
				t.Errorf("got %v, given is %v", got, given)
			}
			kept.Letters[1] = "later"
			if got.Letters[1] != "b" {
				t.Error("the result is shared with the handler")
			}
		}
		if _, err := turn.With(word{}).Call(ctx, w); err != errKnown {
			t.Errorf("the handler's error came back as %v", err)
		}
		counts := must(c.Queue("default").Counts(ctx))(t)
		if counts.Pending() != 0 || counts.Completed != 0 {
			t.Errorf("counts: %+v", counts)
		}
		// The same Partial can be put afterwards, and called afterwards.
		j := must(p.Put(ctx, c))(t)
		must(w.Drain(ctx))(t)
		if got := must(j.Wait(ctx))(t); fmt.Sprint(got) != "{[changed b]}" {
			t.Errorf("the job gave %v", got)
		}
		must(p.Call(ctx, w))(t)
		if want := []string{"", "", "", j.ID(), ""}; !slices.Equal(ids, want) {
			t.Errorf("it ran in the jobs %q", ids)
		}
	})
}

// Every mistake is an error that says what is wrong.
func TestCallMistakes(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := callWorker(c)
		var field *spool.FieldError
		var none context.Context
		for name, call := range map[string]func() error{
			"no worker":  func() error { _, err := callAnswer.With(spool.None{}).Call(ctx, nil); return err },
			"no context": func() error { _, err := callAnswer.With(spool.None{}).Call(none, w); return err },
			"no partial": func() error { _, err := spool.Partial[int]{}.Call(ctx, w); return err },
			"no handler": func() error { _, err := double.With(1).Call(ctx, w); return err },
			"no ref":     func() error { _, err := callAdd.With(callAmount{}).Call(ctx, w); return err },
			"bad option": func() error { _, err := callAdd.With(callAmount{}, spool.In("{no}")).Call(ctx, w); return err },
		} {
			if err := call(); !errors.As(err, &field) {
				t.Errorf("%s: %v", name, err)
			}
		}
		done, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := callAdd.With(callAmount{Counter: spool.NewRef[int64](s.mine("n"))}).Call(done, w); !errors.Is(err, context.Canceled) {
			t.Errorf("a context that has ended: %v", err)
		}
	})
}

// A transactional handler is called under its own policy; a panic is an error, whose frames say where.
func TestCallOfATransactionalHandler(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		rdb := s.raw(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		type order struct {
			How        string
			Collisions int
		}
		var calls int
		task := spool.NewTask[order, int64]("call.orders", spool.In("orders"))
		counter := spool.NewRef[int64](s.mine("n"))
		task.HandleTx(w, func(ctx context.Context, tx *spool.Tx, o order) (int64, error) {
			calls++
			if q := tx.Queue().Name(); q != "orders" {
				t.Errorf("the transaction lives in queue %q", q)
			}
			n, err := callChange(ctx, tx, counter, 1)
			if err != nil {
				return 0, err
			}
			if _, err := double.Put(ctx, tx, 1, spool.In("orders")); err != nil {
				return 0, err
			}
			if calls <= o.Collisions {
				return 0, rdb.Incr(ctx, counter.Key()).Err()
			}
			switch o.How {
			case "panic":
				panic("oh no")
			case "keep":
				return 0, spool.KeepWrites(errKnown)
			case "final":
				return 0, spool.Final(errKnown)
			case "error":
				return 0, errKnown
			}
			return n, nil
		}, spool.TxConfig{Retry: retry.Policy{Conflicts: 3}})
		puts := func() int { return must(c.Queue("orders").Counts(ctx))(t).Ready }
		for _, x := range []struct {
			o     order
			calls int
			count int64
			ready int
			check func(n int64, err error) bool
		}{
			{order{"", 0}, 1, 1, 1, func(n int64, err error) bool { return n == 1 && err == nil }},
			{order{"", 2}, 3, 3, 1, func(n int64, err error) bool { return n == 3 && err == nil }},
			{order{"", 3}, 3, 3, 0, func(n int64, err error) bool { return errors.Is(err, spool.ErrConflict) }},
			{order{"error", 0}, 1, 0, 0, func(n int64, err error) bool { return err == errKnown }},
			{order{"final", 0}, 1, 0, 0, func(n int64, err error) bool { return err == errKnown }},
			{order{"keep", 0}, 1, 1, 1, func(n int64, err error) bool { return err == errKnown }},
			{order{"panic", 0}, 1, 0, 0, func(n int64, err error) bool {
				var f *failure.Failure
				return errors.As(err, &f) && f.Panic && strings.Contains(fmt.Sprintf("%+v", f), "tx_call_partial_test.go")
			}},
		} {
			must(rdb.Set(ctx, counter.Key(), 0, 0).Result())(t)
			before := puts()
			calls = 0
			n, err := task.With(x.o).Call(ctx, w)
			if !x.check(n, err) || calls != x.calls {
				t.Errorf("%+v: got %d, %v after %d calls", x.o, n, err, calls)
			}
			if count := callCount(t, rdb, counter.Key()); count != x.count {
				t.Errorf("%+v: the count is %d", x.o, count)
			}
			if more := puts() - before; more != x.ready {
				t.Errorf("%+v: %d jobs were put", x.o, more)
			}
		}
	})
}

// Given the context of a transaction a call joins it, from Transact and from a handler; otherwise it is one of its own.
func TestCallJoins(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c, other := s.client(t), s.client(t)
		ctx := within(t)
		rdb := s.raw(t)
		w, elsewhere := callWorker(c), callWorker(other)
		a, b := spool.NewRef[int64](s.mine("a")), spool.NewRef[int64](s.mine("b"))
		own := errors.New("the outer one fails")
		for _, x := range []struct {
			name string
			w    *spool.Worker
			fail error
			want int64
		}{{"joins", w, nil, 1}, {"joins and is dropped", w, own, 0}, {"of another client", elsewhere, own, 1}} {
			must(rdb.MSet(ctx, a.Key(), 0, b.Key(), 0).Result())(t)
			err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
				if _, err := callChange(ctx, tx, a, 1); err != nil {
					return err
				}
				if n, err := callAdd.With(callAmount{Counter: b}).Call(ctx, x.w); n != 1 || err != nil {
					t.Errorf("%s: got %d, %v", x.name, n, err)
				}
				return x.fail
			})
			if !errors.Is(err, x.fail) {
				t.Errorf("%s: %v", x.name, err)
			}
			if n := callCount(t, rdb, b.Key()); n != x.want {
				t.Errorf("%s: the count is %d", x.name, n)
			}
		}
		if commits, _ := c.Transactions(); commits != 1 {
			t.Errorf("%d transactions", commits)
		}
		// In a handler it joins the job's; with a context that has no transaction it commits at once.
		outer := spool.NewTask[string, int64]("call.outer")
		outer.HandleTx(w, func(ctx context.Context, tx *spool.Tx, how string) (int64, error) {
			within := ctx
			if how == "apart" {
				within = t.Context()
			}
			n, err := callAdd.With(callAmount{Counter: spool.NewRef[int64](s.mine(how))}).Call(within, w)
			if err != nil {
				return 0, err
			}
			return n, errKnown
		})
		for how, want := range map[string]int64{"within": 0, "apart": 1} {
			j := must(outer.Put(ctx, c, how))(t)
			must(w.Drain(ctx))(t)
			if _, err := j.Wait(ctx); err == nil {
				t.Errorf("%s: the job has not failed", how)
			}
			if n := callCount(t, rdb, s.mine(how)); n != want {
				t.Errorf("%s: the count is %d", how, n)
			}
		}
	})
}

// A plain handler may begin a transaction itself; called, it is the same.
func TestPlainHandlerThatTransacts(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		task := spool.NewTask[int64, int64]("call.plain.transacts")
		task.Handle(w, func(ctx context.Context, by int64) (n int64, err error) {
			err = c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
				n, err = callChange(ctx, tx, spool.NewRef[int64](s.mine("n")), by)
				return err
			})
			return n, err
		})
		if n := must(task.With(2).Call(ctx, w))(t); n != 2 {
			t.Errorf("got %d", n)
		}
		j := must(task.Put(ctx, c, 3))(t)
		must(w.Drain(ctx))(t)
		if n := must(j.Wait(ctx))(t); n != 5 {
			t.Errorf("got %d", n)
		}
	})
}
