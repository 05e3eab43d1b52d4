package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/embedded"
)

// pages is a script of so many pages: page n holds n and n+1, and its cursor is n+1; the first one's is -1.
func pages(count int) map[string][]answer {
	script := map[string][]answer{}
	for n := range count {
		cursor, next := fmt.Sprint(n+1), n+2
		if n == 0 {
			cursor = "-1"
		}
		if n == count-1 {
			next = 0
		}
		script[cursor] = errs(fmt.Sprintf(`{"ids": [%d, %d], "next_cursor": %d}`, n+1, n+2, next))
	}
	return script
}

// put puts a job for the ids of ada's friends.
func put(t *testing.T, client *spool.Client, base string) (*spool.Job[place], string) {
	t.Helper()
	key := client.Queue(queue).Tag() + "/" + t.Name()
	job, err := fetchList.Put(t.Context(), client, list{base, friendsIDs, "ada", key})
	if err != nil {
		t.Fatal(err)
	}
	return job, key
}

// begin runs a worker until the function that it returns is called.
func begin(t *testing.T, client *spool.Client) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := work(ctx, client)
		ended <- err
	}()
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// stored is what lies under a key.
func stored(t *testing.T, client *spool.Client, key string) []int64 {
	t.Helper()
	var numbers []int64
	err := client.Transact(t.Context(), func(ctx context.Context, tx *spool.Tx) (err error) {
		numbers, err = loadNumbers[id](ctx, tx, key)
		return err
	}, spool.TxConfig{Queue: queue})
	if err != nil {
		t.Fatal(err)
	}
	return numbers
}

func upTo(n int64) []int64 {
	var all []int64
	for i := range n {
		all = append(all, i+1)
	}
	return all
}

// A worker ends in the middle of a part. What it had of that part is not stored, and the next worker begins the part again,
// but none before it.
func TestGoesOnFromItsCheckpoint(t *testing.T) {
	t.Parallel()
	client := embedded.Test(t)
	s := &scripted{script: pages(10)}
	var held atomic.Bool
	arrived := make(chan bool, 1)
	base := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("cursor") == "7" && !held.Swap(true) {
			arrived <- true
			<-r.Context().Done() // the worker hangs up
			return
		}
		s.ServeHTTP(w, r)
	}))
	job, key := put(t, client, base)
	stop := begin(t, client)
	<-arrived
	stop()
	if got := stored(t, client, key); !slices.Equal(got, upTo(5)) {
		t.Errorf("stored after one part: %v", got)
	}
	stop = begin(t, client)
	defer stop()
	at, err := job.Wait(t.Context())
	if (err != nil || at != place{Pages: 10, Items: 11}) {
		t.Errorf("%+v, %v", at, err)
	}
	if got := stored(t, client, key); !slices.Equal(got, upTo(11)) {
		t.Errorf("stored: %v", got)
	}
	want := []string{"-1", "2", "3", "4", "5", "6", "5", "6", "7", "8", "9", "10"}
	if diff := cmp.Diff(want, s.requests()); diff != "" {
		t.Errorf("requests: %s", diff)
	}
}

// A lost connection fails an attempt, and the next one goes on. The errors before the checkpoint count there, too: TF-2.
func TestBudgetIsThatOfTheWholeFetch(t *testing.T) {
	t.Parallel()
	for extra := range 2 {
		client := embedded.Test(t)
		s := &scripted{script: pages(6)}
		s.script["2"] = errs(s.script["2"][0].body, 500, 502, 503, 500, 500)
		s.script["6"] = errs(s.script["6"][0].body, slices.Repeat([]int{503}, 4+extra)...)
		var lost atomic.Bool
		base := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("cursor") == "5" && !lost.Swap(true) {
				w.Header().Set("Content-Length", "100")
				_, _ = io.WriteString(w, "{")
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}
			s.ServeHTTP(w, r)
		}))
		job, key := put(t, client, base)
		stop := begin(t, client)
		at, err := job.Wait(t.Context())
		stop()
		want := []string{"-1", "2", "2", "2", "2", "2", "2", "3", "4", "5", "6", "6", "6", "6", "6"}
		if !slices.Equal(s.requests(), want) {
			t.Errorf("requests: %v", s.requests())
		}
		switch got := stored(t, client, key); {
		case extra == 0 && (err != nil || at != place{Pages: 6, Items: 7, Errors: 9} || !slices.Equal(got, upTo(7))):
			t.Errorf("nine: %+v, %v, stored %v", at, err, got)
		case extra == 1 && (err == nil || !strings.Contains(err.Error(), "after 9 tolerated errors: status 503") || !slices.Equal(got, upTo(5))):
			t.Errorf("ten: %+v, %v, stored %v", at, err, got)
		}
		if n, err := client.Queue(queue).Counts(t.Context()); err != nil || n.Retried != 1 {
			t.Errorf("%+v, %v", n, err)
		}
	}
}

// What the server has said for good is not asked again by another attempt either.
func TestAnswersForGoodEndTheJob(t *testing.T) {
	t.Parallel()
	for want, line := range map[string]answer{"status 404": {404, ""}, errBadPage.Error(): {0, "over capacity"}} {
		client := embedded.Test(t)
		s := &scripted{script: map[string][]answer{"-1": {line}}}
		job, _ := put(t, client, serve(t, s))
		stop := begin(t, client)
		if _, err := job.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), want) || len(s.requests()) != 1 {
			t.Errorf("%s: %v, requests %v", want, err, s.requests())
		}
		stop()
	}
	client := embedded.Test(t)
	job, _ := put(t, client, "http://api")
	defer begin(t, client)()
	if _, err := job.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "Base") {
		t.Errorf("no slash: %v", err)
	}
}

// A thousand jobs of one process wait for the network at once, though only one of them is ever on the loop.
func TestAThousandAtOnce(t *testing.T) {
	t.Parallel()
	client := embedded.Test(t)
	release := make(chan bool)
	base := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-release
		_, _ = io.WriteString(w, `{"ids": [1]}`)
	}))
	var partials []spool.Partial[place]
	for i := range slots + 200 {
		partials = append(partials, fetchList.With(list{base, friendsIDs, fmt.Sprint(i), client.Queue(queue).Tag() + "/thousand"}))
	}
	puts, err := spool.PutMany(t.Context(), client, partials)
	if err != nil {
		t.Fatal(err)
	}
	f := newFetcher()
	defer f.client.CloseIdleConnections()
	worker := spool.NewWorker(client, spool.WorkerConfig{Queues: []string{queue}, ReactorSlots: slots, ThreadSlots: 1, ShutdownGrace: -1,
		Beat: time.Second})
	begun := make(chan bool, len(partials))
	fetchList.HandleTx(worker, func(ctx context.Context, tx *spool.Tx, l list) (place, error) {
		begun <- true
		return f.fetch(ctx, tx, l)
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- worker.Run(ctx) }()
	for range slots {
		<-begun
	}
	close(release)
	for _, put := range puts {
		if at, err := put.Job.Wait(ctx); err != nil || at.Items != 1 {
			t.Fatalf("%+v, %v", at, err)
		}
	}
	cancel()
	if err := <-ended; err != nil || f.most != slots || f.underWay != 0 {
		t.Errorf("%v; %d at once, %d at the end", err, f.most, f.underWay)
	}
}
