package store

import (
	"errors"
	"testing"

	"github.com/spooljobs/spool/internal/redistest"
)

// With its memory full, Redis refuses a script at its first write that adds, unless one that removes came before it.
// What must go on then goes on; what is refused is refused as a whole (k3).
func TestFullMemory(t *testing.T) {
	server := redistest.Start(t)
	refused := map[string]bool{"put": true, "schedule": true, "edit": true, "commit": true, "transact": true, "deliver": true}
	on(t, server.Addr(), func(t *testing.T, b *bed) {
		for verb := range scriptsOf(t) {
			here := b.sub(t, verb)
			call := scenes[verb](t, here)
			// The script is in the server's cache by now or it is not: sending it must work either way.
			if err := b.rdb.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
				t.Fatal(err)
			}
			before := here.dump(t)
			err := call()
			if refused[verb] {
				if !errors.Is(err, ErrFull) {
					t.Errorf("%s: %v", verb, err)
				}
				here.unchanged(t, before)
			} else if err != nil {
				t.Errorf("%s: %v", verb, err)
			}
			if err := b.rdb.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
				t.Fatal(err)
			}
			if refused[verb] {
				if err := call(); err != nil {
					t.Errorf("%s with memory free again: %v", verb, err)
				}
			}
		}
	})
}
