package future

import (
	"context"
	"testing"
)

// A Map forgets look-ups that were given up, and those that were answered.
func TestMapForgets(t *testing.T) {
	t.Parallel()
	m := NewMap[string, int](nil)
	ctx, stop := context.WithCancel(t.Context())
	a, b := m.Future(ctx, "k"), m.Future(t.Context(), "k")
	stop()
	m.Future(ctx, "k")
	<-a.Done()
	if n := len(m.waiting["k"]); n != 1 {
		t.Errorf("%d wait, want 1", n)
	}
	b.Cancel()
	m.Future(t.Context(), "l")
	m.Set("l", 1)
	if len(m.waiting) != 0 {
		t.Errorf("%d keys are waited for", len(m.waiting))
	}
}
