package spool_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
)

// untouched is a client that must not be used: it fails the test when it dials.
func untouched(t *testing.T) *spool.Client {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", DialerRetries: 1, MaxRetries: -1,
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			t.Error("Redis was called")
			return nil, errors.New("not to be called")
		}})
	c := must(spool.New(rdb, spool.ClientConfig{Logger: quiet}))(t)
	t.Cleanup(func() {
		c.Close()
		rdb.Close()
	})
	return c
}

// wantField checks that an error is, or holds, a *FieldError about a field.
func wantField(t *testing.T, what string, err error, field string) {
	t.Helper()
	var f *spool.FieldError
	switch {
	case !errors.As(err, &f):
		t.Errorf("%s: no *FieldError: %v", what, err)
	case f.Field != field:
		t.Errorf("%s: the error is about %q, not %q", what, f.Field, field)
	case !strings.Contains(err.Error(), field) || f.Rule == "":
		t.Errorf("%s: the text lacks the field or the rule: %v", what, err)
	case strings.Count(err.Error(), "spool: ") != strings.Count(err.Error(), "\n")+1: // one a mistake
		t.Errorf("%s: prefixed not once: %v", what, err)
	}
}

func waits(list ...time.Duration) iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		for _, d := range list {
			if !yield(d) {
				return
			}
		}
	}
}

