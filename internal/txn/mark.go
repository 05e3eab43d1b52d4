package txn

import (
	"crypto/sha1"
	"encoding/hex"
	"strconv"
)

// ReplyError is an error that Redis answered a read with. It is an answer like any other: the commit asks again and
// expects it again.
type ReplyError string

// Error is the text of Redis.
func (e ReplyError) Error() string { return string(e) }

// RedisError makes it an error of go-redis, for redis.HasErrorPrefix and its like.
func (ReplyError) RedisError() {}

// wrongType is what Redis answers if a key holds another type.
const wrongType = ReplyError("WRONGTYPE Operation against a key holding the wrong kind of value")

// markMax is the length from which on a mark is a digest.
const markMax = 64

// Mark is what the commit compares of a scalar answer: "-" for nil, "$" and the text of a string, ":" and the digits
// of an int64, "!" and the text of a [ReplyError]. From 64 bytes on it is "#" and the SHA-1 of all that, in hex. Of
// anything else, such as a slice, it is "".
func Mark(reply any) string {
	var mark string
	switch r := reply.(type) {
	case nil:
		mark = "-"
	case string:
		mark = "$" + r
	case int64:
		mark = ":" + strconv.FormatInt(r, 10)
	case ReplyError:
		mark = "!" + string(r)
	}
	if len(mark) < markMax {
		return mark
	}
	sum := sha1.Sum([]byte(mark))
	return "#" + hex.EncodeToString(sum[:])
}
