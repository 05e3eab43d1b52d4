package spool_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/retry"
)

// The loop of a transaction on a fake clock: the acceptance cases A06 and A07, and what follows from TW-18 to TW-22.

// callSeconds are moments in whole seconds.
func callSeconds(at ...int) []time.Duration {
	var found []time.Duration
	for _, s := range at {
		found = append(found, time.Duration(s)*time.Second)
	}
	return found
}

// callQuietUntil looks second by second: nothing is sent and nothing ends before a moment of the run. At that moment
// the run ends, and then nothing is left.
func callQuietUntil(t *testing.T, n *callNet, r *callRun, at time.Duration) {
	t.Helper()
	synctest.Wait()
	var sent atomic.Int64
	n.mu.Lock()
	decide := n.decide
	n.decide = func(text string) callFate {
		sent.Add(1)
		if decide != nil {
			return decide(text)
		}
		return callPass
	}
	n.mu.Unlock()
	defer n.on(decide)
	for now := time.Since(r.began).Truncate(time.Second) + time.Second; now < at; now += time.Second {
		time.Sleep(now - time.Since(r.began))
		synctest.Wait()
		if r.settled() || sent.Load() > 0 {
			t.Errorf("at %v: settled %v, %d requests", now, r.settled(), sent.Load())
			return
		}
	}
	time.Sleep(at - time.Since(r.began) - time.Millisecond)
	synctest.Wait()
	if r.settled() || sent.Load() > 0 {
		t.Errorf("just before %v: settled %v, %d requests", at, r.settled(), sent.Load())
	}
	time.Sleep(time.Millisecond + time.Microsecond)
	synctest.Wait()
	if !r.settled() {
		t.Errorf("at %v it has not ended", at)
		<-r.done
	}
	sent.Store(0)
	time.Sleep(10 * time.Minute)
	if sent.Load() > 0 {
		t.Errorf("%d requests after it has ended", sent.Load())
	}
}

// callOnce breaks the first request that holds a word.
func callOnce(fate callFate, word string) func(string) callFate {
	used := false
	return func(sent string) callFate {
		if used || !strings.Contains(sent, word) {
			return callPass
		}
		used = true
		return fate
	}
}

// A06 (a): the link breaks at the first read. One wait of 5 s, then the result [TW-18 to TW-21].
func TestDisconnectAtTheFirstRead(t *testing.T) {
	t.Parallel()
	for name, fate := range map[string]callFate{"before it is sent": callCut, "before it is answered": callLose} {
		t.Run(name, func(t *testing.T) {
			inCallBubble(t, func(t *testing.T, n *callNet) {
				c, closed := n.client(t)
				defer closed()
				counter := spool.NewRef[int64]("count")
				n.on(callOnce(fate, "evalsha"))
				result := int64(0)
				r := callGo(t.Context(), c, func(ctx context.Context, tx *spool.Tx) (err error) {
					result, err = callChange(ctx, tx, counter, 1)
					return err
				})
				callQuietUntil(t, n, r, 5*time.Second)
				if r.err != nil || result != 1 || !slices.Equal(r.begun(), callSeconds(0, 5)) {
					t.Errorf("%v, result %d, begun at %v", r.err, result, r.begun())
				}
				if got := must(n.b.mini.Get("count"))(t); got != "1" {
					t.Errorf("the count is %s", got)
				}
			})
		})
	}
}

