package spool

import (
	"errors"
	"iter"
	"strconv"
	"time"

	"github.com/spooljobs/spool/internal/store"
)

// Lane says which kind of slot runs a job.
type Lane int

const (
	// Thread: a goroutine of its own, which may block.
	Thread Lane = iota
	// Reactor: one of many light handlers that take turns on one loop.
	Reactor
)

// String returns "thread" or "reactor".
func (l Lane) String() string {
	if l == Reactor {
		return "reactor"
	}
	return "thread"
}

// Unlimited lifts a limit that counts.
const Unlimited = -1

// An Option sets a field of a Partial. On a Task it is the default of its Partials.
type Option interface {
	TaskOption
	applyPartial(*settings)
}

// A TaskOption sets a field of a Task.
type TaskOption interface {
	applyTask(*taskDef)
}

type option func(*settings)

func (o option) applyPartial(s *settings) { o(s) }
func (o option) applyTask(d *taskDef)     { o(&d.defaults) }

// settings are what a Partial says about its run. Mistakes are kept and reported by Put.
type settings struct {
	queue         string
	id            string
	lane          Lane
	priority      int
	due           store.Moment
	deadline      store.Moment
	timeout       time.Duration
	retry         *store.Retry
	interruptions byte
	keep          *time.Duration
	meta          map[string]string
	rest          Rest
	placed        bool // it names its queue
	mistakes      []error
}

func defaultSettings() settings {
	return settings{queue: DefaultQueue, interruptions: '9'}
}

func (s *settings) mistake(field string, value any, rule string) {
	s.mistakes = append(s.mistakes, &FieldError{field, value, rule})
}

func (s *settings) err() error { return errors.Join(s.mistakes...) }

// DefaultQueue is the queue of jobs that name none.
const DefaultQueue = "default"

// In names the queue. Default DefaultQueue.
func In(queue string) Option {
	return option(func(s *settings) {
		if err := checkName("In", queue, maxQueueName); err != nil {
			s.mistakes = append(s.mistakes, err)
		}
		s.queue, s.placed = queue, true
	})
}

// OnReactor puts the job in the reactor lane. Default is the thread lane.
func OnReactor() Option {
	return option(func(s *settings) { s.lane = Reactor })
}

// Priority orders jobs of a queue, from -1000 to 1000, lower first; among equals the one that became ready first.
// Default 0.
func Priority(n int) Option {
	return option(func(s *settings) {
		if n < -store.MaxPriority || n > store.MaxPriority {
			s.mistake("Priority", n, "must be from -1000 to 1000")
			return
		}
		s.priority = n
	})
}

// Due is the time before which the job does not begin, by Redis's clock, to the millisecond. A time in the past is as
// if none were given. The zero time is an error. Due and Delay replace each other.
func Due(at time.Time) Option {
	return option(func(s *settings) {
		if at.IsZero() {
			s.mistake("Due", at, "must not be the zero time")
			return
		}
		// A fraction of a millisecond is rounded up: nothing runs early.
		s.due = store.Moment{Set: true, Ms: ceilMs(at)}
	})
}

// Delay is how long after it was put the job may begin, by Redis's clock, to the millisecond.
func Delay(d time.Duration) Option {
	return option(func(s *settings) {
		if d < 0 {
			s.mistake("Delay", d, "must not be negative")
			return
		}
		s.due = store.Moment{Set: true, Relative: true, Ms: roundMs(d)}
	})
}

// BeginBy is a deadline: a job that has not begun so long after its due time, or after it was put, ends with
// ErrExpired, whatever else would keep it waiting. There is no retry after it. Default none.
func BeginBy(d time.Duration) Option {
	return option(func(s *settings) {
		if d < 0 {
			s.mistake("BeginBy", d, "must not be negative")
			return
		}
		s.deadline = store.Moment{Set: d > 0, Relative: true, Ms: roundMs(d)}
	})
}

// Timeout bounds one attempt: the handler's context ends after it. The slot stays taken until the handler returns.
// Default none.
func Timeout(d time.Duration) Option {
	return option(func(s *settings) {
		if d < 0 {
			s.mistake("Timeout", d, "must not be negative")
			return
		}
		s.timeout = d
	})
}

