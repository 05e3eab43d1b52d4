package store

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Each rule of the checker is broken by hand and must be reported, in these words, and everything else must not be.
func TestCheckerSeesWhatIsBroken(t *testing.T) {
	const ghost = "ghost"
	for _, c := range []struct {
		name string
		want []string
		with func(t *testing.T, b *bed, s *stage)
	}{
		{"nothing", nil, func(*testing.T, *bed, *stage) {}},
		{"an id without a record", []string{"in ready:thread without a record"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.HDel(t.Context(), b.Key("jobs"), s.ready)
		}},
		{"a record without an id", []string{"a record in no state"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.ZRem(t.Context(), b.Key("ready:thread"), s.ready)
		}},
		{"an id in two states", []string{"in two states"}, func(t *testing.T, b *bed, s *stage) {
			b.zadd(t, "due:thread", 5, s.ready)
		}},
		{"an active job that is ready, too", []string{"in two states"}, func(t *testing.T, b *bed, s *stage) {
			b.zadd(t, "ready:thread", b.score(t, "ready:thread", s.ready), s.active)
		}},
		{"a record that cannot be read", []string{"unknown format"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.HSet(t.Context(), b.Key("jobs"), s.active, "nonsense")
		}},
		{"a record in the other lane's set", []string{"with a record of lane t"}, func(t *testing.T, b *bed, s *stage) {
			b.zadd(t, "ready:reactor", b.score(t, "ready:thread", s.ready), s.ready)
			b.rdb.ZRem(t.Context(), b.Key("ready:thread"), s.ready)
		}},
		{"a holder that never was", []string{"active under engine 9, a number never given out"}, func(t *testing.T, b *bed, s *stage) {
			b.zadd(t, "active", 9<<claimBits, s.active)
		}},
		{"a holder of number 0", []string{"active under engine 0, a number never given out"}, func(t *testing.T, b *bed, s *stage) {
			b.zadd(t, "active", 7, s.active)
		}},
		{"a holder that is dead and swept", []string{"active under engine 2, which is dead and swept"}, func(t *testing.T, b *bed, s *stage) {
			other := b.engine(t)
			if err := b.Leave(t.Context(), other.Engine); err != nil {
				t.Fatal(err)
			}
			b.zadd(t, "active", float64(other.Number<<claimBits), s.active)
		}},
		{"an engine beyond the counter", []string{"bears a number never given out"}, func(t *testing.T, b *bed, s *stage) {
			b.zadd(t, "engines", 5, "7:u")
			b.rdb.HSet(t.Context(), b.Key("workers"), "u", "7", "7", "")
			b.rdb.HSet(t.Context(), b.Key("calls"), "7:u", "0 ")
		}},
		{"two engines of one number", []string{"share a number", "has no line", "which is gone"}, func(t *testing.T, b *bed, s *stage) {
			b.zadd(t, "dying", 5, "1:u")
		}},
		{"an engine without a line", []string{"has no line"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.HDel(t.Context(), b.Key("calls"), s.h.name)
		}},
		{"an engine that is not among the workers", []string{"is not among the workers"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.HDel(t.Context(), b.Key("workers"), s.h.UUID)
		}},
		{"a line of an engine that is gone", []string{"calls: the line of 1:u, which is gone"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.HSet(t.Context(), b.Key("calls"), "1:u", "0 ")
		}},
		{"a worker that is gone", []string{"workers: engine 8, which is gone", "workers: engine u, which is gone"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.HSet(t.Context(), b.Key("workers"), "u", "8", "8", "")
		}},
		{"a deadline of nothing", []string{"deadlines: id \"ghost\" has no record"}, func(t *testing.T, b *bed, s *stage) {
			b.zadd(t, "deadlines", 5, ghost)
		}},
		{"a deadline of a job without one", []string{"has a record without one"}, func(t *testing.T, b *bed, s *stage) {
			b.zadd(t, "deadlines", 5, s.ready)
		}},
		{"a job without its deadline", []string{"in due:thread without its deadline"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.ZRem(t.Context(), b.Key("deadlines"), s.limited)
		}},
		{"a history of nothing", []string{"history: id \"ghost\" has no record"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.HSet(t.Context(), b.Key("history"), ghost, "0000010000")
		}},
		{"a history that cannot be read", []string{"cannot be read"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.HSet(t.Context(), b.Key("history"), s.ready, "00000x0000")
		}},
		{"a checkpoint of nothing", []string{"checkpoints: id \"ghost\" has no record"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.HSet(t.Context(), b.Key("checkpoints"), ghost, "7")
		}},
		{"a checkpoint of a job in quarantine", nil, func(t *testing.T, b *bed, s *stage) {
			b.rdb.HSet(t.Context(), b.Key("checkpoints"), s.broken, "7")
		}},
		{"a cancelled run of an engine that is gone", []string{"leaving: id \"ghost\": of engine 9, which is gone"}, func(t *testing.T, b *bed, s *stage) {
			b.zadd(t, "leaving", 9<<claimBits, ghost)
		}},
		{"a cancelled run of a job that ended", nil, func(t *testing.T, b *bed, s *stage) {
			b.zadd(t, "leaving", float64(s.h.Number<<claimBits), s.done)
		}},
		{"a cancelled run of an engine that dies", nil, func(t *testing.T, b *bed, s *stage) {
			other := b.engine(t)
			b.zadd(t, "leaving", float64(other.Number<<claimBits), s.done)
			b.kill(t, other)
		}},
		{"a cancelled run beside another one", nil, func(t *testing.T, b *bed, s *stage) {
			b.zadd(t, "leaving", b.score(t, "active", s.active)+1, s.active)
		}},
		{"a cancelled run that is active", []string{"the run is active"}, func(t *testing.T, b *bed, s *stage) {
			b.zadd(t, "leaving", b.score(t, "active", s.active), s.active)
		}},
		{"something in the outbox without a time", []string{"outbox: \"other\" has no time"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.HSet(t.Context(), b.Key("outbox"), "other", "far   id "+string(job().Record))
		}},
		{"something outgoing that is not in the outbox", []string{"outgoing: \"other\" has left the outbox"}, func(t *testing.T, b *bed, s *stage) {
			b.zadd(t, "outgoing", 1e12, "other")
		}},
		{"something in the outbox that is cut short", []string{"outbox: \"other\" cannot be read"}, func(t *testing.T, b *bed, s *stage) {
			b.outbox(t, "other", "far   id")
		}},
		{"something in the outbox that goes nowhere", []string{"outbox: \"other\" cannot be read"}, func(t *testing.T, b *bed, s *stage) {
			b.outbox(t, "other", "   id "+string(job().Record))
		}},
		{"something in the outbox without a job", []string{"outbox: \"other\": "}, func(t *testing.T, b *bed, s *stage) {
			b.outbox(t, "other", "far   id nonsense")
		}},
		{"something in the outbox with a relative time", []string{"outbox: \"other\" cannot be read"}, func(t *testing.T, b *bed, s *stage) {
			b.outbox(t, "other", "far +5  id "+string(job().Record))
		}},
		{"something in the outbox without its deadline", []string{"another opinion of whether it has a deadline"}, func(t *testing.T, b *bed, s *stage) {
			b.outbox(t, "other", "far   id "+string(job(beginBy(5)).Record))
		}},
		{"something outgoing since no time", []string{"outgoing: \"other\" has the time 0"}, func(t *testing.T, b *bed, s *stage) {
			b.outbox(t, "other", "far   id "+string(job().Record))
			b.zadd(t, "outgoing", 0, "other")
		}},
		{"something that arrived at no time", []string{"inbox: \"other\" has the time 1.5", "inbox: \"token\" has the time"}, func(t *testing.T, b *bed, s *stage) {
			b.zadd(t, "inbox", 1.5, "other")
			b.zadd(t, "inbox", 1<<50, "token")
		}},
		{"a watch of nothing", []string{"watched: id \"ghost\" has no record"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.HSet(t.Context(), b.Key("watched"), ghost, "c")
		}},
		{"a fault of a sound job", []string{"is not in quarantine"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.HSet(t.Context(), b.Key("faults"), s.ready, "why")
		}},
		{"quarantine without a fault", []string{"without a fault"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.HDel(t.Context(), b.Key("faults"), s.broken)
		}},
		{"a kind of nothing", []string{"kinds: \"t/other/ghost\" points at no parked job", "kinds: \"junk\" points at no parked job"}, func(t *testing.T, b *bed, s *stage) {
			b.zadd(t, "kinds", 0, "t/other/"+ghost)
			b.zadd(t, "kinds", 0, "junk")
		}},
		{"a kind that is another", []string{"names a job of t/other"}, func(t *testing.T, b *bed, s *stage) {
			b.zadd(t, "kinds", 0, "r/other/"+s.parked)
		}},
		{"a parked job of no kind", []string{"is not among the kinds"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.Del(t.Context(), b.Key("kinds"))
		}},
		{"an order beyond the counter", []string{"beyond the counter"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.HSet(t.Context(), b.Key("meta"), "order", "0")
		}},
		{"an order of those that come back, beyond its counter", []string{"beyond the counter"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.HSet(t.Context(), b.Key("meta"), "front", "0")
		}},
		{"another priority than the record's", []string{"at priority 1, its record says 0"}, func(t *testing.T, b *bed, s *stage) {
			b.zadd(t, "ready:thread", b.score(t, "ready:thread", s.ready)+1<<42, s.ready)
		}},
		{"two markers", []string{"wake:thread: 2 markers"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.Del(t.Context(), b.Key("wake:thread"))
			b.rdb.LPush(t.Context(), b.Key("wake:thread"), "1", "1")
		}},
		{"a key that expires", []string{"key jobs: it expires"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.Expire(t.Context(), b.Key("jobs"), time.Hour)
		}},
		{"answers that expire as a key", []string{"key outcomes: it expires"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.Expire(t.Context(), b.Key("outcomes"), time.Hour)
		}},
		{"an outcome without a time", []string{"an outcome without a time to go"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.ZRem(t.Context(), b.Key("done"), s.done)
		}},
		{"a time without an outcome", []string{"done without an outcome"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.HDel(t.Context(), b.Key("outcomes"), s.done)
		}},
		{"an outcome that cannot be read", []string{"outcome: header"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.HSet(t.Context(), b.Key("outcomes"), s.done, "1s-00000x0000"+strings.Repeat("0", 16))
		}},
		{"done with a record", []string{"done and still with a record"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.HSet(t.Context(), b.Key("jobs"), s.done, string(job().Record))
		}},
		{"a key of ours that is none", []string{"key parked:work: the table of keys does not list it"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.Set(t.Context(), b.Key("parked:work"), "", 0)
		}},
		{"a wrong type", []string{"key watched: it is a list and should be a hash"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.LPush(t.Context(), b.Key("watched"), "x")
		}},
		{"a missing sentinel", []string{"ready:thread: 0 sentinels"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.ZRemRangeByScore(t.Context(), b.Key("ready:thread"), "+inf", "+inf")
		}},
		{"a surplus sentinel", []string{"active: 2 sentinels"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.Do(t.Context(), "ZADD", b.Key("active"), "+inf", strings.Repeat("~", 70))
		}},
		{"a sentinel where none belongs", []string{"parked: \"~~~"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.Do(t.Context(), "ZADD", b.Key("parked"), "+inf", strings.Repeat("~", 70))
		}},
		{"a job at the sentinel's place", []string{"has no finite score", "a record in no state", "2 sentinels"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.Do(t.Context(), "ZADD", b.Key("ready:thread"), "+inf", s.ready)
		}},
		{"a sentinel that was taken for a job", []string{"quarantine: the sentinel was taken for a job", "without a fault"}, func(t *testing.T, b *bed, s *stage) {
			b.zadd(t, "quarantine", 5, "~~~~~~~~~~~~~~~~ keeps this set a skiplist, is not a job ~~~~~~~~~~~~~~~~")
		}},
		{"a line without a time", []string{"lines: other has no time"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.HSet(t.Context(), b.Key("lines"), "other", "1 5 ")
		}},
		{"a line with another time", []string{"was last called at 5, lastcalls says 6"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.HSet(t.Context(), b.Key("lines"), "other", "1 5 ")
			b.zadd(t, "lastcalls", 6, "other")
		}},
		{"a line that cannot be read", []string{"the entry of other cannot be read"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.HSet(t.Context(), b.Key("lines"), "other", "1")
			b.zadd(t, "lastcalls", 6, "other")
		}},
		{"a time without a line", []string{"lastcalls: other is no line"}, func(t *testing.T, b *bed, s *stage) {
			b.zadd(t, "lastcalls", 6, "other")
		}},
		{"a counter that is no number", []string{"meta: retried is \"many\""}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.HSet(t.Context(), b.Key("meta"), "retried", "many")
		}},
		{"a counter nobody knows", []string{"meta: other is no counter"}, func(t *testing.T, b *bed, s *stage) {
			b.rdb.HSet(t.Context(), b.Key("meta"), "other", "1")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, b *bed) {
				s := setStage(t, b)
				b.broken = true
				c.with(t, b, s)
				problems, err := Check(t.Context(), b.rdb, b.prefix)
				if err != nil {
					t.Fatal(err)
				}
				if len(problems) < len(c.want) || (len(c.want) == 0) != (len(problems) == 0) {
					t.Errorf("reported %q", problems)
				}
				for _, want := range c.want {
					if !strings.Contains(strings.Join(problems, "\n"), want) {
						t.Errorf("%q is not in %q", want, problems)
					}
				}
				for _, problem := range problems {
					known := false
					for _, want := range c.want {
						known = known || strings.Contains(problem, want)
					}
					if !known {
						t.Errorf("it reports more: %q", problem)
					}
				}
			})
		})
	}
}

