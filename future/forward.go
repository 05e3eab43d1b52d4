package future

// Forward links f to a promise: when f settles, the promise settles with the same
// outcome, and until then f is the promise's owner. One future may be forwarded to
// many promises, and keeps its outcome for all who ask it.
//
//   - A target that has settled or was cancelled meanwhile is left alone. That is no
//     error, neither for f nor for who settles f.
//   - From now on Settle of the promise returns ErrOwned. So does a second Forward to
//     it.
//   - If f is cancelled and ends in an error, the promise is cancelled with that error:
//     its OnCancel functions are called. Cancelling it again has no effect.
//   - Cancelling the promise's future does not cancel f.
//
// The target's own context stays in force. If f has settled, the promise has when
// Forward returns. Futures that are forwarded in a circle settle only if one is
// cancelled.
func (f *Future[T]) Forward(to *Promise[T]) error {
	to.mu.Lock()
	if to.owned {
		to.mu.Unlock()
		return ErrOwned
	}
	to.owned = true
	to.mu.Unlock()
	f.OnSettle(func(value T, err error) {
		if err != nil && f.wasCancelled() {
			to.future.cancelWith(err)
			return
		}
		to.future.settle(value, err)
	})
	return nil
}
