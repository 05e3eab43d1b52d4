package store

import (
	"context"
	"strings"
)

// Verdict says how a run ended. Its words are those of advance.lua.
type Verdict struct {
	ID    string // as stored
	Token int64
	Word  string // VerdictPlain and so on

	Head    string // retry, back, park
	Outcome []byte // keep; point: where to go on from, or empty; retry: used instead if the job's deadline is before its next attempt
	Keep    int64  // keep: ms
	Wait    int64  // retry: ms
	History []byte // retry: the job's past, or empty for unchanged
	Task    string // park
	Why     string // break
	Inner   string // adopt: whose outcome, as stored,
	To      string // and in which queue; "" is this one
	Unknown []byte // adopt: its outcome if nothing is stored of that job,
	Endless []byte // or if it would never be known

	Tx *Transaction // takes effect with it, or neither does
}

// The words of a verdict.
const (
	VerdictPlain = ""      // success that leaves nothing
	VerdictKeep  = "keep"  // ended with an outcome
	VerdictRetry = "retry" // again, later or at once
	VerdictBack  = "back"  // given back, uncounted
	VerdictPark  = "park"  // nobody here knows the task
	VerdictBreak = "break" // cannot be decoded
	VerdictPoint = "point" // the writes so far take effect, the run goes on
	VerdictLeft  = "left"  // the handler of a job that was cancelled has returned
	VerdictAdopt = "adopt" // its outcome will be that of another job
)

// Fields is how many arguments a verdict takes in a call.
func (v *Verdict) Fields() int {
	fixed := 0
	if v.Tx != nil {
		fixed = 1 + v.Tx.Arguments() // its place in the call, and what it takes itself
	}
	return fixed + v.arguments()
}

func (v *Verdict) arguments() int {
	switch v.Word {
	case VerdictKeep, VerdictPark:
		return 5
	case VerdictRetry:
		return 7
	case VerdictAdopt:
		return 9
	case VerdictBack, VerdictBreak, VerdictPoint:
		return 4
	case VerdictLeft:
		return 3
	}
	return 2
}

// Size is what a verdict counts towards the bytes of a call.
func (v *Verdict) Size() int {
	size := len(v.Outcome) + len(v.History) + len(v.Unknown) + len(v.Endless)
	if v.Tx != nil {
		size += v.Tx.Size()
	}
	return size
}

// Advance is a numbered call of an engine: what it has finished, and what it has room for.
type Advance struct {
	Engine   *Engine
	Number   uint64
	Thread   int      // room in each lane
	Reactor  int      //
	Suspect  bool     // one suspect may be among the claims
	Expired  int64    // ms an expired outcome is kept
	Refused  int      // verdicts refused to a former registration, to be counted
	Kinds    []string // kinds of parked jobs to claim from
	Verdicts []Verdict
}

// AdvanceArguments is how many arguments the verdicts of one call may take.
const AdvanceArguments = callArguments - 64

// Claim is a job that was claimed.
type Claim struct {
	ID      string // as stored
	Record  string
	History string
	Token   int64
	Fence   int64
}

// Advanced is the answer.
type Advanced struct {
	Again   bool // the call had been applied before: adopt what bears its token
	Kept    uint64
	Now     int64
	Lost    []int            // verdicts that came too late, by index
	Refused map[int]*Refusal // transactions that took no effect, by index of their verdicts, whose runs go on
	Claims  []Claim
	More    [2]bool  // claimable work is left, by lane
	NextDue [2]int64 // ms, 0 if none, by lane
	Parked  bool     // jobs are parked: a beat names their kinds
}

// Advance finishes and claims. Plain verdicts must come first. The same number must carry the same call.
func (q *Queue) Advance(ctx context.Context, a *Advance) (*Advanced, error) {
	reply, err := q.call(ctx, "advance", a.appendVerdicts(a.head()))
	if err != nil {
		return nil, err
	}
	return q.advanced(a, reply), nil
}

// plain is how many verdicts are plain; they come first.
func (a *Advance) plain() int {
	n := 0
	for n < len(a.Verdicts) && a.Verdicts[n].Word == VerdictPlain {
		n++
	}
	return n
}

// head is the arguments with which a call begins.
func (a *Advance) head() []any {
	args := make([]any, 0, 16+len(a.Kinds)+5*len(a.Verdicts))
	return append(args, a.Engine.name, a.Number, a.Engine.Token(a.Number), a.Thread, a.Reactor, bit(a.Suspect), CallBytes,
		a.Expired, a.Refused, len(a.Kinds), len(a.Verdicts), a.plain())
}

func (a *Advance) appendVerdicts(args []any) []any {
	for _, kind := range a.Kinds {
		args = append(args, kind)
	}
	for i := range a.Verdicts {
		args = append(args, a.Verdicts[i].ID)
	}
	for i := range a.Verdicts {
		args = append(args, a.Verdicts[i].Token)
	}
	for i := a.plain(); i < len(a.Verdicts); i++ {
		v := &a.Verdicts[i]
		switch v.Word {
		case VerdictKeep:
			args = append(args, v.Word, v.Outcome, v.Keep)
		case VerdictRetry:
			args = append(args, v.Word, v.Head, v.Wait, v.History, v.Outcome)
		case VerdictBack:
			args = append(args, v.Word, v.Head)
		case VerdictPark:
			args = append(args, v.Word, v.Head, v.Task)
		case VerdictBreak:
			args = append(args, v.Word, v.Why)
		case VerdictPoint:
			args = append(args, v.Word, v.Outcome)
		case VerdictLeft:
			args = append(args, v.Word)
		case VerdictAdopt:
			args = append(args, v.Word, v.Head, v.Inner, v.To, v.Keep, v.Unknown, v.Endless)
		}
	}
	return args
}

// advanced reads the answer.
func (q *Queue) advanced(a *Advance, reply []any) *Advanced {
	if reply[0] == "again" {
		lost, refused, _ := strings.Cut(text(reply, 2), "|")
		return &Advanced{Again: true, Now: number(reply, 1), Lost: places(lost), Refused: refusals(refused)}
	}
	lost, refused, _ := strings.Cut(text(reply, 3), "|")
	done := &Advanced{Now: number(reply, 1), Kept: uint64(number(reply, 2)), Lost: places(lost), Refused: refusals(refused)}
	for lane := range 2 {
		done.More[lane] = text(reply, 5+lane) == "1"
		done.NextDue[lane] = number(reply, 7+lane)
	}
	q.errand(text(reply, 9))
	done.Parked = strings.Contains(text(reply, 9), "k")
	done.Claims = claims(reply, 10, a.Engine.Token(a.Number), number(reply, 4))
	return done
}

// Adopt asks again for what a call claimed whose answer was lost, from the skip-th on.
func (q *Queue) Adopt(ctx context.Context, e *Engine, n uint64, skip int) (found []Claim, more bool, err error) {
	token := e.Token(n)
	reply, err := q.call(ctx, "adopt", []any{e.name, token, skip, CallBytes})
	if err != nil {
		return nil, false, err
	}
	return claims(reply, 4, token, number(reply, 2)), text(reply, 3) == "more", nil
}

func claims(reply []any, from int, token, fence int64) []Claim {
	if len(reply) <= from {
		return nil
	}
	found := make([]Claim, 0, (len(reply)-from)/3)
	for i := from; i+2 < len(reply); i += 3 {
		found = append(found, Claim{ID: text(reply, i), Record: text(reply, i+1), History: text(reply, i+2),
			Token: token, Fence: fence + int64(len(found))})
	}
	return found
}
