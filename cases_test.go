package spool_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/embedded"
	"github.com/spooljobs/spool/failure"
)

// wide has twenty arguments of a mebibyte each, a short one and one of 200 characters.
type wide struct {
	Short, Long                                          string
	A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q, R string
	S, T                                                 string
}

// A12, TW-26, TW-27: what is stored of a failure is small, whatever the job was called with: long values are cut to 20
// characters, short ones are not.
func TestFailureIsSmallWhateverTheArguments(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		ctx := within(t)
		c := s.client(t, func(cfg *spool.ClientConfig) { cfg.MaxPayload = 32 << 20 })
		big := strings.Repeat("0123456789", 1<<20/10)
		args := wide{Short: "12345678", Long: strings.Repeat("abcdefghij", 20), A: big, B: big, C: big, D: big, E: big,
			F: big, G: big, H: big, I: big, J: big, K: big, L: big, M: big, N: big, O: big, P: big, Q: big, R: big, S: big, T: big}
		task := spool.NewTask[wide, int]("wide")
		w := spool.NewWorker(c, spool.WorkerConfig{})
		task.Handle(w, func(ctx context.Context, got wide) (int, error) {
			if got != args {
				t.Error("the arguments have changed on their way")
			}
			return 0, errKnown
		})
		work(t, w)
		j := must(task.Put(ctx, c, args))(t)
		_, err := j.Wait(ctx)
		var f *failure.Failure
		if !errors.As(err, &f) || len(f.Frames) == 0 {
			t.Fatalf("got %#v", err)
		}
		vars := map[string]string{}
		for _, v := range f.Frames[len(f.Frames)-1].Vars {
			vars[v.Name] = v.Value
		}
		cut := func(name string) (text string, cut bool) {
			text, cut = strings.CutSuffix(vars[name], "[...]")
			return text, cut
		}
		if text, was := cut("Short"); was || !strings.Contains(text, "12345678") {
			t.Errorf("the short one: %q", vars["Short"])
		}
		if text, was := cut("Long"); !was || len([]rune(text)) != 20 {
			t.Errorf("the long one: %q", vars["Long"])
		}
		if text, was := cut("A"); !was || len([]rune(text)) != 20 {
			t.Errorf("a huge one: %q", vars["A"])
		}
		encoded := f.Encode()
		if len(encoded) >= 8<<10 {
			t.Errorf("the failure has %d bytes", len(encoded))
		}
		if again := must(failure.Decode(encoded))(t).Encode(); string(again) != string(encoded) {
			t.Error("storing what was stored changes it")
		}
		packed := must(s.raw(t).HVals(ctx, s.key("default", "outcomes")).Result())(t)
		if len(packed) != 1 || len(packed[0]) >= 8<<10 {
			t.Errorf("%d outcomes, the first of %d bytes", len(packed), len(packed[0]))
		}
	})
}

// tangled is an argument that holds the failure of its own job, and one whose printing panics.
type tangled struct {
	Name     string
	Own      *failure.Failure
	Itself   *tangled `msgpack:"-"`
	Spiteful spiteful
}

type spiteful struct{ Text string }

func (spiteful) String() string { panic("not printed") }

// tangledError refers to the object that holds the failure made of it.
type tangledError struct{ about *tangled }

func (e *tangledError) Error() string { return "tangled: " + e.about.Name }
func (e *tangledError) Unwrap() error { return e.about.Own }

// A13, TW-29, TW-30: an error that leads back to itself, and an argument that cannot be printed, are stored in no time.
func TestFailureThatContainsItselfIsStored(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		ctx := within(t)
		c := s.client(t)
		task := spool.NewTask[*tangled, int]("tangled")
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		task.Handle(w, func(ctx context.Context, arg *tangled) (int, error) {
			err := &tangledError{arg}
			arg.Own = failure.New(err, failure.Site{})
			arg.Own.Causes = append(arg.Own.Causes, arg.Own)
			arg.Itself = arg
			return 0, err
		})
		work(t, w)
		start := time.Now()
		_, err := must(task.Put(ctx, c, &tangled{Name: "knot", Spiteful: spiteful{"s"}}))(t).Wait(ctx)
		var f *failure.Failure
		if !errors.As(err, &f) || f.Message != "tangled: knot" {
			t.Fatalf("got %#v", err)
		}
		if took := time.Since(start); took > 5*time.Second { // a second, on a machine with nothing else to do
			t.Errorf("it took %v", took)
		}
		if text := fmt.Sprintf("%+v", f); !strings.Contains(text, "knot") || strings.Contains(text, "not printed") && !strings.Contains(text, "panic") {
			t.Errorf("printed as %s", text)
		}
		if n := len(f.Encode()); n >= 8<<10 {
			t.Errorf("the failure has %d bytes", n)
		}
	})
}

