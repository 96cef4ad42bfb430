package grouping

import linked "container/list"

// agedMap is a map with a maximum size. A new key evicts the one that was put longest ago.
type agedMap[K comparable, V any] struct {
	maximum int
	entries map[K]*linked.Element // of type agedEntry
	order   *linked.List          // the oldest is first
}

type agedEntry[K comparable, V any] struct {
	key   K
	value V
}

func newAgedMap[K comparable, V any](maximum int) agedMap[K, V] {
	return agedMap[K, V]{maximum: maximum, entries: map[K]*linked.Element{}, order: linked.New()}
}

func (m *agedMap[K, V]) get(key K) (value V, ok bool) {
	if e := m.entries[key]; e != nil {
		return e.Value.(agedEntry[K, V]).value, true //nolint:forcetypeassert // put adds nothing else
	}
	return value, false
}

func (m *agedMap[K, V]) put(key K, value V) {
	if e := m.entries[key]; e != nil {
		e.Value = agedEntry[K, V]{key, value}
		m.order.MoveToBack(e)
		return
	}
	m.entries[key] = m.order.PushBack(agedEntry[K, V]{key, value})
	if len(m.entries) > m.maximum {
		m.remove(m.order.Front())
	}
}

// each calls keep for each entry, the oldest first, and removes it if keep returns false.
func (m *agedMap[K, V]) each(keep func(K, V) bool) {
	for e := m.order.Front(); e != nil; {
		next := e.Next()
		entry := e.Value.(agedEntry[K, V]) //nolint:forcetypeassert // put adds nothing else
		if !keep(entry.key, entry.value) {
			m.remove(e)
		}
		e = next
	}
}

func (m *agedMap[K, V]) remove(e *linked.Element) {
	delete(m.entries, m.order.Remove(e).(agedEntry[K, V]).key) //nolint:forcetypeassert // put adds nothing else
}
