package spool

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool/internal/store"
	"github.com/spooljobs/spool/internal/txn"
)

// Take reads a job's outcome in a transaction and takes it away: it is deleted when, and only if, the transaction commits.
// Read again before that, it is there again. There are three answers: an outcome; ErrIncomplete, the job has not ended,
// what follows it has not, or it was put to this very transaction; ErrUnknown, nothing is stored under the id: it was never put, or left nothing, or
// its outcome was taken or has had its time. A failure of the job is part of the outcome and no error here: the reader's
// transaction goes on. (TransactionalScheduler.get_result of dm.zodb.asynchronous.)
//
// In a cluster the job's queue must be the transaction's.
func (j *Job[R]) Take(ctx context.Context, tx *Tx) (Outcome[R], error) {
	var out Outcome[R]
	if j == nil || j.id == "" {
		return out, &FieldError{"Job", nil, "must come from Put or Task.Job"}
	}
	if err := errors.Join(checkName("Job: queue", j.queue, maxQueueName), checkID(j.id)); err != nil {
		return out, err
	}
	if err := tx.usable(ctx); err != nil {
		return out, err
	}
	if _, cluster := tx.c.rdb.(*redis.ClusterClient); cluster && j.queue != tx.queue {
		return out, &FieldError{"Job: queue", j.queue, "must be the transaction's, " + tx.queue + ": the other is another slot of the cluster"}
	}
	q, id := tx.c.queue(j.queue), store.PackID(j.id)
	out.JobID = j.id
	stored, err := tx.own(ctx, "HGET", q.Key("outcomes"), id)
	if err != nil {
		return out, err
	}
	text, ok := stored.(string)
	if !ok {
		lives, err := tx.own(ctx, "HEXISTS", q.Key("jobs"), id)
		switch {
		case err != nil:
			return out, err
		case lives == int64(1), tx.holdsPut(j.queue, j.id):
			return out, fmt.Errorf("%w: job %s", ErrIncomplete, j.id)
		}
		return out, fmt.Errorf("%w: taking the outcome of %q", ErrUnknown, j.id)
	}
	held, err := tx.own(ctx, "ZSCORE", q.Key("callbacks"), id)
	switch {
	case err != nil:
		return out, err
	case held != nil:
		return out, fmt.Errorf("%w: what follows job %s has not", ErrIncomplete, j.id)
	}
	if out, err = outcomeOf[R](j.id, text, j.known); err != nil {
		return out, err
	}
	tx.mu.Lock()
	defer tx.mu.Unlock()
	tx.taken = append(tx.taken, [][]string{{"HDEL", q.Key("outcomes"), id}, {"ZREM", q.Key("done"), id}}...)
	return out, nil
}

// holdsPut says whether the job was put to this transaction.
func (tx *Tx) holdsPut(queue, id string) bool {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	return queue == tx.queue && slices.ContainsFunc(tx.puts, func(it store.Item) bool { return it.ID == id }) ||
		slices.ContainsFunc(tx.outs, func(o store.Out) bool { return o.To == queue && o.Item.ID == id })
}

// Forget deletes a job's outcome now. If nothing is stored under the id it changes nothing; a job that has not ended is
// ErrIncomplete.
func (j *Job[R]) Forget(ctx context.Context) error {
	if j == nil || j.id == "" || j.client == nil {
		return &FieldError{"Job", nil, "must come from Put or Task.Job"}
	}
	err := j.client.Transact(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := j.Take(ctx, tx)
		return err
	}, TxConfig{Queue: j.queue})
	if errors.Is(err, ErrUnknown) {
		return nil
	}
	return err
}

// own reads a key of Spool's own.
func (tx *Tx) own(ctx context.Context, args ...any) (any, error) {
	command, err := txn.Parse(args...)
	if err != nil {
		return nil, err
	}
	return tx.perform(ctx, command)
}
