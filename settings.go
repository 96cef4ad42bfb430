package main

import (
	"net/url"
	"strings"

	"github.com/alecthomas/kingpin/v2"

	"muster/pages"
)

// settings returns the flags that have a value, for the status page. It leaves out
// secrets, which can only be in URLs: passwords and tokens are in files, and the flag
// names the file.
func settings(app *kingpin.Application) []pages.Setting {
	var list []pages.Setting
	for _, f := range app.Model().Flags {
		if f.Envar == "" { // --help and its kin
			continue
		}
		text := f.Value.String()
		if given, ok := f.Value.(interface{ setting() string }); ok {
			text = given.setting()
		}
		texts := []string{text}
		if given, ok := f.Value.(interface{ settings() []string }); ok {
			texts = given.settings()
		}
		for i := range texts {
			texts[i] = withoutSecrets(texts[i])
		}
		if text = strings.Join(texts, ", "); text != "" {
			list = append(list, pages.Setting{Name: "--" + f.Name, Value: text})
		}
	}
	return list
}

// withoutSecrets removes the user, the password and the parameters of a URL. A
// parameter can be a password, too. A source may be before the URL.
func withoutSecrets(text string) string {
	before, _, isURL := strings.Cut(text, "://")
	if !isURL {
		return text
	}
	source := before[:strings.LastIndexByte(before, '=')+1]
	u, err := url.Parse(text[len(source):])
	if err != nil {
		return before + "://…"
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	return source + u.String()
}
