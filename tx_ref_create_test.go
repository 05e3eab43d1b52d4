package spool_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spooljobs/spool"
)

// TW-38, TW-39. A Ref that its transaction has not committed is good in that transaction only: where it would escape it
// is an error, before anything is put or written.
func TestUncommittedRef(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		refLooks.HandleTx(w, look)
		work(t, w)
		var ref spool.Ref[person]
		var job *spool.Job[string]
		early := spool.NewTask[wrapped, string]("tx.bundle")
		transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
			var err error
			if ref, err = spool.Create(ctx, tx, person{Name: "Ada"}); err != nil {
				return err
			}
			escapes(ctx, t, c, ref, "not committed")
			if p, err := ref.Load(ctx, tx); p.Name != "Ada" || err != nil {
				t.Errorf("%v, %v", p, err)
			}
			// Inside of what takes effect with it.
			if err := spool.NewRef[person](s.mine("p")).Store(ctx, tx, person{Boss: ref}); err != nil {
				return err
			}
			p := refLooks.With(ref)
			if job, err = p.Put(ctx, tx); err != nil {
				return err
			}
			// The same Partial is not to go elsewhere either, alone or within another.
			_, err = p.Put(ctx, c)
			mistaken(t, err, "not committed")
			_, err = spool.NewTask[spool.Partial[string], string]("tx.outer").Put(ctx, c, p)
			mistaken(t, err, "not committed")
			_, err = early.Put(ctx, c, wrapped{By: map[string]*spool.Ref[person]{"a": &ref}})
			mistaken(t, err, "not committed")
			tx.OnCommit(func(ctx context.Context) {
				if _, err := refLooks.Put(ctx, c, ref); err != nil {
					t.Errorf("once committed: %v", err)
				}
			})
			return nil
		})
		if got := must(job.Wait(ctx))(t); got != "Ada" {
			t.Errorf("the job saw %q", got)
		}
		if got := must(must(refLooks.Put(ctx, c, ref))(t).Wait(ctx))(t); got != "Ada" {
			t.Errorf("a later job saw %q", got)
		}
		transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
			p, err := spool.NewRef[person](s.mine("p")).Load(ctx, tx)
			if err != nil || p.Boss.Key() != ref.Key() {
				t.Errorf("%v, %v", p.Boss, err)
			}
			_, err = p.Boss.Load(ctx, tx)
			return err
		})
	})
}

func look(ctx context.Context, tx *spool.Tx, ref spool.Ref[person]) (string, error) {
	p, err := ref.Load(ctx, tx)
	return p.Name, err
}

// escapes tries to use a Ref everywhere but where it is good.
func escapes(ctx context.Context, t *testing.T, c *spool.Client, ref spool.Ref[person], why string) {
	t.Helper()
	_, err := refLooks.Put(ctx, c, ref)
	mistaken(t, err, why, ref.Key())
	copied := ref
	if _, err := json.Marshal(map[string]any{"a": copied}); err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("as JSON: %v", err)
	}
	var set spool.RefSet
	if err := set.Add(ref); err != nil {
		t.Error(err)
	}
	_, err = refBundle.Put(ctx, c, wrapped{Set: set})
	mistaken(t, err, why)
	results := must(spool.PutMany(ctx, c, []spool.Partial[string]{refLooks.With(ref), refLooks.With(spool.NewRef[person](ref.Key() + "-other"))}))(t)
	mistaken(t, results[0].Err, why)
	if results[1].Err != nil {
		t.Error(results[1].Err)
	} else if err := results[1].Job.Cancel(ctx); err != nil && !errors.Is(err, spool.ErrBadState) {
		t.Error(err)
	}
	// Another transaction. That of another goroutine: this one's context would join.
	err = c.Transact(context.Background(), func(ctx context.Context, other *spool.Tx) error {
		if err := ref.Store(ctx, other, person{}); err == nil {
			t.Error("another transaction has written it")
		}
		if err := spool.NewRef[person](ref.Key()+"-holder").Store(ctx, other, person{Boss: ref}); err == nil {
			t.Error("another transaction has stored it")
		}
		if _, err := refLooks.Put(ctx, other, ref); err == nil {
			t.Error("another transaction has put it")
		}
		_, err := ref.Load(ctx, other)
		return err
	})
	mistaken(t, err, why)
}

