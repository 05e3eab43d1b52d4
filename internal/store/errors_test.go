package store_test

import (
	"errors"
	"io"
	"net"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool/internal/store"
)

// reply is an error that a server has answered with.
type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

func TestClassify(t *testing.T) {
	dial := &net.OpError{Op: "dial", Err: errors.New("refused")}
	for _, c := range []struct {
		err         error
		away, maybe bool
	}{
		{reply("READONLY You can't write against a read only replica."), true, false},
		{reply("LOADING Redis is loading the dataset in memory"), true, false},
		{reply("ERR Error running script (call to f_0123): @user_script:1: @user_script: 1: -READONLY You can't write"), true, false},
		{reply("ERR Error running script (call to f_0123): @user_script:1: WRONGTYPE Operation against a key"), false, false},
		{reply("WRONGTYPE Operation against a key holding the wrong kind of value"), false, false},
		{reply("OOM command not allowed when used memory > 'maxmemory'."), false, false},
		{dial, true, false},
		{redis.ErrPoolTimeout, true, false},
		{io.EOF, true, true},
		{&net.OpError{Op: "read", Err: errors.New("reset")}, true, true},
	} {
		err := store.Classify(c.err)
		if errors.Is(err, store.ErrAway) != c.away || store.MaybeExecuted(err) != c.maybe {
			t.Errorf("%v: %v", c.err, err)
		}
	}
	if err := store.Classify(reply("OOM command not allowed")); !errors.Is(err, store.ErrFull) {
		t.Errorf("full memory: %v", err)
	}
}