func TestBadOptionsNeverReachRedis(t *testing.T) {
	t.Parallel()
	c, ctx := untouched(t), within(t)
	for _, test := range []struct {
		field string
		opt   spool.Option
	}{
		{"In", spool.In("")}, {"In", spool.In("a b")}, {"In", spool.In("a{b}")}, {"In", spool.In("a/b")}, {"In", spool.In(strings.Repeat("q", 65))},
		{"In", spool.In("größe")}, {"In", spool.In("a\x00b")},
		{"Priority", spool.Priority(1001)}, {"Priority", spool.Priority(-1001)},
		{"Due", spool.Due(time.Time{})}, {"Delay", spool.Delay(-1)}, {"BeginBy", spool.BeginBy(-time.Hour)}, {"Timeout", spool.Timeout(-1)}, {"Keep", spool.Keep(-1)},
		{"Retry", spool.Retry(-2, waits(0))}, {"Retry", spool.Retry(1, nil)}, {"Retry", spool.Retry(1, waits())}, {"Retry", spool.Retry(1, waits(0, -1))},
		{"Interruptions", spool.Interruptions(10)}, {"Interruptions", spool.Interruptions(-2)},
		{"ID", spool.ID("")}, {"ID", spool.ID("a b")}, {"ID", spool.ID("a/b")}, {"ID", spool.ID("{a}")}, {"ID", spool.ID("a\n")}, {"ID", spool.ID(strings.Repeat("i", 129))},
		{"ID", spool.ID("01a1fd54468879c39b51b9794d91cdbe")},
		{"Meta", spool.Meta("", "x")}, {"Meta", spool.Meta(strings.Repeat("k", 129), "x")},
		{"option", nil},
	} {
		_, err := double.Put(ctx, c, 1, test.opt)
		wantField(t, fmt.Sprintf("%v of %s", test.opt != nil, test.field), err, test.field)
		results, err := spool.PutMany(ctx, c, []spool.Partial[int]{double.With(1, test.opt)})
		if err != nil || len(results) != 1 || results[0].Job != nil {
			t.Errorf("PutMany: %v, %v", results, err)
			continue
		}
		wantField(t, "PutMany", results[0].Err, test.field)
	}
	// Several mistakes are all told.
	_, err := double.Put(ctx, c, 1, spool.Priority(5000), spool.Delay(-1))
	if err == nil || !strings.Contains(err.Error(), "Priority") || !strings.Contains(err.Error(), "Delay") {
		t.Errorf("two mistakes: %v", err)
	}
	for name, put := range map[string]func() error{
		"chan": func() error {
			_, err := spool.NewTask[any, int]("t").Put(ctx, c, make(chan int))
			return err
		},
		"chan inside": func() error {
			_, err := spool.NewTask[map[string]any, int]("t").Put(ctx, c, map[string]any{"a": func() {}})
			return err
		},
		"zero Partial inside": func() error {
			_, err := spool.NewTask[spool.Partial[int], int]("t").Put(ctx, c, spool.Partial[int]{})
			return err
		},
		"zero Job inside": func() error {
			_, err := spool.NewTask[*spool.Job[int], int]("t").Put(ctx, c, &spool.Job[int]{})
			return err
		},
	} {
		var f *spool.FieldError
		if err := put(); !errors.As(err, &f) || !strings.Contains(err.Error(), "arguments of t") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBadTasksPanic(t *testing.T) {
	t.Parallel()
	for what, make := range map[string]func(){
		"no name":      func() { spool.NewTask[int, int]("") },
		"a blank":      func() { spool.NewTask[int, int]("a b") },
		"long":         func() { spool.NewTask[int, int](strings.Repeat("n", 129)) },
		"nil option":   func() { spool.NewTask[int, int]("t", nil) },
		"bad option":   func() { spool.NewTask[int, int]("t", spool.Priority(9999)) },
		"an id":        func() { spool.NewTask[int, int]("t", spool.ID("one")) },
		"error twice":  func() { spool.NewTask[int, int]("t", spool.Knows("a", errKnown), spool.Knows("a", errors.New("b"))) },
		"nil error":    func() { spool.NewTask[int, int]("t", spool.Knows("a", nil)) },
		"nameless":     func() { spool.NewTask[int, int]("t", spool.Knows("", errKnown)) },
		"a nil worker": func() { double.Handle(nil, func(context.Context, int) (int, error) { return 0, nil }) },
	} {
		func() {
			defer func() {
				if err, ok := recover().(error); !ok || err.Error() == "" {
					t.Errorf("%s: no panic with an error", what)
				}
			}()
			make()
		}()
	}
}

func TestBadClientConfigs(t *testing.T) {
	t.Parallel()
	server := fakeRedis(t, "7.0.0") // would do, were the rest right
	proxy := redistest.NewProxy(t, server)
	url := "redis://" + proxy.Addr()
	for _, test := range []struct {
		field string
		cfg   spool.ClientConfig
	}{
		{"ClientConfig.Prefix", spool.ClientConfig{Prefix: "a{b"}}, {"ClientConfig.Prefix", spool.ClientConfig{Prefix: "a b"}},
		{"ClientConfig.Prefix", spool.ClientConfig{Prefix: strings.Repeat("p", 65)}},
		{"ClientConfig.MaxPayload", spool.ClientConfig{MaxPayload: -1}}, {"ClientConfig.MaxPayload", spool.ClientConfig{MaxPayload: 1 << 40}},
		{"ClientConfig.Patience", spool.ClientConfig{Patience: -1}},
	} {
		_, err := spool.Open(within(t), url, test.cfg)
		wantField(t, "Open", err, test.field)
		rdb := redis.NewClient(&redis.Options{Addr: proxy.Addr()})
		_, err = spool.New(rdb, test.cfg)
		wantField(t, "New", err, test.field)
		rdb.Close()
	}
	_, err := spool.Open(within(t), url, spool.ClientConfig{}, spool.ClientConfig{})
	wantField(t, "two configurations", err, "ClientConfig")
	for _, bad := range []string{"", "localhost:6379", "http://localhost", "redis://localhost/notanumber", "redis://user:secret@%zz", "redis://user:secret@host:port:x"} {
		_, err := spool.Open(within(t), bad)
		wantField(t, bad, err, "url")
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("a password in an error: %v", err)
		}
	}
	//lint:ignore SA1012 a nil context is the mistake under test
	_, err = spool.Open(nil, url)
	wantField(t, "nil context", err, "ctx")
	var none *redis.Client
	var noCluster *redis.ClusterClient
	ring := redis.NewRing(&redis.RingOptions{})
	defer ring.Close()
	for _, rdb := range []redis.UniversalClient{nil, none, noCluster, ring} {
		_, err := spool.New(rdb)
		wantField(t, fmt.Sprintf("%T", rdb), err, "client")
	}
	if n := proxy.Stats().Connections; n != 0 {
		t.Errorf("Redis was called %d times", n)
	}
}

func TestBadWorkerConfigs(t *testing.T) {
	t.Parallel()
	c, ctx := untouched(t), within(t)
	for _, test := range []struct {
		field string
		cfg   spool.WorkerConfig
	}{
		{"Queues", spool.WorkerConfig{Queues: []string{"a b"}}}, {"Queues", spool.WorkerConfig{Queues: []string{""}}},
		{"Queues", spool.WorkerConfig{Queues: []string{"a", "a"}}},
		{"ThreadSlots", spool.WorkerConfig{ThreadSlots: -2}}, {"ThreadSlots", spool.WorkerConfig{ThreadSlots: 1 << 30}},
		{"ReactorSlots", spool.WorkerConfig{ReactorSlots: -2}},
		{"Beat", spool.WorkerConfig{Beat: -1, DeadAfter: time.Second}}, {"DeadAfter", spool.WorkerConfig{DeadAfter: -1}},
		{"DeadAfter", spool.WorkerConfig{Beat: time.Second, DeadAfter: 1999 * time.Millisecond}},
		{"KeepFailures", spool.WorkerConfig{KeepFailures: -1}}, {"Timeout", spool.WorkerConfig{Timeout: -1}},
		{"ShutdownGrace", spool.WorkerConfig{ShutdownGrace: -2}},
		{"Identity", spool.WorkerConfig{Identity: strings.Repeat("i", 129)}},
	} {
		w := spool.NewWorker(c, test.cfg)
		wantField(t, "Run", w.Run(ctx), "WorkerConfig."+test.field)
		_, err := w.Drain(ctx)
		wantField(t, "Drain", err, "WorkerConfig."+test.field)
	}
	err := spool.NewWorker(c, spool.WorkerConfig{Retry: spool.Retry(-5, nil)}).Run(ctx)
	if err == nil || !strings.Contains(err.Error(), "WorkerConfig.Retry") {
		t.Errorf("a bad Retry: %v", err)
	}
	w := spool.NewWorker(c, spool.WorkerConfig{Beat: -1, ThreadSlots: -7})
	double.Handle(w, nil)
	light.Handle(w, func(context.Context, int) (int, error) { return 0, nil })
	light.Handle(w, func(context.Context, int) (int, error) { return 0, nil })
	spool.Task[int, int]{}.Handle(w, func(context.Context, int) (int, error) { return 0, nil })
	err = w.Run(ctx)
	for _, field := range []string{"WorkerConfig.Beat", "WorkerConfig.ThreadSlots", "handler of double", "handler of light", "task"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s is not among the mistakes: %v", field, err)
		}
	}
	wantField(t, "Resize", w.Resize(spool.Thread, -1), "slots")
	wantField(t, "Resize", w.Resize(spool.Reactor, 1<<30), "slots")
}

