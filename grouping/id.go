package grouping

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// Key identifies an alert group. It consists of the source that received the
// notification, the receiver in Alertmanager's configuration (unquoted) and
// Alertmanager's group key.
//
// The group key alone is not enough, because two routes with equal matchers have the
// same one. The external URL is not part of the Key, because it differs between HA
// replicas.
type Key struct {
	Source   string `json:"source"`
	Receiver string `json:"receiver"`
	GroupKey string `json:"groupKey"`
}

// ID identifies an alert group in URLs and in the storage. It has 20 lower-case hex
// digits: the beginning of a SHA-256 hash over the length-prefixed parts of the Key.
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

// Valid reports whether the ID has the format of a group ID. Only valid IDs become
// part of a storage key.
func (id ID) Valid() bool { return len(id) == idLen && isLowerHex(string(id)) }

// Fingerprint identifies an alert inside a group: 16 lower-case hex digits.
type Fingerprint string

const fingerprintLen = 16

// Valid reports whether the fingerprint has the format that Alertmanager and Grafana
// use. It does not compare the fingerprint with labels, because senders may compute
// it in other ways.
func (f Fingerprint) Valid() bool { return len(f) == fingerprintLen && isLowerHex(string(f)) }

func isLowerHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
