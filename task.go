package spool

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"strings"

	"github.com/spooljobs/spool/failure"
)

// None is the result type of tasks that have none. Their successes leave nothing behind unless Keep says so.
type None struct{}

// Task is a named kind of work: what its argument and result are, and how it runs unless a Partial says otherwise.
// It is a value, defined once and shared by those who put jobs and those who run them.
type Task[A, R any] struct {
	def *taskDef
}

// taskDef is the part of a task that knows no types.
type taskDef struct {
	name     string
	defaults settings
	known    *failure.Known
	answer   bool // it has a result
	open     bool // its argument has interfaces: With looks at what they hold
	reacts   bool // it is a reaction
}

// levelCritical is for callbacks that have failed: what was to see to the consequences has not.
const levelCritical = slog.LevelError + 4

// gravity is the level at which the failure of a job is logged.
func (d *taskDef) gravity() slog.Level {
	if d.reacts {
		return levelCritical
	}
	return slog.LevelError
}

// NewTask names a task. The name is what is stored: 1 to 128 letters, digits and . _ - : and the types are what both
// sides agree on. NewTask panics on a malformed name or option, as regexp.MustCompile does, and on types that hold
// something live, such as a channel, a function, a context, a connection or a Client.
func NewTask[A, R any](name string, opts ...TaskOption) Task[A, R] {
	return Task[A, R]{newTaskDef[A, R](name, defaultSettings(), opts)}
}

// ownTasks is how the names of Spool's own tasks begin.
const ownTasks = "spool."

func newTaskDef[A, R any](name string, defaults settings, opts []TaskOption) *taskDef {
	def := &taskDef{name: name, defaults: defaults, answer: !is[R, None](), known: &failure.Known{}}
	if err := checkName("task", name, maxTaskName); err != nil {
		panic(err)
	}
	if strings.HasPrefix(name, ownTasks) {
		panic(&FieldError{"task", name, "must not begin with spool., as Spool's own tasks do"})
	}
	open, err := checkPlain("task "+name+": argument", reflect.TypeFor[A]())
	if err != nil {
		panic(err)
	}
	def.open = open
	if _, err := checkPlain("task "+name+": result", reflect.TypeFor[R]()); err != nil {
		panic(err)
	}
	for _, opt := range opts {
		if opt == nil {
			panic(&FieldError{"task " + name, nil, "a nil option"})
		}
		opt.applyTask(def)
	}
	declareOwn(def.known)
	if err := def.defaults.err(); err != nil {
		panic(fmt.Errorf("task %s: %w", name, err))
	}
	if def.defaults.id != "" {
		panic(&FieldError{"ID", def.defaults.id, "an id cannot be the default of a task"})
	}
	return def
}

// declareOwn declares the errors of Spool's own that a job can fail with. One that the user has declared keeps that name.
func declareOwn(known *failure.Known) *failure.Known {
	_ = known.Declare("spool.conflict", ErrConflict)
	_ = known.Declare("spool.broken-commit", ErrBrokenCommit)
	_ = known.Declare("spool.unknown", ErrUnknown)
	_ = known.Declare("spool.id-taken", ErrIDTaken)
	_ = known.Declare("spool.too-large", ErrTooLarge)
	_ = known.Declare("spool.endless", ErrEndless)
	_ = known.Declare("spool.cancelled", ErrCancelled)
	_ = known.Declare("spool.expired", ErrExpired)
	_ = known.Declare("spool.aborted", ErrAborted)
	return known
}

func is[T, U any]() bool { return reflect.TypeFor[T]() == reflect.TypeFor[U]() }

type taskOption func(*taskDef)

func (o taskOption) applyTask(d *taskDef) { o(d) }

// Knows declares an error of the task under a name, so that errors.Is finds it in a failure that comes from another
// process. Both sides share the declaration by sharing the task.
func Knows(name string, err error) TaskOption {
	return taskOption(func(d *taskDef) { d.declare(d.known.Declare(name, err)) })
}

// KnowsType declares an error type of the task under a name, so that errors.As finds it, with its exported fields, in
// a failure that comes from another process.
func KnowsType[E error](name string) TaskOption {
	return taskOption(func(d *taskDef) { d.declare(failure.DeclareType[E](d.known, name)) })
}

func (d *taskDef) declare(err error) {
	if err != nil {
		d.defaults.mistakes = append(d.defaults.mistakes, err)
	}
}

// Name is the task's name.
func (t Task[A, R]) Name() string {
	if t.def == nil {
		return ""
	}
	return t.def.name
}

// With binds arguments and settings. It does no I/O; mistakes are reported when the Partial is put. The arguments are
// encoded then, too: until it is put, a Partial shares what its arguments point to. Something live among them, where
// NewTask could not see it because it is in an interface, is a mistake.
func (t Task[A, R]) With(args A, opts ...Option) Partial[R] {
	return Partial[R]{bind(t.def, args, opts)}
}

func bind(def *taskDef, args any, opts []Option) *partial {
	if def == nil {
		p := &partial{settings: defaultSettings()}
		p.settings.mistake("task", nil, "must be made by NewTask or NewReaction")
		return p
	}
	p := &partial{settings: def.defaults, home: def.defaults.queue, name: def.name, known: def.known, answer: def.answer, args: args}
	if def.open {
		if err := checkPlainValue("arguments of "+def.name, p.args); err != nil {
			p.settings.mistakes = append(p.settings.mistakes, err)
		}
	}
	p.apply(opts)
	return p
}

// apply sets what options say.
func (p *partial) apply(opts []Option) {
	for _, opt := range opts {
		if opt == nil {
			p.settings.mistake("option", nil, "must not be nil")
			continue
		}
		opt.applyPartial(&p.settings)
	}
}

// Put puts a job with these arguments: With(args, opts...).Put(ctx, to).
func (t Task[A, R]) Put(ctx context.Context, to To, args A, opts ...Option) (*Job[R], error) {
	return t.With(args, opts...).Put(ctx, to)
}

// Job returns the handle of a stored job, given its id as Job.ID or Job.String returns it. It makes no call: a wrong
// id shows when the handle is used.
func (t Task[A, R]) Job(c *Client, id string) *Job[R] {
	queue, known := DefaultQueue, (*failure.Known)(nil)
	if t.def != nil {
		queue, known = t.def.defaults.queue, t.def.known
	}
	home := queue
	if before, after, ok := strings.Cut(id, "/"); ok {
		queue, id = before, after
	}
	return &Job[R]{jobRef{client: c, queue: queue, home: home, id: id, known: known}}
}
