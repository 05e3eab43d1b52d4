package store

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spooljobs/spool/lua"
)

// scenes are, for every script, a queue in which a call of it touches as many of its keys as one call can, and that
// call.
var scenes = map[string]func(t *testing.T, b *bed) func() error{
	"schedule": func(t *testing.T, b *bed) func() error {
		b.ended(t)
		items := []Item{job(), job(reactor), job(later(hour), beginBy(1)), job(reactor, later(hour))}
		return func() error { _, err := b.Schedule(t.Context(), "other", 1, items); return err }
	},
	"put": func(t *testing.T, b *bed) func() error {
		items := []Item{job(), job(reactor)}
		return func() error { return b.Put(t.Context(), "other", 1, true, items) }
	},
	"advance": func(t *testing.T, b *bed) func() error {
		h, a := b.rich(t)
		return func() error { _, err := h.send(t.Context(), a); return err }
	},
	"adopt": func(t *testing.T, b *bed) func() error {
		b.put(t, job(), job())
		h := b.engine(t)
		claims := h.claim(t, 2)
		if err := b.rdb.HDel(t.Context(), b.Key("jobs"), claims[0].ID).Err(); err != nil {
			t.Fatal(err)
		}
		return func() error { _, _, err := b.Adopt(t.Context(), h.Engine, h.n, 0); return err }
	},
	"beat": func(t *testing.T, b *bed) func() error {
		b.put(t, job(), job(reactor))
		h, silent := b.engine(t), b.engine(t)
		b.rewind(t, "engines", silent.name, 1)
		return func() error { _, err := b.Beat(t.Context(), h.Engine, 2*hour, forEver); return err }
	},
	"commit": func(t *testing.T, b *bed) func() error {
		h, a := b.rich(t)
		for i, tx := range b.transactions(t) {
			a.Verdicts[i+2].Tx = tx
		}
		return func() error { _, err := h.commit(t.Context(), a); return err }
	},
	"transact": func(t *testing.T, b *bed) func() error {
		tx := b.transactions(t)[0]
		return func() error {
			_, err := b.Transact(t.Context(), "other", 1, tx)
			return err
		}
	},
	"read": func(t *testing.T, b *bed) func() error {
		return func() error {
			_, err := b.Ask(t.Context(), []Question{question("GET", b.mine("read"))})
			return err
		}
	},
	"cancel": func(t *testing.T, b *bed) func() error {
		it := job(beginBy(hour))
		b.put(t, it)
		b.watch(t, it.ID)
		b.engine(t).claim(t, 1)
		return func() error { _, err := b.Cancel(t.Context(), "other", 1, it.ID, []byte{0x80}, hour); return err }
	},
	"outgoing": func(t *testing.T, b *bed) func() error {
		b.does(t, b.deal().send("far", job()))
		return func() error { _, err := b.Outgoing(t.Context(), 0); return err }
	},
	"deliver": func(t *testing.T, b *bed) func() error {
		b.ended(t)
		var outs []Out
		for i, it := range []Item{job(), job(reactor), job(later(hour), beginBy(1)), job(reactor, later(hour))} {
			outs = append(outs, Out{ID: strconv.Itoa(i), To: b.Name(), Item: it})
		}
		return func() error { _, err := b.Deliver(t.Context(), "a", outs); return err }
	},
	"delivered": func(t *testing.T, b *bed) func() error {
		b.does(t, b.deal().send("far", job(), job()))
		outs := b.outgoing(t)
		return func() error { _, err := b.Delivered(t.Context(), outs); return err }
	},
	"count": func(t *testing.T, b *bed) func() error {
		return func() error { _, err := b.Count(t.Context()); return err }
	},
	"edit": func(t *testing.T, b *bed) func() error {
		it := job()
		b.put(t, it)
		changed := job(reactor, func(s *spec) { s.id = it.ID })
		return func() error {
			_, err := b.Edit(t.Context(), "other", 1, it.ID, string(it.Record), changed.Record, Moment{})
			return err
		}
	},
	"fail": func(t *testing.T, b *bed) func() error {
		it := job(later(hour), beginBy(hour))
		b.put(t, it)
		b.watch(t, it.ID)
		return func() error { _, err := b.Fail(t.Context(), "other", 1, it.ID, []byte{0x80}, hour); return err }
	},
	"leave": func(t *testing.T, b *bed) func() error {
		b.put(t, job(), job(), job(reactor))
		h := b.engine(t)
		h.claim(t, 1)
		return func() error { return b.Leave(t.Context(), h.Engine) }
	},
	"list": func(t *testing.T, b *bed) func() error {
		b.put(t, job())
		return func() error { _, _, err := b.List(t.Context(), "ready:thread", 0, -1); return err }
	},
	"inputs": func(t *testing.T, b *bed) func() error {
		parent, child := job(), job(followsAs(OnEnd, Callback))
		child.Edge.Job = parent.ID
		b.put(t, parent, child)
		return func() error { _, err := b.Inputs(t.Context(), child.ID, 1); return err }
	},
	"resume": func(t *testing.T, b *bed) func() error {
		b.put(t, b.flow(t, "far"))
		return func() error { _, err := b.Resume(t.Context()); return err }
	},
	"owned": func(t *testing.T, b *bed) func() error {
		h := b.engine(t)
		return func() error { _, err := b.Owned(t.Context(), h.Engine, 0); return err }
	},
	"pull": func(t *testing.T, b *bed) func() error {
		it := job(later(hour), beginBy(hour))
		b.put(t, it)
		b.watch(t, it.ID)
		return func() error { _, err := b.Pull(t.Context(), "other", 1, it.ID); return err }
	},
	"register": func(t *testing.T, b *bed) func() error {
		return func() error { _, err := b.Register(t.Context(), "u", hour, nil); return err }
	},
	"show": func(t *testing.T, b *bed) func() error {
		return func() error { _, err := b.Show(t.Context(), "unknown"); return err }
	},
	"sweep": func(t *testing.T, b *bed) func() error {
		items := []Item{job(), job(reactor), job(beginBy(hour)), job(allowed('0'))}
		ids := b.put(t, items...)
		b.interruptOnly(t, ids[1])
		b.watch(t, items[3].ID)
		h := b.engine(t)
		h.call(t, Advance{Thread: 5, Reactor: 5})
		b.kill(t, h)
		return func() error { _, _, err := b.Sweep(t.Context(), h.name, hour); return err }
	},
	"tidy": func(t *testing.T, b *bed) func() error {
		b.ended(t)
		for _, z := range b.rdb.ZRange(t.Context(), b.Key("done"), 0, -1).Val() {
			b.rewind(t, "done", z, 1)
		}
		b.rewind(t, "lastcalls", b.line, 1)
		b.zadd(t, "inbox", 1, "old")
		return func() error { _, _, err := b.Tidy(t.Context()); return err }
	},
	"watch": func(t *testing.T, b *bed) func() error {
		ended, it := b.ended(t), job()
		b.put(t, it)
		return func() error { _, err := b.Watch(t.Context(), "c", []string{ended, it.ID}); return err }
	},
}

