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
	places []string
	names  map[string]string
	live   []anyRef // what was given, for as long as it was not encoded
}

// anyRef is a Ref of any type.
type anyRef interface {
	Key() string
	usable(tx *Tx) error
}

// refTarget is a pointer to a Ref of any type.
type refTarget interface{ point(key string, live anyRef) }

func (r *Ref[T]) point(key string, live anyRef) {
	*r = Ref[T]{key: key}
	if from, ok := live.(interface{ birth() *birth }); ok {
		r.from = from.birth()
	}
}

func (r Ref[T]) birth() *birth { return r.from }

// Add appends a Ref. The zero Ref is an error: it points nowhere.
func (s *RefSet) Add(ref anyRef) error {
	if err := attached(ref); err != nil {
		return err
	}
	s.places, s.live = append(s.places, ref.Key()), append(s.live, ref)
	return nil
}

// Set gives a Ref a name; one that has the name already is replaced.
func (s *RefSet) Set(name string, ref anyRef) error {
	if err := attached(ref); err != nil {
		return err
	}
	if s.names == nil {
		s.names = map[string]string{}
	}
	s.names[name], s.live = ref.Key(), append(s.live, ref)
	return nil
}

func attached(ref anyRef) error {
	if ref == nil || ref.Key() == "" {
		return &FieldError{"Ref", nil, "must come from NewRef or Create"}
	}
	return nil
}

// Len is how many there are by position.
func (s RefSet) Len() int { return len(s.places) }

// Names returns the names, in alphabetical order.
func (s RefSet) Names() []string { return slices.Sorted(maps.Keys(s.names)) }

// At points ref, a *Ref of the right type, to what stands at a place, counted from 0.
func (s RefSet) At(place int, ref refTarget) error {
	if place < 0 || place >= len(s.places) {
		return &FieldError{"place", place, fmt.Sprintf("must be from 0 to %d", len(s.places)-1)}
	}
	ref.point(s.places[place], s.origin(s.places[place]))
	return nil
}

// Get points ref, a *Ref of the right type, to what has a name. ErrNotFound where nothing has it: ref is then left as it
// was, which makes it the default.
func (s RefSet) Get(name string, ref refTarget) error {
	key, ok := s.names[name]
	if !ok {
		return fmt.Errorf("%w: a Ref named %q", ErrNotFound, name)
	}
	ref.point(key, s.origin(key))
	return nil
}

func (s RefSet) origin(key string) anyRef {
	for _, ref := range s.live {
		if ref.Key() == key {
			return ref
		}
	}
	return nil
}

// wireRefs is how a RefSet is encoded; docs/wire.md.
type wireRefs struct {
	Places []string          `msgpack:"places"`
	Names  map[string]string `msgpack:"names"`
}

// EncodeMsgpack writes the keys. A Ref that is not committed cannot be encoded, but for its own transaction.
func (s RefSet) EncodeMsgpack(enc *msgpack.Encoder) error {
	for _, ref := range s.live {
		if err := ref.usable(nil); err != nil {
			return err
		}
	}
	return enc.Encode(&wireRefs{s.places, s.names})
}

// DecodeMsgpack reads what EncodeMsgpack wrote.
func (s *RefSet) DecodeMsgpack(dec *msgpack.Decoder) error {
	var w wireRefs
	if err := dec.Decode(&w); err != nil {
		return err
	}
	*s = RefSet{places: w.Places, names: w.Names}
	return nil
}
