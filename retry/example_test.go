package retry_test

import (
	"fmt"
	"time"

	"github.com/spooljobs/spool/retry"
)

func ExampleConstant() {
	for d := range retry.Times(2, retry.Constant(time.Second)) {
		fmt.Println(d)
	}
	// Output:
	// 1s
	// 1s
}

func ExampleOf() {
	for d := range retry.Of(0, time.Second, time.Minute) {
		fmt.Println(d)
	}
	// Output:
	// 0s
	// 1s
	// 1m0s
}

func ExampleLinear() {
	seq := retry.Linear(5*time.Second, 5*time.Second, 20*time.Second)
	for d := range retry.Times(5, seq) {
		fmt.Println(d)
	}
	// Output:
	// 5s
	// 10s
	// 15s
	// 20s
	// 20s
}

func ExampleExponential() {
	for d := range retry.Times(4, retry.Exponential(100*time.Millisecond, 500*time.Millisecond)) {
		fmt.Println(d)
	}
	// Output:
	// 100ms
	// 200ms
	// 400ms
	// 500ms
}

func ExampleExponentialBy() {
	for d := range retry.Times(4, retry.ExponentialBy(time.Second, 1.5, time.Minute)) {
		fmt.Println(d)
	}
	// Output:
	// 1s
	// 1.5s
	// 2.25s
	// 3.375s
}

func ExampleDoubling() {
	for d := range retry.Doubling() {
		fmt.Println(d)
	}
	// Output:
	// 0s
	// 10ms
	// 20ms
	// 40ms
	// 80ms
	// 160ms
	// 320ms
	// 640ms
	// 1.28s
	// 2.56s
}

func ExampleInc() {
	triple := func(d time.Duration) time.Duration { return 3 * d }
	seq := retry.Doubling(retry.Now(false), retry.Results(5), retry.Init(time.Second),
		retry.Ceiling(10*time.Second), retry.Inc(triple))
	for d := range seq {
		fmt.Println(d)
	}
	// Output:
	// 1s
	// 3s
	// 9s
	// 10s
	// 10s
}

func ExampleNth() {
	policy := retry.Times(4, retry.Exponential(time.Second, time.Minute))
	fmt.Println(retry.Nth(policy, 3))
	fmt.Println(retry.Nth(policy, 5))
	// Output:
	// 4s true
	// 0s false
}

func ExampleJitterFrom() {
	half := func() float64 { return 0.5 } // rand.Float64 is what Jitter uses
	base := retry.Times(3, retry.Exponential(time.Second, time.Minute))
	for d := range retry.JitterFrom(base, retry.Full, half) {
		fmt.Println(d)
	}
	// Output:
	// 500ms
	// 1s
	// 2s
}
