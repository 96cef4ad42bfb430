package grouping

import (
	"encoding/hex"
	"hash/fnv"
	"maps"
	"slices"
)

// Labels is a set of label or annotation names and values. It must not be changed
// after an alert or a group has it.
type Labels map[string]string

// Names returns the sorted names.
func (l Labels) Names() []string {
	names := make([]string, 0, len(l))
	for name := range l {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Fingerprint returns the fingerprint that Alertmanager computes for an alert with
// these labels: FNV-1a over the sorted names and values, with 0xff after each.
func (l Labels) Fingerprint() Fingerprint {
	h := fnv.New64a()
	sep := []byte{0xff}
	for _, name := range l.Names() {
		h.Write([]byte(name))
		h.Write(sep)
		h.Write([]byte(l[name]))
		h.Write(sep)
	}
	return Fingerprint(hex.EncodeToString(h.Sum(nil)))
}

// Without returns the labels that o does not have with the same value.
func (l Labels) Without(o Labels) Labels {
	own := Labels{}
	for name, value := range l {
		if other, ok := o[name]; !ok || other != value {
			own[name] = value
		}
	}
	return own
}

// in returns the labels that o has with the same value. If o has all, it returns l itself.
func (l Labels) in(o Labels) Labels {
	missing := func(name, value string) bool {
		other, ok := o[name]
		return !ok || other != value
	}
	for name, value := range l {
		if missing(name, value) {
			l = maps.Clone(l)
			maps.DeleteFunc(l, missing)
			break
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
	ls = SharedLabels(len(alerts), func(i int) Labels { return alerts[i].Labels })
	annotations = SharedLabels(len(alerts), func(i int) Labels { return alerts[i].Annotations })
	return ls, annotations
}
