package embedded

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/spooljobs/spool"
)

// Test returns a client on a Redis of the test's own, under a prefix of its own. When the test has ended, the keyspace
// is checked, what is inconsistent is reported as a failure of the test, and client and server are closed.
func Test(t testing.TB) *spool.Client {
	t.Helper()
	client, err := Open(context.Background(), spool.ClientConfig{Prefix: Prefix(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Check(context.Background()); err != nil {
			t.Errorf("the keyspace is inconsistent:\n%v", err)
		}
		if err := client.Close(); err != nil {
			t.Errorf("closing the client: %v", err)
		}
	})
	return client
}

// Prefix makes a prefix of a test's name: tests that run side by side on one server never meet.
func Prefix(t testing.TB) string {
	clean := strings.Map(func(r rune) rune {
		if ('a' <= r && r <= 'z') || ('A' <= r && r <= 'Z') || ('0' <= r && r <= '9') {
			return r
		}
		return '-'
	}, t.Name())
	// Long names are told apart by a sum at their end.
	sum := uint32(2166136261)
	for _, c := range []byte(t.Name()) {
		sum = (sum ^ uint32(c)) * 16777619
	}
	if len(clean) > 40 {
		clean = clean[:40]
	}
	return fmt.Sprintf("%s-%08x", clean, sum)
}
