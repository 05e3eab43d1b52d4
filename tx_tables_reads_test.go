package spool_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool"
)

var tabled = spool.NewTask[int, bool]("tx.tabled")

// reading is a read, what is stored before, changes that leave its answer as it was, and changes that do not.
type reading struct {
	read, made  string
	same, other []string
}

const long = "0123456789012345678901234567890123456789012345678901234567890123456789"

var readings = []reading{
	{"GET @k", "SET @k v", []string{"EXPIRE @k 5000", "SET @k w; SET @k v"}, []string{"SET @k w", "APPEND @k x", "DEL @k"}},
	{"GET @k", "SET @k " + long, []string{"DEL @k; SET @k " + long}, []string{"SETRANGE @k 69 x"}},
	{"MGET @k @K", "SET @k v", []string{"SET @k v EX 5000", "HSET @K f v"}, []string{"SET @K w"}},
	{"STRLEN @k", "SET @k abc", []string{"SET @k xyz"}, []string{"APPEND @k d"}},
	{"GETRANGE @k 0 2", "SET @k abcdef", []string{"SETRANGE @k 4 X"}, []string{"SETRANGE @k 1 X"}},
	{"GETBIT @k 7", "SET @k a", []string{"SETBIT @k 9 1"}, []string{"SETBIT @k 7 0"}},
	{"BITCOUNT @k", "SET @k a", []string{"SET @k 1"}, []string{"SET @k c"}},
	{"BITCOUNT @k 0 0", "SET @k a", []string{"APPEND @k zz"}, []string{"SET @k caa"}},
	{"BITPOS @k 1", "SET @k a", []string{"SET @k b"}, []string{"SETBIT @k 0 1"}},
	{"EXISTS @k @K", "SET @k v", []string{"SET @k w", "DEL @k; HSET @k f v", "DEL @k; SET @K v"}, []string{"SET @K v"}},
	{"TYPE @k", "SET @k v", []string{"SET @k w"}, []string{"DEL @k; HSET @k f v"}},

	{"HGET @k f", "HSET @k f v g w", []string{"HSET @k g x", "HDEL @k g", "HSET @k h new"}, []string{"HSET @k f x", "HDEL @k f"}},
	{"HGET @k f", "HSET @k f " + long, []string{"HSET @k g x"}, []string{"HSET @k f " + long + "9"}},
	{"HMGET @k f h", "HSET @k f v g w", []string{"HSET @k g x"}, []string{"HSET @k h 1"}},
	{"HGETALL @k", "HSET @k f v g w", []string{"HDEL @k f; HSET @k f v"}, []string{"HSET @k g x", "HSET @k h x"}},
	{"HGETALL @k", "HSET @k f " + long + " g w", []string{"HDEL @k f; HSET @k f " + long}, []string{"HSET @k g x"}},
	{"HKEYS @k", "HSET @k f v g w", []string{"HSET @k f other", "HDEL @k f; HSET @k f v"}, []string{"HSET @k h x"}},
	{"HVALS @k", "HSET @k f v g w", []string{"HSET @k f w g v"}, []string{"HSET @k f x"}},
	{"HLEN @k", "HSET @k f v g w", []string{"HSET @k f x", "HDEL @k f; HSET @k z x"}, []string{"HDEL @k f"}},
	{"HEXISTS @k f", "HSET @k f v g w", []string{"HSET @k f x", "HDEL @k g"}, []string{"HDEL @k f"}},
	{"HSTRLEN @k f", "HSET @k f v g w", []string{"HSET @k f x", "HDEL @k g"}, []string{"HSET @k f xx"}},

	{"LLEN @k", "RPUSH @k a b c", []string{"LSET @k 0 z", "LPOP @k; RPUSH @k z"}, []string{"RPUSH @k d"}},
	{"LINDEX @k 1", "RPUSH @k a b c", []string{"LSET @k 0 z", "RPUSH @k z"}, []string{"LSET @k 1 z", "LPUSH @k z"}},
	{"LRANGE @k 0 1", "RPUSH @k a b c", []string{"LSET @k 2 z", "RPUSH @k z"}, []string{"LSET @k 1 z", "LPUSH @k z"}},
	{"LPOS @k b", "RPUSH @k a b c", []string{"LSET @k 0 z", "RPUSH @k b"}, []string{"LPUSH @k z"}},

	{"SCARD @k", "SADD @k a b", []string{"SREM @k a; SADD @k c"}, []string{"SADD @k c"}},
	{"SISMEMBER @k a", "SADD @k a b", []string{"SADD @k c", "SREM @k b"}, []string{"SREM @k a"}},
	{"SMISMEMBER @k a z", "SADD @k a b", []string{"SADD @k c"}, []string{"SADD @k z"}},
	{"SMEMBERS @k", "SADD @k a b " + long, []string{"SREM @k a; SADD @k a"}, []string{"SADD @k c"}},
	{"SINTER @k @K", "SADD @k a b; SADD @K b c", []string{"SADD @k x", "SADD @K y"}, []string{"SADD @k c"}},
	{"SUNION @k @K", "SADD @k a b; SADD @K b c", []string{"SADD @k c", "SREM @k b"}, []string{"SADD @k x"}},
	{"SDIFF @k @K", "SADD @k a b; SADD @K b c", []string{"SADD @K x", "SREM @k b"}, []string{"SADD @K a"}},

	{"ZCARD @k", "ZADD @k 1 a 2 b 3 c", []string{"ZADD @k 9 a"}, []string{"ZADD @k 1 d"}},
	{"ZCOUNT @k 1 2", "ZADD @k 1 a 2 b 3 c", []string{"ZADD @k 2 a", "ZADD @k 7 c"}, []string{"ZADD @k 9 a"}},
	{"ZLEXCOUNT @k [a [b", "ZADD @k 0 a 0 b 0 c", []string{"ZADD @k 0 d"}, []string{"ZADD @k 0 aa"}},
	{"ZSCORE @k a", "ZADD @k 1 a 2 b 3 c", []string{"ZADD @k 9 b"}, []string{"ZADD @k 9 a"}},
	{"ZMSCORE @k a z", "ZADD @k 1 a 2 b 3 c", []string{"ZADD @k 9 b"}, []string{"ZADD @k 1 z"}},
	{"ZRANK @k b", "ZADD @k 1 a 2 b 3 c", []string{"ZADD @k 9 c", "ZADD @k 0 a", "ZADD @k 2.5 b"}, []string{"ZREM @k a"}},
	{"ZREVRANK @k b", "ZADD @k 1 a 2 b 3 c", []string{"ZADD @k 0 a", "ZREM @k a"}, []string{"ZREM @k c"}},
	{"ZRANGE @k 0 1", "ZADD @k 1 a 2 b 3 c", []string{"ZADD @k 1.5 a", "ZADD @k 9 c"}, []string{"ZREM @k a"}},
	{"ZRANGE @k 0 1 WITHSCORES", "ZADD @k 1 a 2 b 3 c", []string{"ZADD @k 9 c"}, []string{"ZADD @k 1.5 a"}},
	{"ZRANGE @k 1 2 BYSCORE", "ZADD @k 1 a 2 b 3 c", []string{"ZADD @k 1.5 a"}, []string{"ZADD @k 9 b"}},
	{"ZREVRANGE @k 0 0", "ZADD @k 1 a 2 b 3 c", []string{"ZADD @k 9 c", "ZADD @k 0 a"}, []string{"ZADD @k 9 a"}},
	{"ZRANGEBYSCORE @k 1 2", "ZADD @k 1 a 2 b 3 c", []string{"ZADD @k 7 c"}, []string{"ZADD @k 2 c"}},
	{"ZREVRANGEBYSCORE @k 2 1", "ZADD @k 1 a 2 b 3 c", []string{"ZADD @k 7 c"}, []string{"ZADD @k 2 c"}},
	{"ZRANGEBYLEX @k [a [b", "ZADD @k 0 a 0 b 0 c", []string{"ZADD @k 0 d"}, []string{"ZADD @k 0 aa"}},
	{"ZREVRANGEBYLEX @k [b [a", "ZADD @k 0 a 0 b 0 c", []string{"ZADD @k 0 d"}, []string{"ZADD @k 0 aa"}},
	{"ZINTER 2 @k @K", "ZADD @k 1 a 2 b; ZADD @K 1 b 2 c", []string{"ZADD @k 9 x", "ZADD @k 3 b"}, []string{"ZADD @K 1 a"}},
	{"ZUNION 2 @k @K", "ZADD @k 1 a 2 b; ZADD @K 1 b 2 c", []string{"ZADD @k 0 a"}, []string{"ZADD @K 1 x"}},
	{"ZDIFF 2 @k @K", "ZADD @k 1 a 2 b; ZADD @K 1 b 2 c", []string{"ZADD @K 1 x", "ZADD @k 7 a"}, []string{"ZADD @K 1 a"}},

	{"XLEN @k", "XADD @k 1-1 f v; XADD @k 2-1 f v", []string{"XDEL @k 1-1; XADD @k 3-1 f v"}, []string{"XADD @k 3-1 f v"}},
	{"XRANGE @k - 1-1", "XADD @k 1-1 f v", []string{"XADD @k 3-1 f v"}, []string{"XDEL @k 1-1"}},
	{"XREVRANGE @k 1-1 -", "XADD @k 1-1 f v", []string{"XADD @k 3-1 f v"}, []string{"XDEL @k 1-1"}},
}

