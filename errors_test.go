package spool_test

import (
	"strings"
	"testing"

	"github.com/spooljobs/spool"
)

func TestFieldErrorShowsItsValueAsItIs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value any
		want  string
	}{
		{5000, "5000"}, {-7, "-7"}, {1.5, "1.5"}, {nil, "<nil>"}, {"a b", `"a b"`}, {[]int{1, 2}, "[1 2]"},
		{strings.Repeat("x", 300), `"` + strings.Repeat("x", 100) + `"`},
		{[]string{strings.Repeat("x", 300)}, "[" + strings.Repeat("x", 99)},
	} {
		err := &spool.FieldError{Field: "F", Value: c.value, Rule: "must not"}
		if got, want := err.Error(), "spool: F "+c.want+": must not"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
