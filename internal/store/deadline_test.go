package store

import "testing"

// Expiry is decided before anything is claimed, wherever a job waits (e3).
func TestOverdueJobsExpireWhereverTheyWait(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		// A suspect and a parked job first: they need an engine's help to get there.
		suspect := b.put(t, job(beginBy(hour)))[0]
		b.interrupt(t, 2)
		b.expect(t, suspect, "suspect:thread")
		h := b.engine(t)
		parked := b.put(t, job(beginBy(hour), task("other")))[0]
		c := h.call(t, Advance{Thread: 1}).Claims[0]
		if c.ID != parked {
			t.Fatal("claimed another")
		}
		h.tell(t, park(c))
		put := b.put(t, job(beginBy(hour)), job(reactor, beginBy(hour), own("mine")), job(later(hour), beginBy(hour)), job(reactor, later(hour), beginBy(hour)))
		fresh := job(beginBy(hour))
		b.put(t, fresh)
		all := append(put, suspect, parked)
		for _, id := range all {
			b.watch(t, UnpackID(id))
			b.rewind(t, "deadlines", id, 1)
		}
		answer := h.call(t, Advance{Thread: 9, Reactor: 9, Suspect: true, Kinds: []string{"t/other"}})
		same(t, "claims", ids(answer.Claims), []string{fresh.ID})
		for _, id := range all {
			sight, err := b.Show(t.Context(), UnpackID(id))
			if err != nil {
				t.Fatal(err)
			}
			o, err := DecodeOutcome(sight.Outcome)
			if err != nil || o.Kind != Expired || o.Task == "" || (o.Digest != "") != (id == "mine") {
				t.Errorf("%s: outcome %+v, %v", UnpackID(id), o, err)
			}
			if id == suspect && o.Interruptions != 2 {
				t.Errorf("the suspect was interrupted %d times", o.Interruptions)
			}
		}
		same(t, "expired", b.count(t).Meta["expired"], int64(len(all)))
	})
}

// The deadline counts from the due time, or from the putting.
func TestDeadlineCountsFromTheDueTime(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		now := b.count(t).Now
		put := b.put(t, job(beginBy(10)), job(later(hour), beginBy(10)), job(dueAt(now-hour), beginBy(10)), job(dueAt(now+2*hour), beginBy(10)),
			job(later(hour), beginByAt(77)))
		for i, want := range []int64{now + 10, now + hour + 10, now + 10, now + 2*hour + 10, 77} {
			got := int64(b.rdb.ZScore(t.Context(), b.Key("deadlines"), put[i]).Val())
			if got < want || got > want+20_000 {
				t.Errorf("job %d: deadline in %d ms, want %d", i, got-now, want-now)
			}
		}
	})
}

// A hundred a call: no pile of overdue jobs holds the others up, and an overdue one is never claimed all the same.
func TestDeadlinesAreSliced(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		items := make([]Item, 150)
		for i := range items {
			items[i] = job(beginByAt(1))
		}
		b.put(t, items...)
		h := b.engine(t)
		h.tell(t)
		same(t, "expired by the first call", b.count(t).Meta["expired"], int64(100))
		same(t, "claims", len(h.claim(t, 10)), 0)
		same(t, "expired by the second", b.count(t).Meta["expired"], int64(150))
	})
}

func TestNoClaimOfAnOverdueJobBeyondTheSlice(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		items := make([]Item, 250)
		for i := range items {
			items[i] = job(beginByAt(1))
		}
		b.put(t, items...)
		same(t, "claims", len(b.engine(t).claim(t, CallItems)), 0)
		same(t, "expired", b.count(t).Meta["expired"], int64(250))
	})
}

// What has begun in time may end in its own way, but is not retried after the deadline, however it comes back.
func TestNothingComesBackAfterItsDeadline(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		var items []Item
		for range 8 {
			items = append(items, job(beginBy(hour)))
		}
		put := b.put(t, items...)
		h, dead, parker := b.engine(t), b.engine(t), b.engine(t)
		c := h.claim(t, 6)
		dead.claim(t, 1)
		other := parker.claim(t, 1)
		for _, id := range put {
			b.rewind(t, "deadlines", id, 1)
		}
		// One is retried while its entry is there, the others after somebody's call has dropped the entries.
		h.tell(t, retry(c[0], 0))
		b.expect(t, put[0], "done")
		if n := b.rdb.ZCard(t.Context(), b.Key("deadlines")).Val(); n != 0 {
			t.Fatalf("%d deadlines", n)
		}
		b.kill(t, dead)
		b.sweep(t, dead)
		parker.tell(t, park(other[0]))
		unread := back(c[3])
		unread.Head = ""
		answer := h.call(t, Advance{Thread: 9, Suspect: true, Kinds: []string{"t/work"},
			Verdicts: []Verdict{plain(c[5]), retry(c[1], 0), retry(c[2], hour), unread, back(c[4])}})
		same(t, "claims", ids(answer.Claims), []string(nil))
		kinds := map[string]byte{put[0]: Failed, put[1]: Failed, put[2]: Failed, put[3]: Expired, put[4]: Expired, put[6]: Expired, put[7]: Expired}
		for i, id := range put {
			sight, err := b.Show(t.Context(), UnpackID(id))
			if err != nil {
				t.Fatal(err)
			}
			if kinds[id] == 0 {
				same(t, "the one that succeeded", sight.Set, "")
				continue
			}
			if o, err := DecodeOutcome(sight.Outcome); err != nil || o.Kind != kinds[id] {
				t.Errorf("job %d: %q, outcome %+v, %v", i, sight.Set, o, err)
			}
		}
		n := b.count(t).Meta
		same(t, "counters", []int64{n["succeeded"], n["failed"], n["expired"], n["retried"]}, []int64{1, 3, 4, 0})
	})
}

// RP-9, in both directions.
func TestRetryBeforeTheDeadlineIsARetry(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		put := b.put(t, job(beginBy(hour)), job(beginBy(hour)))
		h := b.engine(t)
		c := h.claim(t, 2)
		h.tell(t, retry(c[0], hour/2), retry(c[1], 2*hour))
		b.expect(t, put[0], "due:thread")
		b.expect(t, put[1], "done")
	})
}
