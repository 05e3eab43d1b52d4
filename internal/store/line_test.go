package store

import "fmt"

// line is an entry of lines; docs/wire.md.
type line struct {
	number uint64
	ms     int64
	answer string
}

func (l line) String() string { return fmt.Sprintf("%d %d %s", l.number, l.ms, l.answer) }

func decodeLine(s string) (line, error) {
	var l line
	n, err := fmt.Sscanf(s, "%d %d", &l.number, &l.ms)
	if n != 2 {
		return l, err
	}
	l.answer = s[len(fmt.Sprintf("%d %d ", l.number, l.ms)):]
	return l, nil
}
