package spool_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/failure"
	"github.com/spooljobs/spool/lua"
)

// keys are the names of all keys that scripts touch.
func keys(t *testing.T) []string {
	var names []string
	for _, script := range must(lua.Load(""))(t) {
		names = append(names, script.Keys...)
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "set" })
}

// TestKeyOfAWrongType: somebody's garbage stands where one of our keys was. The queue says so and halts; other queues
// of the worker go on, calmly. When the garbage is gone, so is the trouble.
func TestKeyOfAWrongType(t *testing.T) {
	for _, name := range keys(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, s *server) { testWrongType(t, s, name) })
		})
	}
}

func testWrongType(t *testing.T, s *server, name string) {
	proxy := s.proxied(t)
	client, c, raw, ctx := s.clientAt(t, proxy.Addr()), s.client(t), s.raw(t), within(t)
	config := spool.WorkerConfig{Queues: []string{"broken", "fine"}, ThreadSlots: 2, Beat: 50 * time.Millisecond, DeadAfter: 20 * time.Second}
	w := spool.NewWorker(client, config)
	begun, release := make(chan struct{}), make(chan struct{})
	var ran atomic.Int64
	double.Handle(w, func(ctx context.Context, n int) (int, error) {
		switch n {
		case 1:
			close(begun)
			<-release
		case 100:
			return 200, nil
		}
		ran.Add(1)
		return 2 * n, nil
	})
	work(t, w)
	broken := spool.In("broken")
	jobs := []*spool.Job[int]{must(double.Put(ctx, c, 1, broken))(t)}
	<-begun
	jobs = append(jobs, must(double.Put(ctx, c, 2, broken, spool.Delay(100*time.Millisecond), spool.BeginBy(time.Hour)))(t))
	jobs = append(jobs, must(double.Put(ctx, c, 3, broken, spool.Priority(3)))(t))
	must(jobs[2].Wait(ctx))(t)

	key, saved := s.key("broken", name), "saved:"+s.prefix+":"+name
	// In one step: what is written in between would be lost, and that is not what this is about.
	var renamed, set *redis.StatusCmd
	_, _ = raw.TxPipelined(ctx, func(p redis.Pipeliner) error {
		renamed, set = p.Rename(ctx, key, saved), p.Set(ctx, key, "garbage", 0)
		return nil
	})
	if set.Err() != nil {
		t.Fatal(set.Err())
	}
	existed := renamed.Err() == nil
	close(release) // its outcome may have to wait

	fine := spool.In("fine")
	for range 3 {
		if got := must(must(double.Put(ctx, c, 100, fine))(t).Wait(ctx))(t); got != 200 {
			t.Errorf("the other queue: %d", got)
		}
	}
	short, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if j, err := double.Put(short, c, 4, broken); err == nil {
		jobs = append(jobs, j) // not everything is needed for a put
	} else if !clear(err) {
		t.Errorf("put: %v", err)
	}
	q := c.Queue("broken")
	for what, err := range map[string]error{
		"counting": second(q.Counts(short)), "looking": second(q.Get(short, jobs[1].ID())), "pulling": q.Pull(short, "nobody"),
		"failing": q.Fail(short, "nobody", errKnown), "editing": q.Edit(short, "nobody", 1),
	} {
		if err != nil && !clear(err) && !errors.Is(err, spool.ErrUnknown) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, state := range []spool.State{spool.StatePending, spool.StateActive, spool.StateCompleted, spool.StateQuarantined} {
		if _, _, err := q.List(short, state, 0, 10); err != nil && !clear(err) {
			t.Errorf("listing: %v", err)
		}
	}
	before := proxy.Stats().Commands
	time.Sleep(400 * time.Millisecond)
	if made := proxy.Stats().Commands - before; made > 100 {
		t.Errorf("%d commands in 400 ms of doing nothing", made)
	}

	if existed {
		if err := raw.Rename(ctx, saved, key).Err(); err != nil {
			t.Fatal(err)
		}
	} else {
		raw.Del(ctx, key)
	}
	for n, j := range jobs {
		if got, err := j.Wait(ctx); err != nil || got != 2*(n+1) {
			t.Errorf("job %d: %d, %v", n+1, got, err)
		}
	}
	if got := must(must(double.Put(ctx, c, 5, broken))(t).Wait(ctx))(t); got != 10 {
		t.Errorf("afterwards: %d", got)
	}
	if n := int(ran.Load()); n != len(jobs)+1 {
		t.Errorf("%d jobs ran %d times", len(jobs)+1, n)
	}
}

// clear: an error of a call on a key of a wrong type says so.
func clear(err error) bool { return strings.Contains(err.Error(), "WRONGTYPE") }

func second[T any](_ T, err error) error { return err }

// TestWorkerStopsThoughItsQueueIsBroken: in time, and without hammering Redis.
func TestWorkerStopsThoughItsQueueIsBroken(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		proxy := s.proxied(t)
		c, raw, ctx := s.clientAt(t, proxy.Addr()), s.raw(t), within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{ShutdownGrace: -1}))
		double.Handle(w, func(ctx context.Context, n int) (int, error) { return 2 * n, nil })
		stop := work(t, w)
		must(must(double.Put(ctx, c, 1))(t).Wait(ctx))(t)
		key := s.key("default", "ready:thread")
		if err := raw.Rename(ctx, key, "saved:"+s.prefix).Err(); err != nil {
			t.Fatal(err)
		}
		raw.Set(ctx, key, "garbage", 0)
		before := proxy.Stats().Commands
		start := time.Now()
		if err := stop(); err != nil {
			t.Logf("Run: %v", err)
		}
		if took := time.Since(start); took > 8*time.Second {
			t.Errorf("it took %v", took)
		}
		if made := proxy.Stats().Commands - before; made > 100 {
			t.Errorf("%d commands for one shutdown", made)
		}
		raw.Rename(ctx, "saved:"+s.prefix, key)
	})
}

