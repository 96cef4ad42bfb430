package grouping

import (
	"cmp"
	"encoding/hex"
	"hash/fnv"
	"iter"
	"slices"
)

// Label is a name with its value.
type Label struct{ Name, Value string }

// Labels is a set of label or annotation names and values, sorted by name. It is
// immutable: nobody changes its elements. A list needs less than half of the memory of a
// map, and two lists that share their elements or strings are compared without reading
// them.
type Labels []Label

// NewLabels returns the labels of a map.
func NewLabels(m map[string]string) Labels {
	if m == nil {
		return nil
	}
	l := make(Labels, 0, len(m))
	for name, value := range m {
		l = append(l, Label{name, value})
	}
	return l.sorted()
}

// LabelsOf returns the labels in the list. It takes ownership of the list. If a name is
// listed twice, the last value counts.
func LabelsOf(list []Label) Labels {
	l := Labels(list).sorted()
	for i := 1; i < len(l); i++ {
		if l[i-1].Name == l[i].Name {
			slices.Reverse(l) // so that CompactFunc, which keeps the first, keeps the last
			l = slices.CompactFunc(l, func(a, b Label) bool { return a.Name == b.Name })
			slices.Reverse(l)
			break
		}
	}
	return slices.Clip(l)
}

// sorted sorts the labels by name, and keeps the order of equal names.
func (l Labels) sorted() Labels {
	byName := func(a, b Label) int { return cmp.Compare(a.Name, b.Name) }
	if !slices.IsSortedFunc(l, byName) {
		slices.SortStableFunc(l, byName)
	}
	return l
}

// Lookup returns the value of the label and true, or false if there is no such label.
func (l Labels) Lookup(name string) (string, bool) {
	// Most sets are small, and most names differ in their length: a search is not slower
	// than a binary one.
	for i := range l {
		if l[i].Name == name {
			return l[i].Value, true
		}
	}
	return "", false
}

// Get returns the value of the label, or "" if there is no such label.
func (l Labels) Get(name string) string {
	value, _ := l.Lookup(name)
	return value
}

// All yields the names and values, sorted by name.
func (l Labels) All() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for i := range l {
			if !yield(l[i].Name, l[i].Value) {
				return
			}
		}
	}
}

// Equal reports whether both sets have the same names and values.
func (l Labels) Equal(o Labels) bool {
	return len(l) == len(o) && (len(l) == 0 || &l[0] == &o[0] || slices.Equal(l, o)) //nolint:gosec // G602: the lengths are equal
}

// Names returns the sorted names.
func (l Labels) Names() []string {
	names := make([]string, len(l))
	for i := range l {
		names[i] = l[i].Name
	}
	return names
}

// Fingerprint returns the fingerprint that Alertmanager computes for an alert with
// these labels: FNV-1a over the sorted names and values, with 0xff after each.
func (l Labels) Fingerprint() Fingerprint {
	h := fnv.New64a()
	sep := []byte{0xff}
	for i := range l {
		h.Write([]byte(l[i].Name))
		h.Write(sep)
		h.Write([]byte(l[i].Value))
		h.Write(sep)
	}
	return Fingerprint(hex.EncodeToString(h.Sum(nil)))
}

// Without returns the labels that o does not have with the same value.
func (l Labels) Without(o Labels) Labels {
	return l.filter(func(p Label) bool { return !o.Has(p.Name, p.Value) })
}

// in returns the labels that o has with the same value. If o has all, it returns l itself.
func (l Labels) in(o Labels) Labels {
	return l.filter(func(p Label) bool { return o.Has(p.Name, p.Value) })
}

// Has reports whether the label has the value.
func (l Labels) Has(name, value string) bool {
	v, ok := l.Lookup(name)
	return ok && v == value
}

// filter returns the labels for which keep returns true. If that are all, it returns l
// itself.
func (l Labels) filter(keep func(Label) bool) Labels {
	for i := range l {
		if !keep(l[i]) {
			kept := append(make(Labels, 0, len(l)-1), l[:i]...)
			for _, p := range l[i+1:] {
				if keep(p) {
					kept = append(kept, p)
				}
			}
			return kept
		}
	}
	return l
}

// SharedLabels returns the labels that all n label sets have with the same value. at
// returns the set with the index i.
func SharedLabels(n int, at func(i int) Labels) Labels {
	if n == 0 {
		return nil
	}
	shared := at(0)
	for i := 1; i < n && len(shared) > 0; i++ {
		shared = shared.in(at(i))
	}
	return shared
}

// SharedByAlerts returns the labels and the annotations that all alerts share.
func SharedByAlerts(alerts []*Alert) (ls, annotations Labels) {
	shared := func(of func(*Alert) Labels) Labels {
		return SharedLabels(len(alerts), func(i int) Labels { return of(alerts[i]) })
	}
	return shared(labelsOf), shared(annotationsOf)
}
