package grouping

import (
	"bytes"
	"hash/maphash"
	"sync/atomic"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MarshalJSONTo writes the labels as an object.
func (l Labels) MarshalJSONTo(enc *jsontext.Encoder) error {
	if err := enc.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for name, value := range l.All() {
		if err := enc.WriteToken(jsontext.String(name)); err != nil {
			return err
		}
		if err := enc.WriteToken(jsontext.String(value)); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndObject)
}

// MarshalJSON is MarshalJSONTo for encoding/json.
func (l Labels) MarshalJSON() ([]byte, error) {
	size := len("{}")
	for name, value := range l.All() {
		size += len(name) + len(value) + len(`"":"",`)
	}
	return l.appendJSON(make([]byte, 0, size)), nil
}

func (l Labels) appendJSON(text []byte) []byte {
	text = append(text, '{')
	for i, value := range l.values {
		if i > 0 {
			text = append(text, ',')
		}
		text = appendQuoted(text, l.names.list[i])
		text = append(text, ':')
		text = appendQuoted(text, value)
	}
	return append(text, '}')
}

// UnmarshalJSONFrom reads the labels from an object.
func (l *Labels) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if kind := dec.PeekKind(); kind != '{' {
		var object map[string]string
		err := json.UnmarshalDecode(dec, &object) // null, or an error that says what is there
		*l = NewLabels(object)
		return err
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	var buffer [usualLabels]Label
	list := buffer[:0]
	for dec.PeekKind() != '}' {
		name, err := decodeString(dec)
		if err != nil {
			return err
		}
		value, err := decodeString(dec)
		if err != nil {
			return err
		}
		list = append(list, Label{name, value})
	}
	*l = LabelsOf(list)
	_, err := dec.ReadToken()
	return err
}

// UnmarshalJSON is UnmarshalJSONFrom for encoding/json.
func (l *Labels) UnmarshalJSON(text []byte) error {
	return l.UnmarshalJSONFrom(jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)))
}

func decodeString(dec *jsontext.Decoder) (s string, err error) {
	if dec.PeekKind() != '"' {
		err = json.UnmarshalDecode(dec, &s)
		return s, err
	}
	text, err := dec.ReadValue()
	if err != nil {
		return "", err
	}
	if IsPlain(text[1 : len(text)-1]) {
		return Intern(text[1 : len(text)-1]), nil
	}
	var buffer [256]byte
	unquoted, _ := jsontext.AppendUnquote(buffer[:0], text) // the error says that bytes were replaced by U+FFFD
	return Intern(unquoted), nil
}

// Most names and values of labels repeat in many alerts. The last ones are kept here, so
// that alerts share their strings. A slot holds one of the strings with its hash. So the
// memory is limited, whatever clients send.
var (
	internSeed  = maphash.MakeSeed()
	internSlots [1 << 14]atomic.Pointer[string]
)

// maxInterned is the maximum length of a string that is shared.
const maxInterned = 256

// Intern returns the bytes as a string, which is shared with earlier equal ones.
func Intern(b []byte) string {
	if len(b) == 0 || len(b) > maxInterned {
		return string(b)
	}
	slot := &internSlots[maphash.Bytes(internSeed, b)%uint64(len(internSlots))]
	if known := slot.Load(); known != nil && *known == string(b) {
		return *known
	}
	s := string(b)
	slot.Store(&s)
	return s
}