// storedWaits is how many waits of a retry policy are stored.
const storedWaits = 32

// Retry lets a failed job run again, at most so many times (Unlimited is possible), after the waits of a sequence
// such as those of package retry. The retries end when the sequence does. What is kept with the job are the first 32
// waits; a longer sequence goes on with its 32nd. A sequence without values is an error. Default: no retry.
func Retry(times int, waits iter.Seq[time.Duration]) Option {
	return option(func(s *settings) {
		if times < Unlimited {
			s.mistake("Retry", times, "must be a number of times, or Unlimited")
			return
		}
		if times == 0 {
			s.retry = &store.Retry{}
			return
		}
		if waits == nil {
			s.mistake("Retry", nil, "needs a sequence of waits")
			return
		}
		r := &store.Retry{Times: times}
		for wait := range waits {
			if len(r.Waits) == storedWaits {
				break
			}
			if wait < 0 {
				s.mistake("Retry", wait, "a wait must not be negative")
				return
			}
			r.Waits = append(r.Waits, roundMs(wait))
		}
		switch n := len(r.Waits); {
		case n == 0:
			s.mistake("Retry", "", "the sequence of waits is empty")
			return
		case n < storedWaits && (times == Unlimited || times > n):
			r.Times = n
		}
		s.retry = r
	})
}

// Interruptions is how often the job may be interrupted by the death of the process that runs it, from 0 to 9, or
// Unlimited. The next interruption ends it with ErrAborted. Interruptions are counted apart from failed attempts.
// Default 9.
func Interruptions(n int) Option {
	return option(func(s *settings) {
		switch {
		case n == Unlimited:
			s.interruptions = store.InterruptedForEver
		case n < 0 || n > 9:
			s.mistake("Interruptions", n, "must be from 0 to 9, or Unlimited")
		default:
			s.interruptions = byte('0' + n)
		}
	})
}

// Keep is how long the outcome of a success is kept. Default: an hour for a task with a result, not at all for one
// without (None). Failures are kept for seven days, or as long as Keep says if that is longer.
func Keep(d time.Duration) Option {
	return option(func(s *settings) {
		if d < 0 {
			s.mistake("Keep", d, "must not be negative")
			return
		}
		s.keep = &d
	})
}

// ID gives the job an id of the user's: 1 to 128 bytes above the blank, no slashes, no braces. It is unique in its
// queue while the job or its outcome is kept: putting it again gives the same job, putting another task or other
// arguments under it is ErrIDTaken. It may not have the form of an id that Spool draws, 32 hex digits.
func ID(id string) Option {
	return option(func(s *settings) {
		if err := checkID(id); err != nil {
			s.mistakes = append(s.mistakes, err)
			return
		}
		if store.Generated(id) {
			s.mistake("ID", id, "has the form of an id that Spool draws")
			return
		}
		s.id = id
	})
}

// Meta attaches a piece of text to the job, for handlers and for those who look. It may be given for several keys.
func Meta(key, value string) Option {
	return option(func(s *settings) {
		if key == "" || len(key) > maxTaskName {
			s.mistake("Meta", key, "needs a key of 1 to 128 bytes")
			return
		}
		meta := make(map[string]string, len(s.meta)+1)
		for k, v := range s.meta {
			meta[k] = v
		}
		meta[key] = value
		s.meta = meta
	})
}

// roundMs rounds up, so that nothing runs early and a time-out is not cut.
func roundMs(d time.Duration) int64 {
	ms := int64(d / time.Millisecond)
	if d%time.Millisecond > 0 {
		ms++ // not by adding first: the longest durations would overflow
	}
	return ms
}

// latestMs is the last millisecond that a sorted set holds exactly, in the year 287396. Later times are as good as it.
const latestMs = 1<<53 - 1

// ceilMs is a time in milliseconds, a fraction counting as one. Times before 1970 are 0.
func ceilMs(t time.Time) int64 {
	switch {
	case t.Before(time.UnixMilli(0)):
		return 0
	case !t.Before(time.UnixMilli(latestMs)):
		return latestMs
	}
	ms := t.UnixMilli()
	if t.Nanosecond()%int(time.Millisecond) != 0 {
		ms++
	}
	return ms
}

func itoa(n int) string { return strconv.Itoa(n) }
