package spool_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
)

// What a context that ends does to a transaction, in each of its phases.

var errCallTired = errors.New("tired of waiting")

func TestContextEndsInEachPhase(t *testing.T) {
	t.Parallel()
	type scene struct {
		n      *callNet
		c      *spool.Client
		giveUp func()
	}
	for name, x := range map[string]struct {
		cfg   spool.TxConfig
		setUp func(t *testing.T, s *scene) (undo func())
		fn    func(ctx context.Context, tx *spool.Tx, s *scene) error
		want  error // beside the cause
		count string
	}{
		"before": {
			setUp: func(t *testing.T, s *scene) func() { s.giveUp(); return nil },
			fn: func(ctx context.Context, tx *spool.Tx, s *scene) error {
				_, err := callChange(ctx, tx, spool.NewRef[int64]("count"), 1)
				return err
			},
			count: "3",
		},
		"waiting for a connection": {
			setUp: func(t *testing.T, s *scene) func() {
				let, r := callHold(t.Context(), s.c, "held")
				time.AfterFunc(time.Second, s.giveUp)
				return func() { let(); <-r.done }
			},
			fn: func(ctx context.Context, tx *spool.Tx, s *scene) error {
				_, err := callChange(ctx, tx, spool.NewRef[int64]("count"), 1)
				return err
			},
			count: "3",
		},
		"between reading and committing": {
			setUp: func(t *testing.T, s *scene) func() { return nil },
			fn: func(ctx context.Context, tx *spool.Tx, s *scene) error {
				_, err := callChange(ctx, tx, spool.NewRef[int64]("count"), 1)
				s.giveUp()
				return err
			},
			count: "3",
		},
		"waiting after a disconnect": {
			setUp: func(t *testing.T, s *scene) func() {
				s.n.on(callOnce(callCut, "evalsha"))
				time.AfterFunc(time.Second, s.giveUp)
				return nil
			},
			fn: func(ctx context.Context, tx *spool.Tx, s *scene) error {
				_, err := callChange(ctx, tx, spool.NewRef[int64]("count"), 1)
				return err
			},
			count: "3",
		},
		"waiting to ask what became of the commit": {
			setUp: func(t *testing.T, s *scene) func() {
				s.n.on(callOnce(callLose, "multi"))
				time.AfterFunc(time.Second, s.giveUp)
				return nil
			},
			fn: func(ctx context.Context, tx *spool.Tx, s *scene) error {
				_, err := callChange(ctx, tx, spool.NewRef[int64]("count"), 1)
				return err
			},
			want:  spool.ErrUnsure,
			count: "4",
		},
		"between attempts without end": {
			setUp: func(t *testing.T, s *scene) func() { return nil },
			cfg:   spool.TxConfig{},
			fn: func(ctx context.Context, tx *spool.Tx, s *scene) error {
				if tx.Attempts() == 3 {
					s.giveUp()
				}
				return spool.ErrConflict
			},
			count: "3",
		},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			inCallBubble(t, func(t *testing.T, n *callNet) {
				c, closed := n.client(t, callConnections(1))
				defer closed()
				if err := callStore(c, "count", 3); err != nil {
					t.Fatal(err)
				}
				ctx, giveUp := context.WithCancelCause(t.Context())
				s := &scene{n, c, func() { giveUp(errCallTired) }}
				undo := x.setUp(t, s)
				var steps callSteps
				r := callGo(ctx, c, func(ctx context.Context, tx *spool.Tx) error {
					steps.add("f")
					tx.OnAbort(steps.hook("abort"))
					tx.OnCommit(steps.hook("commit"))
					return x.fn(ctx, tx, s)
				}, x.cfg)
				<-r.done
				if took := time.Since(r.began); took > time.Second {
					t.Errorf("it took %v", took)
				}
				if name == "between attempts without end" {
					if !errors.Is(r.err, errCallTired) && !errors.Is(r.err, spool.ErrConflict) || len(r.begun()) != 3 {
						t.Errorf("%v after %d attempts", r.err, len(r.begun()))
					}
				} else if !errors.Is(r.err, errCallTired) || x.want != nil && !errors.Is(r.err, x.want) {
					t.Errorf("got %v", r.err)
				}
				if name != "between attempts without end" {
					steps.want(t, "f", "abort")
				}
				n.on(nil)
				if undo != nil {
					undo()
				}
				synctest.Wait()
				if used, _, _ := c.Connections(); used != 0 {
					t.Errorf("%d connections are in use", used)
				}
				if got := must(n.b.mini.Get("count"))(t); got != x.count {
					t.Errorf("the count is %s", got)
				}
				if err := callStore(c, "count", 9); err != nil {
					t.Errorf("the next transaction: %v", err)
				}
			})
		})
	}
}

