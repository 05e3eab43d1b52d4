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
	reply, err := transaction(ctx, conn, full)
	// The script is in the cache before EXEC, but for a flush in between: EXEC then says NOSCRIPT, and nothing was done.
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
	return reply, word(verb, reply)
}

// transaction sends MULTI, a command and EXEC together, and returns what the command answers. go-redis's own leaves
// answers unread where MULTI is refused.
func transaction(ctx context.Context, conn *redis.Conn, args []any) ([]any, error) {
	multi, queued, exec := redis.NewStatusCmd(ctx, "multi"), redis.NewStatusCmd(ctx, args...), redis.NewSliceCmd(ctx, "exec")
	_, err := conn.Pipelined(ctx, func(p redis.Pipeliner) error {
		_, _, _ = p.Process(ctx, multi), p.Process(ctx, queued), p.Process(ctx, exec) // they only wait there
		return nil
	})
	var refused redis.Error
	switch {
	case err == nil:
	case errors.As(multi.Err(), &refused):
		// What was to be queued may have run by itself.
		return nil, &AwayError{Maybe: true, Err: refused}
	case redis.HasErrorPrefix(exec.Err(), "EXECABORT") && queued.Err() != nil:
		return nil, queued.Err() // it was refused when it was to be queued, and that is the reason
	case errors.Is(exec.Err(), redis.Nil):
		return nil, redis.TxFailedErr
	case exec.Err() != nil:
		return nil, exec.Err()
	default:
		return nil, err
	}
	if len(exec.Val()) != 1 {
		return nil, fmt.Errorf("EXEC has %d answers", len(exec.Val()))
	}
	switch reply := exec.Val()[0].(type) {
	case []any:
		return reply, nil
	case error:
		return nil, reply
	}
	return nil, fmt.Errorf("an answer of type %T", exec.Val()[0])
}

// TransactWatched is Transact after a Look on the same connection: the reads hold if no watched key was touched since.
// Where there is room for them they are sent again all the same: not every server tells watchers of every change (the
// embedded one is silent about HDEL, ZREM, ZREMRANGEBY... and XTRIM). ErrTouched asks for another Look, under another
// number.
//
// Full memory refuses everything that a MULTI would queue. What adds nothing is then sent as a call of its own, which
// does ask the reads.
func (q *Queue) TransactWatched(ctx context.Context, conn *redis.Conn, line string, n uint64, t *Transaction) (*Refusal, error) {
	sent := *t
	if t.Arguments() > AdvanceArguments || t.Size() > CallBytes {
		sent.Reads = nil
	}
	args := sent.append([]any{line, n, "0", bit(!t.Adds)})
	reply, err := q.exec(ctx, conn, "transact", sent.declare(append([]any{}, q.keys["transact"]...), map[string]bool{}), args)
	if errors.Is(err, ErrFull) && !t.Adds {
		return q.On(conn).Transact(ctx, line, n, t)
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
