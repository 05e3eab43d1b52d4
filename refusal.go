package spool

import (
	"fmt"

	"github.com/spooljobs/spool/internal/store"
)

// refusalError says in the public words why a transaction took no effect.
func refusalError(r *store.Refusal, t *store.Transaction) error {
	switch {
	case r.Word == store.RefusedConflict && r.Index < len(t.Reads):
		return conflictOver(t.Reads[r.Index].Keys)
	case (r.Word == store.RefusedPut || r.Word == store.RefusedUnknown) && r.Index < len(t.Puts):
		it := &t.Puts[r.Index]
		return fmt.Errorf("%w: %q", refusedPut(it, r.Word == store.RefusedUnknown), it.ID)
	case r.Word == store.RefusedCheck && r.Index < len(t.Checks):
		return checkError(t.Checks[r.Index].Kind, t.Checks[r.Index].Args)
	case r.Word == store.RefusedBroken && r.Index < len(t.Writes):
		return fmt.Errorf("%w: %s: %s", ErrBrokenCommit, t.Writes[r.Index][0], r.Reason)
	}
	return fmt.Errorf("spool: a transaction was refused: %s %d", r.Word, r.Index)
}

// checkError says what a write would have failed of.
func checkError(kind string, args []string) error {
	key := args[0]
	switch kind {
	case "type":
		return &FieldError{"key", key, "holds another type than " + args[1] + "; nothing was written"}
	case "lset":
		return &FieldError{"key", key, "is a list without an index " + args[1] + ", or no list; nothing was written"}
	case "hint", "hfloat":
		return &FieldError{"key", key, "has a field " + args[1] + " that is no number in range, or is no hash; nothing was written"}
	}
	return &FieldError{"key", key, "holds no number in range; nothing was written"}
}
