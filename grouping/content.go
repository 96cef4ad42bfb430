package grouping

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/go-json-experiment/json"
)

// Content is what an alert says besides its labels, or what is common to the alerts of a group.
// Many events can have the same content, so a storage keeps each content once, under its hash.
type Content struct {
	Annotations  Labels `json:"annotations,omitzero"`
	GeneratorURL string `json:"generatorURL,omitempty"` // of an alert

	// Labels are the common labels of a group, and RouteLabels those of its route.
	Labels      Labels `json:"labels,omitzero"`
	RouteLabels Labels `json:"routeLabels,omitzero"`
}

// contentHashLen is the length of the hash of a content: 80 bits. Two contents of one
// history do not have the same hash by chance.
const contentHashLen = 20

// Encode returns the stored text of the content, and its hash. It declines nothing, so it needs no
// library.
func (c *Content) Encode() (hash, text string) {
	o := newObjectText()
	defer objectTexts.Put(o)
	c.encode(o)
	sum := sha256.Sum256(o.text)
	var digits [contentHashLen]byte
	hex.Encode(digits[:], sum[:contentHashLen/2])
	return string(digits[:]), string(o.text)
}

func (c *Content) encode(o *objectText) {
	o.begin()
	o.labels("annotations", c.Annotations)
	o.nonEmpty("generatorURL", c.GeneratorURL)
	o.labels("labels", c.Labels)
	o.labels("routeLabels", c.RouteLabels)
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

// addContent gives an event a content.
func (l *eventLog) addContent(e *Event, c Content) {
	hash, text := c.Encode()
	if l.contents == nil {
		l.contents = make(ContentTexts, len(l.events))
	}
	e.Content, l.contents[hash] = hash, text
}

// content returns what the alert says besides its labels.
func (a *Alert) content() Content {
	return Content{Annotations: a.Annotations, GeneratorURL: a.GeneratorURL}
}

func (c *Content) isEmpty() bool {
	return c.Annotations.IsZero() && c.GeneratorURL == "" && c.Labels.IsZero() && c.RouteLabels.IsZero()
}
