package main

import (
	"fmt"
	"os"
)

// progress is a line that says how far the work is. It is shown on a terminal and nowhere else.
type progress struct {
	out   *os.File // nil shows nothing
	done  int
	total int
}

func newProgress(out *os.File, total int) *progress {
	p := &progress{total: total}
	if info, err := out.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		p.out = out
	}
	p.show()
	return p
}

// step counts one file more.
func (p *progress) step() {
	p.done++
	p.show()
}

func (p *progress) show() {
	if p.out != nil {
		fmt.Fprintf(p.out, "\r%d of %d files", p.done, p.total)
	}
}

// clear takes the line away.
func (p *progress) clear() {
	if p.out != nil {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
