// Package txn is the memory of one optimistic transaction: what it has read, what it wants to write, and what must be
// asked of Redis before those writes can be made. It does no I/O.
//
// A transaction reads from Redis and remembers each command with its answer. Its writes are buffered. At the commit
// one script asks every read again, asks the checks, and only if all hold, writes. So a write must never fail once the
// script has begun to write: what can be refused is refused when the command is given ([Parse], [Log.Write]), and the
// rest is a [Check].
//
// Two tables name the commands that may be used: reads.go those whose answer depends on the named keys alone,
// writes.go those whose demands on what is stored can be told beforehand. Everything else is refused, with the reason
// where there is one to give.
//
// A transaction sees its own writes. [Log.Answer] tells them from the buffer where that can be told, and refuses with
// [ErrReadAfterWrite] where it cannot. It never answers with what was there before.
package txn
