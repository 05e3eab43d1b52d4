package spool

import (
	"fmt"
	"maps"
	"slices"

	"github.com/vmihailenco/msgpack/v5"
)

// RefSet is a bundle of Refs of any types, some by position and some by name, to be handed to a job as one argument. The
// zero value is empty. It holds nothing live and nothing of a request: what travels are keys. (The PersistentContext of
// dm.zodb.asynchronous.)
type RefSet struct {
	places []anchor
	names  map[string]anchor
}

// anchor is what a Ref points to, made free of its type.
type anchor struct {
	key  string
	from *birth
}

// anyRef is a Ref of any type.
type anyRef interface{ anchor() anchor }

func (r Ref[T]) anchor() anchor { return anchor(r) }

// refTarget is a pointer to a Ref of any type.
type refTarget interface{ point(a anchor) }

func (r *Ref[T]) point(a anchor) { *r = Ref[T](a) }

// Add appends a Ref. The zero Ref is an error: it points nowhere.
func (s *RefSet) Add(ref anyRef) error {
	a, err := attached(ref)
	if err != nil {
		return err
	}
	s.places = append(slices.Clip(s.places), a) // copies of the set go their own ways
	return nil
}

// Set gives a Ref a name; one that has the name already is replaced.
func (s *RefSet) Set(name string, ref anyRef) error {
	a, err := attached(ref)
	if err != nil {
		return err
	}
	names := maps.Clone(s.names)
	if names == nil {
		names = map[string]anchor{}
	}
	names[name] = a
	s.names = names
	return nil
}

func attached(ref anyRef) (anchor, error) {
	if ref == nil || ref.anchor().key == "" {
		return anchor{}, &FieldError{"Ref", nil, "must come from NewRef or Create"}
	}
	return ref.anchor(), nil
}

// Len is how many there are by position.
func (s RefSet) Len() int { return len(s.places) }

// Names returns the names, in alphabetical order.
func (s RefSet) Names() []string { return slices.Sorted(maps.Keys(s.names)) }

// At points ref, a *Ref of the right type, to what stands at a place, counted from 0.
func (s RefSet) At(place int, ref refTarget) error {
	if place < 0 || place >= len(s.places) {
		return &FieldError{"place", place, fmt.Sprintf("there are %d, counted from 0", len(s.places))}
	}
	ref.point(s.places[place])
	return nil
}

// Get points ref, a *Ref of the right type, to what has a name. ErrNotFound where nothing has it: ref is then left as it
// was, which makes it the default.
func (s RefSet) Get(name string, ref refTarget) error {
	a, ok := s.names[name]
	if !ok {
		return fmt.Errorf("%w: a Ref named %q", ErrNotFound, name)
	}
	ref.point(a)
	return nil
}

// wireRefs is how a RefSet is encoded; docs/wire.md.
type wireRefs struct {
	Places []string          `msgpack:"places"`
	Names  map[string]string `msgpack:"names"`
}

// EncodeMsgpack writes the keys. A Ref that is not committed cannot be encoded, but for its own transaction.
func (s RefSet) EncodeMsgpack(enc *msgpack.Encoder) error {
	w := wireRefs{make([]string, 0, len(s.places)), make(map[string]string, len(s.names))}
	for _, a := range s.places {
		if err := a.from.usable(nil); err != nil {
			return err
		}
		w.Places = append(w.Places, a.key)
	}
	for name, a := range s.names {
		if err := a.from.usable(nil); err != nil {
			return err
		}
		w.Names[name] = a.key
	}
	return enc.Encode(&w)
}

// DecodeMsgpack reads what EncodeMsgpack wrote.
func (s *RefSet) DecodeMsgpack(dec *msgpack.Decoder) error {
	var w wireRefs
	if err := dec.Decode(&w); err != nil {
		return err
	}
	*s = RefSet{}
	for _, key := range w.Places {
		s.places = append(s.places, anchor{key: key})
	}
	for name, key := range w.Names {
		if s.names == nil {
			s.names = make(map[string]anchor, len(w.Names))
		}
		s.names[name] = anchor{key: key}
	}
	return nil
}
