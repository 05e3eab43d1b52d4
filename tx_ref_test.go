package spool_test

import (
	"context"
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spooljobs/spool"
	"github.com/spooljobs/spool/retry"
)

// transacted runs a transaction that must commit.
func transacted(t *testing.T, c *spool.Client, fn func(ctx context.Context, tx *spool.Tx) error) {
	t.Helper()
	if err := c.Transact(within(t), fn); err != nil {
		t.Fatal(err)
	}
}

// mistaken fails the test unless an error is a FieldError whose text has some words.
func mistaken(t *testing.T, err error, words ...string) {
	t.Helper()
	var field *spool.FieldError
	if !errors.As(err, &field) {
		t.Errorf("got %v, want a FieldError", err)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q is not in %q", word, err)
		}
	}
}

type person struct {
	Name  string
	Age   int
	Seen  time.Time
	Knows *person
	Boss  spool.Ref[person]
	Tags  map[string][]int
}

// level has a text of its own, which must not become what is stored.
type level int16

func (l level) String() string { return "level " + strconv.Itoa(int(l)) }

// A Ref gives back what was stored, from the buffer and from Redis, in the form its type stands for.
func TestRefOfEachForm(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		ada := person{Name: "Ada", Age: 36, Seen: time.Date(1852, 11, 27, 1, 2, 3, 4, time.UTC), Knows: &person{Name: "Bob"},
			Boss: spool.NewRef[person](s.mine("boss")), Tags: map[string][]int{"a": {1, 2}, "b": nil}}
		c := s.client(t)
		goesThrough(t, s, c, "struct", ada, "")
		goesThrough(t, s, c, "pointer", &ada, "")
		goesThrough(t, s, c, "text", "", "")
		goesThrough(t, s, c, "bytes", []byte{0, 255, 10}, "")
		goesThrough(t, s, c, "list", []person{ada, {}}, "")
		goesThrough(t, s, c, "numbers", map[string]int{"a": 1}, "")
		goesThrough(t, s, c, "bool", true, "")
		goesThrough(t, s, c, "float", math.Inf(-1), "")
		goesThrough(t, s, c, "ref", spool.NewRef[int](s.mine("n")), "")
		goesThrough(t, s, c, "int", -42, "-42")
		goesThrough(t, s, c, "least", int64(math.MinInt64), "-9223372036854775808")
		goesThrough(t, s, c, "most", uint64(math.MaxUint64), "18446744073709551615")
		goesThrough(t, s, c, "byte", byte(200), "200")
		goesThrough(t, s, c, "named", level(-7), "-7")
		goesThrough(t, s, c, "duration", 90*time.Second, "90000000000")
		goesThrough(t, s, c, "hash", map[string]string{"a": "1", "": "no name", "b": ""}, "")
	})
}

// goesThrough stores a value and reads it back. text, if there is one, is what Redis then has.
func goesThrough[T any](t *testing.T, s *server, c *spool.Client, name string, value T, text string) {
	t.Helper()
	ref := spool.NewRef[T](s.mine("form-" + name))
	compare := func(where string, got T, err error) {
		t.Helper()
		equal := cmp.Comparer(func(a, b spool.Ref[person]) bool { return a.Key() == b.Key() })
		equalInt := cmp.Comparer(func(a, b spool.Ref[int]) bool { return a.Key() == b.Key() })
		if diff := cmp.Diff(value, got, equal, equalInt); err != nil || diff != "" {
			t.Errorf("%s, %s: %v\n%s", name, where, err, diff)
		}
	}
	transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
		if _, err := ref.Load(ctx, tx); !errors.Is(err, spool.ErrNotFound) || !strings.Contains(err.Error(), ref.Key()) {
			t.Errorf("%s, before: %v", name, err)
		}
		if err := ref.Store(ctx, tx, value); err != nil {
			return err
		}
		got, err := ref.Load(ctx, tx)
		compare("from the buffer", got, err)
		return nil
	})
	transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
		got, err := ref.Load(ctx, tx)
		compare("from Redis", got, err)
		return nil
	})
	rdb := s.raw(t)
	kind := must(rdb.Type(t.Context(), ref.Key()).Result())(t)
	if want := map[bool]string{true: "hash", false: "string"}[reflect.TypeFor[T]() == reflect.TypeFor[map[string]string]()]; kind != want {
		t.Errorf("%s is stored as a %s", name, kind)
	}
	if text != "" && must(rdb.Get(t.Context(), ref.Key()).Result())(t) != text {
		t.Errorf("%s is stored as %q", name, rdb.Get(t.Context(), ref.Key()).Val())
	}
}

