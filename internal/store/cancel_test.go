package store

import (
	"errors"
	"testing"
)

// A job is cancelled wherever it is, with a reason, once; one that has ended is not.
func TestCancel(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		items, _ := placed(t, b)
		heard := b.subscribe(t, "client")
		n := uint64(0)
		for set, it := range items {
			want := ChangeDone
			if set == "done" {
				want = ChangeEnded
			} else {
				b.watch(t, it.ID)
			}
			n++
			var before map[string]string
			for range 2 {
				if word, err := b.Cancel(t.Context(), "other", n, it.ID, []byte{0x80}, hour); word != want || err != nil {
					t.Errorf("%s: %q, %v", set, word, err)
				}
				if before != nil {
					b.unchanged(t, before)
				}
				before = b.dump(t)
			}
			b.expect(t, PackID(it.ID), "done")
			if want == ChangeEnded {
				continue
			}
			same(t, "message", heard(), "c"+PackID(it.ID))
			sight, err := b.Show(t.Context(), it.ID)
			if err != nil {
				t.Fatal(err)
			}
			o, err := DecodeOutcome(sight.Outcome)
			if err != nil || o.Kind != Cancelled || o.Task != TaskOf(string(it.Record)) || o.Digest != DigestOf(string(it.Record)) {
				t.Errorf("%s: %+v, %v", set, o, err)
			}
		}
		n++
		if word, err := b.Cancel(t.Context(), "other", n, "nobody", []byte{0x80}, hour); word != ChangeUnknown || err != nil {
			t.Errorf("unknown: %q, %v", word, err)
		}
		if _, err := b.Cancel(t.Context(), "other", n-1, "nobody", []byte{0x80}, hour); !errors.Is(err, ErrStale) {
			t.Errorf("older: %v", err)
		}
		same(t, "cancelled", b.rdb.HGet(t.Context(), b.Key("meta"), "cancelled").Val(), "7")
		for _, key := range []string{"jobs", "history", "deadlines", "parked", "kinds", "watched"} {
			if b.rdb.Exists(t.Context(), b.Key(key)).Val() != 0 {
				t.Errorf("%s has something left", key)
			}
		}
	})
}

// A job in quarantine is an operator's.
func TestCancelInQuarantine(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		b.put(t, job())
		h := b.engine(t)
		c := h.claim(t, 1)[0]
		broken := of(c, VerdictBreak)
		broken.Why = "why"
		h.tell(t, broken)
		if word, err := b.Cancel(t.Context(), "other", 1, UnpackID(c.ID), []byte{0x80}, hour); word != ChangeUnknown || err != nil {
			t.Errorf("%q, %v", word, err)
		}
		b.expect(t, c.ID, "quarantine")
	})
}

// The handler of a cancelled job is named by beats until it has returned, whatever word it returns with.
func TestLeaving(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		for range 4 {
			b.put(t, job())
		}
		h, other := b.engine(t), b.engine(t)
		c := h.claim(t, 4)
		beat := func(h *hand, want int) []Held {
			t.Helper()
			pulse, err := b.Beat(t.Context(), h.Engine, hour, 0)
			if err != nil || len(pulse.Gone) != want {
				t.Fatalf("%v are named, want %d, %v", pulse.Gone, want, err)
			}
			return pulse.Gone
		}
		for i := range c {
			b.outside(t, b.Cancel, c[i])
		}
		for _, held := range beat(h, 4) {
			if held.Token != c[0].Token {
				t.Errorf("%+v", held)
			}
		}
		beat(other, 0)
		h.tell(t, point(c[0], "7"))
		beat(h, 4) // it goes on
		again := of(c[0], VerdictLeft)
		again.Token++
		h.tell(t, again)
		beat(h, 4) // that was another run
		h.tell(t, plain(c[0]), of(c[1], VerdictLeft))
		beat(h, 2)
		same(t, "lost", h.tell(t, of(c[1], VerdictLeft)).Lost, []int(nil))
		same(t, "lost", h.commits(t, with(keep(c[2], Succeeded, hour), b.good(t, "x"))).Lost, []int{0})
		same(t, "who has not returned", beat(h, 1), []Held{{UnpackID(c[3].ID), c[3].Token}})
		// Whoever leaves meanwhile is swept.
		if err := b.Leave(t.Context(), h.Engine); err != nil {
			t.Fatal(err)
		}
		same(t, "dying", b.rdb.ZRange(t.Context(), b.Key("dying"), 0, -1).Val(), []string{h.name})
		b.sweep(t, h)
		if b.rdb.Exists(t.Context(), b.Key("leaving"), b.Key("dying")).Val() != 0 {
			t.Error("something is left of it")
		}
	})
}

// An id may be put again while the handler of the cancelled job still runs: the two do not touch one another.
func TestPutAgainWhileLeaving(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		b.put(t, job(own("mine")))
		h := b.engine(t)
		old := h.claim(t, 1)[0]
		b.outside(t, b.Cancel, old)
		b.does(t, b.deal().write("HDEL", b.Key("outcomes"), "mine").write("ZREM", b.Key("done"), "mine"))
		b.put(t, job(own("mine"), task("other")))
		c := h.claim(t, 1)[0]
		b.outside(t, b.Cancel, c)
		b.does(t, b.deal().write("HDEL", b.Key("outcomes"), "mine").write("ZREM", b.Key("done"), "mine"))
		b.put(t, job(own("mine")))
		last := h.claim(t, 1)[0]
		same(t, "lost", h.tell(t, plain(old)).Lost, []int{0})
		b.expect(t, "mine", "active")
		same(t, "lost", h.tell(t, of(c, VerdictLeft)).Lost, []int(nil))
		b.expect(t, "mine", "active")
		if h.commits(t, with(plain(last), b.good(t, "x"))).Lost != nil {
			t.Error("the last run cannot end")
		}
		if n := b.rdb.Exists(t.Context(), b.Key("leaving")).Val(); n != 0 {
			t.Error("somebody is still named")
		}
	})
}
