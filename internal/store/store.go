// Package store is the only part of Spool that talks to Redis: the names of the keys, one typed method a script, the
// wire format and the keyspace checker. The rules it keeps are written down in lua/README.md and docs/design.md.
package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool/lua"
)

// CallBytes bounds the payload that one call moves, in either direction.
const CallBytes = 1 << 20

// CallItems bounds the jobs that one call names.
const CallItems = 500

// callArguments bounds the arguments of one call; some managed servers refuse 4,000.
const callArguments = 3500

// Redis is the little that the store needs of a go-redis client.
type Redis interface {
	Process(ctx context.Context, cmd redis.Cmder) error
}

// Store knows the scripts and the prefix. It is safe for concurrent use.
type Store struct {
	rdb     Redis
	prefix  string
	scripts map[string]*script
	errands func(queue string, resume, post bool)
}

type script struct {
	lua.Script
	sha string
}

// New returns a store on a client of go-redis. The prelude goes in front of every script; it is for tests.
func New(rdb Redis, prefix, prelude string) (*Store, error) {
	loaded, err := lua.Load(prelude)
	if err != nil {
		return nil, err
	}
	s := &Store{rdb: rdb, prefix: prefix, scripts: make(map[string]*script, len(loaded))}
	for verb, text := range loaded {
		s.scripts[verb] = &script{Script: text, sha: redis.NewScript(text.Source).Hash()}
	}
	return s, nil
}

// Tell has somebody told what calls leave for others to do in a queue: Resume it, deliver what is Outgoing. It is called
// before the store is used, and told from any goroutine.
func (s *Store) Tell(errands func(queue string, resume, post bool)) { s.errands = errands }

// On returns the same store speaking through another client.
func (s *Store) On(rdb Redis) *Store {
	return &Store{rdb: rdb, prefix: s.prefix, scripts: s.scripts, errands: s.errands}
}

// Prefix is the first part of every key.
func (s *Store) Prefix() string { return s.prefix }

// Queue returns the queue's methods. It does no I/O.
func (s *Store) Queue(name string) *Queue {
	q := &Queue{store: s, name: name, tag: Tag(s.prefix, name), keys: make(map[string][]any, len(s.scripts))}
	for verb, script := range s.scripts {
		keys := make([]any, len(script.Keys))
		for i, key := range script.Keys {
			keys[i] = q.tag + ":" + key
		}
		q.keys[verb] = keys
	}
	return q
}

// Queue is one queue's keys and the scripts that work on them.
type Queue struct {
	store *Store
	name  string
	tag   string
	keys  map[string][]any // by verb
}

// Name is the queue's name.
func (q *Queue) Name() string { return q.name }

// Key returns the full name of one of the queue's keys.
func (q *Queue) Key(name string) string { return q.tag + ":" + name }

// On returns the same queue speaking through another client.
func (q *Queue) On(rdb Redis) *Queue {
	return &Queue{store: q.store.On(rdb), name: q.name, tag: q.tag, keys: q.keys}
}

// errand passes on what a call has left to do.
func (q *Queue) errand(word string) {
	if word != "" && q.store.errands != nil {
		q.store.errands(q.name, strings.Contains(word, "r"), strings.Contains(word, "p"))
	}
}

// once is a command that go-redis does not send a second time by itself. It would otherwise replay a call whose
// reply was lost and hand out the second answer; repeating is our business, by number.
type once struct{ *redis.Cmd }

func (once) NoRetry() bool { return true }

// call runs a script and returns its reply, its word turned into an error.
func (q *Queue) call(ctx context.Context, verb string, args []any) ([]any, error) {
	return q.callKeys(ctx, verb, q.keys[verb], args)
}

func (q *Queue) callKeys(ctx context.Context, verb string, keys, args []any) ([]any, error) {
	script := q.store.scripts[verb]
	full := make([]any, 0, 3+len(keys)+len(args))
	full = append(full, "evalsha", script.sha, len(keys))
	full = append(full, keys...)
	full = append(full, args...)
	cmd := redis.NewCmd(ctx, full...)
	err := q.store.rdb.Process(ctx, once{cmd})
	if err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") {
		// Scripts may leave the server's cache at any time: that is normal. NOSCRIPT says that nothing ran.
		full[0], full[1] = "eval", script.Source
		cmd = redis.NewCmd(ctx, full...)
		err = q.store.rdb.Process(ctx, once{cmd})
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", verb, Classify(err))
	}
	reply, err := cmd.Slice()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", verb, err)
	}
	return reply, word(verb, reply)
}

// text returns an element of a reply as a string, or "".
func text(reply []any, i int) string {
	if i >= len(reply) {
		return ""
	}
	s, _ := reply[i].(string)
	return s
}

// number returns an element of a reply as a number, or 0: the scripts return decimal digits.
func number(reply []any, i int) int64 {
	n, _ := strconv.ParseInt(text(reply, i), 10, 64)
	return n
}

// places reads a list of places, counted from 1, into indexes.
func places(s string) []int {
	if s == "" {
		return nil
	}
	fields := strings.Fields(s)
	found := make([]int, 0, len(fields))
	for _, field := range fields {
		switch n, err := strconv.Atoi(field); {
		case err != nil:
		case n < 0:
			found = append(found, Unknown-n-1)
		default:
			found = append(found, n-1)
		}
	}
	return found
}

func ms(n int64) string { return strconv.FormatInt(n, 10) }
