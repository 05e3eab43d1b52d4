package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// claimBits is how many bits of a token number the claims of an engine; the rest is the engine's number. Tokens stay
// below 2^53 and so are exact as scores.
const claimBits = 24

// Engine is an engine's registration in one queue.
type Engine struct {
	Number int64
	UUID   string
	name   string // number:uuid, as the scripts know it
}

// Token names the runs that a call claims: jobs of one call share it, and an id occurs once in a call.
func (e *Engine) Token(n uint64) int64 {
	return e.Number<<claimBits | int64(n&(1<<claimBits-1))
}

func (e *Engine) span() (from, to string) {
	return ms(e.Number << claimBits), ms((e.Number + 1) << claimBits)
}

// Register asks for a number. The same uuid is given the same one while it is registered.
func (q *Queue) Register(ctx context.Context, uuid string, deadAfter int64, about []byte) (*Engine, error) {
	reply, err := q.call(ctx, "register", []any{uuid, deadAfter, about})
	if err != nil {
		return nil, err
	}
	return newEngine(number(reply, 2), uuid), nil
}

func newEngine(n int64, uuid string) *Engine {
	return &Engine{Number: n, UUID: uuid, name: strconv.FormatInt(n, 10) + ":" + uuid}
}

// Pulse is the answer to a beat.
type Pulse struct {
	Now    int64
	Held   int      // jobs the engine holds, as Redis sees it
	Untidy bool     // something has had its time: Tidy
	Late   bool     // a deadline has passed: Advance
	Mail   bool     // the outbox is not empty: Outgoing
	Begun  bool     // something is to be gone on with: Resume
	Dying  []string // engines to sweep
	Gone   []Held   // jobs it held that were cancelled and whose handlers may still run
	Parked []string // kinds ("t/task") of which jobs are parked
}

// Beat renews the engine's lease. Up to a moment of the server's clock, or never if it is 0, engines that were
// silent for too long are declared dead.
func (q *Queue) Beat(ctx context.Context, e *Engine, deadAfter, judge int64) (*Pulse, error) {
	from, to := e.span()
	reply, err := q.call(ctx, "beat", []any{e.name, from, to, deadAfter, judge})
	if err != nil {
		return nil, err
	}
	p := &Pulse{Now: number(reply, 1), Held: int(number(reply, 2)), Untidy: text(reply, 3) == "1", Late: text(reply, 4) == "1"}
	p.Mail, p.Begun = text(reply, 5) == "1", text(reply, 6) == "1"
	at := 8
	for end := at + int(number(reply, 7)); at < end; at++ {
		p.Dying = append(p.Dying, text(reply, at))
	}
	at++
	for end := at + 2*int(number(reply, at-1)); at < end; at += 2 {
		p.Gone = append(p.Gone, Held{ID: UnpackID(text(reply, at)), Token: number(reply, at+1)})
	}
	for ; at < len(reply); at++ {
		p.Parked = append(p.Parked, text(reply, at))
	}
	return p, nil
}

// Touch renews the lease of an engine that holds nothing, by the server's time as the caller knows it, and looks
// whether anything asks for a Beat: the lease is not found, or was renewed further before; another engine seems to be
// dead; or, at every other beat one of these in turn, jobs are parked or suspect, an outbox is not empty, flows are under
// way, a dead engine is not swept (every other time); jobs are ready or due that nobody acts upon, a deadline has passed.
// It is two or three plain commands where a beat is a script of twenty: an idle worker costs Redis next to nothing. A wrong
// clock can do no more than have an engine that holds nothing declared dead; it registers anew.
func (q *Queue) Touch(ctx context.Context, e *Engine, now, deadAfter int64, turn int) (beat bool, err error) {
	renew := redis.NewIntCmd(ctx, "zadd", q.Key("engines"), "xx", "gt", "ch", now+deadAfter, e.name)
	if err := Classify(q.store.rdb.Process(ctx, single{renew})); errors.Is(err, ErrAway) {
		return false, fmt.Errorf("touch: %w", err)
	} else if err != nil || renew.Val() == 0 {
		return true, nil // full memory, for one: a beat gets through
	}
	looks := []func() (bool, error){func() (bool, error) { return q.overdue(ctx, "engines", now) }}
	if turn%2 == 0 {
		looks = append(looks, q.leftLying(ctx, turn/2, now))
	}
	for _, look := range looks {
		if found, err := look(); err != nil {
			return false, fmt.Errorf("touch: %w", Classify(err))
		} else if found {
			return true, nil
		}
	}
	return false, nil
}

