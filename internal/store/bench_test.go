package store

import (
	"context"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// benchBed is a queue on a server inside the process: what is measured is the store's own work, and the scripts' by
// an interpreter slower than Redis's.
func benchBed(b *testing.B) (*Queue, *Engine) {
	b.Helper()
	mini := miniredis.RunT(b)
	rdb := redis.NewClient(&redis.Options{Addr: mini.Addr()})
	b.Cleanup(func() { rdb.Close() })
	s, err := New(rdb, "bench", "")
	if err != nil {
		b.Fatal(err)
	}
	q := s.Queue("q")
	e, err := q.Register(b.Context(), "bench", hour, nil)
	if err != nil {
		b.Fatal(err)
	}
	return q, e
}

func BenchmarkPut(b *testing.B) {
	put := func(ctx context.Context, q *Queue, n uint64, items []Item) error {
		return q.Put(ctx, "line", n, false, items)
	}
	schedule := func(ctx context.Context, q *Queue, n uint64, items []Item) error {
		_, err := q.Schedule(ctx, "line", n, items)
		return err
	}
	for _, c := range []struct {
		name string
		size int
		call func(context.Context, *Queue, uint64, []Item) error
	}{{"put/1", 1, put}, {"put/100", 100, put}, {"schedule/1", 1, schedule}, {"schedule/100", 100, schedule}} {
		b.Run(c.name, func(b *testing.B) {
			q, _ := benchBed(b)
			n := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				items := make([]Item, c.size)
				for i := range items {
					items[i] = job()
				}
				n++
				if err := c.call(b.Context(), q, n, items); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAdvance is the life of jobs without an answer: put, claimed, and finished by the call that claims the next.
func BenchmarkAdvance(b *testing.B) {
	for name, size := range map[string]int{"1": 1, "100": 100} {
		b.Run(name, func(b *testing.B) {
			q, e := benchBed(b)
			ctx := context.Background()
			n := uint64(0)
			var verdicts []Verdict
			b.ReportAllocs()
			for b.Loop() {
				items := make([]Item, size)
				for i := range items {
					items[i] = job()
				}
				n++
				if err := q.Put(ctx, "line", n, false, items); err != nil {
					b.Fatal(err)
				}
				done, err := q.Advance(ctx, &Advance{Engine: e, Number: n, Thread: size, Verdicts: verdicts})
				if err != nil || len(done.Claims) != size {
					b.Fatal(len(done.Claims), err)
				}
				verdicts = verdicts[:0]
				for _, c := range done.Claims {
					verdicts = append(verdicts, Verdict{ID: c.ID, Token: c.Token})
				}
			}
		})
	}
}

func BenchmarkRecord(b *testing.B) {
	it := job(own("mine"), args(blob(200)), beginBy(hour))
	b.Run("Decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := DecodeRecord(string(it.Record)); err != nil {
				b.Fatal(err)
			}
		}
	})
	r, err := DecodeRecord(string(it.Record))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("Encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.Encode(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