// readCase is one read, and one thing that happens between it and the commit.
type readCase struct {
	read         command
	made, change []command
	conflicts    bool
	expires      bool // the key expires, besides
	late         bool // it happens during the commit
	keys         string

	mu       sync.Mutex // guards what follows
	answers  []string   // one of each attempt
	attempts int
	err      error
}

func (c *readCase) String() string {
	return fmt.Sprintf("%v on %v, then %v, expiry %t, at %s", c.read, c.made, c.change, c.expires, c.keys)
}

// commands makes commands of lines, for keys with names of their own.
func commands(lines, keys string) []command {
	var list []command
	for line := range strings.SplitSeq(lines, "; ") {
		if line != "" {
			c := cmd(line)
			for _, i := range c.Keys {
				c.Args[i] += keys
			}
			list = append(list, c)
		}
	}
	return list
}

// readCases are all rows with all of their changes, and what follows for each: a key that comes, one that goes, one that
// held another type, one that expires. The embedded server, which is slow, gets one of each so many, from the one on.
func readCases(s *server, suffix string, from, each int) []*readCase {
	var cases []*readCase
	n := from
	add := func(r reading, made, change string, conflicts, expires bool) {
		if n++; s.name == "embedded" && n%each != 0 {
			return
		}
		keys := fmt.Sprintf(".%s%d", suffix, len(cases))
		cases = append(cases, &readCase{read: commands(r.read, keys)[0], made: commands(made, keys), change: commands(change, keys),
			conflicts: conflicts, expires: expires, keys: keys})
	}
	for _, r := range readings {
		if s.lacks(r.read) {
			continue
		}
		for _, change := range r.same {
			add(r, r.made, change, false, false)
		}
		for _, change := range r.other {
			add(r, r.made, change, true, false)
		}
		add(r, "", r.made, true, false)
		add(r, r.made, "", true, true)
		add(r, "", "SET @another v", false, false)
		wrong, more := "SET @k 1", "INCR @k"
		if strings.HasPrefix(r.made, "SET ") {
			wrong, more = "RPUSH @k 1", "RPUSH @k 2"
		}
		if name, _, _ := strings.Cut(r.read, " "); name != "EXISTS" {
			add(r, wrong, more, false, false) // its answer is an error, or another type's name
			add(r, wrong, "DEL @k; "+r.made, true, false)
		}
	}
	return cases
}

