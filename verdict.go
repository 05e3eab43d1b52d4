package spool

import (
	"errors"
	"time"
)

// A handler says by what it returns how its run ended. A value with a nil error is success; an error is failure, and
// the job's retry policy decides whether it runs again. The functions here wrap an error to say otherwise. Of nested
// ones the outermost counts.

type verdictKind int

const (
	verdictFinal verdictKind = iota
	verdictRetryAfter
	verdictSnooze
	verdictCancelled
	verdictKeep
	verdictBecome
)

// verdictError is an error that says what is to happen.
type verdictError struct {
	kind verdictKind
	wait time.Duration
	err  error

	become *jobRef
}

func (v *verdictError) Error() string {
	switch {
	case v.kind == verdictBecome:
		return "another job is to answer"
	case v.err == nil:
		return "snoozed"
	}
	return v.err.Error()
}

func (v *verdictError) Unwrap() error { return v.err }

// Final fails the job with err, whatever its retry policy says. Final(nil) is nil.
func Final(err error) error {
	if err == nil {
		return nil
	}
	return &verdictError{kind: verdictFinal, err: err}
}

// RetryAfter counts a failed attempt and runs the job again after d, whatever its retry policy says, unless its
// deadline is before that. At 0 or less it is first in line. RetryAfter(d, nil) is nil.
func RetryAfter(d time.Duration, err error) error {
	if err == nil {
		return nil
	}
	return &verdictError{kind: verdictRetryAfter, wait: d, err: err}
}

// Snooze runs the job again after d without counting an attempt, unless its deadline is before that.
func Snooze(d time.Duration) error {
	return &verdictError{kind: verdictSnooze, wait: d}
}

// Cancelled ends the job as cancelled, with err as the reason. Cancelled(nil) gives no reason.
func Cancelled(err error) error {
	if err == nil {
		err = ErrCancelled
	}
	return &verdictError{kind: verdictCancelled, err: err}
}

// KeepWrites fails with err, and commits: what the transaction has written, and the jobs it has put, take effect together
// with the failure, where any other error drops them. The retry policy counts as for any error. In a handler without a
// transaction there is nothing to keep. KeepWrites(nil) is nil. (A failure that was returned, not raised, in zc.twist.)
func KeepWrites(err error) error {
	if err == nil {
		return nil
	}
	return &verdictError{kind: verdictKeep, err: err}
}

// keptError is the error whose writes are to be kept, or nil.
func keptError(err error) error {
	for v := (*verdictError)(nil); errors.As(err, &v); err = v.err {
		if v.kind == verdictKeep {
			return v.err
		}
	}
	return nil
}

// commits says whether what a transactional handler has written takes effect if it returns this.
func commits(err error) bool { return err == nil || keptError(err) != nil || becoming(err) != nil }

// verdictOf splits an error into what it says is to happen and what it is about.
func verdictOf(err error) (v *verdictError, about error) {
	if errors.As(err, &v) {
		if v.kind == verdictKeep {
			return verdictOf(v.err) // what is to happen to the writes is another question
		}
		if v.err == nil {
			return v, err
		}
		// What was wrapped around the verdict stays part of the failure's message.
		if err != error(v) {
			return v, err
		}
		return v, v.err
	}
	return nil, err
}