// bomb declares an array of four thousand million elements.
const bomb = "\xdd\xff\xff\xff\xff"

// TestBrokenJobsAreQuarantined: each costs itself alone. It is counted and can be seen, with the reason.
func TestBrokenJobsAreQuarantined(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c, raw, ctx := s.client(t), s.raw(t), within(t)
		const head = "1t9---" + "-" + "1000" + "006" // of a record of the task double
		records := map[string]string{
			"empty":            "",
			"short":            "1t9",
			"other format":     "2" + head[1:] + "double\x01",
			"no lane":          "1x" + head[2:] + "double\x01",
			"no interruptions": "1tz" + head[3:] + "double\x01",
			"blank length":     head[:11] + "   double\x01",
			"hex length":       head[:7] + "0x10" + "0x6double\x01",
			"cut task":         head + "dou",
			"no arguments":     head + "double",
			"bomb":             head + "double" + bomb,
			"bomb in settings": head + "double\x01" + bomb,
			"text arguments":   head + "double\xa5hello",
			"settings":         head + "double\x01\x01",
			"own and short":    "1t9-o-" + head[6:],
			"high priority":    "1t9----9999006double\xc1",
			"binary":           strings.Repeat("\x00\xff", 40),
		}
		must(double.Put(ctx, c, 1, spool.Delay(time.Hour), spool.ID("later")))(t) // so that every set is there
		must(double.Put(ctx, c, 1, spool.ID("now")))(t)
		must(light.Put(ctx, c, 1, spool.ID("light")))(t)
		broken := make(map[string]bool)
		store := func(id, set string, score float64, record *string) {
			broken[id] = true
			if record != nil {
				raw.HSet(ctx, s.key("default", "jobs"), id, *record)
			}
			if err := raw.ZAdd(ctx, s.key("default", set), redis.Z{Score: score, Member: id}).Err(); err != nil {
				t.Fatal(err)
			}
		}
		for what, record := range records {
			what = strings.ReplaceAll(what, " ", "-")
			for _, set := range []string{"ready:thread", "due:thread", "suspect:thread"} {
				store(set+":"+what, set, 1000, &record)
			}
		}
		for _, set := range []string{"ready:thread", "ready:reactor", "due:thread", "due:reactor", "suspect:thread", "suspect:reactor"} {
			store("dangling:"+set, set, 1000, nil)
		}
		store("dangling:parked", "parked", 1000, nil)
		raw.ZAdd(ctx, s.key("default", "kinds"), redis.Z{Member: "t/double/dangling:parked"})
		sound := head + "double\x01"
		store("history", "ready:thread", 1000, &sound)
		raw.HSet(ctx, s.key("default", "history"), "history", "long ago")
		// Whose deadline nobody knows: it goes at once.
		raw.ZAdd(ctx, s.key("default", "deadlines"), redis.Z{Score: 1, Member: "nobody"})

		wrong := spool.NewTask[map[string]int, int]("double")
		broken[must(wrong.Put(ctx, c, map[string]int{"a": 1}))(t).ID()] = true

		w := spool.NewWorker(c, fast(spool.WorkerConfig{ThreadSlots: 3}))
		handle := func(ctx context.Context, n int) (int, error) { return 2 * n, nil }
		double.Handle(w, handle)
		light.Handle(w, handle)
		stop := work(t, w)
		for n := range 20 {
			if got := must(must(double.Put(ctx, c, n))(t).Wait(ctx))(t); got != 2*n {
				t.Errorf("got %d", got)
			}
		}
		q := c.Queue("default")
		eventually(t, "all are set aside", func() bool { return must(q.Counts(ctx))(t).Quarantined >= len(broken) })
		n := must(q.Counts(ctx))(t)
		if n.Quarantined != len(broken) || n.Ready != 0 || n.Suspect != 0 || n.Parked != 0 || n.Due != 1 || n.Active != 0 || n.Succeeded != 22 {
			t.Errorf("%d are broken; counts: %+v", len(broken), n)
		}
		for info, err := range q.All(ctx, spool.StateQuarantined) {
			if err != nil {
				t.Fatal(err)
			}
			if !broken[info.ID] || info.Fault == "" || info.State != spool.StateQuarantined {
				t.Errorf("listed: %+v", info)
			}
			delete(broken, info.ID)
			one := must(q.Get(ctx, info.ID))(t)
			if one.State != spool.StateQuarantined || one.Fault != info.Fault {
				t.Errorf("%s: %s, %q and %q", info.ID, one.State, one.Fault, info.Fault)
			}
		}
		if len(broken) > 0 {
			t.Errorf("not listed: %v", broken)
		}
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// TestBrokenJobsGivenBackAndSweptAreNotLost: those that were claimed and not begun when the worker stops, and what a dead worker held.
func TestBrokenJobsGivenBackAndSweptAreNotLost(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		proxy := s.proxied(t)
		c, raw, ctx := s.client(t), s.raw(t), within(t)
		dying := spool.NewWorker(s.clientAt(t, proxy.Addr()), fast(spool.WorkerConfig{ThreadSlots: 4, ShutdownGrace: -1}))
		begun := make(chan string, 4)
		double.Handle(dying, func(ctx context.Context, n int) (int, error) {
			begun <- spool.Running(ctx).ID()
			<-ctx.Done()
			return 0, ctx.Err()
		})
		dead := make(chan error, 1)
		die, kill := context.WithCancel(ctx)
		defer kill()
		go func() { dead <- dying.Run(die) }()
		jobs := make(map[string]*spool.Job[int])
		for _, id := range []string{"sound", "record", "missing", "history"} {
			jobs[id] = must(double.Put(ctx, c, 4, spool.ID(id)))(t)
			<-begun
		}
		proxy.Down()
		raw.HSet(ctx, s.key("default", "jobs"), "record", "1x9----1000   double\x01")
		raw.HDel(ctx, s.key("default", "jobs"), "missing")
		raw.HSet(ctx, s.key("default", "history"), "history", "garbage")
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		double.Handle(w, func(ctx context.Context, n int) (int, error) { return 2 * n, nil })
		work(t, w)
		if got := must(jobs["sound"].Wait(ctx))(t); got != 8 {
			t.Errorf("got %d", got)
		}
		q := c.Queue("default")
		eventually(t, "the broken ones are set aside", func() bool { return must(q.Counts(ctx))(t).Quarantined == 3 })
		if n := must(q.Counts(ctx))(t); n.Active != 0 || n.Interrupted != 1 {
			t.Errorf("counts: %+v", n)
		}
		if err := proxy.Up(); err != nil {
			t.Fatal(err)
		}
		kill()
		<-dead
	})
}

