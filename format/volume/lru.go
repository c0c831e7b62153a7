package volume

import "container/list"

// An lru holds values with what they cost, in the order in which they were used. It is for one
// goroutine at a time.
type lru[K comparable, V any] struct {
	entries map[K]*list.Element
	order   list.List // of *lruEntry[K, V], the last used first
	cost    int64     // of all
}

type lruEntry[K comparable, V any] struct {
	key   K
	value V
	cost  int64
}

// get returns a value and makes it the last used.
func (l *lru[K, V]) get(key K) (value V, ok bool) {
	x, ok := l.entries[key]
	if ok {
		l.order.MoveToFront(x)
		value = x.Value.(*lruEntry[K, V]).value
	}
	return value, ok
}

// put adds a value, unless there is one.
func (l *lru[K, V]) put(key K, value V, cost int64) {
	if _, ok := l.entries[key]; ok {
		return
	}
	if l.entries == nil {
		l.entries = make(map[K]*list.Element)
	}
	l.entries[key] = l.order.PushFront(&lruEntry[K, V]{key, value, cost})
	l.cost += cost
}

// drop drops the value that was used longest ago of those that may go, and returns it.
func (l *lru[K, V]) drop(may func(V) bool) (value V, ok bool) {
	for x := l.order.Back(); x != nil; x = x.Prev() {
		e := x.Value.(*lruEntry[K, V])
		if may(e.value) {
			l.order.Remove(x)
			delete(l.entries, e.key)
			l.cost -= e.cost
			return e.value, true
		}
	}
	return value, false
}

// dropAll drops the values of all keys that may go, and returns them.
func (l *lru[K, V]) dropAll(may func(K) bool) (dropped []V) {
	for key, x := range l.entries {
		if may(key) {
			e := l.order.Remove(x).(*lruEntry[K, V])
			delete(l.entries, key)
			l.cost -= e.cost
			dropped = append(dropped, e.value)
		}
	}
	return dropped
}

// shrink drops values until the rest costs no more than max.
func (l *lru[K, V]) shrink(max int64) {
	for l.cost > max {
		if _, ok := l.drop(func(V) bool { return true }); !ok {
			return
		}
	}
}
