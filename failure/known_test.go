package failure_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spooljobs/spool/failure"
)

var errInsufficient = errors.New("insufficient funds")

type quotaError struct {
	User  string
	Limit int
	Blob  []byte
	Cause error `msgpack:"-"`
}

func (e *quotaError) Error() string { return fmt.Sprintf("%s is over %d", e.User, e.Limit) }
func (e *quotaError) Unwrap() error { return e.Cause }

type codeError int

func (e codeError) Error() string { return fmt.Sprint("code ", int(e)) }

type listError []string

func (e listError) Error() string { return strings.Join(e, ", ") }

type unencodable struct{ C chan int }

func (*unencodable) Error() string { return "unencodable" }

type loopError struct{ Self *loopError }

func (*loopError) Error() string { return "loop" }

func declare(t *testing.T) *failure.Known {
	t.Helper()
	k := new(failure.Known)
	if err := errors.Join(
		k.Declare("bank.insufficient", errInsufficient),
		failure.DeclareType[*quotaError](k, "bank.quota"),
		failure.DeclareType[codeError](k, "code"),
		failure.DeclareType[listError](k, "list"),
		failure.DeclareType[*unencodable](k, "unencodable"),
		failure.DeclareType[*loopError](k, "loop"),
	); err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKnownErrorsCrossProcesses(t *testing.T) {
	t.Parallel()
	quota := &quotaError{User: "ann", Limit: 5, Cause: context.DeadlineExceeded}
	err := fmt.Errorf("transfer: %w", errors.Join(
		errors.New("other"),
		fmt.Errorf("deep: %w", fmt.Errorf("deeper: %w", errInsufficient)),
		quota, codeError(7), listError{"a", "b"}, &unencodable{}, &loopError{},
	))
	f := stored(t, failure.New(err, failure.Site{Known: declare(t)}))

	// Undeclared on this side: only what everyone knows.
	if !errors.Is(f, context.DeadlineExceeded) {
		t.Error("context.DeadlineExceeded is not known")
	}
	var q *quotaError
	if errors.Is(f, errInsufficient) || errors.As(f, &q) {
		t.Error("an undeclared error matches")
	}

	f.Resolve(declare(t))
	if !errors.Is(f, errInsufficient) {
		t.Error("the sentinel does not match")
	}
	if !errors.As(f, &q) || q.User != "ann" || q.Limit != 5 || q == quota {
		t.Errorf("the typed error is %+v", q)
	}
	var code codeError
	if !errors.As(f, &code) || code != 7 {
		t.Errorf("the number is %d", code)
	}
	var list listError
	if !errors.As(f, &list) || len(list) != 2 {
		t.Errorf("the list is %v", list)
	}
	if errors.Is(f, context.Canceled) {
		t.Error("context.Canceled matches")
	}
	var none *unencodable
	if errors.As(f, &none) {
		t.Error("an error without a value matches")
	}
	var again *failure.Failure
	if wrapped := fmt.Errorf("job: %w", f); !errors.As(wrapped, &again) || again != f || !errors.Is(wrapped, errInsufficient) {
		t.Error("a wrapped failure is not seen through")
	}
}

func TestKnownSurvivesASecondHop(t *testing.T) {
	t.Parallel()
	first := stored(t, failure.New(fmt.Errorf("a: %w", errInsufficient), siteOf(add, "inner")))
	second := stored(t, failure.New(fmt.Errorf("b: %w", first), failure.Site{Known: declare(t)}))
	if second.Resolve(declare(t)); errors.Is(second, errInsufficient) {
		t.Error("an error undeclared at the first hop matches")
	}
	first = stored(t, failure.New(fmt.Errorf("a: %w", errInsufficient), failure.Site{Args: "inner", Known: declare(t)}))
	for _, k := range []*failure.Known{nil, declare(t)} {
		second = stored(t, failure.New(fmt.Errorf("b: %w", first), failure.Site{Known: k}))
		if second.Resolve(declare(t)); !errors.Is(second, errInsufficient) {
			t.Error("the name was lost at the second hop")
		}
	}
	if len(second.Causes[0].Frames) != 1 {
		t.Errorf("the first job's frames were lost: %+v", second)
	}
	// Handed on as it is, it keeps the first job's frames in front of the second's.
	direct := stored(t, failure.New(first, siteOf(add, "outer")))
	if len(direct.Frames) != 2 || direct.Frames[0].Vars[0].Value != "inner" || direct.Frames[1].Vars[0].Value != "outer" {
		t.Errorf("frames of a failure handed on: %+v", direct.Frames)
	}
	// The middle knows it by another name than the end does.
	other := new(failure.Known)
	_ = other.Declare("other.name", errInsufficient)
	first.Resolve(declare(t))
	second = stored(t, failure.New(fmt.Errorf("b: %w", first), failure.Site{Known: other}))
	if second.Resolve(other); !errors.Is(second, errInsufficient) {
		t.Error("the middle's own name is not used")
	}
}

// What was not stored yet answers as the original error does.
func TestFreshFailureMatchesTheOriginal(t *testing.T) {
	t.Parallel()
	quota := &quotaError{User: "ann"}
	var all []error
	for i := range 2000 {
		all = append(all, fmt.Errorf("%d", i))
	}
	f := failure.New(errors.Join(append(all, quota, errInsufficient)...), failure.Site{})
	var q *quotaError
	if !errors.Is(f, errInsufficient) || !errors.Is(f, all[1500]) || !errors.As(f, &q) || q != quota {
		t.Error("the original error is not found")
	}
	if !errors.Is(f.Causes[3], all[3]) || errors.Is(f.Causes[3], all[4]) {
		t.Error("a part does not match its own original only")
	}
	if errors.Is(failure.New(listError{"x"}, failure.Site{}), listError{"x"}) {
		t.Error("errors that cannot be compared are equal")
	}
	// A custom Is counts.
	if !errors.Is(failure.New(isAnything{}, failure.Site{}), errInsufficient) {
		t.Error("the Is method was not asked")
	}
}

type isAnything struct{}

func (isAnything) Error() string { return "anything" }
func (isAnything) Is(error) bool { return true }
func (isAnything) As(any) bool   { return false }

func TestValuesThatCannotTravel(t *testing.T) {
	t.Parallel()
	loop := &loopError{}
	loop.Self = loop
	for _, err := range []error{
		&quotaError{Blob: make([]byte, 1<<20)}, &unencodable{make(chan int)}, loop, (*quotaError)(nil),
	} {
		f := failure.New(err, failure.Site{Known: declare(t)})
		if f.Name == "" || len(f.Value) > 1 {
			t.Errorf("%T: name %q, value of %d bytes", err, f.Name, len(f.Value))
		}
		g := stored(t, f)
		g.Resolve(declare(t))
		var q *quotaError
		var u *unencodable
		var l *loopError
		if errors.As(g, &q) || errors.As(g, &u) || errors.As(g, &l) {
			t.Errorf("%T matches without a value", err)
		}
	}
	// The other side declares another type under the name.
	f := stored(t, failure.New(&quotaError{User: "x"}, failure.Site{Known: declare(t)}))
	other := new(failure.Known)
	_ = failure.DeclareType[codeError](other, "bank.quota")
	f.Resolve(other)
	var code codeError
	if errors.As(f, &code) {
		t.Error("a value of another type matches")
	}
}

func TestDeclareRefusesMistakes(t *testing.T) {
	t.Parallel()
	k := declare(t)
	for name, err := range map[string]error{
		"empty":            k.Declare("", errors.New("")),
		"long":             k.Declare(strings.Repeat("x", 65), errors.New("")),
		"blank":            k.Declare("a b", errors.New("")),
		"letter":           k.Declare("ü", errors.New("")),
		"reserved":         k.Declare("context.canceled", errors.New("")),
		"reserved prefix":  k.Declare("context.mine", errors.New("")),
		"name twice":       k.Declare("bank.quota", errors.New("")),
		"error twice":      k.Declare("other", errInsufficient),
		"a built-in":       k.Declare("other", context.Canceled),
		"of declared type": k.Declare("other", codeError(4)),
		"nil":              k.Declare("other", nil),
		"not comparable":   k.Declare("other", listError{"x"}),
		"type: name":       failure.DeclareType[codeError](new(failure.Known), "!"),
		"type: name twice": failure.DeclareType[isAnything](k, "code"),
		"type twice":       failure.DeclareType[codeError](k, "other"),
		"an interface":     failure.DeclareType[interface{ error }](k, "other"),
		"a failure":        failure.DeclareType[*failure.Failure](k, "other"),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if !strings.HasPrefix(err.Error(), "failure: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := k.Declare(strings.Repeat("x", 64), errors.New("")); err != nil {
		t.Errorf("64 letters: %v", err)
	}
}
