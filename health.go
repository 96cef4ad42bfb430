package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/common/promslog"

	"muster/web"
)

// The paths of the probes.
const (
	healthyPath = "/-/healthy"
	readyPath   = "/-/ready"
)

// healthTimeout is how long a health check waits: less than the probes of
// containers do.
const healthTimeout = 3 * time.Second

// edge is what the edge of the server has to know of the rest.
func (c *config) edge(refused func(remote string, code int, reason, text string)) web.Options {
	prefix := strings.TrimRight(c.receiver.RoutePrefix, "/")
	return web.Options{
		Addresses: *c.web.WebListenAddresses, Systemd: c.web.WebSystemdSocket != nil && *c.web.WebSystemdSocket,
		Open: []string{prefix + healthyPath, prefix + readyPath}, Refused: refused,
	}
}

// healthcheck asks a running Muster whether it is healthy, for containers that
// have no other program to ask with. It takes the flags and the environment of
// the Muster that it asks, so it finds it wherever these put it.
func healthcheck(args []string) error {
	var c config
	app := newFlags(&c)
	app.Help = "Asks the Muster that the same flags and environment start whether it is healthy."
	target := app.Flag("url", "URL to ask instead.").NoEnvar().PlaceHolder("URL").String()
	if err := parseInto(app, &c, args); err != nil {
		return fmt.Errorf("%w, try --help", err)
	}
	if *target == "" {
		var err error
		if *target, err = c.healthURL(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), healthTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, *target, nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{
		// It asks its own container, whose certificate names the world's host.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // G402: see above
	}}
	res, err := client.Do(r)
	if alert, ok := errors.AsType[tls.AlertError](err); ok && (alert == alertCertificateRequired || alert == alertBadCertificate) {
		return nil // it answers, and lets in only who has a client certificate
	}
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	return nil
}

// The alerts of a server that asks for a client certificate: TLS 1.3's, and that
// of the versions before.
const (
	alertBadCertificate      = tls.AlertError(42)
	alertCertificateRequired = tls.AlertError(116)
)

// healthURL is where the probe of the configured Muster is.
func (c *config) healthURL() (string, error) {
	if c.web.WebSystemdSocket != nil && *c.web.WebSystemdSocket {
		return "", errors.New("with --web.systemd-socket the address is systemd's: name it by --url")
	}
	for _, address := range *c.web.WebListenAddresses {
		host, port, err := net.SplitHostPort(address)
		if err != nil || strings.HasPrefix(address, "vsock://") {
			continue
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			host = "127.0.0.1"
			if ip != nil && ip.To4() == nil {
				host = "::1"
			}
		}
		edge, err := web.Load(*c.web.WebConfigFile, nil, promslog.NewNopLogger())
		if err != nil {
			return "", err
		}
		scheme := "http://"
		if edge.UsesTLS() {
			scheme = "https://"
		}
		return scheme + net.JoinHostPort(host, port) + strings.TrimRight(c.receiver.RoutePrefix, "/") + healthyPath, nil
	}
	return "", errors.New("none of --web.listen-address can be asked by HTTP: name one by --url")
}
