package spool

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"sync"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/spooljobs/spool/internal/codec"
	"github.com/spooljobs/spool/internal/txn"
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
	tx  *Tx
	key string

	mu    sync.Mutex // guards what follows
	state birthState
	lent  bool // something that takes effect with the transaction is being encoded,
	used  bool // and the Ref stands in it
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
	key := tx.Queue().Tag() + "/ref/" + uuid.NewString()
	ref := Ref[T]{key: key, from: &birth{tx: tx, key: key}}
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
	return r.from.usable(tx)
}

func (b *birth) usable(tx *Tx) error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.state == stillborn:
		return &FieldError{"Ref", b.key, errStillborn}
	case b.state == born, b.tx == tx:
		return nil
	case tx == nil && b.lent:
		b.used = true
		return nil
	}
	return &FieldError{"Ref", b.key, errUncommitted}
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
		err = parse(text, reflect.ValueOf(&value).Elem())
	} else {
		err = codec.Unmarshal([]byte(text), &value)
	}
	if err != nil {
		var none T
		return none, r.strange(err)
	}
	return value, nil
}

func parse(text string, into reflect.Value) error {
	if into.CanInt() {
		n, err := strconv.ParseInt(text, 10, into.Type().Bits())
		into.SetInt(n)
		return err
	}
	n, err := strconv.ParseUint(text, 10, into.Type().Bits())
	into.SetUint(n)
	return err
}

// digits is what parse reads, whatever the methods of the type.
func digits(v reflect.Value) string {
	if v.CanInt() {
		return strconv.FormatInt(v.Int(), 10)
	}
	return strconv.FormatUint(v.Uint(), 10)
}

func (r Ref[T]) strange(err error) error {
	return fmt.Errorf("spool: what is stored under %q is no %s: %w", r.key, reflect.TypeFor[T](), err)
}

func (r Ref[T]) trouble(err error) error {
	if errors.Is(err, redis.Nil) {
		return fmt.Errorf("%w: %q", ErrNotFound, r.key)
	}
	if reply := txn.ReplyError(""); errors.As(err, &reply) {
		return r.strange(err)
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
		return tx.Do(ctx, "SET", r.key, digits(reflect.ValueOf(value))).Err()
	case asHash:
		if err := tx.Do(ctx, "DEL", r.key).Err(); err != nil {
			return err
		}
		args := []any{"HSET", r.key}
		for field, text := range any(value).(map[string]string) {
			if args = append(args, field, text); len(args)+2 > maxTxCommand {
				if err := tx.Do(ctx, args...).Err(); err != nil {
					return err
				}
				args = args[:2]
			}
		}
		if len(args) == 2 {
			return nil
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
// It is for Refs of integers; what passes the 64 bits of an int64 is refused at the commit. A value that passes a smaller
// type, or falls below 0 where that has no sign, shows as an error of Load.
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
func (tx *Tx) encode(value any) (b []byte, err error) {
	_, err = tx.lending(func() (err error) {
		b, err = codec.Marshal(value)
		return err
	})
	return b, err
}

// lending lets Refs of this transaction be encoded by fn: what it encodes takes effect with it. It returns those that
// were. Without a transaction it only calls fn.
func (tx *Tx) lending(fn func() error) (used []*birth, err error) {
	if tx == nil {
		return nil, fn()
	}
	tx.mu.Lock()
	born := slices.Clone(tx.born)
	tx.mu.Unlock()
	if len(born) == 0 {
		return nil, fn()
	}
	tx.encoding.Lock() // so that it is known what stands in what
	defer tx.encoding.Unlock()
	for _, b := range born {
		b.lend()
	}
	defer func() {
		for _, b := range born {
			if b.takeBack() {
				used = append(used, b)
			}
		}
	}()
	return nil, fn()
}

func (b *birth) lend() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lent, b.used = true, false
}

// takeBack says whether it was used.
func (b *birth) takeBack() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lent = false
	return b.used
}
