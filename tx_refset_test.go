package spool_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spooljobs/spool"
)

type wrapped struct {
	Set  spool.RefSet
	Refs []spool.Ref[int]
	By   map[string]*spool.Ref[person]
}

// D07. A bundle of Refs: two by position and one by name. That a plain integer is none, the compiler says.
func TestRefSet(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ctx := within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		refBundle.HandleTx(w, func(ctx context.Context, tx *spool.Tx, args wrapped) (string, error) {
			return unpacked(ctx, t, tx, args)
		})
		var job *spool.Job[string]
		transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
			first, named := spool.NewRef[int](s.mine("first")), spool.NewRef[map[string]string](s.mine("named"))
			second := must(spool.Create(ctx, tx, person{Name: "Ada"}))(t) // attached, not committed
			var set spool.RefSet
			if err := errors.Join(set.Add(first), set.Add(second), set.Set("a", named), first.Store(ctx, tx, 12),
				named.Store(ctx, tx, map[string]string{"x": "y"})); err != nil {
				return err
			}
			if _, err := unpacked(ctx, t, tx, wrapped{Set: set}); err != nil {
				return err
			}
			mistaken(t, set.Add(spool.Ref[int]{}), "NewRef") // not attached
			mistaken(t, set.Set("b", spool.Ref[int]{}), "NewRef")
			mistaken(t, set.Add(nil), "NewRef")
			// Who takes one out has what was put in, uncommitted as it is.
			var out spool.Ref[person]
			if err := set.At(1, &out); err != nil {
				return err
			}
			_, err := refLooks.Put(ctx, c, out)
			mistaken(t, err, "not committed")
			job, err = refBundle.Put(ctx, tx, wrapped{Set: set, Refs: []spool.Ref[int]{first}, By: map[string]*spool.Ref[person]{"p": &second, "q": nil}})
			return err
		})
		must(w.Drain(ctx))(t)
		if got := must(job.Wait(ctx))(t); got != "12 Ada y" {
			t.Errorf("the job saw %q", got)
		}
	})
}

func unpacked(ctx context.Context, t *testing.T, tx *spool.Tx, args wrapped) (string, error) {
	set := args.Set
	if names := set.Names(); set.Len() != 2 || !cmp.Equal(names, []string{"a"}) {
		t.Errorf("%d places, names %q", set.Len(), names)
	}
	var first, other spool.Ref[int]
	var second spool.Ref[person]
	var named spool.Ref[map[string]string]
	if err := errors.Join(set.At(0, &first), set.At(1, &second), set.Get("a", &named)); err != nil {
		return "", err
	}
	for _, place := range []int{-1, 2, math.MaxInt} {
		mistaken(t, set.At(place, &other), "place")
	}
	fallback := spool.NewRef[int]("fallback")
	if err := set.Get("b", &fallback); !errors.Is(err, spool.ErrNotFound) || fallback.Key() != "fallback" {
		t.Errorf("a name that is not there: %v, %v", err, fallback)
	}
	for _, ref := range args.Refs {
		if ref != first {
			t.Errorf("%v is not %v", ref, first)
		}
	}
	if by := args.By["p"]; by != nil && (by.Key() != second.Key() || args.By["q"] != nil) {
		t.Errorf("by name: %v", args.By)
	}
	n, err1 := first.Load(ctx, tx)
	p, err2 := second.Load(ctx, tx)
	text, err3 := named.Field(ctx, tx, "x")
	return fmt.Sprint(n, " ", p.Name, " ", text), errors.Join(err1, err2, err3)
}

// A set is a value: copies go their own ways. A Ref that was replaced is not in it any more.
func TestRefSetsAreValues(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ref := func(name string) spool.Ref[int] { return spool.NewRef[int](name) }
		transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
			var a spool.RefSet
			for i := range 3 {
				if err := a.Add(ref(strconv.Itoa(i))); err != nil {
					return err
				}
			}
			b := a
			draft := must(spool.Create(ctx, tx, 1))(t)
			if err := errors.Join(a.Add(ref("a")), b.Add(ref("b")), a.Set("x", draft), b.Set("x", ref("bx")), a.Set("x", ref("ax"))); err != nil {
				return err
			}
			for set, want := range map[*spool.RefSet]string{&a: "a ax", &b: "b bx"} {
				var last, named spool.Ref[int]
				if err := errors.Join(set.At(3, &last), set.Get("x", &named)); err != nil || last.Key()+" "+named.Key() != want {
					t.Errorf("%v %v, %v; want %s", last, named, err, want)
				}
			}
			_, err := refBundle.Put(ctx, c, wrapped{Set: a}, spool.Delay(time.Hour), spool.ID("same"))
			if err != nil {
				return err
			}
			// The digest of what it holds does not depend on how it was made.
			var again spool.RefSet
			if err := again.Set("x", ref("ax")); err != nil {
				return err
			}
			for i := range 4 {
				var r spool.Ref[int]
				if err := errors.Join(a.At(i, &r), again.Add(r)); err != nil {
					return err
				}
			}
			_, err = refBundle.Put(ctx, c, wrapped{Set: again}, spool.Delay(time.Hour), spool.ID("same"))
			return err
		})
	})
}
