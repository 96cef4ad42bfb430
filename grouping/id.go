package grouping

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash/fnv"
	"slices"
)

// Key identifies an alert group: the source it was posted to, the receiver in
// Alertmanager's configuration (unquoted) and Alertmanager's group key.
//
// The group key alone is not enough: two routes with equal matchers share it.
// The external URL is left out on purpose: it differs between HA replicas.
type Key struct {
	Source   string `json:"source"`
	Receiver string `json:"receiver"`
	GroupKey string `json:"groupKey"`
}

// ID is the permalink and the storage key of an alert group: 20 lower-case hex
// digits, the head of SHA-256 over the length-prefixed parts of its Key.
type ID string

const idLen = 20

// ID returns the group's ID.
func (k Key) ID() ID {
	h := sha256.New()
	for _, part := range []string{k.Source, k.Receiver, k.GroupKey} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	return ID(hex.EncodeToString(h.Sum(nil))[:idLen])
}

// Valid reports whether the ID has the shape of a group ID. Only valid IDs
// become part of a storage key.
func (id ID) Valid() bool { return len(id) == idLen && isLowerHex(string(id)) }

// Fingerprint identifies an alert inside a group: 16 lower-case hex digits.
type Fingerprint string

const fingerprintLen = 16

// Valid reports whether the fingerprint has the shape that Alertmanager and
// Grafana give it. It need not match the labels: senders hash as they like.
func (f Fingerprint) Valid() bool { return len(f) == fingerprintLen && isLowerHex(string(f)) }

// Labels is a set of label or annotation names and values. It is never
// changed after it was attached to an alert or a group.
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

// Fingerprint returns the fingerprint that Alertmanager gives an alert with
// these labels: FNV-1a over the sorted names and values, each ended by 0xff.
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

func isLowerHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