// passing is what happens between a read and the commit.
func (c *readCase) passing(t *testing.T, sp *space) {
	t.Helper()
	sp.must(t, c.change...)
	if !c.expires {
		return
	}
	// Nobody touches the key once it has expired: the clock of the server says when.
	ctx, key := context.Background(), sp.key("k"+c.keys)
	sp.rdb.PExpire(ctx, key, time.Millisecond)
	from := must(sp.rdb.Time(ctx).Result())(t)
	eventually(t, "the time has come", func() bool { return must(sp.rdb.Time(ctx).Result())(t).Sub(from) > 2*time.Millisecond })
}

// run is the function of the transaction.
func (c *readCase) run(ctx context.Context, t *testing.T, sp *space, tx *spool.Tx) error {
	reply, err := tx.Do(ctx, sp.args(c.read)...).Result()
	var fault redis.Error
	if err != nil && !errors.Is(err, redis.Nil) && !errors.As(err, &fault) {
		return err
	}
	c.mu.Lock()
	c.answers = append(c.answers, sp.answer(c.read, reply, err))
	c.attempts = tx.Attempts()
	first := len(c.answers) == 1
	c.mu.Unlock()
	if first && !c.late {
		c.passing(t, sp)
	}
	return tx.Do(ctx, "SET", sp.key("written"+c.keys), "yes").Err()
}

