package spool_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/internal/redistest"
)

// A play is two or three transactions, of Transact and of jobs, that share a few keys. A scheduler holds each before
// every call it makes and lets one go at a time, in an order that is drawn. Whatever the order, and though some calls are
// lost, what they have read and written must be as if they had run one after another, in the order of their commits.

// cue is one line of a party's part: it reads a key, or writes what follows from what it has read.
type cue struct {
	Key   int
	Write bool
}

// part is what one party does.
type part struct {
	Party int
	Base  string // of the keys
	Lines []cue
	Large bool // too large for a shared call, so that only WATCH guards what it has read
}

// stored is what a party commits besides: who it was and what it has read.
type stored struct {
	Party int
	Reads []int
}

// say does a part, with a store that is Redis or a model.
func (p part) say(get func(key int) (int, error), set func(key, value int) error) (reads []int, err error) {
	sum := p.Party
	for _, l := range p.Lines {
		if l.Write {
			if err := set(l.Key, 10*sum+p.Party); err != nil {
				return nil, err
			}
			continue
		}
		v, err := get(l.Key)
		if err != nil {
			return nil, err
		}
		reads = append(reads, v)
		sum = (3*sum + v) % 1_000_003
	}
	return reads, nil
}

func (p part) key(k int) string { return fmt.Sprint(p.Base, "/k", k) }

// act does a part in a transaction.
func act(ctx context.Context, tx *spool.Tx, p part) (spool.None, error) {
	reads, err := p.say(func(k int) (int, error) { return tx.Do(ctx, "GET", p.key(k)).Int() },
		func(k, v int) error { return tx.Do(ctx, "SET", p.key(k), v).Err() })
	if err != nil {
		return spool.None{}, err
	}
	if p.Large {
		if err := tx.Do(ctx, "SET", path.Dir(p.Base)+"/blob", blob).Err(); err != nil {
			return spool.None{}, err
		}
	}
	b, err := json.Marshal(stored{p.Party, reads})
	if err != nil {
		return spool.None{}, err
	}
	return spool.None{}, tx.Do(ctx, "RPUSH", p.Base+"/log", b).Err()
}

const plotKeys = 3

var blob = strings.Repeat("large", 1<<18)

var acts = spool.NewTask[part, spool.None]("tx.act", spool.Keep(time.Minute))

// held is a call that waits to be let go.
type held struct {
	step string
	gate chan struct{}
}

// actor is a party with connections of its own.
type actor struct {
	c      *spool.Client
	queue  string
	parked chan held // where it waits
	done   chan error
	steps  steps
	chance *rand.Rand  // of losses; used while its proxy asks
	begun  atomic.Bool // it has made its first call
	loses  int         // of a hundred calls
}

// decide holds what the scheduler is to order, and loses some of it. The first call of each is not lost: the others are
// not held yet.
func (a *actor) decide(cmd []string) redistest.Action {
	step := a.steps.of(cmd)
	switch step {
	case "read", "watch", "look", "multi", "settle", "commit":
	default:
		return redistest.Pass()
	}
	if a.begun.Load() && a.chance.IntN(100) < a.loses {
		a.steps.over()
		return []redistest.Action{redistest.DropReply(), redistest.CutBefore()}[a.chance.IntN(2)]
	}
	a.begun.Store(true)
	h := held{step, make(chan struct{})}
	a.parked <- h
	return redistest.Hold(h.gate)
}

func TestEveryOrderIsSerialisable(t *testing.T) {
	t.Parallel()
	const stages, plays = 4, 250
	for stage := range stages {
		t.Run(fmt.Sprint(stage), func(t *testing.T) {
			t.Parallel()
			realServer(t, func(t *testing.T, s *server) {
				chance := seeded(t)
				ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
				defer cancel()
				rdb, verb := s.raw(t), s.verbs(t)
				straight := s.client(t, silent)
				var cast [3]*actor
				for i := range cast {
					a := &actor{queue: fmt.Sprint("party", i), parked: make(chan held, 1), done: make(chan error, 1), steps: steps{verb: verb},
						chance: rand.New(rand.NewPCG(chance.Uint64(), 0)), loses: 2}
					proxy := s.proxied(t)
					a.c = s.clientAt(t, proxy.Addr(), silent)
					w := spool.NewWorker(a.c, spool.WorkerConfig{Queues: []string{a.queue}, Beat: time.Hour})
					acts.HandleTx(w, act, patient)
					work(t, w)
					proxy.OnRequest(a.decide)
					t.Cleanup(func() { proxy.OnRequest(nil) })
					cast[i] = a
				}
				steps, conflicts := 0, int64(0)
				for play := range plays {
					base := s.mine(fmt.Sprint(play))
					n, err := perform(ctx, straight, rdb, cast[:2+chance.IntN(2)], base, chance)
					if err != nil {
						t.Fatalf("play %d: %v", play, err)
					}
					steps += n
				}
				for _, a := range cast {
					_, n := a.c.Transactions()
					conflicts += n
				}
				t.Logf("%d steps, %d conflicts", steps, conflicts)
				if conflicts == 0 {
					t.Error("there was no conflict")
				}
			})
		})
	}
}

