package redistest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
)

// errMalformed says that the bytes are not the Redis protocol as known here.
// What was read so far is in raw.
var errMalformed = errors.New("redistest: not the Redis protocol")

const (
	maxBulk  = 512 << 20 // the server's own limit, unless configured
	maxItems = 1 << 20   // words of a command: the server's own limit
	maxLine  = 1 << 20
)

// wire reads one protocol unit at a time, a command or a reply, and keeps its
// bytes as they came, so that they can be passed on unchanged.
type wire struct {
	r     *bufio.Reader
	raw   []byte // the unit; valid until the next is read
	words []span // of a command: where in raw its words are
}

type span struct{ from, to int }

func newWire(r io.Reader) *wire {
	return &wire{r: bufio.NewReaderSize(r, 64<<10)}
}

// word returns word i of the command read last.
func (w *wire) word(i int) []byte { return w.raw[w.words[i].from:w.words[i].to] }

// command reads one request. It has no words if it is one the server ignores:
// an empty array or an empty line.
func (w *wire) command() error {
	w.raw, w.words = w.raw[:0], w.words[:0]
	line, err := w.line()
	if err != nil {
		return err
	}
	if len(line) == 0 || line[0] != '*' {
		w.inline(line)
		return nil
	}
	n, err := number(line[1:])
	if err != nil || n > maxItems {
		return errMalformed
	}
	for range n {
		line, err := w.line()
		if err != nil {
			return err
		}
		if len(line) == 0 || line[0] != '$' {
			return errMalformed
		}
		size, err := number(line[1:])
		if err != nil || size < 0 {
			return errMalformed
		}
		from := len(w.raw)
		if err := w.bulk(size); err != nil {
			return err
		}
		w.words = append(w.words, span{from, from + size})
	}
	return nil
}

// inline splits a command typed by hand. Quotes are not looked at: they matter
// to the server only.
func (w *wire) inline(line []byte) {
	rest := 0
	for _, f := range bytes.Fields(line) {
		from := rest + bytes.Index(line[rest:], f)
		rest = from + len(f)
		w.words = append(w.words, span{from, rest})
	}
}

// reply reads one reply or push of either protocol version. It counts the items
// still to come instead of recursing, so that no depth of nesting is too much.
func (w *wire) reply() error {
	w.raw = w.raw[:0]
	for due := 1; due > 0; due-- {
		line, err := w.line()
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return errMalformed
		}
		switch line[0] {
		case '+', '-', ':', '_', '#', ',', '(':
			continue
		}
		kind := line[0] // line is gone once raw grows
		n, err := number(line[1:])
		if err != nil {
			return err
		}
		switch {
		case kind == '$' || kind == '!' || kind == '=':
			if n >= 0 {
				err = w.bulk(n)
			}
		case kind == '*' || kind == '~' || kind == '>':
			due += max(n, 0)
		case kind == '%':
			due += 2 * max(n, 0)
		case kind == '|': // attributes stand before the value they belong to
			due += 2*max(n, 0) + 1
		default:
			err = errMalformed
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// line reads up to a line feed and returns the line without its end.
func (w *wire) line() ([]byte, error) {
	from := len(w.raw)
	for {
		part, err := w.r.ReadSlice('\n')
		w.raw = append(w.raw, part...)
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		if len(w.raw)-from > maxLine {
			return nil, errMalformed
		}
	}
	line := w.raw[from : len(w.raw)-1]
	return bytes.TrimSuffix(line, []byte("\r")), nil
}

// bulk reads n bytes and the line end behind them. It grows with what arrives,
// not with what was announced.
func (w *wire) bulk(n int) error {
	for left := n + 2; left > 0; {
		from, step := len(w.raw), min(left, 64<<10)
		w.raw = append(w.raw, make([]byte, step)...)
		got, err := io.ReadFull(w.r, w.raw[from:])
		w.raw = w.raw[:from+got]
		if err != nil {
			return err
		}
		left -= step
	}
	if !bytes.HasSuffix(w.raw, []byte("\r\n")) {
		return errMalformed
	}
	return nil
}

// number reads a length. -1 stands for nil.
func number(b []byte) (int, error) {
	n, err := strconv.Atoi(string(b))
	if err != nil || n < -1 || n > maxBulk {
		return 0, errMalformed
	}
	return n, nil
}
