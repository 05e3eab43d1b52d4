package redistest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// A latency is what a command takes, with the precision a benchmark needs.
func TestLatencyOfOne(t *testing.T) {
	t.Parallel()
	_, p := behind(t)
	c := dial(t, p.Addr())
	for _, rtt := range []time.Duration{10 * time.Millisecond, time.Millisecond, 0} {
		c.Ping(t.Context())
		p.SetLatency(rtt)
		var took []time.Duration
		for range 15 {
			begin := time.Now()
			if err := c.Ping(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			took = append(took, time.Since(begin))
		}
		slices.Sort(took)
		t.Logf("latency %v: fastest %v, median %v", rtt, took[0], took[7])
		// The lower bound is exact. The upper one leaves room for a machine
		// that is busy with other tests.
		if took[0] < rtt || took[0] > rtt+8*time.Millisecond {
			t.Errorf("latency %v: fastest %v, median %v", rtt, took[0], took[7])
		}
	}
}

// A hundred commands on their way together share the wait: in one pipeline, and
// on connections of their own.
func TestLatencyLimitsNoThroughput(t *testing.T) {
	t.Parallel()
	const rtt, n = 10 * time.Millisecond, 100
	_, p := behind(t)
	c := dial(t, p.Addr(), func(o *redis.Options) { o.PoolSize = n })
	parallel := func() {
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				if err := c.Incr(t.Context(), "n").Err(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	parallel() // opens the connections
	p.SetLatency(rtt)

	begin := time.Now()
	if _, err := c.Pipelined(t.Context(), func(pipe redis.Pipeliner) error {
		for range n {
			pipe.Incr(t.Context(), "n")
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took < rtt || took > n*rtt/2 {
		t.Errorf("a pipeline of %d took %v at %v", n, took, rtt)
	}

	begin = time.Now()
	parallel()
	if took := time.Since(begin); took < rtt || took > n*rtt/2 {
		t.Errorf("%d in parallel took %v at %v", n, took, rtt)
	}
}

// One connection, commands sent one by one without waiting: they are spread
// over time, and none waits for the reply of another.
func TestLatencyKeepsOrderAndSpacing(t *testing.T) {
	t.Parallel()
	const rtt, n = 20 * time.Millisecond, 20
	_, p := behind(t)
	p.SetLatency(rtt)
	conn, r := raw(t, p.Addr())
	begin := time.Now()
	sent := make([]time.Time, n)
	go func() {
		for i := range sent {
			sent[i] = time.Now()
			conn.Write(appendCommand(nil, "ECHO", string(rune('a'+i))))
			time.Sleep(time.Millisecond)
		}
	}()
	for i := range n {
		wantLine(t, r, "$1")
		wantLine(t, r, string(rune('a'+i)))
		if took := time.Since(sent[i]); took < rtt {
			t.Errorf("command %d took %v", i, took)
		}
	}
	if took := time.Since(begin); took > n*rtt*3/4 {
		t.Errorf("took %v: one waits for the other", took)
	}
}

// BenchmarkProxy measures what passing through costs.
func BenchmarkProxy(b *testing.B) {
	s := Start(b)
	p := NewProxy(b, s.Addr())
	for name, addr := range map[string]string{"direct": s.Addr(), "proxy": p.Addr(), "watched": p.Addr(), "latency": p.Addr()} {
		b.Run(name, func(b *testing.B) {
			p.OnRequest(nil)
			p.SetLatency(0)
			switch name {
			case "watched":
				p.OnRequest(func([]string) Action { return Pass() })
			case "latency":
				p.SetLatency(time.Millisecond)
			}
			c := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, PoolSize: 16})
			defer c.Close()
			b.Run("single", func(b *testing.B) {
				b.SetParallelism(8)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						c.Incr(b.Context(), "n")
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "cmd/s")
			})
			b.Run("pipeline", func(b *testing.B) {
				const depth = 200
				b.SetParallelism(4)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						c.Pipelined(b.Context(), func(pipe redis.Pipeliner) error {
							for range depth {
								pipe.Incr(b.Context(), "n")
							}
							return nil
						})
					}
				})
				b.ReportMetric(float64(b.N*depth)/b.Elapsed().Seconds(), "cmd/s")
			})
		})
	}
}