// perform lets a cast play once, in an order that is drawn, and compares with what would be if they had come one by one.
func perform(ctx context.Context, straight *spool.Client, rdb *redis.Client, cast []*actor, base string, chance *rand.Rand) (count int, err error) {
	parts := make([]part, len(cast))
	for k := range plotKeys {
		if err := rdb.Set(ctx, part{Base: base}.key(k), 0, time.Minute).Err(); err != nil {
			return 0, err
		}
	}
	var trace []string
	waits := make([]*held, len(cast))
	ended := make([]bool, len(cast))
	for i, a := range cast {
		parts[i] = part{Party: i + 1, Base: base, Large: chance.IntN(16) == 0}
		for range 1 + chance.IntN(4) {
			parts[i].Lines = append(parts[i].Lines, cue{chance.IntN(plotKeys), chance.IntN(5) < 2})
		}
		bare := chance.IntN(2) == 0
		a.begun.Store(false)
		trace = append(trace, fmt.Sprintf("%d bare=%v large=%v %v", i+1, bare, parts[i].Large, parts[i].Lines))
		go func() {
			if bare {
				a.done <- a.c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
					_, err := act(ctx, tx, parts[i])
					return err
				}, patient)
				return
			}
			j, err := acts.Put(ctx, straight, parts[i], spool.In(a.queue))
			if err == nil {
				_, err = j.Wait(ctx)
			}
			a.done <- err
		}()
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, strings.Join(trace, "\n"))
		}
	}()
	for {
		var ready []int
		for i, a := range cast {
			if waits[i] == nil && !ended[i] {
				select {
				case h := <-a.parked:
					waits[i] = &h
				case err := <-a.done:
					if ended[i] = true; err != nil {
						return count, fmt.Errorf("party %d: %w", i+1, err)
					}
				case <-ctx.Done():
					return count, fmt.Errorf("party %d neither goes on nor ends", i+1)
				}
			}
			if waits[i] != nil {
				ready = append(ready, i)
			}
		}
		if len(ready) == 0 {
			break
		}
		next := ready[chance.IntN(len(ready))]
		trace = append(trace, fmt.Sprint(next+1, " ", waits[next].step))
		close(waits[next].gate)
		waits[next] = nil
		count++
	}
	return count, replay(ctx, rdb, parts, base)
}

// replay runs the parts one by one, in the order in which they have committed.
func replay(ctx context.Context, rdb *redis.Client, parts []part, base string) error {
	log, err := rdb.LRange(ctx, base+"/log", 0, -1).Result()
	if err != nil {
		return err
	}
	var model [plotKeys]int
	seen := map[int]int{}
	for _, text := range log {
		var entry stored
		if err := json.Unmarshal([]byte(text), &entry); err != nil {
			return err
		}
		seen[entry.Party]++
		overlay := model
		reads, _ := parts[entry.Party-1].say(func(k int) (int, error) { return overlay[k], nil },
			func(k, v int) error { overlay[k] = v; return nil })
		if fmt.Sprint(reads) != fmt.Sprint(entry.Reads) {
			return fmt.Errorf("party %d has read %v; one after another it is %v: %q", entry.Party, entry.Reads, reads, log)
		}
		model = overlay
	}
	if len(seen) != len(parts) || len(log) != len(parts) {
		return fmt.Errorf("%d parties have left %q", len(parts), log)
	}
	for k, want := range model {
		if got, err := rdb.Get(ctx, part{Base: base}.key(k)).Int(); err != nil || got != want {
			return fmt.Errorf("key %d holds %d, not %d: %v, %q", k, got, want, err, log)
		}
	}
	return nil
}
