package pages

import (
	"cmp"
	"net/http"
	"regexp"
	"strconv"

	"muster/templates"
)

// validHost matches a host name or an IP address with an optional port. Docker
// Compose and Swarm use names with underscores. The lengths are checked apart: an
// expression that counts to 254 needs 300 KB.
var validHost = regexp.MustCompile(`^([A-Za-z0-9._-]+|\[[0-9a-fA-F:.]{2,}\])(?::([0-9]+))?$`)

// The maximum numbers of characters of a host and of a port.
const maxHost, maxPort = 254, 5

// usableHost reports whether the Host header of a request is safe to use in
// links.
func usableHost(host string) bool {
	parts := validHost.FindStringSubmatch(host)
	if parts == nil || len(parts[1]) > maxHost || len(parts[2]) > maxPort {
		return false
	}
	_, err := strconv.ParseUint(cmp.Or(parts[2], "0"), 10, 16)
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
