package assistant

import (
	"context"
	"encoding/json" // as the SDK writes answers
	"fmt"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The bounds of an answer. Assistants pay for each token that they read: 48 KiB are some 15,000.
const (
	maxAnswerText = 24 << 10 // bytes of the text
	maxAnswerJSON = 48 << 10 // bytes of the JSON
	maxValue      = 400      // bytes of one text of others, unless the answer is still too large
	maxEntries    = 100      // of a list
	usualEntries  = 20       // of a list, if the assistant does not say how many
)

// maxAttempts is the maximum number of attempts to make an answer small enough. With one entry
// and texts of a few bytes every answer is, and usually the second one.
const maxAttempts = 8

// attempt makes an answer with at most so many entries of its lists, whose texts of others come
// from the shaper. It returns the JSON and the text.
type attempt[Out any] func(ctx context.Context, entries int, s *shaper) (Out, string, error)

// fit makes an answer within the bounds. It tries with fewer entries, and then with shorter texts.
func fit[Out any](ctx context.Context, entries int, try attempt[Out]) (*mcp.CallToolResult, Out, error) {
	var none Out
	longest := maxValue
	for range maxAttempts {
		out, text, err := try(ctx, entries, &shaper{longest: longest})
		if err != nil {
			return nil, none, err
		}
		structured, err := json.Marshal(out)
		if err != nil {
			return nil, none, err
		}
		excess := max(float64(len(text))/maxAnswerText, float64(len(structured))/maxAnswerJSON)
		switch {
		case excess <= 1:
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, out, nil
		case entries > 1:
			entries = max(1, min(entries-1, int(float64(entries)/excess*0.9)))
		default:
			longest = min(longest-1, int(float64(longest)/excess*0.9))
		}
	}
	return nil, none, fmt.Errorf("the answer does not fit into %d bytes. Ask for less", maxAnswerJSON)
}

// entriesOf returns the number of entries that an assistant asks for, or the usual one.
func entriesOf(limit int) int {
	if limit <= 0 {
		return usualEntries
	}
	return min(limit, maxEntries)
}

// leftOut says what an answer does not have, and how to get it.
type leftOut []string

func (l *leftOut) add(format string, args ...any) { *l = append(*l, fmt.Sprintf(format, args...)) }

// texts says that texts were shortened. The URL answers with whole texts.
func (l *leftOut) texts(s *shaper, url string) {
	if s.cut > 0 {
		l.add("%d texts or parts of them. A text has at most %d bytes here. All is at %s", s.cut, s.longest, url)
	}
}

// next says how to read on.
func (l *leftOut) next(shown, wanted int, cursor string) {
	if cursor == "" {
		return
	}
	why := ""
	if shown < wanted {
		why = ", because an answer has a maximum size"
	}
	l.add("what comes after these %d entries%s. Ask again with the same arguments and cursor %s", shown, why, word(cursor))
}

// text is the text of an answer while it is written.
type text struct{ strings.Builder }

// newText returns a text that begins with the notice.
func newText() *text {
	t := &text{}
	t.line("%s", notice)
	return t
}

// line adds a line. Arguments that others wrote must have marks.
func (t *text) line(format string, args ...any) { fmt.Fprintf(t, format+"\n", args...) }

// labels adds a line with labels, unless they are empty.
func (t *text) labels(title string, labels map[string]string) {
	if len(labels) > 0 {
		t.line("%s: %s", title, pairs(labels))
	}
}

// end adds what was left out, and returns the text.
func (t *text) end(left leftOut) string {
	for _, one := range left {
		t.line("Not shown: %s", one)
	}
	return t.String()
}
