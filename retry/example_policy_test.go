package retry_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/spooljobs/spool/retry"
)

func ExamplePolicy() {
	// Ten attempts that conflict, and an hour at most between disconnects.
	policy := retry.Policy{
		Conflicts:   10,
		Disconnects: retry.Exponential(time.Second, time.Hour),
	}
	count := policy.Begin()
	for range 3 {
		fmt.Println(count.Disconnect())
	}
	fmt.Println(count.Conflict())
	// Output:
	// 1s true
	// 2s true
	// 4s true
	// 0s true
}

func ExamplePolicy_Begin() {
	conflict, disconnect := errors.New("conflict"), errors.New("disconnect")
	results := []error{conflict, disconnect, disconnect, conflict, nil}
	attempt := func() error {
		err := results[0]
		results = results[1:]
		return err
	}

	count := retry.Common().Begin()
	for again := true; again; {
		err := attempt()
		var wait time.Duration
		switch err {
		case conflict:
			wait, again = count.Conflict()
		case disconnect:
			wait, again = count.Disconnect()
		default: // success, or an error that is an answer
			fmt.Println("ended after", count.Attempts(), "attempts:", err)
			return
		}
		fmt.Println(err, wait) // wait, or end with the context
	}
	// Output:
	// conflict 0s
	// disconnect 5s
	// disconnect 10s
	// conflict 0s
	// ended after 5 attempts: <nil>
}

func ExamplePolicy_Check() {
	fmt.Println(retry.Policy{Conflicts: -5}.Check())
	// Output:
	// retry: Policy: Conflicts must be a number of conflicts, 0 for the default, or Unlimited, got -5
}

func ExampleCommon() {
	count := retry.Common().Begin()
	for range 5 {
		fmt.Println(count.Conflict())
	}
	// Output:
	// 0s true
	// 0s true
	// 0s true
	// 0s true
	// 0s false
}

func ExampleForever() {
	count := retry.Forever().Begin()
	for range 3 {
		fmt.Println(count.Trouble())
	}
	// Output:
	// 0s true
	// 1s true
	// 2s true
}

func ExampleNever() {
	count := retry.Never().Begin()
	fmt.Println(count.Conflict())
	fmt.Println(count.Disconnect())
	// Output:
	// 0s false
	// 0s false
}

func ExamplePatientFrom() {
	half := func() float64 { return 0.5 } // rand.Float64 is what Patient uses
	count := retry.PatientFrom(half).Begin()
	for range 4 {
		fmt.Println(count.Conflict())
	}
	// Output:
	// 500ms true
	// 1s true
	// 2s true
	// 0s false
}
