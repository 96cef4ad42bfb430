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

// Labels is a set of label or annotation names and values, sorted by name. It is immutable. The
// zero value is the empty set. Nearly all alerts have one of a few sets of names, so sets share
// their names. A set then needs half of the memory of a list of pairs.
type Labels struct {
	names  *labelNames // nil if the set is empty
	values []string    // one for each name
}

// usualLabels is the maximum number of labels for which functions have memory on the stack.
const usualLabels = 16

// NewLabels returns the labels of a map.
func NewLabels(m map[string]string) Labels {
	list := make([]Label, 0, len(m))
	for name, value := range m {
		list = append(list, Label{name, value})
	}
	return LabelsOf(list)
}

// LabelsOf returns the labels in the list, which it may sort. If a name is listed twice, the last
// value counts.
func LabelsOf(list []Label) Labels {
	byName := func(a, b Label) int { return cmp.Compare(a.Name, b.Name) }
	if !slices.IsSortedFunc(list, byName) {
		slices.SortStableFunc(list, byName)
	}
	var buffer [usualLabels]string
	names, values := buffer[:0], make([]string, 0, len(list))
	for i, l := range list {
		if i+1 < len(list) && list[i+1].Name == l.Name {
			continue
		}
		names, values = append(names, l.Name), append(values, l.Value)
	}
	return labelsOfValues(names, slices.Clip(values))
}

// labelsOfValues returns the labels with the sorted names and with their values. It takes ownership
// of the values.
func labelsOfValues(names, values []string) Labels {
	if len(names) == 0 {
		return Labels{}
	}
	return Labels{sharedNames(names), values}
}

// WithValues returns labels with the names of l and with other values. It takes ownership of the
// values.
func (l Labels) WithValues(values []string) Labels { return Labels{l.names, values} }

// Len returns the number of labels.
func (l Labels) Len() int { return len(l.values) }

// At returns the label with the index i, in the order of the names.
func (l Labels) At(i int) (name, value string) { return l.names.list[i], l.values[i] }

// IsZero reports whether the set is empty. Packages that encode JSON call it.
func (l Labels) IsZero() bool { return len(l.values) == 0 }

// Lookup returns the value of the label and true, or false if there is no such label.
func (l Labels) Lookup(name string) (string, bool) {
	// Most sets are small, and most names differ in their length: a search is not slower
	// than a binary one.
	for i := range l.values {
		if l.names.list[i] == name {
			return l.values[i], true
		}
	}
	return "", false
}

// Get returns the value of the label, or "" if there is no such label.
func (l Labels) Get(name string) string {
	value, _ := l.Lookup(name)
	return value
}

// Has reports whether the label has the value.
func (l Labels) Has(name, value string) bool {
	v, ok := l.Lookup(name)
	return ok && v == value
}

// All yields the names and values, sorted by name.
func (l Labels) All() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for i, value := range l.values {
			if !yield(l.names.list[i], value) {
				return
			}
		}
	}
}

// Equal reports whether both sets have the same names and values.
func (l Labels) Equal(o Labels) bool {
	switch {
	case len(l.values) != len(o.values):
		return false
	case len(l.values) == 0:
		return true
	case !l.names.equal(o.names):
		return false
	}
	return &l.values[0] == &o.values[0] || slices.Equal(l.values, o.values)
}

// Names returns the sorted names. The list belongs to the labels.
func (l Labels) Names() []string {
	if l.names == nil {
		return nil
	}
	return l.names.list
}

// Fingerprint returns the fingerprint that Alertmanager computes for an alert with
// these labels: FNV-1a over the sorted names and values, with 0xff after each.
func (l Labels) Fingerprint() Fingerprint {
	h := fnv.New64a()
	sep := []byte{0xff}
	for name, value := range l.All() {
		h.Write([]byte(name))
		h.Write(sep)
		h.Write([]byte(value))
		h.Write(sep)
	}
	return Fingerprint(hex.EncodeToString(h.Sum(nil)))
}

// Without returns the labels that o does not have with the same value.
func (l Labels) Without(o Labels) Labels {
	return l.Filter(func(name, value string) bool { return !o.Has(name, value) })
}

// in returns the labels that o has with the same value. If o has all, it returns l itself.
func (l Labels) in(o Labels) Labels {
	return l.Filter(o.Has)
}

// Filter returns the labels for which keep returns true. If that are all, it returns l
// itself.
func (l Labels) Filter(keep func(name, value string) bool) Labels {
	for i := range l.values {
		if keep(l.names.list[i], l.values[i]) {
			continue
		}
		var buffer [usualLabels]string
		names := append(buffer[:0], l.names.list[:i]...)
		values := append(make([]string, 0, len(l.values)-1), l.values[:i]...)
		for j := i + 1; j < len(l.values); j++ {
			if keep(l.names.list[j], l.values[j]) {
				names, values = append(names, l.names.list[j]), append(values, l.values[j])
			}
		}
		return labelsOfValues(names, values)
	}
	return l
}

// SharedLabels returns the labels that all n label sets have with the same value. at
// returns the set with the index i.
func SharedLabels(n int, at func(i int) Labels) Labels {
	if n == 0 {
		return Labels{}
	}
	shared := at(0)
	for i := 1; i < n && shared.Len() > 0; i++ {
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
