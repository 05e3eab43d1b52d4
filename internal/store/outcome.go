package store

import (
	"fmt"

	"github.com/spooljobs/spool/internal/codec"
)

// Kinds of outcome as its header names them.
const (
	Succeeded = 's'
	Failed    = 'f'
	Cancelled = 'c'
	Expired   = 'e'
	Aborted   = 'a'
)

const (
	historyLen = 10
	outcomeLen = 29
)

// Outcome is what stays of a job that has ended. The header is text, since scripts write some outcomes themselves.
type Outcome struct {
	Kind          byte
	Attempts      int
	Interruptions int
	Ended         int64 // ms; the script that ends the job sets it
	Task          string
	Digest        string // only with an own id
	Body          OutcomeBody
}

// OutcomeBody is the part of an outcome that only Go reads. Times are milliseconds.
type OutcomeBody struct {
	Result  []byte `msgpack:"result,omitempty"`  // one msgpack value
	Failure []byte `msgpack:"failure,omitempty"` // as the package failure encodes it
	Started int64  `msgpack:"started,omitempty"` // of the last attempt
	Worker  string `msgpack:"worker,omitempty"`
}

// Encode returns the bytes that are stored, its end still to be filled in.
func (o *Outcome) Encode() ([]byte, error) {
	b := make([]byte, 0, outcomeLen+len(o.Task)+len(o.Digest)+len(o.Body.Result)+len(o.Body.Failure)+48)
	b = append(b, '1', o.Kind, flag(o.Digest != "", 'o'))
	b = appendDigits(b, o.Attempts, 6)
	b = appendDigits(b, o.Interruptions, 4)
	b = append(b, "0000000000000"...)
	b = appendDigits(b, len(o.Task), 3)
	b = append(b, o.Digest...)
	b = append(b, o.Task...)
	return codec.AppendMarshal(b, &o.Body)
}

// Bare tells whether a stored outcome is a success of which nothing more is known.
func Bare(s string) bool { return len(s) == outcomeLen && s[:2] == "1s" }

// DecodeOutcome reads stored bytes.
func DecodeOutcome(s string) (*Outcome, error) {
	if len(s) < outcomeLen || s[0] != '1' {
		return nil, fmt.Errorf("outcome: unknown format")
	}
	o := &Outcome{Kind: s[1]}
	switch o.Kind {
	case Succeeded, Failed, Cancelled, Expired, Aborted:
	default:
		return nil, fmt.Errorf("outcome: unknown kind %q", o.Kind)
	}
	var size, ended int
	var err error
	for _, field := range []struct {
		to        *int
		from, to2 int
	}{{&o.Attempts, 3, 9}, {&o.Interruptions, 9, 13}, {&ended, 13, 26}, {&size, 26, 29}} {
		if *field.to, err = digits(s[field.from:field.to2]); err != nil {
			return nil, fmt.Errorf("outcome: header: %w", err)
		}
	}
	o.Ended = int64(ended)
	rest := s[outcomeLen:]
	if s[2] == 'o' {
		if len(rest) < digestLen {
			return nil, fmt.Errorf("outcome: cut short")
		}
		o.Digest, rest = rest[:digestLen], rest[digestLen:]
	}
	if len(rest) < size {
		return nil, fmt.Errorf("outcome: cut short")
	}
	o.Task, rest = rest[:size], rest[size:]
	if rest != "" {
		if err := codec.Unmarshal([]byte(rest), &o.Body); err != nil {
			return nil, fmt.Errorf("outcome: body: %w", err)
		}
	}
	return o, nil
}

// DigestOf returns the digest that a stored record bears, or "".
func DigestOf(record string) string {
	if len(record) < headLen+digestLen || record[4] != 'o' {
		return ""
	}
	return record[headLen : headLen+digestLen]
}

// History is the past of a job that has one: attempts that failed, attempts that were interrupted, and the last
// failure. A job whose first attempt succeeds has none.
type History struct {
	Attempts      int
	Interruptions int
	Failure       []byte // as the package failure encodes it, or empty
}

// Encode returns the bytes that are stored.
func (h *History) Encode() []byte {
	b := make([]byte, 0, historyLen+len(h.Failure))
	b = appendDigits(b, h.Attempts, 6)
	b = appendDigits(b, h.Interruptions, 4)
	return append(b, h.Failure...)
}

// DecodeHistory reads stored bytes; none is a past without events.
func DecodeHistory(s string) (History, error) {
	if s == "" {
		return History{}, nil
	}
	if len(s) < historyLen {
		return History{}, fmt.Errorf("history: cut short")
	}
	attempts, err := digits(s[:6])
	if err != nil {
		return History{}, fmt.Errorf("history: attempts: %w", err)
	}
	interruptions, err := digits(s[6:historyLen])
	if err != nil {
		return History{}, fmt.Errorf("history: interruptions: %w", err)
	}
	return History{Attempts: attempts, Interruptions: interruptions, Failure: []byte(s[historyLen:])}, nil
}
