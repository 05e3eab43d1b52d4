package future_test

import (
	"context"
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/spooljobs/spool/future"
)

// No test leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBoom = errors.New("boom")

// settledWith checks that a future has settled, and with what. What Wait, Value and
// Err say must agree.
func settledWith[T comparable](t *testing.T, f *future.Future[T], value T, err error) {
	t.Helper()
	select {
	case <-f.Done():
	default:
		t.Fatal("not settled")
	}
	v, e := f.Wait(ended())
	if v != value || !errors.Is(e, err) || (err == nil) != (e == nil) {
		t.Errorf("settled with %v, %v, want %v, %v", v, e, value, err)
	}
	if f.Value() != v || f.Err() != e {
		t.Errorf("Value and Err say %v, %v, Wait says %v, %v", f.Value(), f.Err(), v, e)
	}
}

func pending[T comparable](t *testing.T, f *future.Future[T]) {
	t.Helper()
	var none T
	select {
	case <-f.Done():
		t.Fatalf("settled with %v, %v", f.Value(), f.Err())
	default:
	}
	if f.Value() != none || f.Err() != nil {
		t.Errorf("not settled, and yet %v, %v", f.Value(), f.Err())
	}
}

// ended is a context that has ended.
func ended() context.Context {
	ctx, stop := context.WithCancel(context.Background())
	stop()
	return ctx
}

// untilCancelled is a function for Go that obeys its context and does nothing else.
func untilCancelled[T any](ctx context.Context) (T, error) {
	<-ctx.Done()
	var none T
	return none, ctx.Err()
}

func is(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}
