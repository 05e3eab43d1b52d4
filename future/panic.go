package future

import (
	"fmt"
	"runtime/debug"
)

// PanicError is a panic as an error.
type PanicError struct {
	Type    string // of the value that panic was called with, such as "runtime.boundsError"
	Message string // that value, printed
	Stack   string // of the goroutine that panicked, as runtime/debug prints it

	err error // the value, if it is an error
}

// newPanicError must be called by the deferred function that recovers, while the
// stack of the panic is still there.
func newPanicError(v any) *PanicError {
	err, _ := v.(error)
	return &PanicError{
		Type:    fmt.Sprintf("%T", v),
		Message: fmt.Sprint(v), // a method that panics is reported in the text, by fmt
		Stack:   string(debug.Stack()),
		err:     err,
	}
}

// Error returns the message, marked as that of a panic. The stack is not in it.
func (e *PanicError) Error() string { return "panic: " + e.Message }

// Unwrap returns the value that panic was called with if it is an error, and nil
// otherwise.
func (e *PanicError) Unwrap() error { return e.err }
