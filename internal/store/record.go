package store

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/spooljobs/spool/internal/codec"
)

// Lanes as the header of a record names them.
const (
	LaneThread  = 't'
	LaneReactor = 'r'
)

// InterruptedForEver is the interruption policy that has no cap.
const InterruptedForEver = 'f'

// MaxPriority bounds priorities on both sides of 0.
const MaxPriority = 1000

const (
	headLen   = 14
	digestLen = 16
)

// Record is what is stored of a job that has not ended: a text header that scripts read, the name of its task, its
// arguments, and what was set beyond the defaults. docs/wire.md shows it byte by byte. It never changes while the
// job lives, save by an edit.
type Record struct {
	Lane          byte // LaneThread or LaneReactor
	Interruptions byte // '0' to '9' are allowed, or InterruptedForEver
	Answer        bool // its outcome is wanted
	Own           bool // the id is the user's: the record bears a digest of task and arguments
	Deadline      bool // it must begin by a time that the set deadlines holds
	Priority      int
	Inputs        bool // it follows others: their outcomes are inputs of its handler
	Task          string
	Graph         []byte // of a flow that is yet to be taken apart: Graph.Encode
	Args          []byte // one msgpack value
	Extra         Extra
}

// Extra is what a Partial sets beyond the defaults. Times are milliseconds.
type Extra struct {
	Timeout int64             `msgpack:"timeout,omitempty"`
	Retry   *Retry            `msgpack:"retry,omitempty"`
	Keep    *int64            `msgpack:"keep,omitempty"`
	Meta    map[string]string `msgpack:"meta,omitempty"`
	Created int64             `msgpack:"created,omitempty"` // only with an own id; others say it themselves
	Due     int64             `msgpack:"due,omitempty"`     // as given, if it was given as a time
	Flow    string            `msgpack:"flow,omitempty"`    // the flow it was put with: queue, slash, id
	Join    bool              `msgpack:"join,omitempty"`    // its inputs are one list
}

// Retry is a retry policy as stored: at most Times further attempts, after these waits in milliseconds, the last of
// which repeats. Times below 0 has no limit.
type Retry struct {
	Times int     `msgpack:"times"`
	Waits []int64 `msgpack:"waits"`
}

func (e *Extra) zero() bool {
	return e.Timeout == 0 && e.Retry == nil && e.Keep == nil && len(e.Meta) == 0 && e.Created == 0 && e.Due == 0 && e.Flow == "" && !e.Join
}

// Encode returns the bytes that are stored.
func (r *Record) Encode() ([]byte, error) {
	b := make([]byte, 0, headLen+digestLen+len(r.Task)+len(r.Args)+32)
	b = append(b, '1', r.Lane, r.Interruptions, flag(r.Answer, 'a'), flag(r.Own, 'o'), flag(r.Deadline, 'd'), r.mark())
	b = appendDigits(b, r.Priority+MaxPriority, 4)
	b = appendDigits(b, len(r.Task), 3)
	if r.Own {
		b = append(b, digest(r.Task, r.Args)...)
	}
	b = append(b, r.Task...)
	if r.Graph != nil {
		b = appendDigits(b, len(r.Graph), 8)
		b = append(b, r.Graph...)
	}
	b = append(b, r.Args...)
	if r.Extra.zero() {
		return b, nil
	}
	return codec.AppendMarshal(b, &r.Extra)
}

// mark is the flag that says what a job has to do with others.
func (r *Record) mark() byte {
	switch {
	case r.Graph != nil && r.Inputs:
		return 'G'
	case r.Graph != nil:
		return 'g'
	}
	return flag(r.Inputs, 'i')
}

// DecodeRecord reads stored bytes. It checks all but the arguments' fit to their task.
func DecodeRecord(s string) (*Record, error) {
	if len(s) < headLen || s[0] != '1' {
		return nil, fmt.Errorf("record: unknown format")
	}
	r := &Record{Lane: s[1], Interruptions: s[2], Answer: s[3] == 'a', Own: s[4] == 'o', Deadline: s[5] == 'd', Inputs: s[6] == 'i' || s[6] == 'G'}
	if r.Lane != LaneThread && r.Lane != LaneReactor {
		return nil, fmt.Errorf("record: unknown lane %q", r.Lane)
	}
	priority, err := digits(s[7:11])
	if err != nil {
		return nil, fmt.Errorf("record: priority: %w", err)
	}
	r.Priority = priority - MaxPriority
	size, err := digits(s[11:headLen])
	if err != nil {
		return nil, fmt.Errorf("record: task: %w", err)
	}
	at := headLen
	if r.Own {
		at += digestLen
	}
	if len(s) < at+size {
		return nil, fmt.Errorf("record: cut short")
	}
	r.Task = s[at : at+size]
	at += size
	if s[6] == 'g' || s[6] == 'G' {
		long, err := digits(s[at:min(at+8, len(s))])
		if err != nil || len(s) < at+8+long {
			return nil, fmt.Errorf("record: graph: cut short")
		}
		r.Graph, at = []byte(s[at+8:at+8+long]), at+8+long
	}
	body := []byte(s[at:])
	rest, err := codec.Skip(body)
	if err != nil {
		return nil, fmt.Errorf("record: arguments: %w", err)
	}
	r.Args = body[:len(body)-len(rest)]
	if flow, ok := onlyFlow(rest); ok {
		r.Extra.Flow = flow
	} else if len(rest) > 0 {
		if err := codec.Unmarshal(rest, &r.Extra); err != nil {
			return nil, fmt.Errorf("record: settings: %w", err)
		}
	}
	return r, nil
}

// onlyFlow reads settings that say nothing but the flow, as those of most parts do: flows may have many thousands.
func onlyFlow(b []byte) (flow string, ok bool) {
	const head = "\x81\xa4flow\xd9" // a map of one, its name, a string of up to 255 bytes
	if len(b) <= len(head) || string(b[:len(head)]) != head || len(b) != len(head)+1+int(b[len(head)]) {
		return "", false
	}
	return string(b[len(head)+1:]), true
}

// Head returns the part of a stored record that verdicts carry.
func Head(record string) string { return record[:headLen] }

// TaskOf returns the name of the task in a stored record whose header a script has looked at, or "".
func TaskOf(record string) string {
	at := headLen
	if record[4] == 'o' {
		at += digestLen
	}
	size, err := digits(record[11:headLen])
	if err != nil || len(record) < at+size {
		return ""
	}
	return record[at : at+size]
}

// digest names the contents of a job with an own id: not what is put with it, which has new ids each time.
func digest(task string, args []byte) string {
	h := sha256.New()
	h.Write([]byte(task))
	h.Write([]byte{0})
	h.Write(args)
	return hex.EncodeToString(h.Sum(nil))[:digestLen]
}

func flag(set bool, letter byte) byte {
	if set {
		return letter
	}
	return '-'
}

func appendDigits(b []byte, n, width int) []byte {
	s := strconv.Itoa(n)
	for range width - len(s) {
		b = append(b, '0')
	}
	return append(b, s...)
}

func digits(s string) (int, error) {
	n := 0
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("%q is not a number", s)
		}
		n = n*10 + int(c-'0')
	}
	return n, nil
}
