package store

import (
	"errors"
	"testing"
	"time"
)

func TestPutMakesJobsReadyOrDue(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		now := b.count(t).Now
		ids := b.put(t, job(), job(reactor), job(later(hour)), job(reactor, dueAt(now+hour)), job(dueAt(now-hour)), job(dueAt(0)))
		for i, set := range []string{"ready:thread", "ready:reactor", "due:thread", "due:reactor", "ready:thread", "ready:thread"} {
			b.expect(t, ids[i], set)
		}
		if n := b.rdb.LLen(t.Context(), b.Key("wake:thread")).Val(); n != 1 {
			t.Errorf("%d markers", n)
		}
	})
}

// The quick way in for new jobs keeps the same order, and stands repeats.
func TestPutOfNewJobs(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		ctx := t.Context()
		items := []Item{job(), job(reactor), job(priority(-1)), job(priority(-1), reactor)}
		for range 3 {
			if err := b.Put(ctx, b.line, 1, true, items); err != nil {
				t.Fatal(err)
			}
		}
		before := job()
		b.n = 1
		b.put(t, before)
		after := job()
		if err := b.Put(ctx, b.line, 3, false, []Item{after}); err != nil {
			t.Fatal(err)
		}
		if err := b.Put(ctx, b.line, 2, false, []Item{job()}); !errors.Is(err, ErrStale) {
			t.Errorf("an older call: %v", err)
		}
		same(t, "markers", b.rdb.LLen(ctx, b.Key("wake:thread")).Val()+b.rdb.LLen(ctx, b.Key("wake:reactor")).Val(), int64(2))
		h := b.engine(t)
		claims := h.call(t, Advance{Thread: 9, Reactor: 9}).Claims
		same(t, "order", ids(claims), []string{items[2].ID, items[0].ID, before.ID, after.ID, items[3].ID, items[1].ID})
		for _, c := range claims {
			h.tell(t, plain(c))
		}
		// Though all has ended and left nothing, a late repeat brings nothing back.
		if err := b.Put(ctx, b.line, 3, false, []Item{after}); err != nil {
			t.Fatal(err)
		}
		same(t, "records", b.rdb.HLen(ctx, b.Key("jobs")).Val(), int64(0))
	})
}

// A call that hung somewhere arrives after its caller has given up and put the same job through another client.
func TestDelayedPutOfAJobThatIsThere(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		it := job()
		b.put(t, it)
		h := b.engine(t)
		for n, state := range []string{"ready:thread", "active"} {
			if err := b.Put(t.Context(), "another", uint64(n+1), n == 0, []Item{it}); err != nil {
				t.Fatal(err)
			}
			b.expect(t, PackID(it.ID), state)
			same(t, "claims while "+state, len(h.claim(t, 5)), 1-n)
		}
	})
}

func TestPutOf500NewJobs(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		items := make([]Item, CallItems)
		for i := range items {
			items[i] = job()
		}
		if err := b.Put(t.Context(), b.line, 1, false, items); err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, it := range items {
			want = append(want, it.ID)
		}
		same(t, "order", ids(b.engine(t).claim(t, CallItems)), want)
	})
}

// A time that is past is as if none were given, in the order too.
func TestPastDueTimeKeepsTheOrderOfPutting(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		items := []Item{job(), job(dueAt(1)), job(), job(dueAt(2)), job(later(0))}
		b.put(t, items...)
		var want []string
		for _, it := range items {
			want = append(want, it.ID)
		}
		same(t, "order of claims", ids(b.engine(t).claim(t, 10)), want)
	})
}

// The same number changes nothing and gives the same answer; an older one says stale (d2).
func TestPutRepeatedIsAnsweredAndNotApplied(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		b.put(t, job(own("a"), args([]byte{1})))
		items := []Item{job(), job(own("a"), args([]byte{2})), job(own("a"), args([]byte{1})), job(own("b")), job(own("b"), task("x"))}
		for range 3 {
			refused, err := b.Schedule(t.Context(), b.line, 2, items)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "refused", refused, []int{1, 4})
		}
		h := b.engine(t)
		claims := h.claim(t, 10)
		if len(claims) != 3 {
			t.Fatalf("claimed %v", ids(claims))
		}
		for _, c := range claims {
			h.tell(t, plain(c))
		}
		// Though the jobs have ended and left nothing, a late repeat does not bring them back.
		refused, err := b.Schedule(t.Context(), b.line, 2, items)
		same(t, "refused after the end", refused, []int{1, 4})
		if err != nil {
			t.Error(err)
		}
		if _, err := b.Schedule(t.Context(), b.line, 1, []Item{job()}); !errors.Is(err, ErrStale) {
			t.Errorf("an older call: %v", err)
		}
		if n := b.count(t).Sets["ready:thread"]; n != 0 {
			t.Errorf("%d jobs are ready", n)
		}
	})
}

func TestIDTaken(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		first := job(own("mine"), args([]byte{1}))
		b.put(t, first)
		// The same contents with other settings are the same job, wherever it is.
		again := job(own("mine"), args([]byte{1}), priority(7), later(hour))
		other := job(own("mine"), args([]byte{2}))
		probe := func(state string) {
			t.Helper()
			b.expect(t, "mine", state)
			b.n++
			refused, err := b.Schedule(t.Context(), b.line, b.n, []Item{again, other})
			if err != nil {
				t.Fatal(err)
			}
			same(t, "refused while "+state, refused, []int{1})
			b.expect(t, "mine", state)
		}
		probe("ready:thread")
		h := b.engine(t)
		c := h.claim(t, 1)[0]
		probe("active")
		h.tell(t, keep(c, Succeeded, hour))
		probe("done")
		b.rewind(t, "done", "mine", 1)
		if _, _, err := b.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.put(t, other)
	})
}

