package future

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// ErrNoKey is the error of Delete for a key that has no value.
var ErrNoKey = errors.New("future: no such key")

// Map is a map whose look-ups wait until there is a value for their key. A missing key
// is never an error of a look-up.
//
// The zero Map is empty and ready to use. Any number of goroutines may use it at once.
type Map[K comparable, V any] struct {
	mu      sync.Mutex
	values  map[K]V
	waiting map[K][]*Promise[V] // of keys without a value, in order of arrival
}

// NewMap returns a Map that holds a copy of from, which may be nil.
func NewMap[K comparable, V any](from map[K]V) *Map[K, V] {
	return &Map[K, V]{values: maps.Clone(from)}
}

// Get waits until the key has a value and returns it. If ctx ends first, Get returns its
// error.
func (m *Map[K, V]) Get(ctx context.Context, key K) (V, error) {
	f := m.Future(ctx, key)
	<-f.Done() // it obeys ctx
	return f.Value(), f.Err()
}

// Future is Get without waiting: the future has settled if the key has a value, and
// settles when it gets one. Each call gives a future of its own: it may be cancelled
// without harm to others, and is when ctx ends.
func (m *Map[K, V]) Future(ctx context.Context, key K) *Future[V] {
	m.mu.Lock()
	if value, there := m.values[key]; there {
		m.mu.Unlock()
		return Settled(value, nil)
	}
	p := NewPromise[V](ctx)
	if m.waiting == nil {
		m.waiting = map[K][]*Promise[V]{}
	}
	m.waiting[key] = append(m.waiting[key], p)
	m.mu.Unlock()
	// Not under mu: if ctx has ended, the function is called here and now.
	p.OnCancel(func() { m.forget(key, p) })
	return p.Future()
}

// forget takes a look-up that was cancelled off the list.
func (m *Map[K, V]) forget(key K, p *Promise[V]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rest := slices.DeleteFunc(m.waiting[key], func(other *Promise[V]) bool { return other == p })
	if m.waiting[key] = rest; len(rest) == 0 {
		delete(m.waiting, key)
	}
}

// Load returns the value of the key and whether there is one. It does not wait.
func (m *Map[K, V]) Load(key K) (value V, there bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	value, there = m.values[key]
	return value, there
}

// Set gives the key a value, or another one. Look-ups that wait for the key settle with
// it, in the order in which they came, and have when Set returns. Those that were
// answered before keep what they got.
func (m *Map[K, V]) Set(key K, value V) {
	m.mu.Lock()
	if m.values == nil {
		m.values = map[K]V{}
	}
	m.values[key] = value
	waiting := m.waiting[key]
	delete(m.waiting, key)
	m.mu.Unlock()
	// The value is in its place by now: who is told may look it up, or set it.
	for _, p := range waiting {
		p.future.settle(value, nil)
	}
}

// Delete takes the key out. Later look-ups wait again. If the key has no value, the
// error is ErrNoKey; look-ups that wait for it go on waiting.
func (m *Map[K, V]) Delete(key K) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, there := m.values[key]; !there {
		return fmt.Errorf("%w: %v", ErrNoKey, key)
	}
	delete(m.values, key)
	return nil
}
