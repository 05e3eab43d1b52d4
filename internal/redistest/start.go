package redistest

import (
	"errors"
	"os"
	"testing"
)

// Start is Launch for a test or benchmark: the server is stopped when the test
// ends, and the end of its log is shown if the test failed.
//
// Without a redis-server in PATH the test is skipped; with SPOOL_REQUIRE_REDIS=1
// in the environment it fails, so that a run that must cover Redis cannot pass
// by skipping. Any other failure to start fails the test.
func Start(t testing.TB, opts ...Option) *Server {
	t.Helper()
	s, err := Launch(t.Context(), opts...)
	switch {
	case errors.Is(err, ErrMissing) && os.Getenv("SPOOL_REQUIRE_REDIS") == "1":
		t.Fatalf("SPOOL_REQUIRE_REDIS=1 and there is no redis-server: %v", err)
	case errors.Is(err, ErrMissing):
		t.Skipf("SKIPPED, NOT TESTED: this test needs a redis-server in PATH (%v)", err)
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if log := s.Log(); t.Failed() && log != "" {
			t.Logf("end of the log of redis-server at %s:\n%s", s.Addr(), log)
		}
		s.Stop()
	})
	return s
}