// A plain success that somebody waited for leaves an outcome for a minute. It must name the contents like any other,
// or putting the same again would be told that the id is taken.
func TestWatchedPlainSuccessNamesItsContents(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		b.put(t, job(own("nightly")), job())
		b.watch(t, "nightly")
		h := b.engine(t)
		for _, c := range h.claim(t, 2) {
			h.tell(t, plain(c))
		}
		b.expect(t, "nightly", "done")
		b.put(t, job(own("nightly")))
		sight, err := b.Show(t.Context(), "nightly")
		if err != nil {
			t.Fatal(err)
		}
		o, err := DecodeOutcome(sight.Outcome)
		if err != nil {
			t.Fatal(err)
		}
		if o.Task != "work" || o.Kind != Succeeded || o.Attempts != 1 || o.Digest == "" || o.Ended < sight.Now-60_000 {
			t.Errorf("outcome %+v", o)
		}
	})
}

// Whoever has an id that Spool has drawn has the Partial it was drawn for.
func TestPartialPutAgainAfterAnEditIsTheSameJob(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		it := job()
		b.put(t, it)
		changed := job(priority(5), func(s *spec) { s.id = it.ID })
		if word, err := b.Edit(t.Context(), "editor", 1, it.ID, string(it.Record), changed.Record, Moment{}); word != ChangeDone || err != nil {
			t.Fatal(word, err)
		}
		b.put(t, it)
		if n := b.count(t).Sets["ready:thread"]; n != 1 {
			t.Errorf("%d jobs", n)
		}
	})
}

func TestPutTakes500Jobs(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		items := make([]Item, CallItems)
		for i := range items {
			items[i] = job(func(s *spec) {
				if i%2 == 0 {
					s.Lane = LaneReactor
				}
				if i%3 == 0 {
					later(hour)(s)
				}
				beginBy(hour)(s)
			})
		}
		b.put(t, items...)
		n := b.count(t)
		same(t, "sizes", []int{n.Sets["ready:thread"] + n.Sets["ready:reactor"], n.Sets["due:thread"] + n.Sets["due:reactor"]}, []int{333, 167})
	})
}

// A line that is never silent must not be let go of a day after it began: a repeat would be applied twice.
func TestBusyLineIsNotLetGo(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		b.put(t, job())
		const nine = 9 * time.Minute
		for range 5 {
			// Nine minutes pass: everything stored of the line is as much older.
			score := int64(b.rdb.ZScore(t.Context(), b.Key("lastcalls"), b.line).Val())
			b.rewind(t, "lastcalls", b.line, score-nine.Milliseconds())
			line, err := decodeLine(b.rdb.HGet(t.Context(), b.Key("lines"), b.line).Val())
			if err != nil {
				t.Fatal(err)
			}
			line.ms -= nine.Milliseconds()
			b.rdb.HSet(t.Context(), b.Key("lines"), b.line, line.String())
			b.put(t, job())
		}
		score := int64(b.rdb.ZScore(t.Context(), b.Key("lastcalls"), b.line).Val())
		if age := b.count(t).Now - score; age > (10 * time.Minute).Milliseconds() {
			t.Errorf("the line's last call was just now, its time says %v ago", time.Duration(age)*time.Millisecond)
		}
	})
}

func TestTidyLetsGoOfSilentLinesAndOldOutcomes(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		id := b.ended(t)
		fresh := b.ended(t)
		b.rewind(t, "done", PackID(id), b.count(t).Now-1)
		if removed, more, err := b.Tidy(t.Context()); removed != 1 || more || err != nil {
			t.Errorf("tidy: %d, %v, %v", removed, more, err)
		}
		b.expect(t, PackID(id), "")
		b.expect(t, PackID(fresh), "done")
		b.rewind(t, "lastcalls", b.line, b.count(t).Now-25*hour)
		if removed, _, err := b.Tidy(t.Context()); removed != 1 || err != nil {
			t.Errorf("tidy: %d, %v", removed, err)
		}
		if n := b.rdb.HLen(t.Context(), b.Key("lines")).Val(); n != 0 {
			t.Errorf("%d lines", n)
		}
	})
}

func TestTidyIsSliced(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		items := make([]Item, CallItems)
		for i := range items {
			items[i] = job()
		}
		b.put(t, items...)
		h := b.engine(t)
		for range 2 {
			var verdicts []Verdict
			for _, c := range h.claim(t, CallItems) {
				verdicts = append(verdicts, keep(c, Succeeded, -10))
			}
			h.tell(t, verdicts...)
			// A time to keep that is below 0 leaves nothing.
			if n := b.count(t).Sets["done"]; n != 0 {
				t.Fatalf("%d outcomes", n)
			}
		}
		b.put(t, items...)
		b.put(t, job())
		for range 2 {
			for _, c := range h.claim(t, CallItems) {
				h.tell(t, keep(c, Succeeded, hour))
			}
		}
		for _, id := range b.rdb.ZRange(t.Context(), b.Key("done"), 0, -1).Val() {
			b.rewind(t, "done", id, 1)
		}
		removed, more, err := b.Tidy(t.Context())
		if removed != CallItems || !more || err != nil {
			t.Errorf("first slice: %d, %v, %v", removed, more, err)
		}
		removed, more, err = b.Tidy(t.Context())
		if removed != 1 || more || err != nil {
			t.Errorf("second slice: %d, %v, %v", removed, more, err)
		}
	})
}