// A06 (b): the commit fails before it reaches the server, at each of its steps, or its answer is lost. It is applied once.
func TestDisconnectAtTheCommit(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name  string
		word  string
		fate  callFate
		begun []time.Duration
	}{
		{"watching", "watch", callCut, callSeconds(0, 5)},
		{"watching, no answer", "watch", callLose, callSeconds(0, 5)},
		{"executing", "multi", callCut, callSeconds(0, 5)},
		{"executing, no answer", "multi", callLose, callSeconds(0)}, // it is asked for, and was done
	} {
		t.Run(x.name, func(t *testing.T) {
			inCallBubble(t, func(t *testing.T, n *callNet) {
				c, closed := n.client(t)
				defer closed()
				counter := spool.NewRef[int64]("count")
				if err := callStore(c, "count", 3); err != nil { // the server knows the scripts
					t.Fatal(err)
				}
				n.on(callOnce(x.fate, x.word))
				result := int64(0)
				hooks := 0
				r := callGo(t.Context(), c, func(ctx context.Context, tx *spool.Tx) (err error) {
					tx.OnCommit(func(context.Context) { hooks++ })
					result, err = callChange(ctx, tx, counter, 1)
					return err
				})
				callQuietUntil(t, n, r, 5*time.Second)
				if r.err != nil || result != 4 || hooks != 1 || !slices.Equal(r.begun(), x.begun) {
					t.Errorf("%v, result %d, %d hooks, begun at %v", r.err, result, hooks, r.begun())
				}
				if got := must(n.b.mini.Get("count"))(t); got != "4" {
					t.Errorf("the count is %s", got)
				}
				if commits, conflicts := c.Transactions(); commits != 2 || conflicts != 0 {
					t.Errorf("%d commits, %d conflicts", commits, conflicts)
				}
			})
		})
	}
}

// A07: thirty disconnects, although the limit of conflicts is five [TW-19].
func TestThirtyDisconnects(t *testing.T) {
	t.Parallel()
	linear := []time.Duration{}
	for i := range 30 {
		linear = append(linear, min(time.Duration(5*i+5), 60)*time.Second)
	}
	other := callSeconds(4, 6, 8, 10, 12, 14, 16, 18, 20)
	for len(other) < 30 {
		other = append(other, 21*time.Second)
	}
	for _, x := range []struct {
		name   string
		cfg    spool.TxConfig
		waits  []time.Duration
		all    time.Duration
		broken string
	}{
		{"defaults, at the read", spool.TxConfig{}, linear, 1470 * time.Second, "evalsha"},
		{"defaults, at the commit", spool.TxConfig{}, linear, 1470 * time.Second, "watch"},
		{"4, 2, 21", spool.TxConfig{Retry: retry.Policy{Disconnects: retry.Linear(4*time.Second, 2*time.Second, 21*time.Second)}}, other, 549 * time.Second, "evalsha"},
	} {
		t.Run(x.name, func(t *testing.T) {
			inCallBubble(t, func(t *testing.T, n *callNet) {
				c, closed := n.client(t)
				defer closed()
				broken := 30
				n.on(func(sent string) callFate {
					if broken > 0 && strings.Contains(sent, x.broken) {
						broken--
						return callCut
					}
					return callPass
				})
				var seen int
				r := callGo(t.Context(), c, func(ctx context.Context, tx *spool.Tx) error {
					seen = tx.Attempts()
					_, err := callChange(ctx, tx, spool.NewRef[int64]("count"), 1)
					return err
				}, x.cfg)
				<-r.done
				if r.err != nil {
					t.Fatal(r.err)
				}
				begun := r.begun()
				var waits []time.Duration
				for i := range begun[1:] {
					waits = append(waits, begun[i+1]-begun[i])
				}
				if !slices.Equal(waits, x.waits) || begun[len(begun)-1] != x.all || seen != 31 {
					t.Errorf("%d attempts, %v in all, waits %v", seen, begun[len(begun)-1], waits)
				}
				if got := must(n.b.mini.Get("count"))(t); got != "1" {
					t.Errorf("the count is %s", got)
				}
			})
		})
	}
}

