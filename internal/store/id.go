package store

import "encoding/hex"

// Ids of Spool's own are UUIDs of version 7: 32 hex digits outside, 16 bytes in Redis, where each id stands twice
// (with its record and in the set that is its state), so that a pending job costs 32 bytes less. The two forms
// cannot be mixed up: the first byte of such a UUID is below 0x20 until the year 3084, and a user's own id has no
// byte that low.

const packed = 16

// PackID returns the form of an id that is stored.
func PackID(id string) string {
	if len(id) != 2*packed || id[12] != '7' {
		return id
	}
	var raw [packed]byte
	if _, err := hex.Decode(raw[:], []byte(id)); err != nil || raw[0] >= 0x20 || hex.EncodeToString(raw[:]) != id {
		return id
	}
	return string(raw[:])
}

// UnpackID returns the form of a stored id that users see.
func UnpackID(stored string) string {
	if len(stored) != packed || stored[0] >= 0x20 {
		return stored
	}
	return hex.EncodeToString([]byte(stored))
}

// Generated tells whether an id has the form of those Spool draws.
func Generated(id string) bool { return len(PackID(id)) == packed && PackID(id)[0] < 0x20 }
