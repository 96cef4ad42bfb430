package person

import (
	"errors"
	"net/http"

	"muster/grouping"
)

// Silences says who may change silences in Alertmanager.
type Silences struct {
	// Allowed reports whether somebody may.
	Allowed bool
	// Unverified reports whether people may whose names nobody verified.
	Unverified bool
}

// ValidateSilences returns an error if silences are allowed, and nobody could change them.
func (p *Policy) ValidateSilences() error {
	if p.Silences.Allowed && !p.Silences.Unverified && !p.Verified() {
		return errors.New("--alertmanager.allow-silences needs verified names: set --web.user-header, or users in --web.config.file. " +
			"With --web.allow-unverified-silences, everyone who reaches Muster may silence alerts under any name")
	}
	return nil
}

// MaySilence reports whether there can be people who may change silences.
func (p *Policy) MaySilence() bool { return p.Silences.Allowed && !p.ReadOnly }

// Silencer is Writer for a request that changes a silence.
func (p *Policy) Silencer(r *http.Request, typed string) (grouping.Person, error) {
	switch {
	case p.ReadOnly: // Writer says so
	case !p.Silences.Allowed:
		return grouping.Person{}, refuse(http.StatusMethodNotAllowed,
			"this Muster changes no silences: --alertmanager.allow-silences is not set")
	case !p.Silences.Unverified:
		typed = "" // it cannot be verified
		if name, err := p.user(r); err == nil && name == "" {
			return grouping.Person{}, refuse(http.StatusForbidden, "only people whose names are verified may change silences, so sign in")
		}
	}
	return p.Writer(r, typed)
}
