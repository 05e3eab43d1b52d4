package codec

import (
	"errors"
	"io"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

var errExtPayload = errors.New("an extension stands where the type wants something else")

// source feeds a decoder from bytes that passed [Check], and keeps the two of
// one mind about where values begin.
//
// They differ in one place: where it wants a map, the library steps over the
// head of an extension and goes on with the payload, as if that were a map. Then
// c7 05 01 df 05 f5 e1 00, five opaque bytes to the guard, is a map of 100
// million entries to the decoder. Whoever reads an extension as one fetches the
// payload by Read; only that misreading, which looks for a code, asks for the
// first byte by ReadByte. So this is where it is refused.
type source struct {
	b       []byte
	i       int // the next byte to read
	code    int // where the last code was read
	next    int // where the next code stands
	payload int // where the payload of the extension just begun starts, or -1
}

func (s *source) reset(b []byte) { *s = source{b: b, payload: -1} }

func (s *source) ReadByte() (byte, error) {
	switch {
	case s.i >= len(s.b):
		return 0, io.EOF
	case s.i == s.payload:
		return 0, errExtPayload
	}
	for s.i > s.next { // a custom decoder has read past codes by itself
		s.step()
	}
	if s.i == s.next {
		s.step()
	}
	s.i++
	return s.b[s.i-1], nil
}

// step moves to the code at s.next.
func (s *source) step() {
	s.code, s.payload = s.next, -1
	c := s.b[s.code]
	next, _, reason := token(s.b, s.code)
	if reason != "" { // not after Check
		next = len(s.b)
	}
	s.next = next
	switch c {
	case msgpcode.FixExt1, msgpcode.FixExt2, msgpcode.FixExt4, msgpcode.FixExt8, msgpcode.FixExt16,
		msgpcode.Ext8, msgpcode.Ext16, msgpcode.Ext32:
		s.payload = s.code + 1 + lengthWidth(c) + 1
	}
}

func (s *source) UnreadByte() error {
	if s.i == 0 {
		return errors.New("nothing to unread")
	}
	s.i--
	if s.i == s.code {
		s.next, s.payload = s.code, -1
	}
	return nil
}

func (s *source) Read(p []byte) (int, error) {
	if s.i >= len(s.b) && len(p) > 0 {
		return 0, io.EOF
	}
	n := copy(p, s.b[s.i:])
	s.i += n
	return n, nil
}
