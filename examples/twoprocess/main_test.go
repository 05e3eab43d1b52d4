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

	"github.com/spooljobs/spool/internal/redistest"
)

// The test binary is also the program under test, in all its roles: they inherit the environment.
func TestMain(m *testing.M) {
	if os.Getenv("TWOPROCESS_PROGRAM") == "1" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func program(t *testing.T, url string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), "TWOPROCESS_PROGRAM=1", "SPOOL_REDIS_URL="+url)
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
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	last := lines[len(lines)-1]
	if code != 0 || stderr != "" || last != "20 jobs went from one process to another, and their results came back" {
		t.Errorf("exit code %d, standard error %q, standard output:\n%s", code, stderr, stdout)
	}
	worker := regexp.MustCompile(`worker (\d+): was asked to end, has run 20 jobs`).FindStringSubmatch(stdout)
	producer := regexp.MustCompile(`producer (\d+): the squares of 1 to 20 add up to 2870`).FindStringSubmatch(stdout)
	if worker == nil || producer == nil || worker[1] == producer[1] {
		t.Errorf("there were no two processes: %s", stdout)
	}
}

func TestEmbedded(t *testing.T) {
	t.Parallel()
	check(t, "")
}

func TestRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	// What the first run leaves must not disturb the second.
	check(t, "redis://"+server.Addr())
	check(t, "redis://"+server.Addr())
}

func TestNoRedisThere(t *testing.T) {
	t.Parallel()
	code, _, stderr := program(t, "redis://127.0.0.1:1")
	if code != 1 || !strings.Contains(stderr, "127.0.0.1:1") {
		t.Errorf("exit code %d, standard error %q", code, stderr)
	}
}

func TestWrongUse(t *testing.T) {
	t.Parallel()
	for _, role := range []string{"work", "produce", "else"} {
		if code, _, stderr := program(t, "", role); code != 1 || !strings.Contains(stderr, "SPOOL_REDIS_URL") {
			t.Errorf("%s: exit code %d, standard error %q", role, code, stderr)
		}
	}
}
