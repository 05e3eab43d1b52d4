package retry

import (
	"fmt"
	"iter"
	"time"
)

// Unlimited lifts a limit that counts.
const Unlimited = -1

// commonConflicts is how many conflicts end a call by default.
const commonConflicts = 5

// Policy says what of a transaction is run again, how often and after which
// waits. It tells three causes apart:
//
//   - a conflict, whether the function met it or the commit did;
//   - a disconnect, wherever it happens;
//   - trouble, which is any other error of the commit.
//
// Any other error of the function itself is an answer. No policy runs it again.
//
// Of a sequence of waits that ends, the last one repeats. A sequence without
// values gives no wait, and so nothing is run again. A wait below zero counts
// as zero.
//
// The zero value is Common. A Policy keeps no state, and any number of
// goroutines may use one at once, if its sequences allow that, as those of this
// package do. What a call has used of it is in a Count.
type Policy struct {
	// Conflicts is the number of the conflict that ends the call: with 5 there
	// are at most five attempts that meet one, and so four retries. Those of
	// the function and of the commit are counted together. 1 runs none again.
	// Unlimited is possible. Defaults to 5.
	Conflicts int

	// ConflictWaits are the waits after the first conflict, the second and so
	// on. They do not change how many there are. Defaults to no wait.
	ConflictWaits iter.Seq[time.Duration]

	// Disconnects are the waits after the first disconnect, the second and so
	// on, without limit. Defaults to 5 s, 10 s ... 60 s, 60 s.
	Disconnects iter.Seq[time.Duration]

	// NoDisconnects ends the call at its first disconnect, whatever Disconnects
	// says.
	NoDisconnects bool

	// Trouble are the waits after the first other error of the commit, the
	// second and so on, without limit. Defaults to none: the first ends the
	// call.
	Trouble iter.Seq[time.Duration]
}

// Common is the policy for most transactions, and the default. The fifth
// conflict ends the call; those before are run again at once. Disconnects are
// run again without limit, after 5 s, 10 s ... 60 s, 60 s. Trouble is not.
//
// The numbers of this policy, of Forever and of Never are those of zc.async.
func Common() Policy {
	return Policy{
		Conflicts:   commonConflicts,
		Disconnects: Linear(5*time.Second, 5*time.Second, time.Minute),
	}
}

// Forever is the policy for what must happen in the end. Conflicts are run
// again at once and disconnects after 5 s, 10 s ... 60 s, 60 s, as in Common
// but both without limit. Trouble is run again too, after 0 s, 1 s, 2 s ...
// 60 s, 60 s.
func Forever() Policy {
	return Policy{
		Conflicts:   Unlimited,
		Disconnects: Linear(5*time.Second, 5*time.Second, time.Minute),
		Trouble:     Linear(0, time.Second, time.Minute),
	}
}

// Never runs nothing again. It is for functions with effects that no
// transaction can take back: payments, mail.
func Never() Policy {
	return Policy{Conflicts: 1, NoDisconnects: true}
}

// Patient is Common with waits that let crowds scatter: three retries, four
// attempts, after a time drawn from [0, 1 s], [0, 2 s] and [0, 4 s]. With more
// Conflicts the range goes on doubling, up to a minute. The numbers are those
// of dm.zodb.asynchronous.
func Patient() Policy {
	return patient(Jitter(patience(), Full))
}

// PatientFrom is Patient with its own source of random numbers in [0, 1), see
// JitterFrom. At the first conflict of a call the source is asked for the waits
// of all three. PatientFrom panics if random is nil.
func PatientFrom(random func() float64) Policy {
	if random == nil {
		panic("retry: PatientFrom: random must not be nil")
	}
	return patient(JitterFrom(patience(), Full, random))
}

func patient(waits iter.Seq[time.Duration]) Policy {
	p := Common()
	p.Conflicts, p.ConflictWaits = 4, waits
	return p
}

// patience are the longest waits of Patient.
func patience() iter.Seq[time.Duration] {
	return Exponential(time.Second, time.Minute)
}

// Check reports a number that makes no sense, and names its field. It does not
// look into the sequences: they may be endless, or draw random numbers.
func (p Policy) Check() error {
	if p.Conflicts < Unlimited {
		return fmt.Errorf("retry: Policy: Conflicts must be a number of conflicts, 0 for the default, or Unlimited, got %d", p.Conflicts)
	}
	return nil
}
