package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/embedded"
	"github.com/spooljobs/spool/internal/redistest"
)

// The test binary is also the program under test.
func TestMain(m *testing.M) {
	if os.Getenv("BANK_PROGRAM") == "1" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func program(t *testing.T, url string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), "BANK_PROGRAM=1", "SPOOL_REDIS_URL="+url)
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), err.String()
}

func check(t *testing.T, url string) {
	t.Helper()
	code, stdout, stderr := program(t, url)
	want := regexp.MustCompile(`^after 100 transfers a worker is cut off
after 1000 transfers it is back
\d+ of its jobs were run by others, and \d+ verdicts of its own came too late
sum 100000 of 100000, transfers 2000, lost 0, doubled 0
$`)
	if code != 0 || stderr != "" || !want.MatchString(stdout) {
		t.Errorf("exit code %d, standard error %q, standard output:\n%s", code, stderr, stdout)
	}
}

func TestEmbedded(t *testing.T) {
	t.Parallel()
	check(t, "")
}

func TestRealRedisIsLeftTidy(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	// What the first run leaves must not disturb the second.
	for range 2 {
		check(t, "redis://"+server.Addr())
	}
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer rdb.Close()
	keys, err := rdb.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) >= 50 || strings.Contains(strings.Join(keys, " "), "/ledger") {
		t.Errorf("left: %q, %v", keys, err)
	}
}

func TestRedisIsOutOfReach(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := program(t, "redis://127.0.0.1:1")
	if code != 1 || stdout != "" || !strings.Contains(stderr, "127.0.0.1:1") {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
}

// The report must not be of a kind that is always content.
func TestReportTellsWhatIsLostAndDoubled(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b, err := found(ctx, embedded.Test(t))
	if err != nil {
		t.Fatal(err)
	}
	err = b.client.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
		for i := range transfers - 1 {
			if err := tx.Do(ctx, "RPUSH", b.ledger, max(1, i)).Err(); err != nil {
				return err
			}
		}
		return b.accounts[7].Add(ctx, tx, 5)
	}, spool.TxConfig{Queue: queue})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = report(ctx, &out, b)
	if got := out.String(); err == nil || got != "sum 100005 of 100000, transfers 1999, lost 2, doubled 1\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestWhatCannotBePaidIsNot(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b, err := found(ctx, embedded.Test(t))
	if err != nil {
		t.Fatal(err)
	}
	worker := spool.NewWorker(b.client, spool.WorkerConfig{Queues: []string{queue}})
	moveMoney.HandleTx(worker, move)
	poor := transfer{1, b.accounts[0], b.accounts[1], deposit + 1, b.ledger}
	job, err := moveMoney.Put(ctx, b.client, poor)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := worker.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := job.Wait(ctx); err == nil || !strings.Contains(err.Error(), "has 1000, and is to pay 1001") {
		t.Errorf("the transfer: %v", err)
	}
	if sum, ledger, err := b.close(ctx); sum != accounts*deposit || len(ledger) > 0 || err != nil {
		t.Errorf("%d, %v, %v", sum, ledger, err)
	}
}
