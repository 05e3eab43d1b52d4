package store

import (
	"context"
	"fmt"
)

// Answer is what watch says of one job.
type Answer struct {
	State   string // AnswerDone and so on
	Outcome string // as stored, if done
}

// The states of an answer.
const (
	AnswerDone    = "done"
	AnswerWait    = "wait"
	AnswerUnknown = "unknown"
	AnswerLater   = "later" // the bytes of the call were used up
)

// Channel is where the ends of watched jobs of this queue are told to one client. A message is the kind of the
// outcome, one byte, and the id as stored.
func (q *Queue) Channel(client string) string { return q.tag + ":answers:" + client }

// Watch asks for the outcomes of at most CallItems jobs, given by their ids, and to be told of the others' ends.
func (q *Queue) Watch(ctx context.Context, client string, ids []string) ([]Answer, error) {
	args := make([]any, 0, 2+len(ids))
	args = append(args, q.Channel(client), CallBytes)
	for _, id := range ids {
		args = append(args, PackID(id))
	}
	reply, err := q.call(ctx, "watch", args)
	if err != nil {
		return nil, err
	}
	if len(reply) != 2+2*len(ids) {
		return nil, fmt.Errorf("watch: %d elements for %d ids", len(reply), len(ids))
	}
	answers := make([]Answer, len(ids))
	for i := range answers {
		answers[i] = Answer{State: text(reply, 2+2*i), Outcome: text(reply, 3+2*i)}
	}
	return answers, nil
}
