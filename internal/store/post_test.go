package store

import (
	"fmt"
	"strconv"
	"testing"
)

// A job for another queue waits in the outbox, with times that no longer depend on when it is delivered, until it has
// arrived there.
func TestOutbox(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		far := b.sub(t, "far")
		now := b.count(t).Now
		fixed := now + 5*hour
		items := []Item{job(), job(own("mine"), reactor, args([]byte("\xa7 a\nb |,"))), job(later(hour)), job(later(hour), beginBy(1000)), job(beginBy(1000)),
			job(dueAt(fixed), beginByAt(fixed+1)), job(dueAt(5), beginBy(7)), job(dueAt(fixed), beginBy(1000))}
		b.does(t, b.deal().send("far", items[:4]...))
		b.does(t, b.deal().send("far@store", items[4:]...))
		after := b.count(t).Now
		outs := b.outgoing(t)
		if len(outs) != len(items) {
			t.Fatalf("%d of %d", len(outs), len(items))
		}
		byID := map[string]Out{}
		for _, o := range outs {
			byID[o.Item.ID] = o
		}
		within := func(name string, m Moment, from int64) {
			t.Helper()
			if !m.Set || m.Relative || m.Ms < now+from || m.Ms > after+from {
				t.Errorf("%s: %+v, want %d to %d", name, m, now+from, after+from)
			}
		}
		for i, it := range items {
			o := byID[it.ID]
			if want := []string{"far", "far@store"}[i/4]; o.To != want || string(o.Record) != string(it.Record) || o.ID != "out-"+it.ID {
				t.Errorf("job %d: %+v", i, o)
			}
			if it.Due.Set != o.Due.Set || it.Deadline.Set != o.Deadline.Set {
				t.Errorf("job %d: due %+v, deadline %+v", i, o.Due, o.Deadline)
			}
		}
		within("due", byID[items[2].ID].Due, hour)
		within("due", byID[items[3].ID].Due, hour)
		same(t, "a deadline after the due time", byID[items[3].ID].Deadline.Ms, byID[items[3].ID].Due.Ms+1000)
		within("a deadline without a due time", byID[items[4].ID].Deadline, 1000)
		same(t, "fixed", [2]Moment{byID[items[5].ID].Due, byID[items[5].ID].Deadline}, [2]Moment{items[5].Due, items[5].Deadline})
		within("a due time that is past", byID[items[6].ID].Due, 0)
		within("a deadline after it", byID[items[6].ID].Deadline, 7)
		same(t, "relative to a fixed time", byID[items[7].ID].Deadline.Ms, fixed+1000)

		if refused, err := far.Deliver(t.Context(), "a", outs); refused != nil || err != nil {
			t.Fatal(refused, err)
		}
		for i, set := range []string{"ready:thread", "ready:reactor", "due:thread", "due:thread", "ready:thread", "due:thread", "ready:thread", "due:thread"} {
			far.expect(t, PackID(items[i].ID), set)
		}
		same(t, "the due time", int64(far.score(t, "due:thread", PackID(items[3].ID))), byID[items[3].ID].Due.Ms)
		same(t, "the deadline", int64(far.score(t, "deadlines", PackID(items[3].ID))), byID[items[3].ID].Deadline.Ms)
		for i, want := range []int{len(items) - 1, len(items) - 3, 0, 0} {
			if left, err := b.Delivered(t.Context(), [][]Out{outs[:1], outs[1:3], outs[3:], outs}[i]); left != want || err != nil {
				t.Errorf("%d left, want %d, %v", left, want, err)
			}
		}
		if outs := b.outgoing(t); outs != nil {
			t.Errorf("%v", outs)
		}
		if n := b.rdb.Exists(t.Context(), b.Key("outbox"), b.Key("outgoing")).Val(); n != 0 {
			t.Errorf("%d keys are left", n)
		}
	})
}

// What is delivered twice arrives once, whatever has become of it meanwhile.
func TestDeliverTwice(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		far := b.sub(t, "far")
		items := []Item{job(), job(own("mine")), job(), job(later(hour)), job()}
		b.does(t, b.deal().send("far", items...))
		outs := b.outgoing(t)
		deliver := func() {
			t.Helper()
			if refused, err := far.Deliver(t.Context(), "a", outs); refused != nil || err != nil {
				t.Fatal(refused, err)
			}
		}
		deliver()
		before := far.dump(t)
		deliver()
		far.unchangedButOrders(t, before)
		// One leaves nothing, one an outcome that is then taken, one runs, one was pulled.
		h := far.engine(t)
		for _, c := range h.claim(t, 5) {
			switch UnpackID(c.ID) {
			case items[0].ID:
				h.tell(t, plain(c))
			case items[4].ID:
				h.tell(t, back(c))
			case "mine":
				h.tell(t, keep(c, Succeeded, hour))
			}
		}
		far.does(t, far.deal().write("HDEL", far.Key("outcomes"), "mine").write("ZREM", far.Key("done"), "mine"))
		if word, err := far.Pull(t.Context(), "other", 1, items[3].ID); word != ChangeDone || err != nil {
			t.Fatal(word, err)
		}
		before = far.dump(t)
		deliver()
		far.unchangedButOrders(t, before)
		for i, set := range []string{"", "", "active", "", "ready:thread"} {
			far.expect(t, PackID(items[i].ID), set)
		}
	})
}