func TestNilEverything(t *testing.T) {
	t.Parallel()
	c, ctx := untouched(t), within(t)
	var nothing context.Context
	var none *spool.Client
	wantField(t, "Put, nil context", second(double.Put(nothing, c, 1)), "ctx")
	wantField(t, "Put, nil client", second(double.Put(ctx, none, 1)), "to")
	wantField(t, "Put, nil To", second(double.Put(ctx, nil, 1)), "to")
	wantField(t, "PutMany, nil context", second(spool.PutMany[int](nothing, c, nil)), "ctx")
	wantField(t, "PutMany, nil client", second(spool.PutMany[int](ctx, none, nil)), "to")
	wantField(t, "zero Partial", second(spool.Partial[int]{}.Put(ctx, c)), "Partial")
	if results, err := spool.PutMany(ctx, c, []spool.Partial[int]{{}, {}}); err != nil || len(results) != 2 {
		t.Errorf("PutMany of zero Partials: %v, %v", results, err)
	} else {
		wantField(t, "zero Partial of many", results[1].Err, "Partial")
	}
	if results, err := spool.PutMany[int](ctx, c, nil); err != nil || len(results) != 0 {
		t.Errorf("PutMany of nothing: %v, %v", results, err)
	}
	_ = spool.Partial[int]{}.String()

	var noJob *spool.Job[int]
	wantField(t, "nil Job", second(noJob.Wait(ctx)), "Job")
	wantField(t, "zero Job", second((&spool.Job[int]{}).Wait(ctx)), "Job")
	wantField(t, "Job of no client", second(double.Job(nil, "x").Wait(ctx)), "Job")
	wantField(t, "Wait, nil context", second(double.Job(c, "x").Wait(nothing)), "ctx")
	wantField(t, "text of a zero Job", second((&spool.Job[int]{}).MarshalText()), "Job")
	for _, id := range []string{"", "a b", "q/", "/x", "a b/x", "q/{x}"} {
		if _, err := double.Job(c, id).Wait(ctx); err == nil || !errors.As(err, new(*spool.FieldError)) {
			t.Errorf("waiting for %q: %v", id, err)
		}
	}

	wantField(t, "worker without client", spool.NewWorker(nil, spool.WorkerConfig{}).Run(ctx), "client")
	wantField(t, "Run, nil context", spool.NewWorker(c, spool.WorkerConfig{}).Run(nothing), "ctx")
	wantField(t, "Drain, nil context", second(spool.NewWorker(c, spool.WorkerConfig{}).Drain(nothing)), "ctx")

	q := c.Queue("default")
	wantField(t, "Counts, nil context", second(q.Counts(nothing)), "ctx")
	wantField(t, "Get, nil context", second(q.Get(nothing, "x")), "ctx")
	wantField(t, "Get of nothing", second(q.Get(ctx, "")), "ID")
	wantField(t, "Pull, nil context", q.Pull(nothing, "x"), "ctx")
	wantField(t, "Pull of nothing", q.Pull(ctx, ""), "ID")
	wantField(t, "Fail, nil reason", q.Fail(ctx, "x", nil), "reason")
	wantField(t, "Fail, nil context", q.Fail(nothing, "x", errKnown), "ctx")
	wantField(t, "Edit, nil context", q.Edit(nothing, "x", 1), "ctx")
	wantField(t, "Check, nil context", c.Check(nothing), "ctx")
	_, _, err := q.List(nothing, spool.StatePending, 0, 1)
	wantField(t, "List, nil context", err, "ctx")
	_, _, err = q.List(ctx, "nonsense", 0, 1)
	wantField(t, "List, no state", err, "state")
	_, _, err = q.List(ctx, spool.StatePending, 0, -1)
	wantField(t, "List of less than nothing", err, "n")
	for _, err := range q.All(nothing, spool.StatePending) {
		wantField(t, "All, nil context", err, "ctx")
	}
	bad := c.Queue("a b")
	wantField(t, "Counts of a bad name", second(bad.Counts(ctx)), "queue")
	wantField(t, "Get of a bad name", second(bad.Get(ctx, "x")), "queue")
	wantField(t, "Pull of a bad name", bad.Pull(ctx, "x"), "queue")
	wantField(t, "Fail of a bad name", bad.Fail(ctx, "x", errKnown), "queue")
	wantField(t, "Edit of a bad name", bad.Edit(ctx, "x", 1), "queue")

	if r := spool.Running(nothing); r == nil || r.Attempt() != 1 {
		t.Errorf("Running(nil): %v", r)
	}
	if spool.Final(nil) != nil || spool.RetryAfter(0, nil) != nil {
		t.Error("a nil error has become one")
	}
	for what, use := range map[string]func(){
		"zero Queue":     func() { _, _ = (&spool.Queue{}).Counts(ctx) },
		"zero Task":      func() { _, _ = spool.Task[int, int]{}.Put(ctx, c, 1) },
		"zero Task name": func() { _ = spool.Task[int, int]{}.Name() },
		"zero Task job":  func() { _ = spool.Task[int, int]{}.Job(c, "x") },
		"nil Queue":      func() { _, _ = none.Queue("x").Counts(ctx) },
	} {
		func() {
			defer func() {
				if v := recover(); v != nil {
					t.Errorf("%s: panic: %v", what, v)
				}
			}()
			use()
		}()
	}
}