// What is stored is none of the type: an error that names the key, and no value. It is not as if nothing were there.
func TestRefToSomethingElse(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		ctx, rdb := t.Context(), s.raw(t)
		rdb.Set(ctx, s.mine("text"), "text", 0)
		rdb.Set(ctx, s.mine("300"), "300", 0)
		rdb.Set(ctx, s.mine("-1"), "-1", 0)
		rdb.Set(ctx, s.mine("empty"), "", 0)
		rdb.Set(ctx, s.mine("hostile"), "\xdd\xff\xff\xff\xff", 0)
		rdb.RPush(ctx, s.mine("list"), "a")
		rdb.HSet(ctx, s.mine("hash"), "a", "1")
		transacted(t, s.client(t), func(ctx context.Context, tx *spool.Tx) error {
			for _, key := range []string{"text", "empty", "list", "hash", "300", "-1"} {
				refuses[uint8](ctx, t, tx, s.mine(key))
			}
			for _, key := range []string{"text", "empty", "hostile", "list", "hash"} {
				refuses[person](ctx, t, tx, s.mine(key))
				refuses[*person](ctx, t, tx, s.mine(key))
			}
			for _, key := range []string{"text", "list"} {
				refuses[map[string]string](ctx, t, tx, s.mine(key))
				_, err := spool.NewRef[map[string]string](s.mine(key)).Field(ctx, tx, "a")
				if err == nil || errors.Is(err, spool.ErrNotFound) || !strings.Contains(err.Error(), s.mine(key)) {
					t.Errorf("a field of %s: %v", key, err)
				}
			}
			// Update must not take it for nothing and write over it.
			err := spool.NewRef[person](s.mine("text")).Update(ctx, tx, func(p person) (person, error) {
				t.Errorf("Update was given %v", p)
				return p, nil
			})
			if err == nil {
				t.Error("Update of text")
			}
			return nil
		})
	})
}

func refuses[T any](ctx context.Context, t *testing.T, tx *spool.Tx, key string) {
	t.Helper()
	got, err := spool.NewRef[T](key).Load(ctx, tx)
	if err == nil || errors.Is(err, spool.ErrNotFound) || !strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), reflect.TypeFor[T]().String()) {
		t.Errorf("%s as %T: %v", key, got, err)
	}
	if !reflect.ValueOf(&got).Elem().IsZero() {
		t.Errorf("%s gave %v beside its error", key, got)
	}
}

// Writes that cannot succeed are refused at the commit, with the key, and nothing else of the transaction is written.
func TestRefWritesThatCannotSucceed(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c, rdb := s.client(t), s.raw(t)
		ctx := within(t)
		rdb.Set(ctx, s.mine("most"), math.MaxInt64, 0)
		rdb.Set(ctx, s.mine("least"), math.MinInt64, 0)
		rdb.Set(ctx, s.mine("unsigned"), uint64(math.MaxInt64)+1, 0)
		rdb.Set(ctx, s.mine("text"), "text", 0)
		rdb.RPush(ctx, s.mine("list"), "a")
		for key, by := range map[string]int64{"most": 1, "least": -1, "unsigned": 1, "text": 1, "list": 1} {
			err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
				if err := spool.NewRef[int](s.mine("bystander")).Add(ctx, tx, 1); err != nil {
					return err
				}
				return spool.NewRef[int64](s.mine(key)).Add(ctx, tx, by)
			})
			mistaken(t, err, s.mine(key))
		}
		mistaken(t, c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error {
			return errors.Join(spool.NewRef[int](s.mine("bystander")).Add(ctx, tx, 1),
				spool.NewRef[map[string]string](s.mine("text")).SetField(ctx, tx, "a", "b"))
		}), s.mine("text"))
		if n := must(rdb.Exists(ctx, s.mine("bystander")).Result())(t); n != 0 {
			t.Error("a refused transaction has written")
		}
		if n := must(rdb.Get(ctx, s.mine("most")).Int64())(t); n != math.MaxInt64 {
			t.Errorf("the counter is at %d", n)
		}
		transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
			// Up to the limit is no mistake, nor is a detour.
			most := spool.NewRef[int64](s.mine("most"))
			if err := errors.Join(most.Add(ctx, tx, -1), most.Add(ctx, tx, 1)); err != nil {
				return err
			}
			if err := spool.NewRef[int](s.mine("fresh")).Add(ctx, tx, math.MaxInt64); err != nil {
				return err
			}
			mistakenUse(ctx, t, tx, s)
			return nil
		})
	})
}

