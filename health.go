package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

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
	for _, name := range []string{"redis.password-file", "redis.sentinel-password-file"} {
		app.GetFlag(name).String() // it is not read: a secret may be missing for a moment
	}
	app.Help = "Asks the Muster that the same flags and environment start whether it is healthy."
	target := app.Flag("url", "URL to ask instead.").NoEnvar().PlaceHolder("URL").String()
	if err := parseInto(app, &c, args); err != nil {
		return fmt.Errorf("%w, try --help", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), healthTimeout)
	defer cancel()
	targets := []string{*target}
	if *target == "" {
		var err error
		if targets, err = c.healthURLs(ctx); err != nil {
			return err
		}
	}
	var err error
	for _, target := range targets {
		if err = askHealth(ctx, target); !errors.Is(err, http.ErrSchemeMismatch) {
			break
		}
	}
	return err
}

// askHealth reports as an error why a URL is not answered by a healthy Muster.
func askHealth(ctx context.Context, target string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	var asked atomic.Bool
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		// It asks its own container, whose certificate names the world's host.
		InsecureSkipVerify: true, //nolint:gosec // G402: see above
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked.Store(true)
			return &tls.Certificate{}, nil
		},
	}}}
	res, err := client.Do(r)
	if err != nil && asked.Load() && !errors.Is(err, context.DeadlineExceeded) {
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

// healthURLs are where the probe of the configured Muster may be. The web config
// file does not tell whether it speaks TLS: it may have changed, or broken, and
// the Muster that runs keeps the one before.
func (c *config) healthURLs(ctx context.Context) ([]string, error) {
	if c.web.WebSystemdSocket != nil && *c.web.WebSystemdSocket {
		return nil, errors.New("with --web.systemd-socket the address is systemd's: name it by --url")
	}
	for _, address := range *c.web.WebListenAddresses {
		host, service, err := net.SplitHostPort(address)
		if err != nil || strings.HasPrefix(address, "vsock://") {
			continue
		}
		port, err := net.DefaultResolver.LookupPort(ctx, "tcp", service)
		if err != nil || port == 0 {
			continue
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			host = "127.0.0.1"
			if ip != nil && ip.To4() == nil {
				host = "::1"
			}
		}
		schemes := []string{"http"}
		if *c.web.WebConfigFile != "" {
			schemes = []string{"https", "http"}
		}
		var urls []string
		for _, scheme := range schemes {
			u := url.URL{Scheme: scheme, Host: net.JoinHostPort(host, strconv.Itoa(port)), Path: strings.TrimRight(c.receiver.RoutePrefix, "/") + healthyPath}
			urls = append(urls, u.String())
		}
		return urls, nil
	}
	return nil, errors.New("no --web.listen-address has a port that can be asked by HTTP: name one by --url")
}
