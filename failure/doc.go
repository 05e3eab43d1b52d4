// Package failure turns a job's error into data that survives Redis.
//
// An error lives in one process: its type, its wrapped causes and the values it
// points to are gone once it is stored. A [Failure] is what can be kept: the
// type's name, the message, the chain of causes, the frames, and the handler's
// arguments as text. It is itself an error, and it can be an argument or a
// result of a job.
//
// # The story
//
// A handler fails. The worker calls [New] with the error, or [Recovered] with
// what it recovered, and a [Site] that says where the handler stands and what it
// was called with. Go cannot look into the variables of a frame, so the handler's
// frame shows its arguments: the fields of a struct by name, the entries of a map
// by key, anything else as the single variable "args". Everything is printed at
// once; a Failure holds no argument, and an object that later comes to hold the
// failure is no cycle.
//
// A fresh Failure knows the frames of the worker around the handler, and values
// of up to 4 KiB. [Failure.Encode] keeps less, the stored form: outer frames are
// dropped, and each printed value is cut to 20 characters followed by "[...]".
// Storing what was stored changes nothing: the bytes are the same.
//
// # Known errors
//
// In the process where it happened, [errors.Is] and [errors.As] on a Failure
// answer as they do on the error it was made from. Elsewhere they know only what
// both sides have declared under one name in a [Known] set; see
// [Failure.Resolve]. context.Canceled and context.DeadlineExceeded are known
// without that. A Failure has Is and As methods instead of Unwrap: the search has
// an end even where an error's Unwrap leads back to itself.
//
// # Printing
//
// Three forms (TW-28):
//
//   - default, %v and %s and Error: the message
//   - brief, [Failure.Brief]: one line with type, message and place
//   - verbose, %+v: type, message, frames with variables, and all causes
//
// # Limits
//
// Arguments are printed to a depth of 8, 4 KiB a value, 64 KiB in all. Unexported
// fields are left out, embedded ones with all they hold. A type that prints
// itself (slog.LogValuer, fmt.Formatter, error, fmt.Stringer) is asked to, so
// types that hide a secret keep it hidden. These methods, and Error and Unwrap of errors, run on a goroutine of their own:
// one that panics or calls runtime.Goexit leaves a placeholder, and after half a
// second in all the rest are not asked. A method that never returns keeps its
// goroutine; nothing can end it. A method that recurses without end overflows the
// stack, and ends the process, as it would under fmt.
//
// At most 256 errors of a tree are looked at, to a depth of 32. In the stored
// form, MessagePack or JSON, a failure takes less than 8 KiB, whatever it was
// made of: 1,024 bytes of message, 256 for each cause, 16 levels of causes, and
// as many frames and causes as fit. "[...]" stands where something was cut, and
// [Failure.Omitted] counts the causes left out. A declared error's value is
// stored if it takes at most 1 KiB.
//
// Arguments are read when the failure is made: a goroutine the handler left
// behind must not be writing to them.
package failure