// check holds what has happened against what should have, and removes the keys: the embedded server gets slow with many.
func (c *readCase) check(t *testing.T, sp *space) {
	t.Helper()
	defer sp.rdb.Del(context.Background(), sp.key("k"+c.keys), sp.key("K"+c.keys), sp.key("written"+c.keys), sp.key("another"+c.keys))
	if c.err != nil {
		t.Errorf("%v: %v", c, c.err)
		return
	}
	now, _ := sp.do(t, c.read)
	want := 1
	if c.conflicts {
		want = 2
	}
	if len(c.answers) != want || c.attempts > want { // a job that went back into the queue meanwhile counts anew
		t.Errorf("%v: %d runs and %d attempts, not %d: %q", c, len(c.answers), c.attempts, want, c.answers)
		return
	}
	if c.conflicts == (c.answers[0] == now) || c.answers[want-1] != now {
		t.Errorf("%v: answered %q, and is %s", c, c.answers, now)
	}
	if written, _ := sp.do(t, commands("GET @written", c.keys)[0]); written != `"yes"` {
		t.Errorf("%v: nothing was written", c)
	}
}

// A read conflicts with whatever changes its answer, and with nothing else.
func TestReadConflictsWithWhatChangesItsAnswer(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		client := s.client(t)
		sp := s.space(t, "mine")
		ctx := patiently(t)
		rows := map[string]int{}
		for _, c := range readCases(s, "b", 0, 2) {
			rows[c.read.name()]++
			sp.must(t, c.made...)
			c.err = client.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error { return c.run(ctx, t, sp, tx) })
			c.check(t, sp)
		}
		for _, name := range readCommands {
			if rows[name] == 0 && !s.lacks(name+" ") {
				t.Errorf("%s has no row", name)
			}
		}
	})
}

// The same, for jobs, whose commits share calls.
func TestReadOfJobConflictsWithWhatChangesItsAnswer(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		client := s.client(t)
		sp := s.space(t, "mine")
		ctx := patiently(t)
		cases := readCases(s, "j", 1, 2)
		w := spool.NewWorker(client, spool.WorkerConfig{ThreadSlots: 16})
		tabled.HandleTx(w, func(ctx context.Context, tx *spool.Tx, i int) (bool, error) {
			err := cases[i].run(ctx, t, sp, tx)
			if err != nil {
				cases[i].err = err
			}
			return true, err
		})
		for from := 0; from < len(cases); from += 40 {
			var partials []spool.Partial[bool]
			to := min(from+40, len(cases))
			for i := from; i < to; i++ {
				sp.must(t, cases[i].made...)
				partials = append(partials, tabled.With(i))
			}
			must(spool.PutMany(ctx, client, partials))(t)
			must(w.Drain(ctx))(t)
			for _, c := range cases[from:to] {
				c.check(t, sp)
			}
		}
	})
}
