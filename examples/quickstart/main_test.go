package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool/internal/redistest"
)

// The test binary is also the program under test.
func TestMain(m *testing.M) {
	if os.Getenv("QUICKSTART_PROGRAM") == "1" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// outcome is what a run of the program left.
type outcome struct {
	code           int
	stdout, stderr string
}

// lines are those of standard output, the time taken out.
func (o outcome) lines() []string {
	text := regexp.MustCompile(`, \d+\.\d\d s, `).ReplaceAllString(strings.TrimSuffix(o.stdout, "\n"), ", T s, ")
	return strings.Split(text, "\n")
}

func program(t *testing.T, url string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), "QUICKSTART_PROGRAM=1", "SPOOL_REDIS_URL="+url)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (o outcome) want(t *testing.T, lines ...string) {
	t.Helper()
	if got := o.lines(); o.code != 0 || o.stderr != "" || strings.Join(got, "\n") != strings.Join(lines, "\n") {
		t.Errorf("exit code %d, standard error %q, standard output:\n%s\nwant:\n%s", o.code, o.stderr, strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}

func TestTwoFiles(t *testing.T) {
	t.Parallel()
	a, b := write(t, "a", "To be, or\tnot to\n"), write(t, "b", "BE  or\r\nnot")
	program(t, "", a, b).want(t, "not 2", "or 2", "to 2", "be 1", "be, 1", "total 8 words in 2 files, 2 jobs, T s, embedded")
}

func TestTiesGoByWordAndTenAreShown(t *testing.T) {
	t.Parallel()
	path := write(t, "a", "l k j i h g f e d c b a é z z")
	program(t, "", path).want(t, "z 2", "a 1", "b 1", "c 1", "d 1", "e 1", "f 1", "g 1", "h 1", "i 1",
		"total 15 words in 1 files, 1 jobs, T s, embedded")
}

func TestEmptyFile(t *testing.T) {
	t.Parallel()
	program(t, "", write(t, "empty", "")).want(t, "total 0 words in 1 files, 1 jobs, T s, embedded")
}

func TestAFileNamedTwiceCountsTwice(t *testing.T) {
	t.Parallel()
	path := write(t, "a", "one")
	program(t, "", path, path).want(t, "one 2", "total 2 words in 2 files, 2 jobs, T s, embedded")
}

func TestUnreadableFilesAreNamed(t *testing.T) {
	t.Parallel()
	good := write(t, "good", "fine")
	missing, folder := filepath.Join(t.TempDir(), "missing.txt"), t.TempDir()
	o := program(t, "", good, missing, folder)
	if o.code != 1 || o.stdout != "" || !strings.Contains(o.stderr, missing+": ") || !strings.Contains(o.stderr, folder+": ") {
		t.Errorf("got %+v", o)
	}
	if strings.Contains(o.stderr, good) {
		t.Errorf("the good file is named: %s", o.stderr)
	}
}

func TestWithoutArgumentsTheDocumentsAreCounted(t *testing.T) {
	t.Parallel()
	o := program(t, "")
	lines := o.lines()
	if o.code != 0 || o.stderr != "" || len(lines) < 2 || !regexp.MustCompile(`^total [1-9]\d* words in (\d+) files, \d+ jobs, T s, embedded$`).MatchString(lines[len(lines)-1]) {
		t.Errorf("got %+v", o)
	}
}

func TestRedisIsOutOfReach(t *testing.T) {
	t.Parallel()
	o := program(t, "redis://127.0.0.1:1")
	if o.code != 1 || o.stdout != "" || !strings.Contains(o.stderr, "127.0.0.1:1") {
		t.Errorf("got %+v", o)
	}
}

func TestLargeFilesManyDifferentWordsAndLongOnes(t *testing.T) {
	t.Parallel()
	// The file and the result are larger than what a job may carry by default; one word is larger than a scanner's
	// usual buffer.
	var text strings.Builder
	const n = 150_000
	for i := range n {
		fmt.Fprintf(&text, "word-%d\n", i)
	}
	long := strings.Repeat("x", 200_000)
	text.WriteString(long + " " + long)
	path := write(t, "large", text.String())
	lines := program(t, "", path, path).lines()
	if len(lines) != 11 || lines[0] != long+" 4" || lines[1] != "word-0 2" || lines[10] != fmt.Sprintf("total %d words in 2 files, 2 jobs, T s, embedded", 2*n+4) {
		t.Errorf("got %.300q", lines)
	}
}

func TestRealRedisIsLeftTidy(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	path := write(t, "a", "one")
	for range 5 {
		program(t, "redis://"+server.Addr(), path, path, path).want(t, "one 3", "total 3 words in 3 files, 3 jobs, T s, redis")
	}
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer rdb.Close()
	if n, err := rdb.DBSize(t.Context()).Result(); err != nil || n >= 50 {
		t.Errorf("%d keys are left, %v", n, err)
	} else {
		t.Logf("%d keys are left", n)
	}
}

func TestProgressIsForTerminals(t *testing.T) {
	t.Parallel()
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	p := newProgress(file, 2)
	p.step()
	p.clear()
	if info, err := file.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("something was written to a file: %v, %v", info.Size(), err)
	}
}