// stage is a queue with a job in every state, and something at every other place.
type stage struct {
	h                                            *hand
	ready, active, done, parked, broken, limited string
}

func setStage(t *testing.T, b *bed) *stage {
	t.Helper()
	put := b.put(t, job(), job(), job(task("other")), job(), job(), job())
	h := b.engine(t)
	c := h.claim(t, 6)
	broken := of(c[3], VerdictBreak)
	broken.Why = "why"
	if word, err := b.Cancel(t.Context(), b.line+"c", 1, UnpackID(c[5].ID), []byte{0x80}, hour); word != ChangeDone {
		t.Fatal(word, err)
	}
	h.commits(t, keep(c[1], Succeeded, hour), park(c[2]), broken, retry(c[4], hour), point(c[0], "7"))
	b.does(t, b.deal().send("far@store", job(), job(later(hour), beginBy(hour))))
	s := &stage{h: h, active: put[0], done: put[1], parked: put[2], broken: put[3]}
	fresh := b.put(t, job(), job(later(hour), beginBy(hour)))
	s.ready, s.limited = fresh[0], fresh[1]
	return s
}

func (b *bed) zadd(t *testing.T, set string, score float64, member string) {
	t.Helper()
	if err := b.rdb.ZAdd(t.Context(), b.Key(set), redis.Z{Score: score, Member: member}).Err(); err != nil {
		t.Fatal(err)
	}
}

// outbox puts an entry there, as it stands, with a time.
func (b *bed) outbox(t *testing.T, id, entry string) {
	t.Helper()
	if err := b.rdb.HSet(t.Context(), b.Key("outbox"), id, entry).Err(); err != nil {
		t.Fatal(err)
	}
	b.zadd(t, "outgoing", 1e12, id)
}

func (b *bed) score(t *testing.T, set, member string) float64 {
	t.Helper()
	return b.rdb.ZScore(t.Context(), b.Key(set), member).Val()
}

// Other prefixes, and a prefix that begins alike, are no business of the checker's.
func TestCheckerKeepsToItsPrefix(t *testing.T) {
	each(t, func(t *testing.T, b *bed) {
		b.rdb.Set(t.Context(), "{"+b.prefix+"x:q}:junk", "", 0)
		b.rdb.Set(t.Context(), b.prefix+":q:junk", "", 0)
		t.Cleanup(func() { b.rdb.Del(t.Context(), "{"+b.prefix+"x:q}:junk", b.prefix+":q:junk") })
		problems, err := Check(t.Context(), b.rdb, b.prefix)
		if problems != nil || err != nil {
			t.Errorf("%q, %v", problems, err)
		}
	})
}
