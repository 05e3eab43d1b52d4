package retry_test

import (
	"testing"

	"go.uber.org/goleak"
)

// Nothing here starts a goroutine. That includes the hidden one of iter.Pull.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