// mistakenUse is what a Ref refuses whatever is stored.
func mistakenUse(ctx context.Context, t *testing.T, tx *spool.Tx, s *server) {
	var nowhere spool.Ref[int]
	mistaken(t, nowhere.Store(ctx, tx, 1), "NewRef")
	mistaken(t, nowhere.Delete(ctx, tx), "NewRef")
	mistaken(t, nowhere.Add(ctx, tx, 1), "NewRef")
	_, err := nowhere.Load(ctx, tx)
	mistaken(t, err, "NewRef")
	ref := spool.NewRef[person](s.mine("p"))
	mistaken(t, ref.Add(ctx, tx, 1), "no counter")
	mistaken(t, ref.SetField(ctx, tx, "a", "b"), "no hash")
	_, err = ref.Field(ctx, tx, "a")
	mistaken(t, err, "no hash")
	mistaken(t, spool.NewRef[int](s.key("default", "meta")).Add(ctx, tx, 1), "Spool's own")
	mistaken(t, ref.Store(ctx, nil, person{}), "Transact")
	_, err = ref.Load(ctx, nil)
	mistaken(t, err, "Transact")
	//lint:ignore SA1012 what a nil context does is the question
	mistaken(t, ref.Delete(nil, tx), "ctx") //nolint:staticcheck
	_, err = spool.Create(ctx, nil, 1)
	mistaken(t, err, "Transact")
	if err := spool.NewRef[func()](s.mine("f")).Store(ctx, tx, func() {}); err == nil {
		t.Error("a function was stored")
	}
	mistaken(t, tx.Do(ctx, append([]any{"DEL"}, make([]any, 1000)...)...).Err(), "1000")
}

// Adding reads nothing: transactions that only add are never in conflict, however they lie across each other.
func TestAddsDoNotConflict(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := s.client(t)
		ref := spool.NewRef[uint](s.mine("n"))
		const n = 20
		var all, wg sync.WaitGroup
		all.Add(n)
		for range n {
			wg.Go(func() {
				err := c.Transact(within(t), func(ctx context.Context, tx *spool.Tx) error {
					defer all.Wait() // all have added before any commits
					defer all.Done()
					return errors.Join(ref.Add(ctx, tx, 5), ref.Add(ctx, tx, -2))
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
			if got, err := ref.Load(ctx, tx); got != 3*n || err != nil {
				t.Errorf("%d, %v", got, err)
			}
			return nil
		})
		if _, conflicts := c.Transactions(); conflicts != 0 {
			t.Errorf("%d conflicts", conflicts)
		}
	})
}

// Of a hash only the fields that were read are read, for conflicts, too. All of it is read by Load.
func TestRefOfFields(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c, rdb := s.client(t), s.raw(t)
		ctx := within(t)
		ref := spool.NewRef[map[string]string](s.mine("h"))
		for _, test := range []struct {
			name   string
			read   func(ctx context.Context, tx *spool.Tx) error
			change []any
			clash  bool
		}{
			{"another field", fieldOf(ref, "a"), []any{"b", "2"}, false},
			{"the field", fieldOf(ref, "a"), []any{"a", "2"}, true},
			{"an absent field", fieldOf(ref, "none"), []any{"none", "2"}, true},
			{"another than an absent one", fieldOf(ref, "none"), []any{"a", "3"}, false},
			{"any field of all", loadOf(ref), []any{"c", "2"}, true},
			{"the field, as it was", fieldOf(ref, "a"), []any{"a", "1"}, false},
		} {
			rdb.Del(ctx, ref.Key())
			rdb.HSet(ctx, ref.Key(), "a", "1", "b", "1")
			tries := 0
			transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
				tries = tx.Attempts()
				if err := test.read(ctx, tx); err != nil && !errors.Is(err, spool.ErrNotFound) {
					return err
				}
				if tries == 1 {
					rdb.HSet(ctx, ref.Key(), test.change...)
				}
				return ref.SetField(ctx, tx, "written", "1")
			})
			if (tries == 2) != test.clash || tries > 2 {
				t.Errorf("%s: %d attempts", test.name, tries)
			}
			if got := must(rdb.HGet(ctx, ref.Key(), "written").Result())(t); got != "1" {
				t.Errorf("%s: wrote %q", test.name, got)
			}
		}
	})
}

