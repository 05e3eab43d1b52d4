// Package spool runs jobs in the background, through Redis: a program puts calls of functions into queues, workers in
// the same process or in others run them, and whoever has put a job can wait for its result.
//
// # A task
//
// A [Task] is a named kind of work, with the type of its argument and the type of its result. It is defined once, often
// as a package variable, and shared by those who put jobs and those who run them:
//
//	var resize = spool.NewTask[Resize, Resized]("image.resize", spool.Timeout(time.Minute))
//
// Arguments and results travel as MessagePack, so they are data: strings, numbers, structs with exported fields, slices,
// maps. Options such as [In], [Priority], [Delay] or [Retry] are a task's defaults here, or settings of a single job
// when it is put. A job and its result have at most 1 MiB each; of larger things, pass the place where they are.
//
// # Putting a job
//
//	client, err := spool.Open(ctx, "redis://localhost:6379")
//	job, err := resize.Put(ctx, client, Resize{"cat.png", 100}, spool.Priority(-1))
//
// When [Task.Put] returns without an error, the job is accepted: it will run. [Task.With] makes a [Partial], a call that
// is not yet put. A Partial is one job, however often it is put: after [ErrUnsure], which says that the answer was lost,
// put the same Partial again. [PutMany] puts many in few calls. The option [ID] gives a job a name of its own, which
// makes it one job also across processes.
//
// # A worker
//
//	worker := spool.NewWorker(client, spool.WorkerConfig{Queues: []string{"urgent", "default"}, ThreadSlots: 8})
//	resize.Handle(worker, func(ctx context.Context, args Resize) (Resized, error) { ... })
//	err := worker.Run(ctx)
//
// [Worker.Run] blocks until its context ends. A handler is a plain function. [Running] tells it about its job; outside a
// worker it answers, too, so a handler can be called by a test as it is.
//
// Jobs run in slots of two kinds. A thread slot is a goroutine, and the handler may do as it likes. The handlers in
// reactor slots ([OnReactor]) take turns on one loop: between two calls of [Await] a handler is alone, so they share
// memory without locks, and thousands of them can wait at once. [OnLoop] is the way onto the loop from elsewhere.
//
// # Waiting
//
// [Job.Wait] returns the result once the job has ended, in any process: [Task.Job] makes a handle of a stored id. The end
// is pushed to those who wait. Results are kept for an hour, or as long as [Keep] says. A task with the result [None]
// keeps nothing of a success; a Wait that begins after it gets [ErrUnknown].
//
// # Failures
//
// A handler fails by returning an error or by panicking. Without [Retry] that ends the job. With it the job runs again
// after a wait, which is kept in Redis: no slot is taken by it, and it survives the workers. [Final], [RetryAfter],
// [Snooze] and [Cancelled] wrap what a handler returns, to say otherwise.
//
// Wait returns a *failure.Failure: the error as data, with its message, its type, its causes and where it happened. It is
// not the error itself, which lived in another process; but errors that the task declares by [Knows] and [KnowsType] are
// found by errors.Is and errors.As. [ErrExpired] and [ErrAborted] are found in the same way. Any other error of Wait
// says that the outcome is not known.
//
// The death of a process is not a failure of its jobs. Others run them again, and count an interruption; how many a job
// may have is the option [Interruptions].
//
// # Transactions
//
//	pay.HandleTx(worker, func(ctx context.Context, tx *spool.Tx, p Payment) (spool.None, error) {
//		account := spool.NewRef[Account](p.Account)
//		...
//	})
//
// A handler given to [Task.HandleTx] reads and writes Redis through a [Tx]. What it writes, the jobs it puts to the Tx, its
// result and the end of the job take effect in one step, exactly once, or not at all. If something it has read was changed
// by others meanwhile, it runs again. [Client.Transact] does the same for a function that is no job. A [Ref] is a typed
// pointer to a stored value; [Tx.Do] takes single commands. [Tx.Checkpoint] lets a long job go on from where it was.
// docs/exactly-once.md says what this promises and what it cannot.
//
// # Composing
//
// A [Reaction] is a kind of work that follows other jobs: its handler is given how a job has ended. [Partial.OnSuccess],
// [Partial.OnFailure] and [Partial.OnDone] put such callbacks with a job, the functions [OnSuccess], [OnFailure] and
// [OnDone] add them to a stored one, and each runs exactly once. [Become] lets another job answer for the one at hand.
// [Parallel], [Serial], [Then], [Join], [First] and [Graph] make flows, which are Partials again. docs/composition.md has
// the rules.
//
// # Looking
//
// [Client.Queue] is a handle for counting, listing, changing and taking back jobs. A job that cannot be decoded is set
// aside in the state [StateQuarantined], with the reason, and costs nobody else anything. [Job.Cancel] ends a job, also one
// that runs.
//
// # Shutting down
//
// End the context of Run; signal.NotifyContext gives one that ends with a signal. The worker claims nothing more,
// handlers learn by [Run.Stopping] and have WorkerConfig.ShutdownGrace, then their contexts end, and what still runs is
// given back to the front of its queue. When Run has returned, close the client.
//
// # Testing
//
// Package embedded runs a Redis inside the process. embedded.Test(t) gives a test a client of its own, and
// [Worker.Drain] runs what is ready until nothing is, and returns: put, drain, look. Nothing needs to be installed, and
// no test needs to sleep.
//
// # What is promised
//
//   - An accepted job is not lost while Redis keeps its data, whatever dies.
//   - A job has one owner at a time and one outcome. Redis refuses what a former owner sends.
//   - What a job does in a transaction, and its end, take effect together, exactly once.
//   - Repeating any call has the effect of one.
//   - Nothing runs early. Redis's clock decides, to the millisecond.
//   - Of each lane no more handlers run at once than it has slots.
//   - One broken job costs itself alone.
//   - Every script does a bounded amount of work, whatever is stored.
//   - Shutting down loses nothing.
//
// # What is not
//
//   - A handler may run more than once: its process dies, or is cut off for longer than WorkerConfig.DeadAfter. Effects
//     outside of a transaction happen at least once, so they should be safe to repeat. [Run.Fence] is a number that
//     rises with every claim, for systems that can refuse an older one.
//   - A former owner learns that it is one by the end of its context, some time after the fact.
//   - Redis must keep what it is given: with persistence, and without eviction. What Redis loses is lost.
//   - Jobs of one queue begin in order of priority and readiness, but they run side by side, and end in any order.
//   - A handler that ignores the end of its context cannot be stopped; its slot stays taken until it returns.
package spool