func TestContextThatHasEnded(t *testing.T) {
	t.Parallel()
	c := untouched(t)
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(errKnown)
	for what, err := range map[string]error{
		"Put": second(double.Put(ended, c, 1)), "PutMany": second(spool.PutMany(ended, c, []spool.Partial[int]{double.With(1), double.With(2)})),
		"Wait":   second(double.Job(c, "x").Wait(ended)),
		"Counts": second(c.Queue("q").Counts(ended)), "Get": second(c.Queue("q").Get(ended, "x")), "Pull": c.Queue("q").Pull(ended, "x"),
		"Fail": c.Queue("q").Fail(ended, "x", errKnown), "Edit": c.Queue("q").Edit(ended, "x", 1), "Open": second(spool.Open(ended, "redis://127.0.0.1:1")),
	} {
		switch {
		case !errors.Is(err, context.Canceled) && !errors.Is(err, errKnown):
			t.Errorf("%s: %v", what, err)
		case errors.Is(err, spool.ErrUnsure):
			t.Errorf("%s is unsure of what was never sent: %v", what, err)
		}
	}
}

func TestContextThatEndsMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		proxy := s.proxied(t)
		c, sure := s.clientAt(t, proxy.Addr()), s.client(t)
		ctx := within(t)
		must(c.Queue("default").Counts(ctx))(t)
		// A put whose answer does not come is unsure; the same Partial, put again, is the same job.
		held := make(chan struct{})
		seen := make(chan struct{}, 10)
		proxy.OnRequest(func(cmd []string) redistest.Action {
			if cmd[0] != "EVALSHA" && cmd[0] != "EVAL" {
				return redistest.Pass()
			}
			seen <- struct{}{}
			return redistest.HoldReply(held)
		})
		short, cancel := context.WithCancelCause(ctx)
		p := double.With(5)
		result := make(chan error, 1)
		go func() { result <- second(p.Put(short, c)) }()
		<-seen
		cancel(errKnown)
		if err := <-result; !errors.Is(err, spool.ErrUnsure) || !errors.Is(err, errKnown) {
			t.Errorf("Put: %v", err)
		}
		proxy.OnRequest(nil)
		close(held)
		j := must(p.Put(ctx, c))(t)
		if n := must(sure.Queue("default").Counts(ctx))(t); n.Pending() != 1 {
			t.Errorf("counts: %+v", n)
		}
		// A wait that is given up leaves the others waiting.
		short, cancel = context.WithCancelCause(ctx)
		go func() { result <- second(j.Wait(short)) }()
		other := make(chan error, 1)
		go func() { other <- second(j.Wait(ctx)) }()
		cancel(nil)
		if err := <-result; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), j.ID()) {
			t.Errorf("Wait: %v", err)
		}
		// Drain is cut short with its context's error, and gives back what it has not run.
		w := spool.NewWorker(sure, fast(spool.WorkerConfig{ShutdownGrace: -1}))
		stopped, stop := context.WithCancel(ctx)
		double.Handle(w, func(ctx context.Context, n int) (int, error) {
			stop()
			<-ctx.Done()
			return 0, ctx.Err()
		})
		if n, err := w.Drain(stopped); !errors.Is(err, context.Canceled) || n != 0 {
			t.Errorf("Drain: %d, %v", n, err)
		}
		w = spool.NewWorker(sure, fast(spool.WorkerConfig{}))
		double.Handle(w, func(ctx context.Context, n int) (int, error) { return 2 * n, nil })
		if n, err := w.Drain(ctx); err != nil || n != 1 {
			t.Errorf("Drain: %d, %v", n, err)
		}
		if err := <-other; err != nil {
			t.Errorf("the other Wait: %v", err)
		}
		// Run with a context that has ended does nothing, and says nothing.
		if err := spool.NewWorker(sure, fast(spool.WorkerConfig{})).Run(stopped); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestClosedClient(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c, ctx := s.client(t), within(t)
		j := must(double.Put(ctx, c, 1))(t)
		waiting := make(chan error, 1)
		go func() { waiting <- second(j.Wait(ctx)) }()
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		var all sync.WaitGroup
		for range 4 { // at once, and again
			all.Go(func() {
				if err := c.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
		}
		all.Wait()
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		q := c.Queue("default")
		for what, err := range map[string]error{
			"a Wait under way": <-waiting, "Wait": second(j.Wait(ctx)),
			"Put": second(double.Put(ctx, c, 1)), "Run": w.Run(ctx), "Drain": second(w.Drain(ctx)),
			"Counts": second(q.Counts(ctx)), "Get": second(q.Get(ctx, "x")), "Pull": q.Pull(ctx, "x"), "Fail": q.Fail(ctx, "x", errKnown),
			"Edit": q.Edit(ctx, "x", 1), "Check": c.Check(ctx),
		} {
			if !errors.Is(err, spool.ErrClosed) {
				t.Errorf("%s: %v", what, err)
			}
		}
		results, _ := spool.PutMany(ctx, c, []spool.Partial[int]{double.With(1), double.With(1, spool.In("other"))})
		for i, r := range results {
			if !errors.Is(r.Err, spool.ErrClosed) || r.Job != nil {
				t.Errorf("PutMany: item %d: %v", i, r.Err)
			}
		}
		if _, _, err := q.List(ctx, spool.StatePending, 0, 1); !errors.Is(err, spool.ErrClosed) {
			t.Errorf("List: %v", err)
		}
	})
}

// TestUsersConnectionsStayOpen: a client on connections of the user's never closes them.
func TestUsersConnectionsStayOpen(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		raw, ctx := s.raw(t), within(t)
		c := must(spool.New(raw, spool.ClientConfig{Prefix: s.prefix, Logger: quiet}))(t)
		w := spool.NewWorker(c, fast(spool.WorkerConfig{}))
		double.Handle(w, func(ctx context.Context, n int) (int, error) { return 2 * n, nil })
		must(double.Put(ctx, c, 1))(t)
		if n := must(w.Drain(ctx))(t); n != 1 {
			t.Errorf("ran %d", n)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := raw.Ping(ctx).Err(); err != nil {
			t.Errorf("the user's client: %v", err)
		}
	})
}