// leftLying is what a light beat looks at: every other time for what is rare, else in turn for what is due and what is
// ready.
func (q *Queue) leftLying(ctx context.Context, turn int, now int64) func() (bool, error) {
	if turn%2 == 1 {
		return func() (bool, error) {
			keys := []any{"exists", q.Key("parked"), q.Key("dying"), q.Key("suspect:thread"), q.Key("suspect:reactor"), q.Key("outgoing"), q.Key("waiting"), q.Key("callbacks")}
			n := redis.NewIntCmd(ctx, keys...)
			err := q.store.rdb.Process(ctx, n)
			return n.Val() > 0, err
		}
	}
	turn /= 2
	lane := [...]string{"thread", "reactor"}[turn%2]
	switch turn % 8 {
	case 2:
		return func() (bool, error) { return q.overdue(ctx, "deadlines", now) }
	case 3, 6:
		return func() (bool, error) { return q.overdue(ctx, "due:"+lane, now) }
	}
	return func() (bool, error) {
		n := redis.NewIntCmd(ctx, "zcard", q.Key("ready:"+lane))
		err := q.store.rdb.Process(ctx, n)
		return n.Val() > 1, err // the sentinel is one
	}
}

// overdue says whether the first of a set has had its time.
func (q *Queue) overdue(ctx context.Context, set string, now int64) (bool, error) {
	first := redis.NewZSliceCmd(ctx, "zrange", q.Key(set), "0", "0", "withscores")
	err := q.store.rdb.Process(ctx, first)
	return len(first.Val()) > 0 && first.Val()[0].Score < float64(now), err
}

// single is a command that go-redis does not send a second time by itself.
type single struct{ *redis.IntCmd }

func (single) NoRetry() bool { return true }

// Leave unregisters an engine. What it still holds will be swept.
func (q *Queue) Leave(ctx context.Context, e *Engine) error {
	from, to := e.span()
	_, err := q.call(ctx, "leave", []any{e.name, from, to})
	return err
}

// sweepSlice bounds the jobs one call of sweep moves.
const sweepSlice = 100

// Sweep moves a slice of what a dying engine held. It returns how many, and whether there may be more.
func (q *Queue) Sweep(ctx context.Context, dying string, keep int64) (moved int, more bool, err error) {
	e := parseEngine(dying)
	from, to := e.span()
	reply, err := q.call(ctx, "sweep", []any{dying, from, to, sweepSlice, CallBytes, keep})
	if err != nil {
		return 0, false, err
	}
	q.errand(text(reply, 4))
	return int(number(reply, 2)), text(reply, 3) == "more", nil
}

// Tidy lets go of outcomes and lines whose time has passed, a slice at a time.
func (q *Queue) Tidy(ctx context.Context) (removed int, more bool, err error) {
	reply, err := q.call(ctx, "tidy", nil)
	if err != nil {
		return 0, false, err
	}
	return int(number(reply, 2)), text(reply, 3) == "more", nil
}

// Held is a job an engine holds.
type Held struct {
	ID    string
	Token int64
}

// Owned asks which jobs an engine holds, from the skip-th on; fewer than CallItems are the last.
func (q *Queue) Owned(ctx context.Context, e *Engine, skip int) ([]Held, error) {
	from, to := e.span()
	reply, err := q.call(ctx, "owned", []any{e.name, from, to, skip})
	if err != nil {
		return nil, err
	}
	var held []Held
	for i := 2; i+1 < len(reply); i += 2 {
		held = append(held, Held{ID: UnpackID(text(reply, i)), Token: number(reply, i+1)})
	}
	return held, nil
}

func parseEngine(name string) *Engine {
	for i := range len(name) {
		if name[i] == ':' {
			n, _ := strconv.ParseInt(name[:i], 10, 64)
			return newEngine(n, name[i+1:])
		}
	}
	return newEngine(0, name)
}

func bit(set bool) string {
	if set {
		return "1"
	}
	return "0"
}
