package future_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spooljobs/spool/future"
)

// G05, DD-1, DD-2: look-ups wait for a key; after Delete they wait again.
func TestMap(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	var m future.Map[string, int]
	one, two, other := m.Future(ctx, "k"), m.Future(ctx, "k"), m.Future(ctx, "other")
	pending(t, one)
	if _, there := m.Load("k"); there {
		t.Error("a key that is waited for is there")
	}
	is(t, m.Delete("k"), future.ErrNoKey)
	pending(t, one)

	m.Set("k", 1)
	settledWith(t, one, 1, nil)
	settledWith(t, two, 1, nil)
	pending(t, other)
	settledWith(t, m.Future(ctx, "k"), 1, nil)
	if v, there := m.Load("k"); v != 1 || !there {
		t.Errorf("Load: %v, %v", v, there)
	}

	if err := m.Delete("k"); err != nil {
		t.Error(err)
	}
	is(t, m.Delete("k"), future.ErrNoKey)
	again := m.Future(ctx, "k")
	pending(t, again)
	m.Set("k", 2)
	settledWith(t, again, 2, nil)
	settledWith(t, one, 1, nil)
}

// DD-3: another value does not change what earlier waiters got. A Map can be made from a
// map, and does not share it.
func TestMapKeepsTheLatest(t *testing.T) {
	t.Parallel()
	from := map[string]int{"a": 1}
	m := future.NewMap(from)
	from["a"] = 9
	first := m.Future(t.Context(), "a")
	m.Set("a", 2)
	settledWith(t, first, 1, nil)
	settledWith(t, m.Future(t.Context(), "a"), 2, nil)
	if from["a"] != 9 {
		t.Error("the map it was made from has changed")
	}

	empty := future.NewMap[string, int](nil)
	waiter := empty.Future(t.Context(), "k")
	empty.Set("k", 1)
	empty.Set("k", 2)
	settledWith(t, waiter, 1, nil)
}

// DD-4: the value is there when the waiters are told. They may look it up, wait for
// another key, set it again and delete it.
func TestMapFromInsideAWaiter(t *testing.T) {
	t.Parallel()
	m := future.NewMap[string, int](nil)
	var inside []*future.Future[int]
	var order []int
	for i := range 3 {
		m.Future(t.Context(), "k").OnSettle(func(int, error) {
			order = append(order, i)
			inside = append(inside, m.Future(t.Context(), "k"))
			m.Set("k", 10+i)
		})
	}
	m.Set("k", 1)
	settledWith(t, inside[0], 1, nil)
	settledWith(t, inside[1], 10, nil)
	settledWith(t, inside[2], 11, nil)
	if order[0] != 0 || order[1] != 1 || order[2] != 2 {
		t.Errorf("told in the order %v", order)
	}
	if v, _ := m.Load("k"); v != 12 {
		t.Errorf("left with %d", v)
	}

	m.Future(t.Context(), "gone").OnSettle(func(int, error) {
		if err := m.Delete("gone"); err != nil {
			t.Error(err)
		}
	})
	m.Set("gone", 1)
	pending(t, m.Future(t.Context(), "gone"))
}

// A look-up that is given up, by Cancel or with its context, is no matter for others.
func TestMapLookupsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := future.NewMap[string, int](nil)
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		cancelled, timed, stays := m.Future(t.Context(), "k"), m.Future(ctx, "k"), m.Future(t.Context(), "k")
		cancelled.Cancel()
		_, err := m.Get(ctx, "k")
		is(t, err, context.DeadlineExceeded)
		synctest.Wait()
		settledWith(t, cancelled, 0, context.Canceled)
		settledWith(t, timed, 0, context.DeadlineExceeded)
		settledWith(t, m.Future(ctx, "k"), 0, context.DeadlineExceeded)
		pending(t, stays)
		m.Set("k", 1)
		settledWith(t, stays, 1, nil)
		settledWith(t, cancelled, 0, context.Canceled)
		if v, err := m.Get(ended(), "k"); v != 1 || err != nil {
			t.Errorf("what is there needs no waiting: %v, %v", v, err)
		}
	})
}

// G05: a producer and a consumer in different orders over 100 keys. Meanwhile others look
// up and give up.
func TestMapProducerAndConsumer(t *testing.T) {
	t.Parallel()
	m := future.NewMap[int, int](nil)
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, k := range rand.Perm(100) {
			m.Set(k, k*k)
		}
	})
	for range 4 {
		wg.Go(func() {
			for _, k := range rand.Perm(100) {
				if v, err := m.Get(t.Context(), k); v != k*k || err != nil {
					t.Errorf("%d: %v, %v", k, v, err)
				}
			}
		})
		wg.Go(func() {
			for _, k := range rand.Perm(100) {
				f := m.Future(t.Context(), k)
				f.Cancel()
				if v := f.Value(); v != 0 && v != k*k {
					t.Errorf("%d: %v", k, v)
				}
			}
		})
	}
	wg.Wait()
}
