package failure_test

import (
	"errors"
	"fmt"

	"github.com/spooljobs/spool/failure"
)

var ErrInsufficient = errors.New("insufficient funds")

type Transfer struct {
	From, To string
	Amount   int
	Note     string
}

func transfer(t Transfer) error {
	return fmt.Errorf("transfer from %s: %w", t.From, ErrInsufficient)
}

// A worker captures what its handler returned, and stores it. The process that
// waits for the job decodes it, and finds the error both sides have declared.
func Example() {
	known := new(failure.Known)
	if err := known.Declare("bank.insufficient", ErrInsufficient); err != nil {
		panic(err)
	}

	// The worker.
	args := Transfer{"ann", "bob", 100, "for the tickets to the concert"}
	at := failure.SiteOf(transfer)
	at.Args, at.Known = args, known
	at.File, at.Line = "transfer.go", 20 // for an output that does not change
	stored := failure.New(transfer(args), at).Encode()

	// The waiting process.
	f, err := failure.Decode(stored)
	if err != nil {
		panic(err)
	}
	f.Resolve(known)
	fmt.Println(f)
	fmt.Println(errors.Is(f, ErrInsufficient))
	fmt.Println(f.Brief())
	fmt.Printf("%+v\n", f)
	// Output:
	// transfer from ann: insufficient funds
	// true
	// *fmt.wrapError: transfer from ann: insufficient funds (transfer.go:20)
	// *fmt.wrapError: transfer from ann: insufficient funds
	//     in github.com/spooljobs/spool/failure_test.transfer (transfer.go:20)
	//         From = ann
	//         To = bob
	//         Amount = 100
	//         Note = for the tickets to t[...]
	//   caused by *errors.errorString: insufficient funds [bank.insufficient]
}

func ExampleRecovered() {
	at := failure.SiteOf(transfer)
	handle := func() (f *failure.Failure) {
		returned := false
		defer func() {
			if !returned {
				f = failure.Recovered(recover(), at)
			}
		}()
		panic("no such account")
	}
	fmt.Printf("%T %v\n", handle(), handle().Panic)
	fmt.Println(handle())
	// Output:
	// *failure.Failure true
	// no such account
}

func ExampleDeclareType() {
	known := new(failure.Known)
	if err := failure.DeclareType[*quotaError](known, "bank.quota"); err != nil {
		panic(err)
	}
	err := fmt.Errorf("deposit: %w", &quotaError{User: "ann", Limit: 3})
	f, _ := failure.Decode(failure.New(err, failure.Site{Known: known}).Encode())
	f.Resolve(known)
	var quota *quotaError
	fmt.Println(errors.As(f, &quota), quota.User, quota.Limit)
	// Output: true ann 3
}
