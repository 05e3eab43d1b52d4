// Package retry gives back-off sequences: how long to wait before each attempt.
//
// A sequence is an iter.Seq[time.Duration]. The package does not wait, count
// attempts or call anything; the caller ranges over a sequence and does that:
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
package retry
