package pages

import (
	"cmp"
	"net/http"
	"regexp"
	"strconv"

	"muster/templates"
)

// validHost matches a host name or an IP address with an optional port. Docker
// Compose and Swarm use names with underscores.
var validHost = regexp.MustCompile(`^([A-Za-z0-9._-]{1,254}|\[[0-9a-fA-F:.]{2,45}\])(:([0-9]{1,5}))?$`)

// usableHost reports whether the Host header of a request is safe to use in
// links.
func usableHost(host string) bool {
	parts := validHost.FindStringSubmatch(host)
	if parts == nil {
		return false
	}
	_, err := strconv.ParseUint(cmp.Or(parts[3], "0"), 10, 16)
	return err == nil
}

// linksFor returns the links of a page. Without --web.external-url, absolute
// links begin with the host of the request.
func (d *Door) linksFor(r *http.Request) templates.Links {
	if d.links.External != "" || !usableHost(r.Host) {
		return d.links
	}
	links := d.links
	links.External = "http://" + r.Host
	if r.TLS != nil {
		links.External = "https://" + r.Host
	}
	return links
}
