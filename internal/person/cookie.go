package person

import (
	"cmp"
	"net/http"
	"net/url"

	"muster/grouping"
)

// cookieName is the name of the cookie that keeps a typed name. Muster's script reads it too.
const cookieName = "muster-name"

// cookieAge is how long a browser keeps a typed name, in seconds: a year.
const cookieAge = 365 * 24 * 60 * 60

// Remember makes a browser keep the name of a person who typed it. The path is that of all
// pages. A verified name is not kept.
func Remember(w http.ResponseWriter, who grouping.Person, path string, secure bool) {
	if who.Verified {
		return
	}
	// The script fills in forms with it, so it is not HttpOnly. It proves nothing.
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // G124: see above
		Name: cookieName, Value: url.PathEscape(who.Name), Path: cmp.Or(path, "/"), MaxAge: cookieAge,
		Secure: secure, SameSite: http.SameSiteStrictMode,
	})
}

// remembered returns the name that a browser kept, or "".
func remembered(r *http.Request) string {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return ""
	}
	name, err := url.PathUnescape(cookie.Value)
	if err != nil {
		return ""
	}
	return name
}