// After an abort, and after a conflict for the Ref of the attempt that failed, it stays an error, and nothing is stored.
func TestAbortedRef(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c, rdb := s.client(t), s.raw(t)
		ctx := within(t)
		var ref spool.Ref[person]
		var p spool.Partial[string]
		err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			ref = must(spool.Create(ctx, tx, person{Name: "Ada"}))(t)
			p = refLooks.With(ref)
			must(p.Put(ctx, tx))(t)
			return errKnown
		})
		if err != errKnown {
			t.Fatal(err)
		}
		escapes(ctx, t, c, ref, "never committed")
		_, err = p.Put(ctx, c)
		mistaken(t, err, "never committed")

		counter := spool.NewRef[int](s.mine("n"))
		var refs []spool.Ref[int]
		transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
			n := must(spool.Create(ctx, tx, len(refs)))(t)
			refs = append(refs, n)
			_, err := counter.Load(ctx, tx)
			if tx.Attempts() == 1 {
				rdb.Set(ctx, counter.Key(), 7, 0)
			} else if _, err := refs[0].Load(ctx, tx); err == nil {
				t.Error("the Ref of the attempt before is good in this one")
			}
			if errors.Is(err, spool.ErrNotFound) {
				return nil
			}
			return err
		})
		if len(refs) != 2 {
			t.Fatalf("%d attempts", len(refs))
		}
		keys := must(rdb.Keys(ctx, "{"+s.prefix+":default}/ref/*").Result())(t)
		if !cmp.Equal(keys, []string{refs[1].Key()}) {
			t.Errorf("stored: %q, want %q", keys, refs[1])
		}
		transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
			if n, err := refs[1].Load(ctx, tx); n != 1 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
			_, err := refs[0].Load(ctx, tx)
			mistaken(t, err, "never committed")
			return nil
		})
	})
}

// A Tx is safe for concurrent use: what one goroutine creates while another one puts is guarded all the same.
func TestRefsCreatedAndPutAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 4}))
		refLooks.HandleTx(w, look)
		var jobs []*spool.Job[string]
		var mu sync.Mutex
		transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					for k := range 5 {
						ref, err := spool.Create(ctx, tx, person{Name: fmt.Sprint(i, k)})
						if err != nil {
							t.Error(err)
							return
						}
						job, err := refLooks.Put(ctx, tx, ref)
						if err != nil {
							t.Error(err)
							return
						}
						mu.Lock()
						jobs = append(jobs, job)
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			// Nobody encodes any more: all of them are as good as locked up.
			ref := must(spool.Create(ctx, tx, person{}))(t)
			_, err := refLooks.Put(ctx, c, ref)
			mistaken(t, err, "not committed")
			return nil
		})
		must(w.Drain(within(t)))(t)
		seen := map[string]bool{}
		for _, j := range jobs {
			seen[must(j.Wait(within(t)))(t)] = true
		}
		if len(seen) != 40 {
			t.Errorf("%d jobs saw %d values", len(jobs), len(seen))
		}
	})
}

// A Ref is a legal result, also one that the handler has created: it commits with it (TW-39).
func TestRefAsResult(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		refMakes.HandleTx(w, func(ctx context.Context, tx *spool.Tx, name string) (spool.Ref[person], error) {
			return spool.Create(ctx, tx, person{Name: name})
		})
		refLooks.HandleTx(w, look)
		work(t, w)
		ref := must(must(refMakes.Put(ctx, c, "Ada"))(t).Wait(ctx))(t)
		if got := must(must(refLooks.Put(ctx, c, ref))(t).Wait(ctx))(t); got != "Ada" {
			t.Errorf("got %q", got)
		}
		ref = must(refMakes.With("Bob").Call(ctx, w))(t)
		if got := must(refLooks.With(ref).Call(ctx, w))(t); got != "Bob" {
			t.Errorf("called: got %q", got)
		}
	})
}
