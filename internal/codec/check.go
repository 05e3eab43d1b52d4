package codec

import (
	"encoding/binary"
	"fmt"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// MaxDepth is how many arrays and maps may be open at once: enough for any sane
// value, and far from what overflows a stack.
const MaxDepth = 32

// A MalformedError says why some bytes are not a value that may be decoded.
type MalformedError struct {
	Offset int    // where in the input
	Reason string // what is wrong there
}

func (e *MalformedError) Error() string {
	return fmt.Sprintf("codec: %s at byte %d", e.Reason, e.Offset)
}

const (
	truncated = "value is cut off"
	toolong   = "declared length exceeds the input"
	tooDeep   = "nesting is too deep"
	trailing  = "more bytes follow the value"
	reserved  = "code c1 is not used"
	emptyExt  = "extension without payload"
	interned  = "interned string"
)

// Check reports whether b may be decoded: it holds exactly one value, every
// length declared in it fits in the bytes that follow, and at most [MaxDepth]
// containers are open at once. It allocates nothing unless it returns an error,
// which is then a *[MalformedError].
//
// Two legal kinds of extension are refused as well. The library skips the header
// of an extension where it wants a map, and takes the payload for the map: the
// guard and the decoder would then read the same bytes differently, and the
// guard would have checked nothing. The source of a decoder (see source.go)
// stops this at the first payload byte, which an extension without payload does
// not have and an interned string reads by the same call as a map's header.
func Check(b []byte) error {
	end, err := walk(b, false)
	if err != nil {
		return err
	}
	if end != len(b) {
		return &MalformedError{end, trailing}
	}
	return nil
}

// Skip walks over exactly one value, under the rules of [Check], and returns
// what follows it. On error rest is b.
func Skip(b []byte) (rest []byte, err error) {
	end, err := walk(b, false)
	if err != nil {
		return b, err
	}
	return b[end:], nil
}

// walk returns the offset just behind the first value of b. It keeps a count of
// the values still to come in each open container, instead of recursing. With
// partial set, b may stop anywhere and lengths are believed; only the nesting
// and the codes are judged.
//
// That each length fits is not enough on its own: headers nested in headers may
// each claim all of the rest. It is enough here because every claimed value is
// then walked, too, and the bytes run out.
func walk(b []byte, partial bool) (int, error) {
	var left [MaxDepth]uint64
	depth := 0
	for i := 0; ; {
		if i >= len(b) {
			if partial {
				return i, nil
			}
			return 0, &MalformedError{i, truncated}
		}
		next, children, reason := token(b, i)
		if reason != "" {
			if partial && (reason == truncated || reason == toolong) {
				return i, nil
			}
			return 0, &MalformedError{i, reason}
		}
		if children > 0 {
			if children > uint64(len(b)-next) && !partial {
				return 0, &MalformedError{i, toolong}
			}
			if depth == MaxDepth {
				return 0, &MalformedError{i, tooDeep}
			}
			left[depth] = children
			depth++
			i = next
			continue
		}
		i = next
		for { // a value is complete; it may complete those around it
			if depth == 0 {
				return i, nil
			}
			if left[depth-1]--; left[depth-1] > 0 {
				break
			}
			depth--
		}
	}
}

// token reads the head at b[i], i < len(b). next is where the following token
// starts: behind the head of an array or map, behind all of anything else.
// children is how many values an array or map holds, a key and its value
// counting as two. reason is "" if all is well.
func token(b []byte, i int) (next int, children uint64, reason string) {
	c := b[i]
	i++
	var size uint64 // bytes of payload
	switch {
	case msgpcode.IsFixedNum(c):
		return i, 0, ""
	case msgpcode.IsFixedString(c):
		size = uint64(c & msgpcode.FixedStrMask)
	case msgpcode.IsFixedArray(c):
		return i, uint64(c & msgpcode.FixedArrayMask), ""
	case msgpcode.IsFixedMap(c):
		return i, 2 * uint64(c&msgpcode.FixedMapMask), ""
	default:
		width := lengthWidth(c)
		if len(b)-i < width {
			return 0, 0, truncated
		}
		var n uint64
		switch width {
		case 1:
			n = uint64(b[i])
		case 2:
			n = uint64(binary.BigEndian.Uint16(b[i:]))
		case 4:
			n = uint64(binary.BigEndian.Uint32(b[i:]))
		}
		i += width
		switch c {
		case msgpcode.Nil, msgpcode.False, msgpcode.True:
			return i, 0, ""
		case msgpcode.Array16, msgpcode.Array32:
			return i, n, ""
		case msgpcode.Map16, msgpcode.Map32:
			return i, 2 * n, ""
		case msgpcode.Uint8, msgpcode.Int8:
			size = 1
		case msgpcode.Uint16, msgpcode.Int16:
			size = 2
		case msgpcode.Uint32, msgpcode.Int32, msgpcode.Float:
			size = 4
		case msgpcode.Uint64, msgpcode.Int64, msgpcode.Double:
			size = 8
		case msgpcode.Str8, msgpcode.Str16, msgpcode.Str32,
			msgpcode.Bin8, msgpcode.Bin16, msgpcode.Bin32:
			size = n
		case msgpcode.FixExt1, msgpcode.FixExt2, msgpcode.FixExt4, msgpcode.FixExt8, msgpcode.FixExt16:
			n = 1 << (c - msgpcode.FixExt1)
			fallthrough
		case msgpcode.Ext8, msgpcode.Ext16, msgpcode.Ext32:
			if i == len(b) {
				return 0, 0, truncated
			}
			if int8(b[i]) == internedType {
				return 0, 0, interned
			}
			if n == 0 {
				return 0, 0, emptyExt
			}
			size = n + 1 // and the type
		default:
			return 0, 0, reserved
		}
	}
	if size > uint64(len(b)-i) {
		return 0, 0, toolong
	}
	return i + int(size), 0, ""
}

// internedType is the extension the library uses for strings it has seen before.
const internedType = -128

// lengthWidth is how many bytes of length follow code c.
func lengthWidth(c byte) int {
	switch c {
	case msgpcode.Str8, msgpcode.Bin8, msgpcode.Ext8:
		return 1
	case msgpcode.Str16, msgpcode.Bin16, msgpcode.Ext16, msgpcode.Array16, msgpcode.Map16:
		return 2
	case msgpcode.Str32, msgpcode.Bin32, msgpcode.Ext32, msgpcode.Array32, msgpcode.Map32:
		return 4
	}
	return 0
}
