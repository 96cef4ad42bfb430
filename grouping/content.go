package grouping

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/go-json-experiment/json"
)

// Content is what an alert says besides its labels. Many events can have the same
// content, so a storage keeps each content once, under its hash.
type Content struct {
	Annotations  Labels `json:"annotations,omitempty"`
	GeneratorURL string `json:"generatorURL,omitempty"`
}

// contentHashLen is the length of the hash of a content: 80 bits. Two contents of one
// history do not have the same hash by chance.
const contentHashLen = 20

// Encode returns the stored text of the content, and its hash.
func (c Content) Encode() (hash, text string, err error) {
	text, ok := encodeObject("", c)
	if !ok {
		raw, err := json.Marshal(c, encoding)
		if err != nil {
			return "", "", err
		}
		text = string(raw)
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:contentHashLen/2]), text, nil
}

func (c Content) encode(o *objectText) {
	o.begin()
	o.labels("annotations", c.Annotations)
	o.nonEmpty("generatorURL", c.GeneratorURL)
	o.end()
}

// ContentTexts holds stored texts of contents by hash. A storage moves the texts, and
// need not know what they say.
type ContentTexts map[string]string

// Decode returns the contents. It leaves out those that cannot be read.
func (t ContentTexts) Decode() map[string]Content {
	contents := make(map[string]Content, len(t))
	for hash, text := range t {
		var c Content
		if err := json.Unmarshal([]byte(text), &c); err == nil {
			contents[hash] = c
		}
	}
	return contents
}

// Of returns the texts of the contents that the events have.
func (t ContentTexts) Of(events []Event) ContentTexts {
	texts := ContentTexts{}
	for i := range events {
		if text, ok := t[events[i].Content]; ok {
			texts[events[i].Content] = text
		}
	}
	return texts
}

// addContents gives the events the contents of their alerts, except for a content that
// cannot be encoded.
func (c *Change) addContents() {
	for _, events := range [][]Event{c.Events, c.Changed} {
		for i := range events {
			switch events[i].Kind {
			case EventFired, EventRefired, EventChanged:
				c.addContent(&events[i])
			default: // the event says nothing about the content
			}
		}
	}
}

func (c *Change) addContent(e *Event) {
	a := c.Group.Alert(e.Fingerprint)
	if a == nil {
		return
	}
	hash, text, err := Content{a.Annotations, a.GeneratorURL}.Encode()
	if err != nil {
		return
	}
	if c.Contents == nil {
		c.Contents = make(ContentTexts, len(c.Events)+len(c.Changed))
	}
	e.Content, c.Contents[hash] = hash, text
}
