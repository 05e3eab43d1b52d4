package txn

import (
	"fmt"
	"strconv"
)

// Check is a question about what is stored that must be answered with yes before the writes of a transaction can be
// made. It is about the state before all of them.
//
//	"type"   key, type              the key is absent or of this type
//	"int"    key, increment         it is absent or a string that holds an integer; the sum fits 64 bits
//	"hint"   key, field, increment  it is absent or a hash; the field is absent or such an integer
//	"float"  key, increment         it is absent or a string that holds a finite decimal number; so is the sum
//	"hfloat" key, field, increment  it is absent or a hash; the field is absent or such a number
//	"lset"   key, index             it is a list that has an element at this index
//
// What is absent counts as 0. Types are as TYPE answers them. A transaction that first adds and then takes away asks
// two checks of one value, for the largest sum on the way and for the smallest.
type Check struct {
	Kind string
	Args []string
}

// demand is a check in the making: increments that follow widen it.
type demand struct {
	kind  string
	args  []string
	tally *tally // of increments, or nil
}

// tally is the sum of the increments of a value that is not known, and the largest and smallest sum on the way. Redis
// would refuse an increment that passes the end of the range, even if the next one came back.
type tally struct {
	float             bool
	sum, high, low    int64
	fsum, fhigh, flow float64
	from              float64 // a float's value before them, if it was known; there is no check then
}

// add adds an increment, if the sum fits.
func (t *tally) add(by int64) bool {
	sum, ok := plus(t.sum, by)
	if ok {
		t.sum, t.high, t.low = sum, max(t.high, sum), min(t.low, sum)
	}
	return ok
}

// addFloat is add for floats.
func (t *tally) addFloat(by float64) bool {
	sum := t.fsum + by
	if !isFinite(sum) || !isFinite(t.from+sum) {
		return false
	}
	t.fsum, t.fhigh, t.flow = sum, max(t.fhigh, sum), min(t.flow, sum)
	return true
}

// checks gives the demand as checks.
func (d *demand) checks() []Check {
	if d.tally == nil {
		return []Check{{d.kind, append([]string(nil), d.args...)}}
	}
	var sums []string
	if t := d.tally; t.float {
		if t.fhigh > 0 || t.flow == 0 {
			sums = append(sums, strconv.FormatFloat(t.fhigh, 'f', -1, 64))
		}
		if t.flow < 0 {
			sums = append(sums, strconv.FormatFloat(t.flow, 'f', -1, 64))
		}
	} else {
		if t.high > 0 || t.low == 0 {
			sums = append(sums, strconv.FormatInt(t.high, 10))
		}
		if t.low < 0 {
			sums = append(sums, strconv.FormatInt(t.low, 10))
		}
	}
	var checks []Check
	for _, sum := range sums {
		checks = append(checks, Check{d.kind, append(append([]string(nil), d.args...), sum)})
	}
	return checks
}

// can says why the key cannot be of a kind, as the next write wants it, or nil.
func (k *key) can(kind kinds) error {
	now := k.kinds()
	switch {
	case now&^(none|kind) == 0:
		return nil
	case k.own && now&(none|kind) == 0:
		return fmt.Errorf("key %.60q is a %v now, by what this transaction has written, not a %v", k.name, now, kind)
	case k.own:
		return fmt.Errorf("key %.60q is a %v now, by what this transaction has written, not a %v: %w", k.name, now, kind, errUntold)
	case k.stored&(none|kind) == 0:
		if k.gone != 0 {
			return fmt.Errorf("key %.60q is a %v, as this transaction has read, not a %v: %w", k.name, k.stored, kind, errUntold)
		}
		return fmt.Errorf("key %.60q is a %v, as this transaction has read, not a %v", k.name, k.stored, kind)
	}
	return nil
}

// want makes the check that the key is of a kind or absent, unless that is known. The caller has asked can.
func (l *Log) want(k *key, kind kinds) {
	if k.kinds()&^(none|kind) == 0 {
		return
	}
	// Only what is as stored can be in doubt here: every write that makes something of a key wants a kind first, or
	// makes it one.
	word, _ := kind.name()
	l.ask(k, kind, &demand{kind: "type", args: []string{k.name, word}})
}

// ask makes a check. If it does not hold, nothing is written, so from now on it may be taken for true.
func (l *Log) ask(k *key, kind kinds, d *demand) {
	k.stored &= none | kind
	l.demands = append(l.demands, d)
}
