package failure

import (
	"strings"
	"unicode/utf8"
)

// cost is how many bytes a rune takes in JSON, at most, which is never less than
// in MessagePack. Sizes are counted in this coin, so both forms stay in bounds.
func cost(r rune) int {
	switch {
	case r < ' ', r == 0x7f, r == '<', r == '>', r == '&', r == '\u2028', r == '\u2029', r == utf8.RuneError:
		return len(`\u0000`)
	case r == '"', r == '\\':
		return 2
	}
	return utf8.RuneLen(r)
}

func costOf(s string) int {
	n := 0
	for _, r := range s {
		n += cost(r)
	}
	return n
}

// cut returns s as valid UTF-8 of at most that many runes and that cost, and with
// the mark behind it if it was longer. A mark that is there already does not
// count: so cutting a second time changes nothing. Bytes that are no UTF-8 become
// U+FFFD one by one, for the same reason. It looks at no more of s than it keeps.
func cut(s string, runes, limit int) string {
	text, was := strings.CutSuffix(s, mark)
	end := len(text)
	for i, r := range text {
		runes--
		limit -= cost(r)
		if runes < 0 || limit < 0 {
			end, was = i, true
			break
		}
	}
	text = valid(text[:end])
	if was {
		text += mark
	}
	return text
}

// cutFront is cut for paths, whose end says most: the mark goes in front.
func cutFront(s string, limit int) string {
	text, was := strings.CutPrefix(s, mark)
	start := len(text)
	for start > 0 {
		r, size := utf8.DecodeLastRuneInString(text[:start])
		if limit -= cost(r); limit < 0 {
			was = true
			break
		}
		start -= size
	}
	text = valid(text[start:])
	if was {
		text = mark + text
	}
	return text
}

func valid(s string) string {
	if utf8.ValidString(s) {
		return strings.Clone(s) // what was cut off need not stay in memory
	}
	return string([]rune(s))
}