// TestGarbageMembersAndCounters: members that no script has written, and counters that are no numbers.
func TestGarbageMembersAndCounters(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c, raw, ctx := s.client(t), s.raw(t), within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{Queues: []string{"default", "other"}}))
		var ran atomic.Int64
		double.Handle(w, func(ctx context.Context, n int) (int, error) { ran.Add(1); return 2 * n, nil })
		work(t, w)
		must(must(double.Put(ctx, c, 1))(t).Wait(ctx))(t)
		for _, set := range []string{"kinds", "engines", "dying", "lastcalls", "deadlines", "done"} {
			raw.ZAdd(ctx, s.key("default", set), redis.Z{Score: 1, Member: "garbage"}, redis.Z{Score: 1, Member: "t/x"})
		}
		raw.HSet(ctx, s.key("default", "watched"), "garbage", "  nobody's channel  ")
		raw.RPush(ctx, s.key("default", "wake:thread"), "a", "b", "c")
		for n := range 10 {
			must(must(double.Put(ctx, c, n))(t).Wait(ctx))(t)
		}
		// The beats have swept what looked like engines, and tidied what looked like outcomes.
		eventually(t, "garbage that looks old is gone", func() bool {
			n := must(c.Queue("default").Counts(ctx))(t)
			left := raw.Exists(ctx, s.key("default", "dying")).Val()
			if raw.ZScore(ctx, s.key("default", "done"), "garbage").Err() == nil {
				left++
			}
			return n.Workers == 1 && left == 0
		})
		raw.ZRem(ctx, s.key("default", "kinds"), "garbage", "t/x")
		raw.HDel(ctx, s.key("default", "watched"), "garbage")

		for _, counter := range []string{"order", "front", "fence", "succeeded"} {
			meta := s.key("default", "meta")
			old, had := raw.HGet(ctx, meta, counter).Val(), raw.HExists(ctx, meta, counter).Val()
			later := must(double.Put(ctx, c, 5, spool.Delay(20*time.Millisecond)))(t)
			raw.HSet(ctx, meta, counter, "many")
			must(must(double.Put(ctx, c, 3, spool.In("other")))(t).Wait(ctx))(t)
			j, err := double.Put(ctx, c, 6)
			if err != nil && !strings.Contains(err.Error(), counter) && !strings.Contains(err.Error(), "not an integer") {
				t.Errorf("put with a broken counter %s: %v", counter, err)
			}
			time.Sleep(100 * time.Millisecond)
			if had {
				raw.HSet(ctx, meta, counter, old)
			} else {
				raw.HDel(ctx, meta, counter)
			}
			if got := must(later.Wait(ctx))(t); got != 10 {
				t.Errorf("got %d", got)
			}
			if err == nil {
				must(j.Wait(ctx))(t)
			}
		}
	})
}

