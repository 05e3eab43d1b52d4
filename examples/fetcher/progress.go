package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// progress is a bar that says how many pages are there. It is shown on a terminal and nowhere else.
type progress struct {
	out   *os.File
	total int
	count func() int
	stop  chan struct{}
	shows sync.WaitGroup
}

func startProgress(out *os.File, total int, count func() int) *progress {
	p := &progress{out: out, total: total, count: count, stop: make(chan struct{})}
	if info, err := out.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		p.shows.Go(p.show)
	}
	return p
}

func (p *progress) show() {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			fmt.Fprint(p.out, "\r", bar(p.count(), p.total))
		case <-p.stop:
			fmt.Fprint(p.out, "\r\x1b[K")
			return
		}
	}
}

// end takes the bar away. It is called once.
func (p *progress) end() {
	close(p.stop)
	p.shows.Wait()
}

func bar(count, total int) string {
	const width = 40
	full := width * count / max(1, total)
	return fmt.Sprintf("[%s%s] %d of %d pages", strings.Repeat("#", full), strings.Repeat(" ", width-full), count, total)
}
