package future_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/spooljobs/spool/future"
)

// A function runs, someone else waits, and a third makes something of the value.
func Example() {
	ctx := context.Background()
	text := future.Go(ctx, func(ctx context.Context) (string, error) {
		return "42", nil // after some time
	})
	number := future.Then(text, strconv.Atoi)

	fmt.Println(number.Wait(ctx))
	fmt.Println(text.Wait(ctx))
	// Output:
	// 42 <nil>
	// 42 <nil>
}

func ExampleGo() {
	ctx := context.Background()
	good := future.Go(ctx, func(context.Context) (int, error) { return 42, nil })
	bad := future.Go(ctx, func(context.Context) (int, error) { panic("out of paper") })
	fmt.Println(good.Wait(ctx))
	fmt.Println(bad.Wait(ctx))
	// Output:
	// 42 <nil>
	// 0 panic: out of paper
}

// A constructor that takes its time, and begins when it is first needed: sync.OnceValue
// sees to it that it runs once, whoever starts it.
func ExampleGo_startedLater() {
	type conn struct{ addr string }
	dial := sync.OnceValue(func() *future.Future[*conn] {
		return future.Go(context.Background(), func(context.Context) (*conn, error) {
			fmt.Println("dialing")
			return &conn{"localhost"}, nil
		})
	})
	for range 2 {
		c, err := dial().Wait(context.Background())
		fmt.Println(c.addr, err)
	}
	// Output:
	// dialing
	// localhost <nil>
	// localhost <nil>
}

func ExampleFuture_Cancel() {
	f := future.Go(context.Background(), func(ctx context.Context) (int, error) {
		<-ctx.Done() // a function that obeys its context
		return 0, ctx.Err()
	})
	f.Cancel()
	fmt.Println(f.Wait(context.Background()))
	// Output: 0 context canceled
}

// To wait no longer is not to cancel.
func ExampleFuture_Wait() {
	p := future.NewPromise[int](context.Background())
	impatient, stop := context.WithCancel(context.Background())
	stop()
	fmt.Println(p.Future().Wait(impatient))

	_ = p.Settle(42, nil)
	fmt.Println(p.Future().Wait(context.Background()))
	// Output:
	// 0 context canceled
	// 42 <nil>
}

func ExamplePromise() {
	ctx := context.Background()
	p := future.NewPromise[int](ctx)
	p.OnCancel(func() { fmt.Println("nobody wants it") })
	p.Future().Cancel()
	fmt.Println(p.Settle(42, nil))
	fmt.Println(p.Future().Err())
	// Output:
	// nobody wants it
	// future: settled already
	// context canceled
}

func ExampleThen() {
	half := func(n int) (int, error) {
		if n%2 != 0 {
			return 0, errors.New("odd")
		}
		return n / 2, nil
	}
	f := future.Settled(6, nil)
	once := future.Then(f, half) // has run: f has settled
	twice := future.Then(once, half)
	fmt.Println(once.Value(), once.Err())
	fmt.Println(twice.Value(), twice.Err())
	// Output:
	// 3 <nil>
	// 0 odd
}

// What takes long runs in a function of its own.
func ExampleFlatten() {
	ctx := context.Background()
	name := future.Settled("ann", nil)
	balance := future.Flatten(future.Then(name, func(name string) (*future.Future[int], error) {
		return future.Go(ctx, func(context.Context) (int, error) { return len(name) * 100, nil }), nil
	}))
	fmt.Println(balance.Wait(ctx))
	// Output: 300 <nil>
}

func ExampleFuture_Forward() {
	ctx := context.Background()
	source, target := future.NewPromise[string](ctx), future.NewPromise[string](ctx)
	_ = source.Future().Forward(target)
	fmt.Println(target.Settle("mine", nil))

	_ = source.Settle("hey", nil)
	fmt.Println(target.Future().Wait(ctx))
	// Output:
	// future: the promise belongs to another future
	// hey <nil>
}

func ExampleFirst() {
	ask := func(mirror string, reachable bool) func(context.Context) (string, error) {
		return func(ctx context.Context) (string, error) {
			if !reachable {
				return "", errors.New(mirror + " is down")
			}
			return "from " + mirror, nil
		}
	}
	ctx := context.Background()
	fmt.Println(future.First(ctx, ask("east", false), ask("west", true)))

	_, err := future.First(ctx, ask("east", false), ask("west", false))
	fmt.Println(err)
	// Output:
	// from west <nil>
	// future: First: all 2 failed: east is down; west is down
}

func ExampleAll() {
	square := func(n int) func(context.Context) (int, error) {
		return func(context.Context) (int, error) { return n * n, nil }
	}
	fmt.Println(future.All(context.Background(), square(2), square(3), square(4)))
	// Output: [4 9 16] <nil>
}

// At the end of a program: no more work is added, and what there is may finish.
func ExamplePool() {
	var pool future.Pool
	work := future.NewPromise[int](context.Background())
	pool.Add(work.Future())
	go func() { _ = work.Settle(42, nil) }()

	<-pool.Empty() // or, beside it, a context that ends: then pool.Cancel()
	fmt.Println(work.Future().Value())
	// Output: 42
}

func ExampleMap() {
	ctx := context.Background()
	var addresses future.Map[string, string]
	waits := addresses.Future(ctx, "ann")
	addresses.Set("ann", "10.0.0.1")
	fmt.Println(waits.Wait(ctx))
	fmt.Println(addresses.Get(ctx, "ann"))
	fmt.Println(addresses.Delete("bob"))
	// Output:
	// 10.0.0.1 <nil>
	// 10.0.0.1 <nil>
	// future: no such key: bob
}

// printer opens slowly. Its methods stand behind a gate.
type printer struct{ gate *future.Gate }

func newPrinter(ctx context.Context, warmUp func(context.Context) error) *printer {
	return &printer{future.NewGate(ctx, warmUp)}
}

func (p *printer) Print(ctx context.Context, page string) error {
	return p.gate.Do(ctx, func() error {
		fmt.Println("printing", page)
		return nil
	})
}

func ExampleGate() {
	ctx := context.Background()
	p := newPrinter(ctx, func(context.Context) error { return nil })
	fmt.Println(p.Print(ctx, "page 1"))

	broken := newPrinter(ctx, func(context.Context) error { return errors.New("out of paper") })
	fmt.Println(broken.Print(ctx, "page 1"))
	// Output:
	// printing page 1
	// <nil>
	// out of paper
}

func ExampleThrough() {
	ctx := context.Background()
	open := make(chan struct{})
	gate := future.NewGate(ctx, func(context.Context) error { <-open; return nil })
	print := func(page int) *future.Future[int] {
		return future.Through(ctx, gate, func(context.Context) (int, error) {
			fmt.Println("page", page)
			return page, nil
		})
	}
	print(1)
	print(2)
	last := print(3)
	close(open)
	fmt.Println(last.Wait(ctx))
	// Output:
	// page 1
	// page 2
	// page 3
	// 3 <nil>
}