// TestOutcomeThatCannotBeRead is an error of Wait, which names the job, and of nothing else.
func TestOutcomeThatCannotBeRead(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c, raw, ctx := s.client(t), s.raw(t), within(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		double.Handle(w, func(ctx context.Context, n int) (int, error) { return 2 * n, nil })
		fails.Handle(w, func(ctx context.Context, how string) (int, error) { return 0, errKnown })
		work(t, w)
		good := must(double.Put(ctx, c, 1, spool.ID("good")))(t)
		must(good.Wait(ctx))(t)
		bad := must(double.Put(ctx, c, 2, spool.ID("bad")))(t)
		must(bad.Wait(ctx))(t)
		outcomes := s.key("default", "outcomes")
		was := raw.HGet(ctx, outcomes, "bad").Val()
		for _, garbage := range []string{"", "x", strings.Repeat("\xff", 50), was[:29], was[:len(was)-1], "1z" + was[2:], was[:3] + "??????" + was[9:], was[:45] + "double" + bomb,
			was + "more"} {
			raw.HSet(ctx, outcomes, "bad", garbage)
			_, err := bad.Wait(ctx)
			var f *failure.Failure
			switch {
			case err == nil:
				t.Errorf("%q is taken for a result", garbage)
			case errors.As(err, &f):
				t.Errorf("%q is taken for a failure of the job: %v", garbage, err)
			case !strings.Contains(err.Error(), "bad"):
				t.Errorf("the error does not name the job: %v", err)
			}
			if _, err := c.Queue("default").Get(ctx, "bad"); err != nil {
				t.Errorf("looking at it: %v", err)
			}
			if _, total, err := c.Queue("default").List(ctx, spool.StateCompleted, 0, 10); err != nil || total != 2 {
				t.Errorf("listing: %d, %v", total, err)
			}
			must(good.Wait(ctx))(t)
		}
		raw.HDel(ctx, outcomes, "bad") // done without an outcome
		if _, err := bad.Wait(ctx); err == nil || !strings.Contains(err.Error(), "bad") {
			t.Errorf("no outcome: %v", err)
		}
		raw.HSet(ctx, outcomes, "bad", was)
		if got := must(bad.Wait(ctx))(t); got != 4 {
			t.Errorf("got %d", got)
		}
	})
}
