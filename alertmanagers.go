package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/alecthomas/kingpin/v2"

	"muster/alertmanager"
	"muster/grouping"
)

// listFlag is a repeatable flag. Each of its texts adds a value.
type listFlag[T any] struct {
	name  string
	to    *[]T
	parse func(string) (T, error)
	given []string
}

// addFlag makes the flag add a value to the list for each of its texts.
func addFlag[T any](f *kingpin.FlagClause, to *[]T, parse func(string) (T, error)) {
	f.SetValue(&listFlag[T]{name: f.Model().Name, to: to, parse: parse})
}

// Set is part of kingpin.Value.
func (f *listFlag[T]) Set(text string) error {
	value, err := f.parse(text)
	if err != nil {
		return fmt.Errorf("--%s: %w", f.name, err)
	}
	*f.to, f.given = append(*f.to, value), append(f.given, text)
	return nil
}

// String is part of kingpin.Value. It returns nothing, as that of flagValue.
func (f *listFlag[T]) String() string { return "" }

// settings returns the texts that were given.
func (f *listFlag[T]) settings() []string { return slices.Clone(f.given) }

// IsCumulative tells kingpin that the flag is repeatable.
func (f *listFlag[T]) IsCumulative() bool { return true }

// ofSource returns the source of a text source=value, and the value. Without a source, it is
// the source of notifications that name none. The value begins after the first "=" also if
// no source is before it.
func ofSource(text string) (source, value string, err error) {
	before, after, ok := strings.Cut(text, "=")
	switch {
	case ok && (before == "" || grouping.ValidSource(before)):
		source, value = cmp.Or(before, grouping.DefaultSource), after
	default:
		source, value = grouping.DefaultSource, text
	}
	if value == "" {
		return "", "", errors.New("the value is empty")
	}
	return source, value, nil
}

func alertmanagerURL(text string) (t alertmanager.Target, err error) {
	var value string
	if t.Source, value, err = ofSource(text); err != nil {
		return t, err
	}
	t.URL, err = url.Parse(value)
	if err != nil || (t.URL.Scheme != "http" && t.URL.Scheme != "https") || t.URL.Hostname() == "" ||
		t.URL.RawQuery != "" || t.URL.Fragment != "" {
		// The text can have a password.
		return t, errors.New("the URL must have the form [source=]http://alertmanager:9093/path, without query and fragment")
	}
	return t, nil
}

func alertmanagerConfigFile(text string) (f alertmanager.ConfigFile, err error) {
	f.Source, f.Path, err = ofSource(text)
	return f, err
}

func alertmanagerReceiver(text string) (r grouping.SourceReceiver, err error) {
	r.Source, r.Receiver, err = ofSource(text)
	return r, err
}
