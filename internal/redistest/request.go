package redistest

import "bytes"

// request is what the ledger needs to know of a command.
type request struct {
	class    class
	name     string // of a subscribes, else empty
	channels int    // of a subscribes: confirmations to come; 0 is unknown
}

// class says how a command is answered.
type class uint8

const (
	plain      class = iota // by one reply
	subscribes              // SUBSCRIBE and its family
	streams                 // by no countable number of replies
	hello2                  // by one reply, and protocol version 2 from there on
	hello3                  // the same, version 3
)

// classify looks at a command. It allocates nothing: it runs for every command.
func classify(w *wire) request {
	var buf [16]byte
	switch name := string(upper(buf[:0], w.word(0))); name {
	case "SUBSCRIBE":
		return request{subscribes, "subscribe", len(w.words) - 1}
	case "PSUBSCRIBE":
		return request{subscribes, "psubscribe", len(w.words) - 1}
	case "SSUBSCRIBE":
		return request{subscribes, "ssubscribe", len(w.words) - 1}
	case "UNSUBSCRIBE":
		return request{subscribes, "unsubscribe", len(w.words) - 1}
	case "PUNSUBSCRIBE":
		return request{subscribes, "punsubscribe", len(w.words) - 1}
	case "SUNSUBSCRIBE":
		return request{subscribes, "sunsubscribe", len(w.words) - 1}
	case "MONITOR", "SYNC", "PSYNC":
		return request{class: streams}
	case "CLIENT":
		if len(w.words) == 3 && is(w.word(1), "REPLY") && !is(w.word(2), "ON") {
			return request{class: streams}
		}
	case "RESET":
		return request{class: hello2}
	case "HELLO":
		if len(w.words) > 1 && is(w.word(1), "3") {
			return request{class: hello3}
		}
		if len(w.words) > 1 {
			return request{class: hello2}
		}
	}
	return request{}
}

func is(word []byte, want string) bool { return bytes.EqualFold(word, []byte(want)) }

// upper appends word in capital letters, or nothing if it does not fit into dst:
// no name of interest is that long.
func upper(dst, word []byte) []byte {
	if len(word) > cap(dst) {
		return dst
	}
	for _, c := range word {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}
