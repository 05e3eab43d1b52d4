// Package future holds the small asynchronous pieces that are needed inside one
// process: a value that is not there yet, functions that race, a pool that says
// when it is empty, a map whose look-ups wait, a gate for things that open
// slowly.
//
// A goroutine, a channel and a context do most of this in Go, and where they do
// it well there is no type here: the examples show the queue with a limit at
// both ends, the call that equal callers share and the constructor that takes
// its time. What is left is what people write again and again, with the corners
// done once: a second call, an error, a panic, a cancellation.
//
// # The story
//
// [Go] runs a function in a goroutine and gives its [Future]. Any number of
// goroutines may wait for it. Where there is no function to run, a [Promise] is
// the other end of a future: its owner settles it.
//
// [Then] makes the next future of one that is there, [Flatten] one future of two,
// and [Future.Forward] hands an outcome to somebody else's promise. [First] and
// [All] run several functions and wait for them.
//
// # Outcomes
//
// A future settles once, with a value or with an error, and keeps that outcome.
// With an error there is no value: what a function returns beside its error is
// dropped. A panic becomes a [PanicError].
//
// # Cancellation
//
// It goes both ways. Whoever holds a future may call [Future.Cancel], and who
// makes the value is told. Whoever makes the value may give up, or the context
// under it may end, and those who wait are told, with an error.
//
//   - The future of a [Promise] settles at once, with context.Canceled. The owner
//     hears of it by [Promise.OnCancel].
//   - The future of [Go] settles when its function has returned, and so who has
//     waited for it knows that no goroutine is left. Cancel ends the context of the
//     function and leaves the outcome to it.
//   - [Then] and [Flatten] make a chain: to cancel one end cancels the other.
//   - [Future.Forward] makes a branch: what ends the source ends the target, and
//     the source does not care what becomes of the target.
//
// Who merely does not want to wait any longer ends the context given to
// [Future.Wait]. That cancels nothing.
//
// # Goroutines
//
// Go, First, All, NewGate and Through start goroutines, one for each function, and
// each ends when its function does. Nothing else does, except that a context which
// ends under a promise has the promise cancelled in a short-lived goroutine of
// package context.
//
// Future is the Deferred of Twisted, cut down to what a language with goroutines
// needs. First, Pool, Map, Forward and Gate follow pieces that Terry Jones wrote
// around it: txdpce, DeferredPool, DeferredDict, chainDeferred and the class that
// waits for an initial deferred.
package future
