package spool

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"sync"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/spooljobs/spool/internal/codec"
)

// Ref is a typed pointer to a value that is stored in Redis under a key of the user's. It is a value itself, encodes as
// the key, and may be an argument or a result. What it points to is read and written inside of a transaction only, and
// anew in each. (The persistent object of the ZODB, whose identity could be stored where it could not.)
//
// How the value is stored follows from T: a map[string]string is a hash, of which single fields can be used; a number of
// any integer type is a counter, its digits; everything else is msgpack in a string.
//
// In a cluster the key bears the tag of the transaction's queue, Queue.Tag.
type Ref[T any] struct {
	key  string
	from *birth // of one that Create made; nil for others, which are simply keys
}

// birth is what a Ref knows of the transaction that created it, shared by its copies.
type birth struct {
	tx *Tx

	mu    sync.Mutex // guards what follows
	state birthState
	lent  int // Puts to the transaction that are being encoded
}

type birthState int

const (
	unborn birthState = iota // the transaction has not committed
	born
	stillborn // it never will
)

func (b *birth) committed() { b.become(born) }
func (b *birth) lost()      { b.become(stillborn) }

func (b *birth) become(s birthState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state = s
}

// NewRef returns a pointer to what is, or will be, stored under a key. It makes no call.
func NewRef[T any](key string) Ref[T] { return Ref[T]{key: key} }

// Create stores a new value under a key of its own and returns the pointer to it. Until the transaction commits the
// pointer is good in that transaction only: as an argument of a job that is put to it, as part of a value it stores, to
// load. Elsewhere it is an error that says so, and after an abort it stays one.
func Create[T any](ctx context.Context, tx *Tx, value T) (Ref[T], error) {
	if err := tx.usable(ctx); err != nil {
		return Ref[T]{}, err
	}
	ref := Ref[T]{key: tx.Queue().Tag() + "/ref/" + uuid.NewString(), from: &birth{tx: tx}}
	if err := ref.Store(ctx, tx, value); err != nil {
		return Ref[T]{}, err
	}
	tx.mu.Lock()
	defer tx.mu.Unlock()
	tx.born = append(tx.born, ref.from)
	return ref, nil
}

// Key is the key, "" of the zero Ref.
func (r Ref[T]) Key() string { return r.key }

// String is the key.
func (r Ref[T]) String() string { return r.key }

var (
	errUncommitted = "is not committed yet: until then only the transaction that created it can use it"
	errStillborn   = "was never committed: the transaction that created it was aborted"
)

// usable says whether the pointer may be used in a transaction; nil means elsewhere.
func (r Ref[T]) usable(tx *Tx) error {
	if r.key == "" {
		return &FieldError{"Ref", "", "must come from NewRef or Create"}
	}
	if r.from == nil {
		return nil
	}
	r.from.mu.Lock()
	defer r.from.mu.Unlock()
	switch {
	case r.from.state == stillborn:
		return &FieldError{"Ref", r.key, errStillborn}
	case r.from.state == unborn && r.from.tx != tx && r.from.lent == 0:
		return &FieldError{"Ref", r.key, errUncommitted}
	}
	return nil
}

// form is how a type is stored.
type form int

const (
	asMsgpack form = iota
	asNumber
	asHash
)

func formOf[T any]() form {
	t := reflect.TypeFor[T]()
	switch {
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return asNumber
	case t == reflect.TypeFor[map[string]string]():
		return asHash
	}
	return asMsgpack
}

// Load returns the stored value. ErrNotFound if there is none; an error that names the key if it is none of this type.
func (r Ref[T]) Load(ctx context.Context, tx *Tx) (T, error) {
	var value T
	if err := r.usable(tx); err != nil {
		return value, err
	}
	if formOf[T]() == asHash {
		fields, err := pairs(tx.Do(ctx, "HGETALL", r.key))
		if err == nil && len(fields) == 0 {
			err = redis.Nil
		}
		if err != nil {
			return value, r.trouble(err)
		}
		*any(&value).(*map[string]string) = fields
		return value, nil
	}
	text, err := tx.Do(ctx, "GET", r.key).Text()
	if err != nil {
		return value, r.trouble(err)
	}
	if formOf[T]() == asNumber {
		return value, r.parse(text, reflect.ValueOf(&value).Elem())
	}
	if err := codec.Unmarshal([]byte(text), &value); err != nil {
		return value, fmt.Errorf("spool: what is stored under %q is no %T: %w", r.key, value, err)
	}
	return value, nil
}

func (r Ref[T]) parse(text string, into reflect.Value) error {
	var err error
	if into.CanInt() {
		var n int64
		n, err = strconv.ParseInt(text, 10, into.Type().Bits())
		into.SetInt(n)
	} else {
		var n uint64
		n, err = strconv.ParseUint(text, 10, into.Type().Bits())
		into.SetUint(n)
	}
	if err != nil {
		return fmt.Errorf("spool: what is stored under %q is no %s: %w", r.key, into.Type(), err)
	}
	return nil
}

func (r Ref[T]) trouble(err error) error {
	if errors.Is(err, redis.Nil) {
		return fmt.Errorf("%w: %q", ErrNotFound, r.key)
	}
	return err
}