// While Redis does not answer a read, or the commit, the caller may go. What was committed stays committed.
func TestContextEndsWhileRedisDoesNotAnswer(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for _, held := range []string{"EVALSHA", "WATCH"} {
			proxy := s.proxied(t)
			c := s.clientAt(t, proxy.Addr())
			key := s.mine(held)
			if err := callStore(c, key, 3); err != nil {
				t.Fatal(err)
			}
			ctx, giveUp := context.WithCancelCause(within(t))
			release := make(chan struct{})
			proxy.OnRequest(func(cmd []string) redistest.Action {
				if cmd[0] == held {
					giveUp(errCallTired)
					return redistest.Hold(release)
				}
				return redistest.Pass()
			})
			done := make(chan error, 1)
			go func() {
				done <- c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
					_, err := callChange(ctx, tx, spool.NewRef[int64](key), 1)
					return err
				})
			}()
			if held == "EVALSHA" { // a read: nobody has to wait for it
				if err := <-done; !errors.Is(err, errCallTired) {
					t.Errorf("reading: %v", err)
				}
				close(release)
			} else {
				// The look is on its way. Its answer is worth having: the transaction ends either way, and says how.
				close(release)
				err := <-done
				n := callCount(t, s.raw(t), key)
				if (err == nil) != (n == 4) {
					t.Errorf("%v, and the count is %d", err, n)
				}
			}
			proxy.OnRequest(nil)
		}
	})
}

// The deadline of a context ends a transaction like its cancelling.
func TestDeadlineEndsATransaction(t *testing.T) {
	t.Parallel()
	inCallBubble(t, func(t *testing.T, n *callNet) {
		c, closed := n.client(t)
		defer closed()
		n.b.mini.SetError("LOADING")
		ctx, cancel := context.WithTimeout(t.Context(), 47*time.Second)
		defer cancel()
		r := callGo(ctx, c, func(ctx context.Context, tx *spool.Tx) error {
			_, err := callChange(ctx, tx, spool.NewRef[int64]("count"), 1)
			return err
		})
		<-r.done
		n.b.mini.SetError("")
		if took := time.Since(r.began); !errors.Is(r.err, context.DeadlineExceeded) || took != 47*time.Second || len(r.begun()) != 4 {
			t.Errorf("%v after %v and %d attempts", r.err, took, len(r.begun()))
		}
	})
}

// Closing the client ends what waits.
func TestCloseEndsATransaction(t *testing.T) {
	t.Parallel()
	inCallBubble(t, func(t *testing.T, n *callNet) {
		c, closed := n.client(t)
		n.b.mini.SetError("LOADING")
		r := callGo(t.Context(), c, func(ctx context.Context, tx *spool.Tx) error {
			_, err := callChange(ctx, tx, spool.NewRef[int64]("count"), 1)
			return err
		})
		time.Sleep(12 * time.Second)
		closed()
		<-r.done
		n.b.mini.SetError("")
		if took := time.Since(r.began); !errors.Is(r.err, spool.ErrClosed) || took != 12*time.Second {
			t.Errorf("%v after %v", r.err, took)
		}
	})
}
