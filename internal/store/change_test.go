package store

import (
	"errors"
	"testing"
)

// placed is a queue with one job in each of the sets a job that has not begun can be in, and one that has begun.
func placed(t *testing.T, b *bed) (items map[string]Item, h *hand) {
	t.Helper()
	items = map[string]Item{"suspect:thread": job(), "parked": job(own("p"), task("other"))}
	b.put(t, items["suspect:thread"])
	b.interrupt(t, 2)
	h = b.engine(t)
	b.put(t, items["parked"])
	h.tell(t, park(h.call(t, Advance{Thread: 1}).Claims[0]))
	items["active"] = job()
	b.put(t, items["active"])
	h.call(t, Advance{Thread: 1})
	items["done"] = job()
	b.put(t, items["done"])
	h.tell(t, keep(h.call(t, Advance{Thread: 1}).Claims[0], Failed, hour))
	items["ready:thread"], items["ready:reactor"] = job(beginBy(hour)), job(reactor)
	items["due:thread"], items["due:reactor"] = job(later(hour)), job(reactor, later(hour))
	b.put(t, items["ready:thread"], items["ready:reactor"], items["due:thread"], items["due:reactor"])
	for set, it := range items {
		b.expect(t, PackID(it.ID), set)
	}
	return items, h
}

func TestPull(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		items, h := placed(t, b)
		n := uint64(0)
		for set, it := range items {
			want := ChangeDone
			switch set {
			case "active":
				want = ChangeBegun
			case "done":
				want = ChangeEnded
			}
			n++
			for range 2 {
				if word, err := b.Pull(t.Context(), "puller", n, it.ID); word != want || err != nil {
					t.Errorf("%s: %q, %v", set, word, err)
				}
			}
			if want == ChangeDone {
				b.expect(t, PackID(it.ID), "")
			}
		}
		if word, err := b.Pull(t.Context(), "puller", n+1, "nobody"); word != ChangeUnknown || err != nil {
			t.Errorf("unknown: %q, %v", word, err)
		}
		if _, err := b.Pull(t.Context(), "puller", n, items["active"].ID); !errors.Is(err, ErrStale) {
			t.Errorf("older: %v", err)
		}
		if records := b.rdb.HLen(t.Context(), b.Key("jobs")).Val(); records != 1 {
			t.Errorf("%d records are left", records)
		}
		same(t, "claims", len(h.call(t, Advance{Thread: 9, Reactor: 9, Suspect: true, Kinds: []string{"t/other"}}).Claims), 0)
		// What was pulled may be put again.
		b.put(t, items["ready:thread"])
	})
}

func TestPullTellsWhoWaits(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		it := job()
		b.put(t, it)
		heard := b.subscribe(t, "client")
		b.watch(t, it.ID)
		if word, err := b.Pull(t.Context(), "puller", 1, it.ID); word != ChangeDone || err != nil {
			t.Fatal(word, err)
		}
		same(t, "message", heard(), "-"+PackID(it.ID))
	})
}

func TestFail(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		items, h := placed(t, b)
		n := uint64(0)
		for set, it := range items {
			want := ChangeDone
			switch set {
			case "active":
				want = ChangeBegun
			case "done":
				want = ChangeEnded
			}
			n++
			for range 2 {
				if word, err := b.Fail(t.Context(), "failer", n, it.ID, []byte{0x81, 0xa6, 'w', 'o', 'r', 'k', 'e', 'r', 0xa1, 'x'}, hour); word != want || err != nil {
					t.Errorf("%s: %q, %v", set, word, err)
				}
			}
			if want != ChangeDone {
				continue
			}
			sight, err := b.Show(t.Context(), it.ID)
			if err != nil || sight.Set != "done" {
				t.Fatal(sight, err)
			}
			o, err := DecodeOutcome(sight.Outcome)
			if err != nil || o.Kind != Failed || o.Body.Worker != "x" || o.Digest != DigestOf(string(it.Record)) {
				t.Errorf("%s: outcome %+v, %v", set, o, err)
			}
		}
		if word, err := b.Fail(t.Context(), "failer", n+1, "nobody", nil, hour); word != ChangeUnknown || err != nil {
			t.Errorf("unknown: %q, %v", word, err)
		}
		same(t, "failed", b.count(t).Meta["failed"], int64(7))
		same(t, "claims", len(h.call(t, Advance{Thread: 9, Reactor: 9, Suspect: true, Kinds: []string{"t/other"}}).Claims), 0)
	})
}

func TestEdit(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		items, _ := placed(t, b)
		n := uint64(0)
		edit := func(it Item, change Moment, fns ...func(*spec)) string {
			t.Helper()
			n++
			old, err := DecodeRecord(string(it.Record))
			if err != nil {
				t.Fatal(err)
			}
			s := spec{Record: *old, id: it.ID}
			for _, fn := range fns {
				fn(&s)
			}
			record, err := s.Encode()
			if err != nil {
				t.Fatal(err)
			}
			var word string
			for range 2 {
				if word, err = b.Edit(t.Context(), "editor", n, it.ID, string(it.Record), record, change); err != nil {
					t.Fatal(err)
				}
			}
			return word
		}
		same(t, "of an active job", edit(items["active"], Moment{}, priority(1)), ChangeBegun)
		same(t, "of one that has ended", edit(items["done"], Moment{}, priority(1)), ChangeUnknown)
		for _, c := range []struct {
			set    string
			due    Moment
			change func(*spec)
			want   string
		}{
			{"ready:thread", Moment{}, priority(3), "ready:thread"},
			{"due:thread", Moment{}, reactor, "due:reactor"},
			{"due:reactor", Moment{Set: true, Ms: 1}, priority(-9), "ready:reactor"},
			{"ready:reactor", Moment{true, true, hour}, priority(2), "due:reactor"},
			{"suspect:thread", Moment{}, priority(-1), "ready:thread"},
			{"parked", Moment{}, args([]byte{7}), "ready:thread"},
		} {
			same(t, "of a job "+c.set, edit(items[c.set], c.due, c.change), ChangeDone)
			b.expect(t, PackID(items[c.set].ID), c.want)
			same(t, "once more, from what it was", edit(items[c.set], Moment{}, priority(8)), ChangeRaced)
		}
		h := b.engine(t)
		same(t, "order", ids(h.claim(t, 9)), []string{items["suspect:thread"].ID, "p", items["ready:thread"].ID})
	})
}

// A job that an edit makes ready stands behind all that were ready before, and before all that are put later.
func TestEditedJobTakesItsPlaceInTheOrder(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		edited, before, after := job(later(hour)), job(), job()
		b.put(t, edited)
		b.put(t, before)
		if word, err := b.Edit(t.Context(), "editor", 1, edited.ID, string(edited.Record), edited.Record, Moment{Set: true, Ms: 1}); word != ChangeDone || err != nil {
			t.Fatal(word, err)
		}
		b.put(t, after)
		same(t, "order", ids(b.engine(t).claim(t, 9)), []string{before.ID, edited.ID, after.ID})
	})
}

// What a sweep takes back and what is given back after it keep their order.
func TestGivenBackAfterASweep(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		given, swept := job(), job()
		b.put(t, given, swept)
		h, dead := b.engine(t), b.engine(t)
		c := h.claim(t, 1)
		dead.claim(t, 1)
		b.kill(t, dead)
		b.sweep(t, dead)
		h.tell(t, back(c[0]))
		same(t, "order", ids(h.claim(t, 9)), []string{swept.ID, given.ID})
	})
}
