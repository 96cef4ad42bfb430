package grouping

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"
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
// digits: the beginning of a SHA-256 hash over the length-prefixed parts of the Key. The
// document of a source has an ID of its own form: see SourceID.
type ID string

const idLen = 20

// ID returns the group's ID.
func (k Key) ID() ID {
	return ID(hashOf(idLen, k.Source, k.Receiver, k.GroupKey))
}

// sourceMark begins the IDs of the documents of sources. It is not a hex digit, so no
// group has such an ID.
const sourceMark = "s"

// SourceID returns the ID of the document of a source. It is as long as the ID of a
// group, so a storage keeps both in the same way.
func SourceID(source string) ID {
	return ID(sourceMark + hashOf(idLen-len(sourceMark), "source", source))
}

// IsSource reports whether the ID is that of the document of a source.
func (id ID) IsSource() bool { return strings.HasPrefix(string(id), sourceMark) }

// describe returns what has the ID, for an error text.
func (id ID) describe() string {
	if id.IsSource() {
		return "source document " + string(id)
	}
	return "group " + string(id)
}

// hashOf returns the beginning of the SHA-256 hash over the length-prefixed parts, as hex
// digits. Each notification needs some hashes, so this allocates only the result, if the
// parts have a usual length.
func hashOf(digits int, parts ...string) string {
	var usual [512]byte
	text := usual[:0]
	for _, part := range parts {
		text = binary.BigEndian.AppendUint64(text, uint64(len(part)))
		text = append(text, part...)
	}
	sum := sha256.Sum256(text)
	var all [2 * sha256.Size]byte
	hex.Encode(all[:], sum[:])
	return string(all[:digits])
}

// Valid reports whether the ID has the format of a group ID or of a source. Only valid
// IDs become part of a storage key.
func (id ID) Valid() bool {
	return len(id) == idLen && isLowerHex(strings.TrimPrefix(string(id), sourceMark))
}

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
