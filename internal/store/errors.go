package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Errors that callers tell apart. Everything else a call returns is Redis's own error, wrapped.
var (
	// ErrGone: the engine is not registered, or was declared dead.
	ErrGone = errors.New("the engine is not registered")
	// ErrStale: a newer call of the same line was applied before.
	ErrStale = errors.New("a newer call was applied before")
	// ErrFull: Redis is out of memory and refused the call as a whole.
	ErrFull = errors.New("redis is out of memory")
	// ErrAway: Redis could not be reached, or will not work just now. See Executed.
	ErrAway = errors.New("redis is away")
)

// AwayError is a call that got no answer for reasons that pass.
type AwayError struct {
	Maybe bool // it may have been executed: the request was sent
	Err   error
}

func (e *AwayError) Error() string { return fmt.Sprintf("redis is away: %v", e.Err) }

// Unwrap makes errors.Is find ErrAway and the cause.
func (e *AwayError) Unwrap() []error { return []error{ErrAway, e.Err} }

// waits lists replies that say "not executed, not now".
var waits = [...]string{"TRYAGAIN", "CLUSTERDOWN", "LOADING", "READONLY", "MASTERDOWN", "UNBLOCKED", "NOREPLICAS", "BUSY", "MISCONF",
	"ERR max number of clients", "max number of clients"}

// wrapped is how Redis before 7 begins an error that a command in a script has raised.
const wrapped = "ERR Error running script"

// Classify decides what an error of go-redis says about the call: not executed, perhaps executed, refused.
func Classify(err error) error {
	if err == nil || errors.Is(err, redis.Nil) {
		return err
	}
	if errors.Is(err, redis.ErrClosed) || errors.Is(err, ErrAway) {
		return err // or it was classified before
	}
	var reply redis.Error
	if errors.As(err, &reply) && !errors.Is(err, redis.ErrPoolTimeout) {
		text := reply.Error()
		for _, prefix := range waits {
			// Before Redis 7 an error in a script comes wrapped, its own text behind a dash.
			if strings.HasPrefix(text, prefix) || (strings.HasPrefix(text, wrapped) && strings.Contains(text, "-"+prefix)) {
				return &AwayError{Err: err}
			}
		}
		if strings.HasPrefix(text, "OOM") || strings.Contains(text, "OOM command not allowed") {
			return fmt.Errorf("%w: %w", ErrFull, err)
		}
		return err
	}
	var dial *net.OpError
	switch {
	case errors.As(err, &dial) && dial.Op == "dial", errors.Is(err, redis.ErrPoolTimeout):
		return &AwayError{Err: err}
	case errors.Is(err, context.Canceled):
		return &AwayError{Maybe: true, Err: err}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.DeadlineExceeded):
		return &AwayError{Maybe: true, Err: err}
	}
	// What is neither a reply nor a failed dial broke on the wire, after the request may have left.
	return &AwayError{Maybe: true, Err: err}
}

// word turns the first element of a script's reply into an error. It is the only place where that is done.
func word(verb string, reply []any) error {
	if len(reply) < 2 {
		return fmt.Errorf("%s: a reply of %d elements", verb, len(reply))
	}
	switch reply[0] {
	case "ok", "again":
		return nil
	case "gone":
		return ErrGone
	case "stale":
		return ErrStale
	}
	return fmt.Errorf("%s: unknown word %q", verb, reply[0])
}
