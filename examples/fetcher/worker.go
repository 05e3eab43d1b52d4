package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"time"

	"github.com/spooljobs/spool"
)

// slots is how many fetches are under way at once in one process. Each is a goroutine that waits; only one runs handler
// code at a time.
const slots = 1000

// work runs a worker until ctx ends, and returns the most jobs it had under way at once. Its log would only say what the
// program says itself.
func work(ctx context.Context, client *spool.Client) (most int, err error) {
	worker := spool.NewWorker(client, spool.WorkerConfig{Queues: []string{queue}, ReactorSlots: slots, ThreadSlots: -1,
		Beat: 100 * time.Millisecond, DeadAfter: 500 * time.Millisecond, ShutdownGrace: -1, Logger: slog.New(slog.DiscardHandler)})
	f := newFetcher()
	defer f.client.CloseIdleConnections()
	fetchList.HandleTx(worker, f.fetch)
	err = worker.Run(ctx)
	return f.most, err
}

// victim is this program, started again as a worker, to be killed.
type victim struct {
	cmd   *exec.Cmd
	ended chan error
}

func startVictim(url string) (*victim, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	v := &victim{exec.Command(self, "-worker"), make(chan error, 1)}
	v.cmd.Env = append(os.Environ(), "SPOOL_REDIS_URL="+url)
	v.cmd.Stderr = os.Stderr
	// Its standard input ends when this process does: it must not outlive it.
	if _, err := v.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := v.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { v.ended <- v.cmd.Wait() }()
	return v, nil
}

// kill ends the process as a power cut would: it has no moment to tell anyone. It returns when it is dead.
func (v *victim) kill() error {
	if err := v.cmd.Process.Kill(); err != nil {
		return errors.Join(err, <-v.ended)
	}
	<-v.ended // its error is that it was killed
	return nil
}

// beVictim is the life of the process that startVictim starts.
func beVictim(ctx context.Context, url string, stdin io.Reader) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() { // for as long as the process
		_, _ = io.Copy(io.Discard, stdin)
		stop()
	}()
	client, err := spool.Open(ctx, url)
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = work(ctx, client)
	return err
}
