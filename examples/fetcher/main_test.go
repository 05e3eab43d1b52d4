package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/embedded"
	"github.com/spooljobs/spool/internal/redistest"
)

// The test binary is also the program under test, and the worker that it starts.
func TestMain(m *testing.M) {
	if os.Getenv("FETCHER_PROGRAM") == "1" {
		main()
		os.Exit(0)
	}
	os.Setenv("FETCHER_PROGRAM", "1")
	os.Exit(m.Run())
}

func program(t *testing.T, url string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), "SPOOL_REDIS_URL="+url)
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), err.String()
}

var lines = regexp.MustCompile(`^(\d+) lists of (\d+) pages are to be fetched
after \d+ pages the worker was killed
another one went on, with up to \d+ jobs at once: (\d+) had been interrupted, (\d+) lost a connection, (\d+) pages were fetched again
fetched (\d+) items in (\d+) pages, 0 doubled, (\d+) errors tolerated
$`)

// numbers are those that lines finds, in its order.
func numbers(t *testing.T, stdout string) []int {
	t.Helper()
	found := lines.FindStringSubmatch(stdout)
	if found == nil {
		t.Fatalf("standard output:\n%s", stdout)
	}
	var all []int
	for _, text := range found[1:] {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

func check(t *testing.T, url string, names int) {
	t.Helper()
	code, stdout, stderr := program(t, url, "-names", strconv.Itoa(names))
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d, standard error %q, standard output:\n%s", code, stderr, stdout)
	}
	n := numbers(t, stdout)
	if n[0] != 4*names || n[1] != n[6] || n[2] == 0 || n[7] == 0 {
		t.Errorf("%d: %s", n, stdout)
	}
}

func TestEmbedded(t *testing.T) {
	t.Parallel()
	check(t, "", 25)
}

func TestOneName(t *testing.T) {
	t.Parallel()
	check(t, "", 1)
}

func TestRealRedisIsLeftTidy(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	// What the first run leaves must not disturb the second.
	for range 2 {
		check(t, "redis://"+server.Addr(), 25)
	}
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer rdb.Close()
	keys, err := rdb.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) >= 50 || strings.Contains(strings.Join(keys, " "), "/list/") {
		t.Errorf("left: %q, %v", keys, err)
	}
	client, err := spool.New(rdb)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// The whole example, seen from the API: no page before a checkpoint is asked for again. A list was interrupted once, when
// the worker was killed, and perhaps once more by a lost connection. Each time one part of it was under way.
func TestOnlyWhatWasUnderWayIsFetchedAgain(t *testing.T) {
	t.Parallel()
	api := newAPI(2, 40)
	mayBreak := map[*served]int{}
	for _, l := range api.lists {
		for _, p := range l.pages {
			if p.breaks {
				mayBreak[l]++
			}
		}
	}
	var out bytes.Buffer
	if err := run(t.Context(), "", api, &out, os.Stderr); err != nil {
		t.Fatalf("%v, %s", err, out.String())
	}
	n := numbers(t, out.String())
	if n[3] > len(mayBreak) { // fewer if one broke as the worker was killed
		t.Errorf("only %d connections were to break: %s", len(mayBreak), out.String())
	}
	again := 0
	for _, l := range api.lists {
		parts := map[int]bool{}
		for i, p := range l.pages {
			if p.times < 1 || p.times > 2+mayBreak[l] {
				t.Errorf("%s of %s: page %d was answered %d times", l.kind, l.name, i+1, p.times)
			}
			if p.times > 1 {
				again += p.times - 1
				parts[i/pagesAPart] = true
			}
		}
		if len(parts) > 1+mayBreak[l] {
			t.Errorf("%s of %s: pages of %d parts were fetched again", l.kind, l.name, len(parts))
		}
	}
	if again != n[4] || again == 0 || again > pagesAPart*(n[2]+n[3]) {
		t.Errorf("%d pages were fetched again: %s", again, out.String())
	}
}

// The API is that of its seed, and worth fetching.
func TestSeedDecides(t *testing.T) {
	t.Parallel()
	if !reflect.DeepEqual(drawLists(7, 5), drawLists(7, 5)) {
		t.Error("the same seed draws something else")
	}
	if reflect.DeepEqual(drawLists(7, 5), drawLists(8, 5)) {
		t.Error("another seed draws the same")
	}
	doubled, failing, worst, breaking := 0, 0, 0, 0
	for _, l := range drawLists(1, 100) {
		items, failures := 0, 0
		for _, p := range l.pages {
			items += len(p.ids)
			failures += len(p.failures)
			if p.breaks {
				breaking++
			}
		}
		doubled += items - len(l.people)
		failing += failures
		worst = max(worst, failures)
	}
	if doubled < 300 || failing < 200 || worst != 9 || breaking == 0 {
		t.Errorf("%d doubled items, %d failures, at most %d in a list, %d lost connections", doubled, failing, worst, breaking)
	}
}

func TestRedisIsOutOfReach(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := program(t, "redis://127.0.0.1:1")
	if code != 1 || stdout != "" || !strings.Contains(stderr, "127.0.0.1:1") {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
}

func TestNoNames(t *testing.T) {
	t.Parallel()
	if code, stdout, stderr := program(t, "", "-names", "0"); code != 1 || stdout != "" || !strings.Contains(stderr, "names 0") {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
}

// The worker that is to be killed ends by itself when the process that started it is no more.
func TestVictimDoesNotOutliveItsParent(t *testing.T) {
	t.Parallel()
	server, err := embedded.Serve()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if err := beVictim(t.Context(), embedded.URL(server), strings.NewReader("")); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestInterruptEndsEverything(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	api := newAPI(1, 20)
	halfway := api.after(api.total / 2)
	go func() { <-halfway; cancel() }()
	var out bytes.Buffer
	if err := run(ctx, "", api, &out, os.Stderr); !errors.Is(err, context.Canceled) || strings.Contains(out.String(), "fetched ") {
		t.Errorf("%v, %s", err, out.String())
	}
}

// The report must not be of a kind that is always content.
func TestReportTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	api := newAPI(1, 1)
	l := api.lists[0]
	good := func() crop {
		var all crop
		for _, l := range api.lists {
			all.add(weigh(l, l.people, place{Pages: len(l.pages), Items: len(l.people)}))
		}
		return all
	}
	said := place{Pages: len(l.pages), Items: len(l.people)}
	swapped := append([]int64{l.people[1], l.people[0]}, l.people[2:]...)
	for name, c := range map[string]crop{
		"doubled":     weigh(l, append(l.people[:len(l.people):len(l.people)], l.people[0]), said),
		"lost":        weigh(l, l.people[1:], said),
		"order":       weigh(l, swapped, said),
		"a page less": weigh(l, l.people, place{Pages: len(l.pages) - 1, Items: len(l.people)}),
		"job failed":  {wrong: []error{errors.New("oh no")}},
	} {
		if len(c.wrong) != 1 || (c.doubled > 0) != (name == "doubled") {
			t.Errorf("%s: %+v", name, c)
		}
		all := good()
		all.wrong = c.wrong
		if err := report(&bytes.Buffer{}, api, all); err == nil || !strings.Contains(err.Error(), c.wrong[0].Error()) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, spoil := range map[string]func(*crop){
		"items": func(c *crop) { c.items-- }, "pages": func(c *crop) { c.pages++ }, "doubled": func(c *crop) { c.doubled++ },
		"errors": func(c *crop) { c.errors++ },
	} {
		all := good()
		spoil(&all)
		if err := report(&bytes.Buffer{}, api, all); err == nil {
			t.Errorf("%s: content", name)
		}
	}
	var out bytes.Buffer
	all := good()
	if err := report(&out, api, all); err != nil || out.String() != fmt.Sprintf("fetched %d items in %d pages, 0 doubled, 0 errors tolerated\n", all.items, api.total) {
		t.Errorf("%v, %q", err, out.String())
	}
}

func TestProgressIsForTerminals(t *testing.T) {
	t.Parallel()
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	startProgress(file, 2, func() int { return 1 }).end()
	if info, err := file.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("something was written to a file: %v", err)
	}
	if got := bar(3, 4); got != "["+strings.Repeat("#", 30)+strings.Repeat(" ", 10)+"] 3 of 4 pages" {
		t.Errorf("%q", got)
	}
}