// The answer to the commit is lost, and then the link is down for long: the function does not run again, and the commit
// is applied once.
func TestAnswerLostThenDisconnects(t *testing.T) {
	t.Parallel()
	inCallBubble(t, func(t *testing.T, n *callNet) {
		log := &callLog{}
		c, closed := n.client(t, func(cfg *spool.ClientConfig) { cfg.Logger = callLogger(log) })
		defer closed()
		if err := callStore(c, "count", 3); err != nil {
			t.Fatal(err)
		}
		lost, broken := false, 9
		n.on(func(sent string) callFate {
			switch {
			case !lost && strings.Contains(sent, "exec") && strings.Contains(sent, "multi"):
				lost = true
				return callLose
			case lost && broken > 0 && strings.Contains(sent, "evalsha"):
				broken--
				return callCut
			}
			return callPass
		})
		r := callGo(t.Context(), c, func(ctx context.Context, tx *spool.Tx) error {
			_, err := callChange(ctx, tx, spool.NewRef[int64]("count"), 1)
			return err
		})
		<-r.done
		// 5 + 10 + ... + 50, ten waits: the first one and one for each broken question.
		if took := time.Since(r.began).Round(time.Millisecond); r.err != nil || took != 275*time.Second || len(r.begun()) != 1 {
			t.Errorf("%v after %v, begun at %v", r.err, took, r.begun())
		}
		if got := must(n.b.mini.Get("count"))(t); got != "4" {
			t.Errorf("the count is %s", got)
		}
		if entries := log.retries(); len(entries) != 10 {
			t.Errorf("of ten waits %d are in the log", len(entries))
		}
	})
}

// Disconnects and conflicts are counted apart, and neither resets the other; conflicts do not wait [TW-22].
func TestDisconnectsAndConflictsAreCountedApart(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		plan  string // d: the read breaks, c: somebody else writes
		begun []time.Duration
		want  error
	}{
		{"dcdcdcdcdd", callSeconds(0, 5, 5, 15, 15, 30, 30, 50, 50, 75, 105), nil},
		{"ddddddc", callSeconds(0, 5, 15, 30, 50, 75, 105, 105), nil},
		{"dcdcdcdcdc", callSeconds(0, 5, 5, 15, 15, 30, 30, 50, 50, 75), spool.ErrConflict},
		{"cccddddc", callSeconds(0, 0, 0, 0, 5, 15, 30, 50, 50), nil},
		{"ccccddddc", callSeconds(0, 0, 0, 0, 0, 5, 15, 30, 50), spool.ErrConflict},
	} {
		t.Run(x.plan, func(t *testing.T) {
			inCallBubble(t, func(t *testing.T, n *callNet) {
				c, closed := n.client(t)
				defer closed()
				var step atomic.Int64
				var reading atomic.Bool
				next := func(what byte) bool {
					if i := int(step.Load()); i >= len(x.plan) || x.plan[i] != what {
						return false
					}
					step.Add(1)
					return true
				}
				n.on(func(sent string) callFate {
					if strings.Contains(sent, "evalsha") && reading.Load() && next('d') {
						return callCut
					}
					return callPass
				})
				r := callGo(t.Context(), c, func(ctx context.Context, tx *spool.Tx) error {
					reading.Store(true)
					_, err := callChange(ctx, tx, spool.NewRef[int64]("count"), 1)
					reading.Store(false)
					if err != nil {
						return err
					}
					if next('c') {
						return n.b.mini.Set("count", strconv.Itoa(100*int(step.Load())))
					}
					return nil
				})
				<-r.done
				if !errors.Is(r.err, x.want) || (x.want == nil) != (r.err == nil) {
					t.Errorf("got %v", r.err)
				}
				begun := r.begun()
				for i := range begun {
					begun[i] = begun[i].Round(time.Second)
				}
				if !slices.Equal(begun, x.begun) {
					t.Errorf("begun at %v", begun)
				}
			})
		})
	}
}

// A server that is there but does not work is a disconnect: it loads, is a replica, or is busy [TW-18].
func TestServerThatDoesNotWorkIsADisconnect(t *testing.T) {
	t.Parallel()
	for _, reply := range []string{"LOADING Redis is loading the dataset in memory", "READONLY You can't write against a read only replica.",
		"CLUSTERDOWN Hash slot not served", "TRYAGAIN Multiple keys request during rehashing of slot", "MASTERDOWN Link with MASTER is down",
		"BUSY Redis is busy running a script"} {
		t.Run(strings.Fields(reply)[0], func(t *testing.T) {
			inCallBubble(t, func(t *testing.T, n *callNet) {
				c, closed := n.client(t)
				defer closed()
				n.b.mini.SetError(reply)
				r := callGo(t.Context(), c, func(ctx context.Context, tx *spool.Tx) error {
					_, err := callChange(ctx, tx, spool.NewRef[int64]("count"), 1)
					return err
				})
				time.Sleep(20 * time.Second)
				n.b.mini.SetError("")
				<-r.done
				begun := r.begun()
				for i := range begun {
					begun[i] = begun[i].Truncate(time.Second) // a new connection is greeted several times
				}
				if r.err != nil || !slices.Equal(begun, callSeconds(0, 5, 15, 30)) {
					t.Errorf("%v, begun at %v", r.err, begun)
				}
			})
		})
	}
}