// ended leaves one job that has ended with an outcome.
func (b *bed) ended(t *testing.T) (id string) {
	t.Helper()
	it := job()
	b.put(t, it)
	h := b.engine(t)
	h.tell(t, keep(h.claim(t, 1)[0], Succeeded, hour))
	if err := b.Leave(t.Context(), h.Engine); err != nil {
		t.Fatal(err)
	}
	return it.ID
}

func (b *bed) watch(t *testing.T, id string) {
	t.Helper()
	if _, err := b.Watch(t.Context(), "client", []string{id}); err != nil {
		t.Fatal(err)
	}
}

// interruptOnly gives a job of the reactor lane one interruption.
func (b *bed) interruptOnly(t *testing.T, id string) {
	t.Helper()
	h := b.engine(t)
	if got := h.call(t, Advance{Reactor: 1}).Claims; len(got) != 1 || got[0].ID != id {
		t.Fatalf("claimed %v", ids(got))
	}
	b.kill(t, h)
	b.sweep(t, h)
}

// rich is a queue in which the next call of an engine meets everything at once.
func (b *bed) rich(t *testing.T) (*hand, Advance) {
	t.Helper()
	h := b.engine(t)
	// Suspects of both lanes.
	b.put(t, job(), job(reactor))
	for range 2 {
		dead := b.engine(t)
		dead.call(t, Advance{Thread: 1, Reactor: 1, Suspect: true})
		b.kill(t, dead)
		b.sweep(t, dead)
	}
	// Verdicts of every kind, one of them on a job that is watched, one too late, one after its deadline.
	var verdicts []Verdict
	held := []Item{job(), job(), job(), job(), job(beginBy(hour)), job(), job(), job(), job(), job(), job()}
	b.put(t, held...)
	claims := h.call(t, Advance{Thread: len(held)}).Claims
	if len(claims) != len(held) {
		t.Fatalf("claimed %d", len(claims))
	}
	b.watch(t, held[0].ID)
	gone := plain(claims[1])
	gone.Token++
	late := retry(claims[4], 2*hour)
	broken := of(claims[8], VerdictBreak)
	broken.Why = "unreadable"
	b.outside(t, b.Cancel, claims[10])
	verdicts = []Verdict{plain(claims[0]), gone, keep(claims[2], Failed, hour), retry(claims[3], hour), late, retry(claims[5], 0),
		back(claims[6]), park(claims[7]), broken, point(claims[9], "cursor"), of(claims[10], VerdictLeft)}
	// Jobs due, overdue, parked and ready.
	now := b.count(t).Now
	waiting := b.put(t, job(later(hour)), job(reactor, later(hour)), job(later(hour), beginByAt(1)), job(reactor, beginByAt(1)))
	b.rewind(t, "due:thread", waiting[0], now-5)
	b.rewind(t, "due:reactor", waiting[1], now-5)
	b.put(t, job(task("other")))
	parker := b.engine(t)
	parker.tell(t, park(parker.claim(t, 1)[0]))
	if err := b.Leave(t.Context(), parker.Engine); err != nil {
		t.Fatal(err)
	}
	b.put(t, job(), job(reactor), job(), job(reactor))
	h.n++
	return h, Advance{Thread: 3, Reactor: 3, Suspect: true, Refused: 1, Kinds: []string{"t/other"}, Verdicts: verdicts}
}

