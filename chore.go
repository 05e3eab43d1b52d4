package spool

import (
	"log/slog"
	"sync"
)

// chore is work that one goroutine does at a time, however many ask for it: who asks while it is being done has it done
// once more.
type chore struct {
	mu    sync.Mutex // guards what follows
	busy  bool
	again bool // somebody has asked since it was begun
}

// start has the work done, by a goroutine that the client's Close waits for.
func (h *chore) start(c *Client, work func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.again = true
	if !h.busy {
		h.busy = c.spawn(func() { h.run(work) })
	}
}

func (h *chore) run(work func()) {
	for {
		h.mu.Lock()
		h.busy, h.again = h.again, false
		busy := h.busy
		h.mu.Unlock()
		if !busy {
			return
		}
		work()
	}
}

// errands does what calls have left to do in a queue: to tell followers of ends and to take flows apart where that was
// more than a call's work, and to deliver what is for other queues. Should this process die, a worker's beat sees to it.
func (c *Client) errands(queue string, resume, post bool) {
	if post {
		c.post(queue)
	}
	if resume {
		c.resume(queue)
	}
}

func (c *Client) resume(queue string) {
	c.mu.Lock()
	h := c.resumes[queue]
	if h == nil {
		h = &chore{}
		c.resumes[queue] = h
	}
	c.mu.Unlock()
	h.start(c, func() {
		q := c.queue(queue)
		for more := true; more; {
			err := c.gate.do(c.life, func() (err error) {
				more, err = q.Resume(c.life)
				return err
			})
			if err != nil {
				if c.life.Err() == nil {
					c.cfg.Logger.LogAttrs(c.life, slog.LevelWarn, "flows were not gone on with", slog.String("queue", queue), slog.Any("err", err))
				}
				return
			}
		}
	})
}
