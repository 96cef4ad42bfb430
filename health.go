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

// healthTimeout is the timeout of a health check. It is shorter than the usual timeout
// of container probes.
const healthTimeout = 3 * time.Second

// healthcheck asks a running Muster whether it is healthy. It is for containers that
// have no other program for this. It takes the flags and the environment of that
// Muster, and derives the URL from them.
func healthcheck(args []string) error {
	var c config
	app := newFlags(&c)
	for _, name := range []string{"redis.password-file", "redis.sentinel-password-file"} {
		app.GetFlag(name).String() // the check needs no secret, and the file may be missing for a moment
	}
	app.Help = "Checks whether the Muster with the same flags and environment is healthy."
	target := app.Flag("url", "URL to check, instead of the URL that follows from the other flags.").NoEnvar().PlaceHolder("URL").String()
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
		if err = checkHealth(ctx, target); !errors.Is(err, http.ErrSchemeMismatch) {
			break
		}
	}
	return err
}

// checkHealth returns an error unless a healthy Muster answers at the URL.
func checkHealth(ctx context.Context, target string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	var certificateRequested atomic.Bool
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		// The check connects to its own container, whose certificate is for the public
		// host name.
		InsecureSkipVerify: true, //nolint:gosec // G402: see above
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			certificateRequested.Store(true)
			return &tls.Certificate{}, nil
		},
	}}}
	res, err := client.Do(r)
	if err != nil && certificateRequested.Load() && !errors.Is(err, context.DeadlineExceeded) {
		return nil // Muster answers, but accepts only clients with a certificate
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

// healthURLs returns the possible URLs of the health probe. With a web config file
// Muster may use TLS or not. The file does not show which: it may have changed, and
// the running Muster keeps the last valid version.
func (c *config) healthURLs(ctx context.Context) ([]string, error) {
	if c.web.WebSystemdSocket != nil && *c.web.WebSystemdSocket {
		return nil, errors.New("with --web.systemd-socket, systemd chooses the address: set --url")
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
			u := url.URL{
				Scheme: scheme, Host: net.JoinHostPort(host, strconv.Itoa(port)),
				Path: strings.TrimRight(c.router.RoutePrefix, "/") + web.HealthyPath,
			}
			urls = append(urls, u.String())
		}
		return urls, nil
	}
	return nil, errors.New("no --web.listen-address is reachable by HTTP: set --url")
}
