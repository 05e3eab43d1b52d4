package store

import (
	"context"

	"github.com/spooljobs/spool/internal/txn"
)

// Question is one read of a transaction.
type Question struct {
	Order string
	Args  []string
	Keys  []string
}

// Reading is what Redis says, and what it is remembered by.
type Reading struct {
	Reply any
	Mark  string
}

// Ask puts many questions in one call, which sees one state of Redis.
func (q *Queue) Ask(ctx context.Context, questions []Question) ([]Reading, error) {
	args := make([]any, 0, 4*len(questions))
	keys := make([]any, 0, len(questions))
	declared := make(map[string]bool, len(questions))
	for i := range questions {
		x := &questions[i]
		for _, key := range x.Keys {
			if !declared[key] {
				declared[key] = true
				keys = append(keys, key)
			}
		}
		args = append(args, x.Order, len(x.Args))
		args = appendStrings(args, x.Args)
	}
	reply, err := q.callKeys(ctx, "read", keys, args)
	if err != nil {
		return nil, err
	}
	return answers(reply, len(questions)), nil
}

func answers(reply []any, n int) []Reading {
	found := make([]Reading, n)
	for _, i := range places(text(reply, 1)) {
		if i < n && 2+2*i < len(reply) {
			reply[2+2*i] = txn.ReplyError(text(reply, 2+2*i))
		}
	}
	for i := range found {
		if 2+2*i < len(reply) {
			found[i].Reply = reply[2+2*i]
		}
		if found[i].Mark = text(reply, 3+2*i); found[i].Mark == "" {
			found[i].Mark = txn.Mark(found[i].Reply)
		}
	}
	return found
}
