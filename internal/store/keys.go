package store

import "strings"

// Key types as TYPE names them.
const (
	hash = "hash"
	zset = "zset"
	list = "list"
)

// table lists every key a queue has. lua/README.md says what they hold; the checker reads against this table.
var table = map[string]string{
	"jobs": hash, "history": hash, "outcomes": hash, "watched": hash, "checkpoints": hash, "outbox": hash, "edges": hash, "faults": hash, "workers": hash,
	"calls": hash, "lines": hash, "meta": hash,
	"ready:thread": zset, "ready:reactor": zset, "due:thread": zset, "due:reactor": zset,
	"suspect:thread": zset, "suspect:reactor": zset, "parked": zset, "kinds": zset,
	"active": zset, "deadlines": zset, "done": zset, "quarantine": zset, "engines": zset, "dying": zset,
	"lastcalls": zset, "leaving": zset, "waiting": zset, "adopting": zset, "callbacks": zset, "outgoing": zset, "inbox": zset,
	"wake:thread": list, "wake:reactor": list,
}

// Tag is the part of every key of a queue that decides its slot in a cluster.
func Tag(prefix, queue string) string { return "{" + prefix + ":" + queue + "}" }

// split tells a key of ours apart: its prefix and queue, and its name.
func split(key string) (tag, name string, ok bool) {
	if !strings.HasPrefix(key, "{") {
		return "", "", false
	}
	tag, name, ok = strings.Cut(key[1:], "}:")
	return tag, name, ok
}