// pairs reads an answer of fields and values.
func pairs(cmd *redis.Cmd) (map[string]string, error) {
	list, err := cmd.StringSlice()
	if err != nil {
		return nil, err
	}
	fields := make(map[string]string, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		fields[list[i]] = list[i+1]
	}
	return fields, nil
}

// Store replaces the stored value, whatever it was. A hash without fields is no value: it is as after Delete.
func (r Ref[T]) Store(ctx context.Context, tx *Tx, value T) error {
	if err := r.usable(tx); err != nil {
		return err
	}
	switch formOf[T]() {
	case asNumber:
		return tx.Do(ctx, "SET", r.key, fmt.Sprint(value)).Err()
	case asHash:
		fields := any(value).(map[string]string)
		args := []any{"HSET", r.key}
		for field, text := range fields {
			args = append(args, field, text)
		}
		if err := tx.Do(ctx, "DEL", r.key).Err(); err != nil || len(fields) == 0 {
			return err
		}
		return tx.Do(ctx, args...).Err()
	}
	b, err := tx.encode(value)
	if err != nil {
		return fmt.Errorf("%w: %w", &FieldError{"value of " + r.key, fmt.Sprintf("%T", value), "cannot be encoded"}, err)
	}
	return tx.Do(ctx, "SET", r.key, b).Err()
}

// Delete removes the stored value. Where there is none it changes nothing.
func (r Ref[T]) Delete(ctx context.Context, tx *Tx) error {
	if err := r.usable(tx); err != nil {
		return err
	}
	return tx.Do(ctx, "DEL", r.key).Err()
}

// Update stores what fn makes of the stored value, or of the zero value where there is none. An error of fn comes back,
// and nothing is stored.
func (r Ref[T]) Update(ctx context.Context, tx *Tx, fn func(T) (T, error)) error {
	value, err := r.Load(ctx, tx)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if value, err = fn(value); err != nil {
		return err
	}
	return r.Store(ctx, tx, value)
}

// Add adds to a counter, from 0 where there is none, without reading it: two transactions that only add are no conflict.
// It is for Refs of integers; what passes 64 bits is refused at the commit.
func (r Ref[T]) Add(ctx context.Context, tx *Tx, n int64) error {
	if err := r.usable(tx); err != nil {
		return err
	}
	if formOf[T]() != asNumber {
		return &FieldError{"Ref", r.key, fmt.Sprintf("is no counter: %s", reflect.TypeFor[T]())}
	}
	return tx.Do(ctx, "INCRBY", r.key, n).Err()
}

// Field reads one field of a hash, for Refs of map[string]string: only this field is then read, for conflicts, too.
// ErrNotFound where there is none.
func (r Ref[T]) Field(ctx context.Context, tx *Tx, name string) (string, error) {
	if err := r.field(tx); err != nil {
		return "", err
	}
	text, err := tx.Do(ctx, "HGET", r.key, name).Text()
	return text, r.trouble(err)
}

// SetField writes one field of a hash, for Refs of map[string]string.
func (r Ref[T]) SetField(ctx context.Context, tx *Tx, name, text string) error {
	if err := r.field(tx); err != nil {
		return err
	}
	return tx.Do(ctx, "HSET", r.key, name, text).Err()
}

func (r Ref[T]) field(tx *Tx) error {
	if err := r.usable(tx); err != nil {
		return err
	}
	if formOf[T]() != asHash {
		return &FieldError{"Ref", r.key, fmt.Sprintf("is no hash: %s", reflect.TypeFor[T]())}
	}
	return nil
}

// MarshalText returns the key. A Ref that is not committed cannot be encoded, but for its own transaction.
func (r Ref[T]) MarshalText() ([]byte, error) {
	if err := r.usable(nil); err != nil {
		return nil, err
	}
	return []byte(r.key), nil
}

// UnmarshalText reads what MarshalText wrote.
func (r *Ref[T]) UnmarshalText(text []byte) error {
	*r = Ref[T]{key: string(text)}
	return nil
}

// EncodeMsgpack writes the key, nil for the zero Ref.
func (r Ref[T]) EncodeMsgpack(enc *msgpack.Encoder) error {
	if r.key == "" {
		return enc.EncodeNil()
	}
	if err := r.usable(nil); err != nil {
		return err
	}
	return enc.EncodeString(r.key)
}

// DecodeMsgpack reads what EncodeMsgpack wrote.
func (r *Ref[T]) DecodeMsgpack(dec *msgpack.Decoder) error {
	key, err := dec.DecodeString() // nil is ""
	*r = Ref[T]{key: key}
	return err
}

// encode encodes a value that may hold Refs which this transaction created.
func (tx *Tx) encode(value any) ([]byte, error) {
	tx.lend(1)
	defer tx.lend(-1)
	return codec.Marshal(value)
}

// lend lets Refs of this transaction be encoded: what is encoded takes effect with it.
func (tx *Tx) lend(n int) {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	for _, b := range tx.born {
		b.mu.Lock()
		b.lent += n
		b.mu.Unlock()
	}
}
