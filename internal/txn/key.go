package txn

import (
	"slices"
	"strings"
)

// kinds is a set of what a key may be.
type kinds uint8

const (
	none kinds = 1 << iota // there is no such key
	str
	hash
	list
	set
	zset
	stream
	other // a type of a module

	anything kinds = 1<<iota - 1
)

var kindNames = []string{"none", "string", "hash", "list", "set", "zset", "stream"}

// kindNamed is the kind that TYPE answers with a word.
func kindNamed(word string) kinds {
	if i := slices.Index(kindNames, word); i >= 0 {
		return 1 << i
	}
	return other
}

// name is the word of TYPE, if the set has only one kind.
func (k kinds) name() (string, bool) {
	for i, word := range kindNames {
		if k == 1<<i {
			return word, true
		}
	}
	return "", false
}

func (k kinds) String() string {
	var words []string
	for i, word := range kindNames {
		if k&(1<<i) != 0 {
			words = append(words, word)
		}
	}
	if k&other != 0 {
		words = append(words, "another type")
	}
	return strings.Join(words, " or ")
}

// part is what is known of one part of a value: a field of a hash, a member of a set or of a sorted set. The text of a
// string is the one part of it, and has no name.
type part struct {
	has   tri
	known bool   // val is what it holds
	val   string // the value of a field, the score of a member, the text of a string
	at    place  // the write that a later one may be folded into
	tally *tally // of increments, where val is not known
}

type tri uint8

const (
	maybe tri = iota
	yes
	no
)

// holds is a part that is there with a value.
func holds(val string) part { return part{has: yes, known: true, val: val} }

// number is where increments begin: the value, or "0" if there is none.
func (p part) number() string {
	if p.has == no {
		return "0"
	}
	return p.val
}

// settled reports whether it is known what the part holds, if only that it is not there.
func (p part) settled() bool { return p.has == no || p.has == yes && p.known }

// key is what is known of a key, in two layers: what is stored, as the reads and checks of this transaction tell, and
// what the transaction has made of it. The commit asks the reads and checks again, so the lower layer may be relied on:
// if it is wrong, nothing is written. If two reads contradict each other, the transaction is lost, and it does not
// matter what is made of them.
type key struct {
	name string

	stored kinds           // what it may be in Redis
	parts  map[string]part // of what is stored, as far as known
	whole  bool            // parts has all that are there

	wrote bool            // by this transaction: the layers below count
	own   bool            // now says what it may be; else it is as stored, perhaps expired
	now   kinds           // what the writes made of it
	bare  bool            // nothing stored is left of it: what is not in over is not there
	murky bool            // what is not in over may have changed in a way that cannot be told
	gone  kinds           // none, if a time in the past may have removed what is stored
	over  map[string]part // the parts written
}

// kinds is what the key may be now.
func (k *key) kinds() kinds {
	if k.own {
		return k.now
	}
	return k.stored | k.gone
}

// part is what is known of a part now. written is false if it is as stored, so that Redis can be asked for it.
func (k *key) part(name string) (p part, written bool) {
	if p, ok := k.over[name]; ok {
		return p, true
	}
	switch {
	case k.murky:
		return part{}, true
	case k.bare:
		return part{has: no}, true
	case k.stored == none:
		return part{has: no}, false
	}
	if p, ok := k.parts[name]; ok {
		return p, false
	}
	if k.whole {
		return part{has: no}, false
	}
	return part{}, false
}

// all gives every part that is known to be there or may be. closed reports that there are no others.
func (k *key) all() (parts map[string]part, closed bool) {
	parts = map[string]part{}
	for name, p := range k.over {
		if p.has != no {
			parts[name] = p
		}
	}
	if k.murky || k.bare || k.stored == none {
		return parts, !k.murky
	}
	for name, p := range k.parts {
		if _, over := k.over[name]; !over && p.has != no {
			parts[name] = p
		}
	}
	return parts, k.whole
}

// put writes a part.
func (k *key) put(name string, p part) {
	if k.over == nil {
		k.over = map[string]part{}
	}
	k.over[name] = p
	k.wrote = true
}

// become is said by a write that leaves the key as one of some kinds.
func (k *key) become(to kinds) { k.wrote, k.own, k.now = true, true, to }

// clear removes the key.
func (k *key) clear() {
	k.become(none)
	k.bare, k.murky, k.over = true, false, nil
}

// blur is said by a write whose effect on the parts cannot be told.
func (k *key) blur() { k.wrote, k.murky, k.over = true, true, nil }

// shrink is said after parts of a value were taken away: what is left empty is removed.
func (k *key) shrink(kind kinds) {
	switch parts, closed := k.all(); {
	case anyThere(parts):
		k.become(kind)
	case closed && len(parts) == 0:
		k.clear()
	default:
		k.become(k.kinds() | none)
	}
}

func anyThere(parts map[string]part) bool {
	for _, p := range parts {
		if p.has == yes {
			return true
		}
	}
	return false
}

// expire is said by a write that removes the key now if a time lies in the past, and else does not touch it.
func (k *key) expire() {
	switch {
	case k.kinds() == none:
		return
	case k.own:
		k.now |= none
	default:
		k.gone = none
	}
	k.blur()
}