// unchangedButOrders: nothing has changed but orders that were drawn and not used; they name nothing.
func (b *bed) unchangedButOrders(t *testing.T, before map[string]string) {
	t.Helper()
	after := b.dump(t)
	for _, dump := range []map[string]string{before, after} {
		dump[b.Key("meta")] = orders.ReplaceAllString(dump[b.Key("meta")], "")
	}
	same(t, "the keyspace has changed", after, before)
}

// A job whose id bears another one there is refused, once; the others arrive.
func TestDeliverRefused(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		b.put(t, job(own("a")), job(own("b")))
		outs := []Out{{ID: "1", Item: job()}, {ID: "2", Item: job(own("a"), task("other"))}, {ID: "3", Item: job(own("b"))},
			{ID: "4", Item: job(own("c"))}, {ID: "5", Item: job(own("c"), task("other"))}}
		refused, err := b.Deliver(t.Context(), "a", outs)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "refused", refused, []int{1, 4})
		b.expect(t, PackID(outs[0].Item.ID), "ready:thread")
		b.expect(t, "c", "ready:thread")
		if got := b.rdb.HGet(t.Context(), b.Key("jobs"), "a").Val(); TaskOf(got) != "work" {
			t.Errorf("the job is now %s", TaskOf(got))
		}
		before := b.dump(t)
		if refused, err := b.Deliver(t.Context(), "a", outs); refused != nil || err != nil {
			t.Error(refused, err)
		}
		b.unchangedButOrders(t, before)
	})
}

// The outbox is read by pages, the oldest first, and what cannot be read stands in nobody's way.
func TestOutgoingByPages(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		const n = 230
		d := b.deal()
		for i := range n {
			it := job()
			d.Outs = append(d.Outs, Out{ID: fmt.Sprintf("%03d", i), To: "far", Item: it})
			if i%100 == 99 {
				d.Adds = true
				b.does(t, d)
				d = b.deal()
			}
		}
		b.does(t, d)
		if err := b.rdb.HSet(t.Context(), b.Key("outbox"), "100", "nonsense").Err(); err != nil {
			t.Fatal(err)
		}
		b.broken = true
		var got []Out
		for {
			page, err := b.Outgoing(t.Context(), len(got))
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			if len(page) > postItems {
				t.Fatalf("a page of %d", len(page))
			}
			got = append(got, page...)
		}
		if len(got) != n {
			t.Fatalf("%d of %d", len(got), n)
		}
		for i, o := range got {
			if o.ID != fmt.Sprintf("%03d", i) || (o.To == "") != (i == 100) {
				t.Errorf("at %d: %q to %q", i, o.ID, o.To)
			}
		}
		// A page is bounded by bytes, and holds one job at least.
		b.rdb.Del(t.Context(), b.Key("outbox"), b.Key("outgoing"))
		for i := range 3 {
			large := b.deal()
			large.Outs, large.Adds = []Out{{ID: strconv.Itoa(i), To: "far", Item: job(args(blob(CallBytes)))}}, true
			b.does(t, large)
		}
		for skip := range 3 {
			if page, err := b.Outgoing(t.Context(), skip); err != nil || len(page) != 1 || page[0].ID != strconv.Itoa(skip) {
				t.Errorf("%d jobs, %v", len(page), err)
			}
		}
		b.rdb.Del(t.Context(), b.Key("outbox"), b.Key("outgoing"))
	})
}

// What arrived is remembered for a day, and then let go, though nothing else is to be tidied.
func TestInboxIsTidied(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		h := b.engine(t)
		if _, err := b.Deliver(t.Context(), "a", []Out{{ID: "old", Item: job()}, {ID: "new", Item: job()}}); err != nil {
			t.Fatal(err)
		}
		beat := func() bool {
			t.Helper()
			pulse, err := b.Beat(t.Context(), h.Engine, hour, 0)
			if err != nil {
				t.Fatal(err)
			}
			return pulse.Untidy
		}
		day := 24 * hour
		b.rewind(t, "inbox", "old", b.count(t).Now-day+60_000)
		if removed, more, err := b.Tidy(t.Context()); removed != 0 || more || err != nil || beat() {
			t.Errorf("after less than a day: %d, %v, %v", removed, more, err)
		}
		b.rewind(t, "inbox", "old", b.count(t).Now-day-1000)
		if !beat() {
			t.Error("nobody is told to tidy")
		}
		if removed, more, err := b.Tidy(t.Context()); removed != 1 || more || err != nil || beat() {
			t.Errorf("after a day: %d, %v, %v", removed, more, err)
		}
		same(t, "the inbox", b.rdb.ZRange(t.Context(), b.Key("inbox"), 0, -1).Val(), []string{"new"})
	})
}

// A beat, and every few light ones, says that there is mail.
func TestMailIsSeen(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		h := b.engine(t)
		see := func(want bool) {
			t.Helper()
			pulse, err := b.Beat(t.Context(), h.Engine, hour, 0)
			if err != nil || pulse.Mail != want {
				t.Errorf("mail: %v, %v", pulse.Mail, err)
			}
			seen := false
			for turn := range 16 {
				beat, err := b.Touch(t.Context(), h.Engine, pulse.Now+int64(turn)+1, hour, turn)
				if err != nil {
					t.Fatal(err)
				}
				seen = seen || beat
			}
			if seen != want {
				t.Errorf("a light beat sees mail: %v", seen)
			}
		}
		see(false)
		b.does(t, b.deal().send("far", job()))
		see(true)
		if _, err := b.Delivered(t.Context(), b.outgoing(t)); err != nil {
			t.Fatal(err)
		}
		see(false)
	})
}
