package codec

// firstLook is how many bytes are written before the nesting is looked at.
const firstLook = 4 << 10

// sink collects what an encoder writes. It ends an encoding that has grown past
// its limit, and one that nests too deep. The latter is how a value that
// contains itself is found before it overflows the stack: the nesting written so
// far is looked at after 4 KiB, 8 KiB and so on, which costs at most as much
// again as one walk over the whole, and nothing for small values.
type sink struct {
	b     []byte
	start int // where this encoding begins in b
	limit int // bytes; 0 for none
	look  int // bytes at which to look at the nesting
}

func (s *sink) Write(p []byte) (int, error) {
	s.b = append(s.b, p...)
	return len(p), s.judge()
}

func (s *sink) WriteByte(c byte) error {
	s.b = append(s.b, c)
	return s.judge()
}

func (s *sink) judge() error {
	n := len(s.b) - s.start
	if s.limit > 0 && n > s.limit {
		return ErrTooLarge
	}
	if n < s.look {
		return nil
	}
	s.look = 2 * n
	_, err := walk(s.b[s.start:], true)
	return err
}
