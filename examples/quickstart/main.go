// Quickstart counts the words of text files with Spool, one job a file, and prints the ten most frequent ones.
//
//	go run ./examples/quickstart              # this project's own documents
//	go run ./examples/quickstart *.txt
//
// Producer and worker are one process here; examples/twoprocess has two. Without SPOOL_REDIS_URL the jobs go through a
// Redis inside the process, with it through the one at that URL. There the worker also counts what earlier runs, or
// others at the same time, have left in the queue.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/embedded"
)

func main() {
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: quickstart [FILE ...]\nSPOOL_REDIS_URL names the Redis to use; without it one runs inside the process.")
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
	if err := run(ctx, flag.Args(), os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// run counts the named files, or the embedded documents, and prints the outcome.
func run(ctx context.Context, names []string, stdout, stderr *os.File) (err error) {
	start := time.Now()
	texts, err := texts(names)
	if err != nil {
		return err
	}
	client, where, err := open(ctx)
	if err != nil {
		return err
	}
	defer client.Close()

	// What a run stops in the middle of a file can be counted again from its beginning: no grace is needed. The
	// worker's log would only say what this program says itself.
	worker := spool.NewWorker(client, spool.WorkerConfig{Queues: []string{queue}, ThreadSlots: runtime.GOMAXPROCS(0),
		ReactorSlots: -1, ShutdownGrace: -1, Logger: slog.New(slog.DiscardHandler)})
	countWords.Handle(worker, count)
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		defer stop() // without a worker nobody need wait
		ended <- worker.Run(ctx)
	}()
	defer func() {
		stop()
		err = errors.Join(err, <-ended)
	}()

	words, err := countAll(ctx, client, texts, newProgress(stderr, len(texts)))
	if err != nil {
		return err
	}
	return report(stdout, words, len(texts), start, where)
}

// open returns a client on the Redis of the environment, or on one of its own, and says which.
func open(ctx context.Context) (client *spool.Client, where string, err error) {
	// A result is larger than the usual limit of 1 MiB where a file has more than some 100,000 different words.
	cfg := spool.ClientConfig{MaxPayload: 64 << 20}
	if url := os.Getenv("SPOOL_REDIS_URL"); url != "" {
		client, err = spool.Open(ctx, url, cfg)
		return client, "redis", err
	}
	client, err = embedded.Open(ctx, cfg)
	return client, "embedded", err
}

// countAll puts a job for each text and adds up their results, or says what could not be counted.
func countAll(ctx context.Context, client *spool.Client, texts []text, progress *progress) (map[string]int, error) {
	defer progress.clear()
	partials := make([]spool.Partial[map[string]int], len(texts))
	for i, t := range texts {
		partials[i] = countWords.With(t)
	}
	puts, err := spool.PutMany(ctx, client, partials)
	if err != nil {
		return nil, fmt.Errorf("putting the jobs: %w", err)
	}
	type answer struct {
		text  text
		words map[string]int
		err   error
	}
	// All are waited for at once: results are not kept for long, and files are not done in their order.
	answers := make(chan answer)
	for i, put := range puts {
		go func() {
			if put.Err != nil {
				answers <- answer{texts[i], nil, put.Err}
				return
			}
			words, err := put.Job.Wait(ctx)
			answers <- answer{texts[i], words, err}
		}()
	}
	total := make(map[string]int)
	var failed []error
	for range puts {
		a := <-answers
		if a.err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", a.text.Name, a.err))
		}
		for word, n := range a.words {
			total[word] += n
		}
		progress.step()
	}
	if ctx.Err() != nil {
		return nil, errors.New("interrupted")
	}
	return total, errors.Join(failed...)
}

// report prints the ten most frequent words, and the sum of everything.
func report(w io.Writer, words map[string]int, files int, start time.Time, where string) error {
	for _, word := range frequent(words, 10) {
		if _, err := fmt.Fprintln(w, word, words[word]); err != nil {
			return err
		}
	}
	sum := 0
	for _, n := range words {
		sum += n
	}
	_, err := fmt.Fprintf(w, "total %d words in %d files, %d jobs, %.2f s, %s\n", sum, files, files, time.Since(start).Seconds(), where)
	return err
}

// texts are the files to count. Their paths are made absolute: whoever takes the job may have started elsewhere.
func texts(names []string) ([]text, error) {
	if len(names) == 0 {
		return documents()
	}
	list := make([]text, len(names))
	for i, name := range names {
		path, err := filepath.Abs(name)
		if err != nil {
			return nil, err
		}
		list[i] = text{Name: name, Path: path}
	}
	return list, nil
}
