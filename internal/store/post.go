package store

import (
	"context"
	"strconv"
	"strings"
)

// postItems bounds what one delivery carries.
const postItems = 100

// Outgoing lists what waits in the outbox, the oldest first, a page of it from the skip-th on.
func (q *Queue) Outgoing(ctx context.Context, skip int) ([]Out, error) {
	reply, err := q.call(ctx, "outgoing", []any{skip, skip + postItems - 1, CallBytes})
	if err != nil {
		return nil, err
	}
	var found []Out
	for i := 2; i+1 < len(reply); i += 2 {
		found = append(found, parseOut(text(reply, i), text(reply, i+1)))
	}
	return found, nil
}

// parseOut reads an entry of the outbox. What cannot be read goes to nowhere: the caller says so, and leaves it there.
func parseOut(id, entry string) Out {
	parts := strings.SplitN(entry, " ", 5)
	if len(parts) < 5 {
		return Out{ID: id}
	}
	due, ok := at(parts[1])
	deadline, too := at(parts[2])
	if !ok || !too {
		return Out{ID: id}
	}
	return Out{ID: id, To: parts[0], Item: Item{ID: parts[3], Record: []byte(parts[4]), Due: due, Deadline: deadline}}
}

// at reads a fixed time as a call carries it; an empty text is none.
func at(arg string) (Moment, bool) {
	if arg == "" {
		return Moment{}, true
	}
	digits, fixed := strings.CutPrefix(arg, "@")
	n, err := strconv.ParseInt(digits, 10, 64)
	return Moment{Set: true, Ms: n}, fixed && err == nil
}

// Deliver takes in what another queue's outbox has for this one. It returns the indexes of those whose id bears another
// job. What has arrived before is passed over.
func (q *Queue) Deliver(ctx context.Context, outs []Out) (refused []int, err error) {
	args := make([]any, 0, 1+5*len(outs))
	args = append(args, len(outs))
	for i := range outs {
		args = append(args, outs[i].ID)
	}
	for i := range outs {
		o := &outs[i]
		args = append(args, PackID(o.Item.ID), o.Record, o.Due.arg(), o.Deadline.arg())
	}
	reply, err := q.call(ctx, "deliver", args)
	if err != nil {
		return nil, err
	}
	return places(text(reply, 2)), nil
}

// Delivered lets what has arrived leave the outbox. It returns how many are left.
func (q *Queue) Delivered(ctx context.Context, outs []Out) (left int, err error) {
	args := make([]any, len(outs))
	for i := range outs {
		args[i] = outs[i].ID
	}
	reply, err := q.call(ctx, "delivered", args)
	if err != nil {
		return 0, err
	}
	return int(number(reply, 2)), nil
}
