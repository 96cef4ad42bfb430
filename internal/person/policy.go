package person

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"muster/grouping"
)

// userKey is the key of the user in the context of a request.
type userKey struct{}

// WithUser returns a context of a request whose sender gave the right password of the user.
func WithUser(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, userKey{}, name)
}

// Policy says who may write. The zero value lets everyone write who types a name. It is safe
// for concurrent use after it is set up.
type Policy struct {
	// Header is the name of the header in which a proxy names the user, or "". It counts
	// only in requests that come from HeaderFrom.
	Header     string
	HeaderFrom []netip.Prefix
	// Writers are the verified people who may write. Empty means everyone.
	Writers []string
	// ReadOnly reports whether nobody may write.
	ReadOnly bool
	// Silences says who of them may change silences in Alertmanager.
	Silences Silences
	// HasUsers reports whether requests need the password of a user. nil means that they
	// do not.
	HasUsers func() bool
	// IsSender reports whether a request has a token of the webhook. Alertmanager has such
	// a token, and a person does not. nil means that no request has one.
	IsSender func(r *http.Request) bool
}

// Validate returns an error for a policy that lets everyone pretend to be another person, or
// that lets nobody write although it names writers.
func (p *Policy) Validate() error {
	switch {
	case p.Header == "" && len(p.HeaderFrom) > 0:
		return errors.New("--web.user-header-from has no effect without --web.user-header")
	case p.Header != "" && len(p.HeaderFrom) == 0:
		return errors.New("--web.user-header needs --web.user-header-from, the addresses of the proxy that sets the header: " +
			"otherwise everyone could write as another person")
	case len(p.Writers) > 0 && !p.Verified():
		return errors.New("--web.writers needs verified names: set --web.user-header, or users in --web.config.file")
	}
	return nil
}

// ParseHeader parses the name of the header that names the user. "" means that no header
// does.
func ParseHeader(text string) (string, error) {
	name := http.CanonicalHeaderKey(text)
	switch {
	case text == "":
	case !httpguts.ValidHeaderFieldName(text):
		return "", fmt.Errorf("%q is not the name of a header", text)
	case slices.Contains([]string{"Authorization", "Cookie", "Host", "Origin"}, name):
		return "", fmt.Errorf("a browser sets %s itself, use a header that only the proxy sets", name)
	}
	return name, nil
}

// ParseFrom parses an address, or a network such as 10.0.0.0/8.
func ParseFrom(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil {
		address = address.WithZone("").Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a network such as 10.0.0.0/8", text)
	case prefix.Addr().Is4In6() && prefix.Bits() >= 96:
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked(), nil
}

// ParseWriter parses the name of a writer.
func ParseWriter(text string) (string, error) {
	text = strings.TrimSpace(text)
	return text, grouping.ValidateName(text)
}

// Verified reports whether Muster can verify names. If so, no page asks for a name.
func (p *Policy) Verified() bool { return p.Header != "" || p.HasUsers != nil && p.HasUsers() }

// Writer returns the person who sends a request that writes. The typed name is "" if the
// request has none. If the person may not write, the error is a *RefusedError.
func (p *Policy) Writer(r *http.Request, typed string) (grouping.Person, error) {
	if p.ReadOnly {
		return grouping.Person{}, refuse(http.StatusMethodNotAllowed, "this Muster is read-only")
	}
	if p.IsSender != nil && p.IsSender(r) {
		return grouping.Person{}, refuse(http.StatusForbidden, "a token of the webhook is not a person, so it cannot write here")
	}
	who, err := p.identify(r, strings.TrimSpace(typed))
	if err != nil {
		return grouping.Person{}, err
	}
	switch {
	case len(p.Writers) == 0:
	case !who.Verified:
		return grouping.Person{}, refuse(http.StatusForbidden, "only some verified people may write here, and this name is not verified")
	case !slices.Contains(p.Writers, who.Name):
		return grouping.Person{}, refuse(http.StatusForbidden, "%q may not write here", who.Name)
	}
	return who, nil
}

// identify returns the person that a request names. A verified name wins over a typed one.
func (p *Policy) identify(r *http.Request, typed string) (who grouping.Person, err error) {
	if who.Name, err = p.user(r); err != nil {
		return who, err
	}
	switch who.Verified = who.Name != ""; {
	case !who.Verified:
		who.Name = typed
		if typed == "" {
			who.Name = remembered(r)
		}
	case typed != "" && typed != who.Name:
		return who, refuse(http.StatusBadRequest, "you are signed in as %q, so you cannot write as %q", who.Name, shortened(typed))
	}
	if err := grouping.ValidateName(who.Name); err != nil {
		return who, refuse(http.StatusBadRequest, "%s", err.Error())
	}
	return who, nil
}

// user returns the verified name, or "". If a proxy itself signs in with a password, the
// header wins: it names the person.
func (p *Policy) user(r *http.Request) (string, error) {
	if p.Header != "" && p.isFromProxy(r) {
		switch values := r.Header.Values(p.Header); {
		case len(values) > 1:
			return "", refuse(http.StatusBadRequest, "the request has %d headers %s, so it is not clear who sent it", len(values), p.Header)
		case len(values) == 1 && strings.TrimSpace(values[0]) != "":
			return strings.TrimSpace(values[0]), nil
		}
	}
	name, _ := r.Context().Value(userKey{}).(string)
	return name, nil
}

// isFromProxy reports whether a request comes directly from an address of HeaderFrom.
func (p *Policy) isFromProxy(r *http.Request) bool {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	address := remote.Addr().WithZone("").Unmap()
	return slices.ContainsFunc(p.HeaderFrom, func(from netip.Prefix) bool { return from.Contains(address) })
}

// shortened returns the beginning of a text that is longer than a name.
func shortened(text string) string {
	if runes := []rune(text); len(runes) > grouping.MaxNameLength {
		return string(runes[:grouping.MaxNameLength]) + "…"
	}
	return text
}

// RefusedError says why a person may not write. Status is the code of the answer.
type RefusedError struct {
	Status int
	Text   string
}

func (e *RefusedError) Error() string { return e.Text }

func refuse(status int, format string, args ...any) *RefusedError {
	return &RefusedError{status, fmt.Sprintf(format, args...)}
}
