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
	o := Out{ID: id, To: parts[0], Item: Item{ID: parts[3], Record: []byte(parts[4])}}
	if strings.IndexAny(parts[1], "<>&!x") == 0 {
		o.Mark = parts[1]
	}
	var ok, too bool
	if o.Deadline, ok = momentOf(parts[2]); o.Mark == "" {
		o.Due, too = momentOf(parts[1])
		ok = ok && too && !o.Due.Relative && !o.Deadline.Relative
	}
	if !ok {
		return Out{ID: id}
	}
	return o
}

// Job tells whether it is a job: not an outcome on its way, nor a word about a job that is elsewhere.
func (o *Out) Job() bool { return len(o.Record) > 0 && !strings.HasPrefix(o.Mark, "!") }

// arrives is what stands as due when an entry is delivered from a queue.
func (o *Out) arrives(from string) string {
	switch {
	case o.Mark == "":
		return o.Due.arg()
	case o.Mark[0] == '<':
		return "<" + from + "," + o.Mark[1:]
	case o.Mark[0] == '>' || o.Mark[0] == '&':
		// The id is what is behind the second comma: one of the user's may have commas of its own.
		if parts := strings.SplitN(o.Mark, ",", 3); len(parts) == 3 {
			return parts[0] + "," + parts[1] + "," + PackID(parts[2])
		}
	}
	return o.Mark
}

// momentOf reads what Moment.arg has written.
func momentOf(arg string) (Moment, bool) {
	if arg == "" {
		return Moment{}, true
	}
	n, err := strconv.ParseInt(arg[1:], 10, 64)
	return Moment{Set: true, Relative: arg[0] == '+', Ms: n}, (arg[0] == '+' || arg[0] == '@') && err == nil
}

// Deliver takes in what the outbox of another queue, from, has for this one. It returns the indexes of those that were
// refused, as Schedule does. What has arrived before is passed over.
func (q *Queue) Deliver(ctx context.Context, from string, outs []Out) (refused []int, err error) {
	args := make([]any, 0, 1+5*len(outs))
	args = append(args, len(outs))
	for i := range outs {
		args = append(args, outs[i].ID)
	}
	for i := range outs {
		o := &outs[i]
		args = append(args, PackID(o.Item.ID), o.Record, o.arrives(from), o.Deadline.arg())
	}
	reply, err := q.call(ctx, "deliver", args)
	if err != nil {
		return nil, err
	}
	q.errand(text(reply, 3))
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
