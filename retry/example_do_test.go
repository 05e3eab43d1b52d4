package retry_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spooljobs/spool/retry"
)

var errBusy, errGone = errors.New("busy"), errors.New("gone")

func ExampleDo() {
	answers := []error{errBusy, errBusy, nil}
	fetch := func(context.Context) (string, error) {
		err := answers[0]
		answers = answers[1:]
		return "page", err
	}
	page, failures, err := retry.Do(context.Background(), retry.Doubling(), fetch, nil)
	fmt.Println(page, failures, err)
	// Output: page [busy busy] <nil>
}

// What is there to be tried again is for the caller to say.
func ExampleDo_tester() {
	answers := []error{errBusy, errGone}
	fetch := func(context.Context) (string, error) {
		err := answers[0]
		answers = answers[1:]
		return "page", err
	}
	onlyBusy := func(err error) error {
		if errors.Is(err, errBusy) {
			return nil // try again
		}
		return err
	}
	waits := retry.Times(5, retry.Constant(time.Millisecond))
	_, failures, err := retry.Do(context.Background(), waits, fetch, onlyBusy)
	fmt.Println(failures)
	fmt.Println(err)
	// Output:
	// [busy gone]
	// gone
}
