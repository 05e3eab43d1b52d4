package spool_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/embedded"
)

// venue is where schedules are played: a stage, and how to know that nothing moves on it.
type venue struct {
	*stage
	prefix string
	beat   time.Duration
	settle func()
	dead   *sync.WaitGroup // parties that have died may go on until it is waited for
}

// perform plays the schedule of a seed, and returns what was wrong.
func (v *venue) perform(ctx context.Context, seed uint64, two bool) (wrong []string) {
	y := &play{stage: v.stage, seed: seed, two: two, prefix: v.prefix, beat: v.beat, pieces: map[string]*piece{}, news: make(chan struct{})}
	rdb := redis.NewClient(&redis.Options{Addr: "stage:6379",
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		Dialer:                   func(ctx context.Context, _, _ string) (net.Conn, error) { return v.dial(ctx) }})
	defer rdb.Close()
	look, err := spool.New(rdb, spool.ClientConfig{Prefix: v.prefix, Logger: quiet})
	if err != nil {
		return []string{err.Error()}
	}
	defer look.Close()
	curtain, fall := context.WithCancel(ctx)
	d := &director{play: y, chance: y.dice(0), settle: v.settle, ranks: map[*party]int{}, curtain: curtain, look: look, rdb: rdb}
	d.plan()
	if err = d.open(); err == nil {
		err = d.direct(ctx)
	}
	fall()
	v.openUp()
	if err != nil {
		for _, p := range append(d.workers, d.others...) {
			p.die()
		}
		wrong = append(wrong, err.Error())
	}
	d.leave()
	v.dead.Go(y.cast.Wait)
	return append(wrong, y.audit(ctx, look, rdb)...)
}

// inTheBubble plays a schedule on an embedded server, in a bubble: what moves is known, and time is nobody's own.
func inTheBubble(t *testing.T, seed uint64, two bool) (wrong []string, tally tolls) {
	synctest.Test(t, func(t *testing.T) {
		mini := miniredis.NewMiniRedis()
		mini.ClockTTL(true)
		defer mini.Close()
		s, err := newStage(func(context.Context) (net.Conn, error) { return mini.Dial() }, false)
		if err != nil {
			t.Fatal(err)
		}
		v := &venue{stage: s, prefix: "stage", beat: 80 * time.Millisecond, settle: synctest.Wait, dead: &sync.WaitGroup{}}
		wrong = v.perform(t.Context(), seed, two)
		v.dead.Wait()
		tally = s.tally
	})
	return wrong, tally
}

// onRedis plays a schedule on a real server, in real time: what moves is guessed.
func onRedis(t *testing.T, seed uint64, two bool, dead *sync.WaitGroup) (wrong []string, tally tolls) {
	var dialer net.Dialer
	s, err := newStage(func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", real.Addr()) }, true)
	if err != nil {
		return []string{err.Error()}, tally
	}
	s.timed = true
	settle := func() {
		for before, calm := -1, 0; calm < 3; {
			time.Sleep(200 * time.Microsecond)
			if motion, busy := s.still(); motion == before && !busy {
				calm++
			} else {
				before, calm = motion, 0
			}
		}
	}
	v := &venue{stage: s, prefix: fmt.Sprintf("%s-%d", embedded.Prefix(t), ran.places.Add(1)), beat: 50 * time.Millisecond, settle: settle, dead: dead}
	wrong = v.perform(t.Context(), seed, two)
	s.mu.Lock()
	defer s.mu.Unlock()
	return wrong, s.tally
}

// scheduled is how many schedules are asked for, or 0; and the only seed that is, or 0.
func scheduled() (n int, seed uint64) {
	n, _ = strconv.Atoi(os.Getenv("SPOOL_SCHEDULES"))
	seed, _ = strconv.ParseUint(os.Getenv("SPOOL_SEED"), 10, 64)
	return n, seed
}

// Whatever the order of the script calls of those who put, add, cancel, work and die: every callback and join takes
// effect exactly once, and sees what those that it follows have ended as. Each seed is a schedule, of which every other
// one has two queues. SPOOL_SCHEDULES plays that many; SPOOL_SEED plays one again, or, with the other, as many from there on.
func TestSchedulesLeaveEveryCallbackRunOnce(t *testing.T) {
	t.Parallel()
	ran.embedded.Add(1)
	n, from := scheduled()
	limit := time.Hour
	first := rand.Uint64N(1 << 40)
	switch {
	case from > 0:
		n, first = max(n, 1), from
	case n == 0:
		n, limit = 150, 10*time.Second
	}
	begun := time.Now()
	var mu sync.Mutex
	var sum tolls
	var played, next atomic.Int64
	t.Run("all", func(t *testing.T) {
		for band := range 2 {
			t.Run(strconv.Itoa(band), func(t *testing.T) {
				t.Parallel()
				for i := next.Add(1) - 1; i < int64(n) && time.Since(begun) < limit; i = next.Add(1) - 1 {
					seed := first + uint64(i)
					wrong, tally := inTheBubble(t, seed, seed%2 == 0)
					mu.Lock()
					sum.add(tally)
					mu.Unlock()
					played.Add(1)
					reportSchedule(t, seed, wrong)
				}
			})
		}
	})
	t.Logf("%d schedules from seed %d in %v: %+v", played.Load(), first, time.Since(begun), sum)
}

// The same on a real server, where time is real and the order of things less sure.
func TestSchedulesOnRedis(t *testing.T) {
	t.Parallel()
	needRedis(t)
	ran.redis.Add(1)
	_, only := scheduled()
	n, limit := 16, 4*time.Second
	first := rand.Uint64N(1 << 40)
	if only > 0 {
		n, first = 1, only
	}
	begun := time.Now()
	var dead, lanes sync.WaitGroup
	var mu sync.Mutex
	var sum tolls
	var played, next atomic.Int64
	for range 4 {
		lanes.Go(func() { // they mostly wait
			for i := next.Add(1) - 1; i < int64(n) && time.Since(begun) < limit; i = next.Add(1) - 1 {
				seed := first + uint64(i)
				wrong, tally := onRedis(t, seed, seed%2 == 0, &dead)
				mu.Lock()
				sum.add(tally)
				mu.Unlock()
				played.Add(1)
				reportSchedule(t, seed, wrong)
			}
		})
	}
	lanes.Wait()
	t.Logf("%d schedules from seed %d in %v: %+v", played.Load(), first, time.Since(begun), sum)
	dead.Wait()
}

func reportSchedule(t *testing.T, seed uint64, wrong []string) {
	t.Helper()
	if len(wrong) > 0 {
		t.Errorf("again with SPOOL_SEED=%d go test -run '^%s$' .\n%s", seed, strings.Split(t.Name(), "/")[0], strings.Join(wrong, "\n"))
	}
}
