// Package retry says whether and when to try again: back-off sequences, and
// policies made of them.
//
// A sequence is an iter.Seq[time.Duration], the waits before the attempts. Do
// ranges over one, waits and calls. The rest of the package does neither; the
// caller does:
//
//	for d := range retry.Times(3, retry.Exponential(time.Second, time.Minute)) {
//		// wait d, try, stop on success
//	}
//
// Three rules hold for every sequence made here.
//
//   - A sequence keeps no state. Ranging over it again starts from the first
//     value, and any number of goroutines may range over one sequence at once.
//   - No value is negative and none passes the ceiling. Arithmetic that would
//     overflow gives the ceiling instead.
//   - A constructor panics when an argument makes no sense, with a message
//     that names the argument, as regexp.MustCompile does. Arguments are
//     usually constants, so the mistake shows at the first start.
//
// A sequence with a ceiling goes on for ever. Times cuts it off. An empty
// sequence is a valid one and means no attempt at all.
//
// A Policy is for transactions, which fail in more than one way: a conflict is
// usually run again at once and a few times, a disconnect later and for as long
// as it takes. Common, Forever, Never and Patient are ready-made. A Policy is a
// value that keeps no state either; the Count that Begin gives keeps it for one
// call:
//
//	count := retry.Common().Begin()
//	// after a conflict:
//	wait, again := count.Conflict()
package retry
