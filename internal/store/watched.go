package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// ErrTouched: a watched key was written between the look and the commit. Nothing was done; what was read may still be
// as it was.
var ErrTouched = errors.New("a watched key was touched")

// Look watches the keys of a transaction on a connection of its own and asks its reads again. It returns the index of the
// first that answers otherwise, or -1.
func (q *Queue) Look(ctx context.Context, conn *redis.Conn, t *Transaction) (changed int, err error) {
	keys := make(map[string]bool)
	watch := []any{"watch"}
	for i := range t.Reads {
		for _, key := range t.Reads[i].Keys {
			if !keys[key] {
				keys[key] = true
				watch = append(watch, key)
			}
		}
	}
	if len(watch) == 1 {
		return -1, nil
	}
	if err := conn.Process(ctx, once{redis.NewCmd(ctx, watch...)}); err != nil {
		return 0, fmt.Errorf("watch: %w", Classify(err))
	}
	on := q.On(conn)
	for from := 0; from < len(t.Reads); {
		page, size := []Question(nil), 0
		for ; from+len(page) < len(t.Reads); page = page[:len(page):len(page)] {
			r := &t.Reads[from+len(page)]
			if size += 2 + len(r.Args) + len(r.Keys); size > callArguments && len(page) > 0 {
				break
			}
			page = append(page, Question{Order: r.Order, Args: r.Args, Keys: r.Keys})
		}
		answers, err := on.Ask(ctx, page)
		if err != nil {
			return 0, err
		}
		for i := range answers {
			if answers[i].Mark != t.Reads[from+i].Mark {
				_ = conn.Process(ctx, once{redis.NewCmd(ctx, "unwatch")})
				return from + i, nil
			}
		}
		from += len(page)
	}
	return -1, nil
}

// exec makes one script call the only command of a MULTI on a connection whose keys are watched. ErrTouched says that
// one of them was written.
func (q *Queue) exec(ctx context.Context, conn *redis.Conn, verb string, keys, args []any) ([]any, error) {
	script := q.store.scripts[verb]
	full := append([]any{"evalsha", script.sha, len(keys)}, keys...)
	full = append(full, args...)
	// The script is in the cache before EXEC, but for a flush in between: EXEC then says NOSCRIPT, and nothing was done.
	cmd, err := transaction(ctx, conn, full)
	if err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") {
		load := redis.NewCmd(ctx, "script", "load", script.Source)
		if err := conn.Process(ctx, once{load}); err != nil {
			return nil, fmt.Errorf("%s: %w", verb, Classify(err))
		}
		return nil, ErrTouched // the watches ended with EXEC
	}
	switch {
	case errors.Is(err, redis.TxFailedErr):
		return nil, ErrTouched
	case err != nil:
		return nil, fmt.Errorf("%s: %w", verb, Classify(err))
	}
	reply, err := cmd.Slice()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", verb, Classify(err))
	}
	return reply, word(verb, reply)
}

func transaction(ctx context.Context, conn *redis.Conn, args []any) (*redis.Cmd, error) {
	cmd := redis.NewCmd(ctx, args...)
	_, err := conn.TxPipelined(ctx, func(p redis.Pipeliner) error {
		return p.Process(ctx, cmd)
	})
	if err == nil || redis.HasErrorPrefix(err, "EXECABORT") {
		// What is refused when it is queued keeps the reason to itself; EXEC only says that there was one.
		err = cmd.Err()
	}
	return cmd, err
}

// TransactWatched is Transact after a Look on the same connection: the reads hold if no watched key was touched since,
// and are not sent again. ErrTouched asks for another Look, under another number.
//
// Full memory refuses everything that a MULTI would queue. What adds nothing is then sent as a call of its own, which
// does ask the reads.
func (q *Queue) TransactWatched(ctx context.Context, conn *redis.Conn, line string, n uint64, t *Transaction) (*Refusal, error) {
	unread := *t
	unread.Reads = nil
	args := unread.append([]any{line, n, "0", bit(!t.Adds)})
	reply, err := q.exec(ctx, conn, "transact", unread.declare(append([]any{}, q.keys["transact"]...), map[string]bool{}), args)
	if errors.Is(err, ErrFull) && !t.Adds {
		refusal, err := q.On(conn).Transact(ctx, line, n, t)
		if refusal != nil && refusal.Word == RefusedConflict {
			return nil, ErrTouched
		}
		return refusal, err
	}
	if err != nil {
		return nil, err
	}
	return transactWord(text(reply, 2)), nil
}

// CommitWatched is Commit of one transaction, after a Look on the same connection. With full memory it is what
// TransactWatched is.
func (q *Queue) CommitWatched(ctx context.Context, conn *redis.Conn, a *Advance) (*Advanced, error) {
	unread, adds := *a, false
	unread.Verdicts = append([]Verdict(nil), a.Verdicts...)
	for i := range unread.Verdicts {
		if t := unread.Verdicts[i].Tx; t != nil {
			bare := *t
			bare.Reads, adds = nil, adds || t.Adds
			unread.Verdicts[i].Tx = &bare
		}
	}
	keys, args := q.commitArgs(&unread)
	reply, err := q.exec(ctx, conn, "commit", keys, args)
	if errors.Is(err, ErrFull) && !adds {
		return q.On(conn).Commit(ctx, a)
	}
	if err != nil {
		return nil, err
	}
	return q.advanced(a, reply), nil
}