// A function may look at a disconnect and say something else: what it wraps counts.
func TestWrappedDisconnectIsOne(t *testing.T) {
	t.Parallel()
	inCallBubble(t, func(t *testing.T, n *callNet) {
		c, closed := n.client(t)
		defer closed()
		n.on(callOnce(callCut, "evalsha"))
		r := callGo(t.Context(), c, func(ctx context.Context, tx *spool.Tx) error {
			if _, err := callChange(ctx, tx, spool.NewRef[int64]("count"), 1); err != nil {
				return errors.Join(errors.New("adding"), err)
			}
			return nil
		})
		callQuietUntil(t, n, r, 5*time.Second)
		if r.err != nil {
			t.Error(r.err)
		}
	})
}

// A policy may end a call at its first disconnect.
func TestNoDisconnectsEndsAtTheFirst(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]error{"evalsha": spool.ErrDisconnected, "watch": spool.ErrDisconnected, "multi": spool.ErrUnsure} {
		t.Run(word, func(t *testing.T) {
			inCallBubble(t, func(t *testing.T, n *callNet) {
				c, closed := n.client(t)
				defer closed()
				if err := callStore(c, "count", 3); err != nil {
					t.Fatal(err)
				}
				n.on(callOnce(callCut, word))
				r := callGo(t.Context(), c, func(ctx context.Context, tx *spool.Tx) error {
					_, err := callChange(ctx, tx, spool.NewRef[int64]("count"), 1)
					return err
				}, spool.TxConfig{Retry: retry.Never()})
				<-r.done
				if !errors.Is(r.err, want) || time.Since(r.began) > time.Second {
					t.Errorf("%v after %v", r.err, time.Since(r.began))
				}
				if got := must(n.b.mini.Get("count"))(t); got != "3" {
					t.Errorf("the count is %s", got)
				}
			})
		})
	}
}

// A job's handler waits out disconnects and conflicts like a bare transaction, and none is a failed attempt.
func TestJobThatReadsThroughDisconnects(t *testing.T) {
	t.Parallel()
	inCallBubble(t, func(t *testing.T, n *callNet) {
		c, closed := n.client(t)
		defer closed()
		w := spool.NewWorker(c, spool.WorkerConfig{Logger: quiet})
		var attempts, tries []int
		var at []time.Duration
		began := time.Now()
		credit.HandleTx(w, func(ctx context.Context, tx *spool.Tx, args credits) (int64, error) {
			at = append(at, time.Since(began))
			attempts, tries = append(attempts, spool.Running(ctx).Attempt()), append(tries, tx.Attempts())
			return addTo(ctx, tx, args)
		})
		j := must(credit.Put(t.Context(), c, credits{"count", 1}))(t)
		broken := 3
		read := callSHA(t, "read")
		n.on(func(sent string) callFate {
			if broken > 0 && strings.Contains(sent, read) {
				broken--
				return callCut
			}
			return callPass
		})
		cancel, done := run(w)
		if got := must(j.Wait(t.Context()))(t); got != 1 {
			t.Errorf("got %d", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		for i := range at {
			at[i] = (at[i] - at[0]).Round(time.Second)
		}
		if !slices.Equal(at, callSeconds(0, 5, 15, 30)) || !slices.Equal(attempts, []int{1, 1, 1, 1}) || !slices.Equal(tries, []int{1, 2, 3, 4}) {
			t.Errorf("at %v, attempts of the job %v, of the transaction %v", at, attempts, tries)
		}
	})
}