func fieldOf(ref spool.Ref[map[string]string], name string) func(context.Context, *spool.Tx) error {
	return func(ctx context.Context, tx *spool.Tx) error {
		_, err := ref.Field(ctx, tx, name)
		return err
	}
}

func loadOf[T any](ref spool.Ref[T]) func(context.Context, *spool.Tx) error {
	return func(ctx context.Context, tx *spool.Tx) error {
		_, err := ref.Load(ctx, tx)
		return err
	}
}

// Store replaces all fields, whatever was there, and however many there are. None is as after Delete.
func TestRefReplacesHash(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c, rdb := s.client(t), s.raw(t)
		ctx := within(t)
		ref := spool.NewRef[map[string]string](s.mine("h"))
		rdb.Set(ctx, ref.Key(), "text", 0)
		large := map[string]string{}
		for i := range 1700 {
			large[strconv.Itoa(i)] = strings.Repeat("x", i%100)
		}
		for _, fields := range []map[string]string{{"a": "1"}, large, {"b": "2", "c": ""}, {}, nil, {"d": "4"}} {
			transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
				if err := ref.Store(ctx, tx, fields); err != nil {
					return err
				}
				got, err := ref.Load(ctx, tx)
				if len(fields) == 0 != errors.Is(err, spool.ErrNotFound) || len(got) != len(fields) {
					t.Errorf("from the buffer: %d fields, %v", len(got), err)
				}
				return nil
			})
			if got := must(rdb.HGetAll(ctx, ref.Key()).Result())(t); len(got) != len(fields) || (len(fields) > 0 && !cmp.Equal(got, fields)) {
				t.Errorf("%d fields are %d", len(fields), len(got))
			}
		}
	})
}

func TestRefDeleteAndUpdate(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c, rdb := s.client(t), s.raw(t)
		ctx := within(t)
		ref := spool.NewRef[int](s.mine("n"))
		birthday := func(n int) (int, error) { return n + 1, nil }
		transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
			return errors.Join(ref.Delete(ctx, tx), ref.Update(ctx, tx, birthday), ref.Update(ctx, tx, birthday))
		})
		if got := must(rdb.Get(ctx, ref.Key()).Int())(t); got != 2 {
			t.Errorf("%d after two updates", got)
		}
		transacted(t, c, func(ctx context.Context, tx *spool.Tx) error {
			if err := ref.Update(ctx, tx, func(n int) (int, error) { return 99, errKnown }); err != errKnown {
				t.Errorf("the error of fn came back as %v", err)
			}
			if n, err := ref.Load(ctx, tx); n != 2 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
			if err := errors.Join(ref.Delete(ctx, tx), ref.Delete(ctx, tx)); err != nil {
				return err
			}
			if _, err := ref.Load(ctx, tx); !errors.Is(err, spool.ErrNotFound) {
				t.Errorf("deleted: %v", err)
			}
			return nil
		})
		if n := must(rdb.Exists(ctx, ref.Key()).Result())(t); n != 0 {
			t.Error("it is still there")
		}
		// All at once.
		var wg sync.WaitGroup
		const n = 16
		for range n {
			wg.Go(func() {
				err := c.Transact(ctx, func(ctx context.Context, tx *spool.Tx) error { return ref.Update(ctx, tx, birthday) }, stubborn)
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got := must(rdb.Get(ctx, ref.Key()).Int())(t); got != n {
			t.Errorf("%d after %d updates", got, n)
		}
	})
}

// stubborn goes on whatever the conflicts.
var stubborn = spool.TxConfig{Retry: retry.Forever()}

var (
	refLooks  = spool.NewTask[spool.Ref[person], string]("tx.looks")
	refMakes  = spool.NewTask[string, spool.Ref[person]]("tx.makes")
	refBundle = spool.NewTask[wrapped, string]("tx.bundle")
)
