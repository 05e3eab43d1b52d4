package spool

import (
	"errors"
	"fmt"
)

// Errors that callers tell apart with errors.Is. They come wrapped, with what was attempted in front.
var (
	// ErrUnknown: no job and no outcome is stored under the id. It was never put, or left nothing, or its outcome has
	// had its time.
	ErrUnknown = errors.New("spool: unknown job")
	// ErrIDTaken: another task, or other arguments, are stored under the id.
	ErrIDTaken = errors.New("spool: the id bears another job")
	// ErrTooLarge: the encoded job or result is larger than ClientConfig.MaxPayload.
	ErrTooLarge = errors.New("spool: too large")
	// ErrFull: Redis is out of memory. Nothing was stored.
	ErrFull = errors.New("spool: redis is full")
	// ErrDisconnected: Redis could not be reached in time. Nothing was done.
	ErrDisconnected = errors.New("spool: redis cannot be reached")
	// ErrUnsure: the answer was lost and waiting for it was given up. What was asked may have been done. Asking the
	// same again, with the same Partial or id, is safe.
	ErrUnsure = errors.New("spool: no answer, it may have been done")
	// ErrClosed: the client or worker was closed.
	ErrClosed = errors.New("spool: closed")
	// ErrBadState: the job is not in a state that allows it: it has begun, or has ended.
	ErrBadState = errors.New("spool: the job's state does not allow it")

	// ErrConflict: what a transaction has read was changed by others, as often as its policy allows. Nothing of it took
	// effect.
	ErrConflict = errors.New("spool: conflict: what was read has changed")
	// ErrBrokenCommit: Redis has applied a part of a transaction only. It is asked beforehand whether every write can
	// succeed, so this is a bug, or a server that is no Redis.
	ErrBrokenCommit = errors.New("spool: redis applied only part of the transaction")
	// ErrReadAfterWrite: what a transaction reads depends on what it has written and cannot be told before the commit.
	ErrReadAfterWrite = errors.New("spool: the transaction has written what it reads")
	// ErrNotFound: nothing is stored under the key.
	ErrNotFound = errors.New("spool: not found")
	// ErrIncomplete: the job has not ended yet.
	ErrIncomplete = errors.New("spool: the job has not ended")

	// ErrEndless: the outcome of a job would be that of another one, and so on, in a circle or a hundred times over.
	ErrEndless = errors.New("spool: outcomes that follow one another without end")

	// ErrCancelled: the job was cancelled.
	ErrCancelled = errors.New("spool: the job was cancelled")
	// ErrExpired: the job had not begun by its deadline.
	ErrExpired = errors.New("spool: the job did not begin by its deadline")
	// ErrAborted: the job was interrupted, by crashes of the processes that ran it, more often than it allows.
	ErrAborted = errors.New("spool: the job was interrupted too often")
)

// FieldError is bad input: which field, what it held, and the rule it broke. Nothing was sent to Redis.
type FieldError struct {
	Field string
	Value any
	Rule  string
}

// Error names the field, its value (cut to 100 characters) and the rule.
func (e *FieldError) Error() string {
	value := fmt.Sprintf("%.100s", fmt.Sprint(e.Value)) // a precision would fill a number with zeros
	if s, ok := e.Value.(string); ok {
		value = fmt.Sprintf("%.100q", s)
	}
	return fmt.Sprintf("spool: %s %s: %s", e.Field, value, e.Rule)
}
