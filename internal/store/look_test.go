package store

import (
	"fmt"
	"testing"
)

func TestWatch(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		ended, waits := b.ended(t), job()
		b.put(t, waits)
		first, second := b.subscribe(t, "one"), b.subscribe(t, "two")
		for _, client := range []string{"one", "two", "one"} {
			answers, err := b.Watch(t.Context(), client, []string{ended, waits.ID, "nobody", waits.ID})
			if err != nil {
				t.Fatal(err)
			}
			var words []string
			for _, a := range answers {
				words = append(words, a.State)
			}
			same(t, "words", words, []string{AnswerDone, AnswerWait, AnswerUnknown, AnswerWait})
			if _, err := DecodeOutcome(answers[0].Outcome); err != nil {
				t.Error(err)
			}
		}
		same(t, "channels", b.rdb.HGet(t.Context(), b.Key("watched"), PackID(waits.ID)).Val(), b.Channel("one")+" "+b.Channel("two"))
		h := b.engine(t)
		h.tell(t, keep(h.claim(t, 1)[0], Failed, 0))
		same(t, "message", first(), "f"+PackID(waits.ID))
		same(t, "message", second(), "f"+PackID(waits.ID))
		// Nothing was to be kept; who waits has a minute to come for it.
		b.expect(t, PackID(waits.ID), "done")
		n := b.rdb.ZScore(t.Context(), b.Key("done"), PackID(waits.ID)).Val()
		if left := int64(n) - b.count(t).Now; left < 40_000 || left > 60_000 {
			t.Errorf("it is kept for %d ms more", left)
		}
	})
}

// The answers of a call are cut by bytes, not the first: the rest says later (j1).
func TestWatchIsBoundedByBytes(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		h := b.engine(t)
		var asked []string
		for range 5 {
			it := job()
			b.put(t, it)
			c := h.claim(t, 1)[0]
			o := Outcome{Kind: Succeeded, Task: "work", Body: OutcomeBody{Result: blob(400_000)}}
			body, err := o.Encode()
			if err != nil {
				t.Fatal(err)
			}
			h.tell(t, Verdict{ID: c.ID, Token: c.Token, Word: VerdictKeep, Outcome: body, Keep: hour})
			asked = append(asked, it.ID)
		}
		var got []int
		for len(asked) > 0 {
			answers, err := b.Watch(t.Context(), "client", asked)
			if err != nil {
				t.Fatal(err)
			}
			var rest []string
			for i, a := range answers {
				switch a.State {
				case AnswerDone:
					if len(a.Outcome) < 400_000 {
						t.Errorf("an outcome of %d bytes", len(a.Outcome))
					}
				case AnswerLater:
					rest = append(rest, asked[i])
				default:
					t.Errorf("%q", a.State)
				}
			}
			got = append(got, len(asked)-len(rest))
			asked = rest
		}
		same(t, "outcomes of each call", got, []int{3, 2})
	})
}

func TestWatch500(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		var items []Item
		var asked []string
		for range CallItems {
			it := job()
			items, asked = append(items, it), append(asked, it.ID)
		}
		b.put(t, items...)
		answers, err := b.Watch(t.Context(), "client", asked)
		if err != nil || len(answers) != CallItems {
			t.Fatal(len(answers), err)
		}
		h := b.engine(t)
		var verdicts []Verdict
		for _, c := range h.claim(t, CallItems) {
			verdicts = append(verdicts, plain(c))
		}
		h.tell(t, verdicts...)
		same(t, "still watched", b.rdb.HLen(t.Context(), b.Key("watched")).Val(), int64(0))
		same(t, "outcomes", b.count(t).Sets["done"], CallItems)
	})
}

func TestListPages(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		var want []string
		var items []Item
		for i := range 7 {
			items = append(items, job(own(fmt.Sprint("j", i))))
			want = append(want, fmt.Sprint("j", i))
		}
		b.put(t, items...)
		for _, c := range []struct{ first, last, from, to int }{
			{0, -1, 0, 7}, {0, 2, 0, 3}, {3, 100, 3, 7}, {-2, -1, 5, 7}, {6, 6, 6, 7}, {7, 9, 0, 0}, {0, -8, 0, 0}, {5, 3, 0, 0},
		} {
			page, size, err := b.List(t.Context(), "ready:thread", c.first, c.last)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range page {
				got = append(got, s.ID)
				if s.Record == "" || s.Set != "ready:thread" || s.History != "" {
					t.Errorf("%+v", s)
				}
			}
			same(t, fmt.Sprint("page from ", c.first, " to ", c.last), got, append([]string(nil), want[c.from:c.to]...))
			same(t, "size", size, 7)
		}
		page, size, err := b.List(t.Context(), "parked", 0, -1)
		if page != nil || size != 0 || err != nil {
			t.Errorf("an empty set: %v, %d, %v", page, size, err)
		}
	})
}

func TestListIsBounded(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		for range 4 {
			b.put(t, job(args(blob(400_000))))
		}
		page, size, err := b.List(t.Context(), "ready:thread", 0, -1)
		if err != nil || len(page) != 2 || size != 4 {
			t.Errorf("by bytes: %d of %d, %v", len(page), size, err)
		}
		var items []Item
		for range CallItems {
			items = append(items, job(reactor))
		}
		b.put(t, items...)
		b.put(t, job(reactor))
		page, size, err = b.List(t.Context(), "ready:reactor", 0, -1)
		if err != nil || len(page) != CallItems || size != CallItems+1 {
			t.Errorf("by number: %d of %d, %v", len(page), size, err)
		}
	})
}

// Every set lists what belongs to it.
func TestListShowsWhatBelongsToAState(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		b.put(t, job(), job(), job())
		h := b.engine(t)
		c := h.claim(t, 3)
		broken := of(c[1], VerdictBreak)
		broken.Why = "why"
		h.tell(t, keep(c[0], Failed, hour), broken, retry(c[2], hour))
		for set, check := range map[string]func(s Sight) bool{
			"done":       func(s Sight) bool { return s.Outcome != "" && s.Record == "" },
			"quarantine": func(s Sight) bool { return s.Fault == "why" && s.Record != "" },
			"due:thread": func(s Sight) bool { return s.History != "" && s.Record != "" && s.Score > s.Now },
		} {
			page, size, err := b.List(t.Context(), set, 0, -1)
			if err != nil || size != 1 || len(page) != 1 || !check(page[0]) {
				t.Errorf("%s: %+v, %d, %v", set, page, size, err)
			}
		}
	})
}

func TestShowAndCount(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		items, h := placed(t, b)
		for set, it := range items {
			s, err := b.Show(t.Context(), it.ID)
			if err != nil || s.Set != set || s.ID != it.ID {
				t.Errorf("%s: %+v, %v", set, s, err)
			}
			switch {
			case set == "active" && (s.Worker != "\x80" || s.Score>>claimBits != h.Number):
				t.Errorf("%+v", s)
			case set == "done" && (s.Outcome == "" || s.Record != ""), set != "done" && s.Record != string(it.Record):
				t.Errorf("%s: %+v", set, s)
			}
		}
		n := b.count(t)
		for set := range items {
			same(t, "size of "+set, n.Sets[set], 1)
		}
		same(t, "engines", n.Sets["engines"], 1)
		same(t, "an empty set", n.Sets["suspect:reactor"], 0)
	})
}
