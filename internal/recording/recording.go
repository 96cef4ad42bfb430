package recording

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// Kind says what an entry of a recording is.
type Kind string

// The kinds.
const (
	Event   Kind = "event"   // a request of the event recorder
	Webhook Kind = "webhook" // a notification to Muster
	Other   Kind = "other"   // a notification to another receiver, without its body
	API     Kind = "api"     // an answer of Alertmanager's API
	Action  Kind = "action"  // what was done, in the words of the note
)

// Recording is one recorded scenario.
type Recording struct {
	Name    string
	Entries []Entry // in the order of arrival, although clocks may differ by milliseconds
	Expect  Expect
}

// Entry is a request, an answer of the API or an action.
type Entry struct {
	// Number counts from 1. All answers of the API that were read at one moment have the
	// same number.
	Number   int
	Kind     Kind
	Received time.Time
	// Path is the path of the request, with its query.
	Path string
	// Answered is the status code of the answer. It is 0 if the connection was closed
	// without one, and for an action.
	Answered int
	// From is the Alertmanager that answered, if Kind is API. Version is that of
	// Alertmanager.
	From, Version string
	Note          string
	// File is the name of the file with the body. Requests with equal bodies share it.
	File string
	Body []byte
}

// Accepted reports whether a request was answered with success. Otherwise it came again.
func (e Entry) Accepted() bool { return e.Answered/100 == 2 }

// Of returns the entries of these kinds, in the order of arrival.
func (r Recording) Of(kinds ...Kind) []Entry {
	var entries []Entry
	for _, e := range r.Entries {
		if slices.Contains(kinds, e.Kind) {
			entries = append(entries, e)
		}
	}
	return entries
}

// scenarios is the number of recordings. A test that reads fewer would prove less.
const scenarios = 23

// All returns all recordings, in the order of their names.
func All(t testing.TB) []Recording {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(Folder(t), "*", "meta.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != scenarios {
		t.Fatalf("%d recordings instead of %d", len(files), scenarios)
	}
	recordings := make([]Recording, len(files))
	for i, file := range files {
		recordings[i] = Load(t, filepath.Base(filepath.Dir(file)))
	}
	return recordings
}

// Load returns the recording of this name.
func Load(t testing.TB, name string) Recording {
	t.Helper()
	folder := filepath.Join(Folder(t), name)
	r := Recording{Name: name}
	if err := json.Unmarshal(read(t, folder, "expect.json"), &r.Expect); err != nil {
		t.Fatalf("%s: expect.json: %v", name, err)
	}
	bodies := map[string][]byte{}
	for line := range bytes.Lines(read(t, folder, "meta.jsonl")) {
		e, err := parseEntry(line)
		if err != nil {
			t.Fatalf("%s: meta.jsonl: %v", name, err)
		}
		if e.File != "" {
			if bodies[e.File] == nil {
				bodies[e.File] = read(t, folder, e.File)
			}
			e.Body = bodies[e.File]
		}
		r.Entries = append(r.Entries, e)
	}
	return r
}

// parseEntry parses a line of meta.jsonl.
func parseEntry(line []byte) (Entry, error) {
	var l struct {
		N                                    int
		Kind                                 Kind
		Received                             float64 // Unix time
		Path, From, Alertmanager, Note, File string
		Answered                             int
	}
	if err := json.Unmarshal(line, &l); err != nil {
		return Entry{}, err
	}
	seconds, part := math.Modf(l.Received)
	return Entry{
		Number: l.N, Kind: l.Kind, Received: time.Unix(int64(seconds), int64(part*1e9)).UTC(), Path: l.Path, Answered: l.Answered,
		From: l.From, Version: l.Alertmanager, Note: l.Note, File: l.File,
	}, nil
}

func read(t testing.TB, folder, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, name)) //nolint:gosec // G304: a recording of this repository
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Folder returns the folder of the recordings.
func Folder(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "testdata", "events")
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the working directory")
		}
		dir = parent
	}
}
