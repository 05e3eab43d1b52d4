package spool_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/spooljobs/spool"
)

var (
	credit = spool.NewTask[credits, int64]("tx.credit")
)

type credits struct {
	Key string
	By  int64
}

// addTo reads, adds and writes.
func addTo(ctx context.Context, tx *spool.Tx, c credits) (int64, error) {
	n, err := spool.NewRef[int64](c.Key).Load(ctx, tx)
	if err != nil && !errors.Is(err, spool.ErrNotFound) {
		return 0, err
	}
	n += c.By
	return n, spool.NewRef[int64](c.Key).Store(ctx, tx, n)
}

func TestTransactAddsUp(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		for i := range 5 {
			err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
				n, err := addTo(ctx, tx, credits{s.mine("n"), 2})
				if n != int64(2*i+2) {
					return fmt.Errorf("%d after %d", n, i)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestJobsAddUp(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 8}))
		credit.HandleTx(w, addTo)
		var ps []spool.Partial[int64]
		const n = 200
		for i := range n {
			ps = append(ps, credit.With(credits{s.mine("n" + strconv.Itoa(i%10)), 1}))
		}
		must(spool.PutMany(ctx, c, ps))(t)
		ran, err := w.Drain(ctx)
		if err != nil || ran != n {
			t.Fatal(ran, err)
		}
		sum := int64(0)
		for i := range 10 {
			v := must(strconv.ParseInt(must(s.raw(t).Get(ctx, s.mine("n"+strconv.Itoa(i))).Result())(t), 10, 64))(t)
			sum += v
		}
		if sum != n {
			t.Fatal("sum", sum)
		}
		t.Log(c.Transactions())
	})
}

// mine is a key of the test's own data.
func (s *server) mine(name string) string { return s.prefix + "/" + name }
