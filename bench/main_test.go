package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// TestMain lets the test binary be the worker process of its own tests.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childFlag {
		os.Exit(childMain(context.Background(), os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// needRedis skips where there is no redis-server, unless one is required.
func needRedis(t *testing.T) {
	t.Helper()
	switch {
	case redisInstalled():
	case os.Getenv("SPOOL_REQUIRE_REDIS") == "1":
		t.Fatal("SPOOL_REQUIRE_REDIS=1 and there is no redis-server")
	default:
		t.Skip("SKIPPED, NOT TESTED: this test needs a redis-server in PATH")
	}
}

func redisInstalled() bool {
	_, err := exec.LookPath("redis-server")
	return err == nil
}

// result is how a run of the command ended.
type result struct {
	code     int
	out, log bytes.Buffer
}

func bench(ctx context.Context, args ...string) result {
	var r result
	r.code = run(ctx, append(args, "-json"), &r.out, &r.log)
	return r
}

// rows fails the test if the run did, or printed anything but rows.
func (r result) rows(t *testing.T) []map[string]any {
	t.Helper()
	if r.code != 0 {
		t.Fatalf("exit code %d:\n%s", r.code, r.log.String())
	}
	var rows []map[string]any
	for dec := json.NewDecoder(&r.out); ; {
		var row map[string]any
		err := dec.Decode(&row)
		if err == io.EOF {
			return rows
		}
		if err != nil {
			t.Fatalf("standard output is not rows of JSON: %v", err)
		}
		rows = append(rows, row)
	}
}

// smoke is every case, small, the rows of each peer, and the fields that it must
// have beside the common ones.
var smoke = []struct {
	name string
	args []string
	rows int
	more []string
}{
	{"put", []string{"-n", "100"}, 2, []string{"producers"}},
	{"putmany", []string{"-n", "100"}, 1, nil},
	{"drain", []string{"-n", "100", "-slots", "1,10"}, 2, nil},
	{"latency", []string{"-samples", "2", "-idle", "10ms"}, 1, []string{"p50_ms", "p99_ms", "max_ms"}},
	{"rtt", []string{"-n", "50", "-rtt", "2ms"}, 1, []string{"rtt_ms"}},
	{"backlog", []string{"-n", "100", "-pending", "0,200"}, 2, []string{"pending"}},
	{"memory", []string{"-n", "100"}, 1, []string{"bytes_per_job"}},
	{"idle", []string{"-for", "2s"}, 1, []string{"queues", "commands_per_s", "requests_per_s", "redis_cpu_ms_per_s"}},
	{"tx", []string{"-n", "100", "-slots", "1,10"}, 2, []string{"conflicts_per_commit", "lost_updates"}},
	{"flow", []string{"-n", "200", "-children", "50", "-links", "20", "-linkslots", "1,3", "-waiting", "100"}, 4, []string{"shape",
		"drain_jobs_per_s", "share_of_drain", "link_p50_ms", "link_p99_ms", "bytes_per_job", "rss_bytes_per_job",
		"longest_block_ms", "probe_wait_ms", "probe_turns", "probe_rest_ms", "longest_step_ms"}},
	{"tx-hot", []string{"-n", "60"}, 1, []string{"commits_per_s", "conflicts_per_commit", "lost_updates"}},
}

// All of them run at once, beyond what t.Parallel would allow: most of their
// time is spent waiting for idle workers to stop.
func TestEveryCase(t *testing.T) {
	t.Parallel()
	if len(smoke) != len(cases()) {
		t.Errorf("%d cases are tried here, there are %d", len(smoke), len(cases()))
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, s := range []struct{ peer, redis string }{{"asynq", ""}, {"spool", ""}, {"spool", embeddedServer}} {
		for _, c := range smoke {
			peers := mustCase(t, c.name).measured([]string{s.peer})
			if len(peers) == 0 {
				continue
			}
			ran := make(chan result, 1)
			if s.redis == embeddedServer || redisInstalled() {
				args := append([]string{"-case", c.name, "-peers", s.peer, "-redis", s.redis, "-rounds", "1"}, c.args...)
				wg.Go(func() { ran <- bench(t.Context(), args...) })
			}
			// Parallel, so that it runs when all are started.
			t.Run(c.name+"/"+s.peer+"/"+s.redis, func(t *testing.T) {
				t.Parallel()
				if s.redis == "" {
					needRedis(t)
				}
				rows := (<-ran).rows(t)
				if len(rows) != c.rows*len(peers) {
					t.Fatalf("%d rows, want %d of each of %d peers", len(rows), c.rows, len(peers))
				}
				for i, row := range rows {
					checkRow(t, c.name, peers[i%len(peers)].Name(), s.redis == "", c.more, row)
				}
			})
		}
	}
}

func checkRow(t *testing.T, name, peer string, realServer bool, more []string, row map[string]any) {
	t.Helper()
	for _, key := range append(commonKeys(), more...) {
		if _, ok := row[key]; !ok {
			t.Errorf("no field %q in %v", key, row)
		}
	}
	if len(row) != len(commonKeys())+len(more) {
		t.Errorf("fields that are not documented: %v", row)
	}
	if row["case"] != name || row["peer"] != peer || row["round"] != 1.0 {
		t.Errorf("wrong case, peer or round: %v", row)
	}
	positive := []string{"seconds", "n", "jobs_per_s", "client_cpu_us_per_job", "calls_per_job"}
	if realServer {
		positive = append(positive, "redis_cpu_us_per_job")
	}
	if name == "idle" {
		positive = []string{"seconds", "commands_per_s", "requests_per_s"}
		// A worker that is woken by a push may well send nothing in two seconds.
		if peer != "asynq" {
			positive = positive[:1]
		}
	}
	if name == "tx-hot" {
		positive = append(positive, "commits_per_s")
	}
	if name == "flow" {
		positive = append(positive, map[string][]string{
			"fanout":  {"drain_jobs_per_s", "share_of_drain"},
			"chain":   {"link_p50_ms", "link_p99_ms"},
			"reactor": {"bytes_per_job", "longest_block_ms"},
		}[row["shape"].(string)]...)
	}
	if name == "memory" && realServer {
		positive = append(positive, "bytes_per_job")
	}
	for _, key := range positive {
		if v, ok := row[key].(float64); !ok || v <= 0 {
			t.Errorf("%s is %v", key, row[key])
		}
	}
}

// Rounds run the peers in turn: A B A B.
func TestOrderOfRows(t *testing.T) {
	t.Parallel()
	needRedis(t)
	rows := bench(t.Context(), "-case", "drain", "-peers", "asynq,spool", "-n", "20", "-slots", "3", "-rounds", "2").rows(t)
	type key struct {
		peer  string
		round float64
	}
	want := []key{{"asynq", 1}, {"spool", 1}, {"asynq", 2}, {"spool", 2}}
	if len(rows) != len(want) {
		t.Fatalf("%d rows, want %d", len(rows), len(want))
	}
	for i, row := range rows {
		if got := (key{row["peer"].(string), row["round"].(float64)}); got != want[i] {
			t.Errorf("row %d is %v, want %v", i, got, want[i])
		}
	}
}

// firstWrite tells when something was written.
type firstWrite struct{ told chan<- struct{} }

func (w firstWrite) Write(b []byte) (int, error) {
	select {
	case w.told <- struct{}{}:
	default:
	}
	return len(b), nil
}

// An interrupt ends the run in the middle of a case, with exit code 1.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	needRedis(t)
	ctx, cancel := context.WithCancel(t.Context())
	row := make(chan struct{}, 1)
	code := make(chan int)
	var log bytes.Buffer
	go func() {
		code <- run(ctx, []string{"-case", "drain", "-peers", "asynq", "-n", "10", "-rounds", "1000", "-json"}, firstWrite{row}, &log)
	}()
	select {
	case <-row:
	case <-time.After(30 * time.Second):
		t.Error("no row after 30 s")
	}
	cancel()
	if got := <-code; got != 1 {
		t.Errorf("exit code %d, want 1:\n%s", got, log.String())
	}
}

// Nothing listens there: no row, exit code 1.
func TestNoServer(t *testing.T) {
	t.Parallel()
	var out, log bytes.Buffer
	if code := run(t.Context(), []string{"-redis", "127.0.0.1:1", "-json"}, &out, &log); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if out.Len() != 0 {
		t.Errorf("standard output: %q", out.String())
	}
}
