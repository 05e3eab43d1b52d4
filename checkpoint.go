package spool

import (
	"context"
	"fmt"

	"github.com/spooljobs/spool/internal/codec"
	"github.com/spooljobs/spool/internal/store"
)

// Checkpoint commits what a job has done so far together with where to go on from, in one step: however the process dies,
// the job goes on from the last checkpoint with Resume, and nothing before it is done again, nothing left out. It is
// Commit otherwise: the transaction goes on anew. The cursor is any value that can be encoded, up to
// ClientConfig.MaxPayload; it is gone with the job. Outside of a job it is an error.
func (tx *Tx) Checkpoint(ctx context.Context, cursor any) error {
	if err := tx.usable(ctx); err != nil {
		return err
	}
	if tx.owner.job() == nil {
		return errNoCursor
	}
	b, err := tx.encode(cursor)
	if err != nil {
		return fmt.Errorf("%w: %w", &FieldError{"cursor", fmt.Sprintf("%T", cursor), "cannot be encoded"}, err)
	}
	if len(b) > tx.c.cfg.MaxPayload {
		return fmt.Errorf("%w: the cursor has %d bytes, at most %d are allowed", ErrTooLarge, len(b), tx.c.cfg.MaxPayload)
	}
	return tx.commit(ctx, b)
}

// Resume reads the cursor of the job's last checkpoint into what cursor points to. It returns false, and leaves that as it
// is, if there was none: the job is at its beginning.
func (tx *Tx) Resume(ctx context.Context, cursor any) (bool, error) {
	if err := tx.usable(ctx); err != nil {
		return false, err
	}
	r := tx.owner.job()
	if r == nil {
		return false, errNoCursor
	}
	key := tx.c.queue(tx.queue).Key("checkpoints")
	var answers []store.Reading
	// Nobody but the owner of the job writes it, so it needs no place among what is remembered.
	err := tx.owner.await(ctx, func(ctx context.Context) (err error) {
		answers, err = tx.c.reader(tx.queue).ask(ctx, store.Question{Args: []string{"HGET", key, r.claim.ID}, Keys: []string{key}})
		return err
	})
	if err != nil {
		return false, err
	}
	reply, err := value(answers[0].Reply)
	text, ok := reply.(string)
	if err != nil || !ok {
		return false, err
	}
	if err := codec.Unmarshal([]byte(text), cursor); err != nil {
		return false, fmt.Errorf("spool: the checkpoint of job %s is no %T: %w", r.id, cursor, err)
	}
	return true, nil
}