// B19, EN-7: the end of Run is the end of the engine: the running job is finished and stored, what was only claimed is
// handed back, nothing is registered; and a worker of the same name goes to work at once.
func TestShutdownAndRestartUnderTheSameName(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *server) {
		ctx := within(t)
		c, rdb := s.client(t), s.raw(t)
		q := c.Queue("default")
		const identity = "b19"
		// Nobody would be declared dead during this test.
		newWorker := func(fn func(context.Context, int) (int, error)) *spool.Worker {
			w := spool.NewWorker(c, spool.WorkerConfig{Identity: identity})
			double.Handle(w, fn)
			return w
		}
		began := make(chan struct{}, 1)
		first := newWorker(func(ctx context.Context, n int) (int, error) {
			began <- struct{}{}
			<-spool.Running(ctx).Stopping()
			return 2 * n, ctx.Err() // it has its grace
		})
		running, cancel := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- first.Run(running) }()
		jobs := []*spool.Job[int]{must(double.Put(ctx, c, 1))(t), must(double.Put(ctx, c, 2))(t), must(double.Put(ctx, c, 3))(t)}
		<-began
		if err := first.Run(ctx); !errors.Is(err, spool.ErrBadState) {
			t.Errorf("a second Run beside the first: %v", err)
		}
		cancel()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if got := must(jobs[0].Wait(ctx))(t); got != 2 {
			t.Errorf("the running job: %d", got)
		}
		if n := must(q.Counts(ctx))(t); n.Workers != 0 || n.Active != 0 || n.Ready != 2 || n.Succeeded != 1 || n.Interrupted != 0 {
			t.Errorf("counts: %+v", n)
		}
		for _, key := range []string{"engines", "dying", "workers", "calls"} {
			if n := must(rdb.Exists(ctx, s.key("default", key)).Result())(t); n != 0 {
				t.Errorf("%s is not empty", key)
			}
		}
		// Ending it once more is no error, nor is a Run that ends before it begins.
		if err := first.Run(running); err != nil {
			t.Errorf("a Run whose context has ended: %v", err)
		}
		work(t, newWorker(func(ctx context.Context, n int) (int, error) { return 10 * n, nil }))
		for i, want := range map[int]int{1: 20, 2: 30} {
			if got := must(jobs[i].Wait(ctx))(t); got != want {
				t.Errorf("after the restart: %d, want %d", got, want)
			}
			if info := must(q.Get(ctx, jobs[i].ID()))(t); info.Worker != identity || info.Interruptions != 0 || info.Attempts != 1 {
				t.Errorf("%+v", info)
			}
		}
	})
}

// fleetSlots is how many slots each process of the fleet has.
const fleetSlots = 3

var shared = spool.NewTask[int, int]("fleet.shared")

// childFleet is one worker of TestFourProcessesShareTheWork.
func childFleet() error {
	ctx, c, rdb, err := childClient()
	if err != nil {
		return err
	}
	defer rdb.Close()
	defer c.Close()
	me := strconv.Itoa(os.Getpid())
	w := spool.NewWorker(c, spool.WorkerConfig{ThreadSlots: fleetSlots, Identity: me})
	var mu sync.Mutex
	now, most := 0, 0
	shared.Handle(w, func(ctx context.Context, n int) (int, error) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		err := rdb.HIncrBy(ctx, effects(), "body "+strconv.Itoa(n), 1).Err()
		time.Sleep(2 * time.Millisecond) // the work
		mu.Lock()
		now--
		mu.Unlock()
		return os.Getpid(), err
	})
	if err := w.Run(ctx); err != nil {
		return err
	}
	return rdb.HSet(context.Background(), effects(), "most "+me, most).Err()
}

// B23, ST-3, EN-4, DM-24: four processes, 500 short jobs put at once: each body runs once, nobody holds more than its
// slots, and all have a share.
func TestFourProcessesShareTheWork(t *testing.T) {
	t.Parallel()
	needRedis(t)
	on(t, &server{"redis", real.Addr(), embedded.Prefix(t)}, func(t *testing.T, s *server) {
		ctx := within(t)
		c, rdb := s.client(t), s.raw(t)
		q := c.Queue("default")
		var fleet []*process
		for range 4 {
			fleet = append(fleet, s.spawn(t, "fleet", s.addr))
		}
		eventually(t, "four workers are there", func() bool { return must(q.Counts(ctx))(t).Workers == 4 })
		const n = 500
		var partials []spool.Partial[int]
		for i := range n {
			partials = append(partials, shared.With(i))
		}
		share := map[int]int{}
		for i, r := range must(spool.PutMany(ctx, c, partials))(t) {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			pid, err := r.Job.Wait(ctx)
			if err != nil {
				t.Fatalf("job %d: %v", i, err)
			}
			share[pid]++
		}
		if counts := must(q.Counts(ctx))(t); counts.Succeeded != n || counts.Completed != n || counts.Pending()+counts.Active != 0 || counts.Interrupted+counts.Refused != 0 {
			t.Errorf("counts: %+v", counts)
		}
		for _, p := range fleet {
			if err := p.stop(); err != nil {
				t.Error(err)
			}
		}
		effects := "effects:" + s.prefix
		t.Cleanup(func() { rdb.Del(context.Background(), effects) })
		seen := must(rdb.HGetAll(ctx, effects).Result())(t)
		for i := range n {
			if times := seen["body "+strconv.Itoa(i)]; times != "1" {
				t.Errorf("body %d ran %q times", i, times)
			}
		}
		for _, p := range fleet {
			pid := p.cmd.Process.Pid
			most := must(strconv.Atoi(seen["most "+strconv.Itoa(pid)]))(t)
			if share[pid] == 0 || most > fleetSlots {
				t.Errorf("process %d: %d jobs, %d at once", pid, share[pid], most)
			}
		}
		t.Logf("shares: %v", share)
	})
}
