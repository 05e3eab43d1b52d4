package future

import (
	"maps"
	"slices"
	"sync"
)

// Pool is a set of futures that have not settled, of whatever types, and says when
// it is empty. It is for those who start work here and there and must know when all
// of it is done, at the end of a program for instance. A pool can be used again and
// again; a sync.WaitGroup cannot, with several who wait and work added meanwhile.
//
// The zero Pool is empty and ready to use. Any number of goroutines may use it at
// once.
type Pool struct {
	mu      sync.Mutex
	members map[Member]struct{}
	empty   chan struct{} // closed when the pool is empty next; nil if no one waits
	waiting int           // how many were given it
}

// Member is a future of any type.
type Member interface {
	Done() <-chan struct{}
	Cancel()
	watch(func())
}

// Add puts a future into the pool until it settles, with a value or an error. It
// leaves the outcome alone. Adding one that has settled, or is in the pool, has no
// effect.
func (p *Pool) Add(f Member) {
	select {
	case <-f.Done():
		return
	default:
	}
	p.mu.Lock()
	_, twice := p.members[f]
	if p.members == nil {
		p.members = map[Member]struct{}{}
	}
	p.members[f] = struct{}{}
	p.mu.Unlock()
	if !twice {
		// Not before it is in: it may settle at this moment.
		f.watch(func() { p.remove(f) })
	}
}

func (p *Pool) remove(f Member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.members, f)
	if len(p.members) == 0 && p.empty != nil {
		close(p.empty) // one channel for all who wait: they are told together
		p.empty, p.waiting = nil, 0
	}
}

// Size returns how many futures are in the pool, and how many calls of Empty and
// NextEmpty wait for a notice. One that settles is taken out by the goroutine that
// settles it: when Settle has returned, or the channel of Empty is closed, it is out;
// a Wait of another goroutine may return a little earlier.
func (p *Pool) Size() (pending, waiting int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.members), p.waiting
}

// Empty returns a channel that is closed when the pool is empty: at once if it is
// now, else the next time. A notice is given once; by the time it is read the pool may
// hold futures again.
func (p *Pool) Empty() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.members) == 0 {
		now := make(chan struct{})
		close(now)
		return now
	}
	return p.noticeLocked()
}

// NextEmpty is Empty without regard to how it stands now: the channel is closed the
// next time the pool becomes empty, and so not before something was in it.
func (p *Pool) NextEmpty() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.noticeLocked()
}

func (p *Pool) noticeLocked() <-chan struct{} {
	if p.empty == nil {
		p.empty = make(chan struct{})
	}
	p.waiting++
	return p.empty
}

// Cancel cancels every future that is in the pool. It does not wait; Empty says when
// they have settled.
func (p *Pool) Cancel() {
	p.mu.Lock()
	members := slices.Collect(maps.Keys(p.members))
	p.mu.Unlock()
	for _, f := range members {
		f.Cancel()
	}
}