// A script that finds a key of a wrong type fails before it has changed anything, whichever key it is.
func TestWrongTypeFailsBeforeAnythingChanged(t *testing.T) {
	for verb, script := range scriptsOf(t) {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, b *bed) {
				b.broken = true
				call := scenes[verb](t, b)
				for _, name := range script.Keys {
					if name == "set" {
						name = "ready:thread"
					}
					if b.spoil(t, name, call) {
						continue
					}
					// The call does not touch this key here, and has been made.
					*b = *b.sub(t, b.Name()+"x")
					b.broken = true
					call = scenes[verb](t, b)
				}
				if err := call(); err != nil {
					t.Errorf("with all as it should be: %v", err)
				}
			})
		})
	}
}

func scriptsOf(t *testing.T) map[string]lua.Script {
	t.Helper()
	scripts, err := lua.Load("")
	if err != nil {
		t.Fatal(err)
	}
	for verb := range scripts {
		if scenes[verb] == nil {
			t.Fatalf("%s: it has no scene", verb)
		}
	}
	return scripts
}

var orders = regexp.MustCompile(`"(order|front)" = "\d+"\n?`)

// spoil makes a call while a key is of a wrong type. It returns false if the call did not mind.
func (b *bed) spoil(t *testing.T, name string, call func() error) bool {
	t.Helper()
	ctx, key := t.Context(), b.Key(name)
	existed := b.rdb.Rename(ctx, key, key+".saved").Err() == nil
	if err := b.rdb.Set(ctx, key, "wrong", 0).Err(); err != nil {
		t.Fatal(err)
	}
	before := b.dump(t)
	err := call()
	if err == nil {
		return false
	}
	if !strings.Contains(err.Error(), "WRONGTYPE") {
		t.Errorf("%s of a wrong type: %v", name, err)
	}
	after := b.dump(t)
	// Orders that were drawn and not used are no change: they name nothing.
	for _, dump := range []map[string]string{before, after} {
		dump[b.Key("meta")] = strings.TrimPrefix(orders.ReplaceAllString(dump[b.Key("meta")], ""), "hash\n")
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("%s of a wrong type: the call failed and left changes:\n%s", name, diff)
	}
	b.rdb.Del(ctx, key)
	if existed {
		b.rdb.Rename(ctx, key+".saved", key)
	}
	return true
}
