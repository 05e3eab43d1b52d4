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
		o := Out{ID: text(reply, i)}
		// What cannot be read goes to nowhere: the caller says so, and lets it go.
		if parts := strings.SplitN(text(reply, i+1), " ", 5); len(parts) == 5 {
			o.To = parts[0]
			o.Item = Item{ID: parts[3], Record: []byte(parts[4]), Due: at(parts[1]), Deadline: at(parts[2])}
		}
		found = append(found, o)
	}
	return found, nil
}

// at reads a fixed time as a call carries it.
func at(arg string) Moment {
	if n, err := strconv.ParseInt(strings.TrimPrefix(arg, "@"), 10, 64); err == nil && arg != "" {
		return Moment{Set: true, Ms: n}
	}
	return Moment{}
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
