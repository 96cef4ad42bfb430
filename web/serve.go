package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/mdlayher/vsock"
	"golang.org/x/sync/errgroup"

	"muster/internal/limit"
	"muster/internal/reply"
)

// Options configure a Server.
type Options struct {
	// Addresses are the addresses to listen on. They are ignored if Systemd is
	// set: systemd passes the sockets then.
	Addresses []string
	Systemd   bool
	// Open lists the paths that need no password: the probes.
	Open []string
}

// rejecter records each request that is rejected here and may be a notification. It
// is safe for concurrent use.
type rejecter interface {
	Reject(ctx context.Context, remote string, code int, reason limit.Reason, text string)
}

// Server serves a handler, and admits requests by the rules of the web config.
type Server struct {
	config    *Config
	rejected  rejecter
	opts      Options
	http      *http.Server
	logger    *slog.Logger
	handler   http.Handler
	passwords *passwords
}

// New wraps the handler of the HTTP server with the checks of the config. Callers
// must serve with the returned Server, but shut down the HTTP server.
func New(config *Config, server *http.Server, rejected rejecter, logger *slog.Logger, opts Options) *Server {
	s := &Server{
		config: config, rejected: rejected, opts: opts, http: server, logger: logger, handler: server.Handler, passwords: newPasswords(),
	}
	server.Handler = http.HandlerFunc(s.handle)
	server.ErrorLog = log.New(&errorLog{server: s, next: server.ErrorLog}, "", 0)
	return s
}

func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	r = reply.Identify(w, r)
	c := s.config.get()
	for name, value := range c.HTTPConfig.Header {
		w.Header().Set(name, value)
	}
	if !s.isOpen(r) {
		admitted, err := s.admit(r, c)
		if err != nil {
			s.reject(w, r, err)
			return
		}
		r = admitted
	}
	s.handler.ServeHTTP(w, r)
}

var errRateLimit = errors.New("rate limit of the web config file reached, try again")

// admit returns an error if the rate limit or the password rejects the request.
// Otherwise it returns the request with its user.
func (s *Server) admit(r *http.Request, c *settings) (*http.Request, error) {
	if c.limiter != nil && !c.limiter.Allow() {
		return nil, errRateLimit
	}
	return s.authorize(r, c)
}

// reject answers a request that admit rejected.
func (s *Server) reject(w http.ResponseWriter, r *http.Request, err error) {
	// Every POST may be a notification, also one to a wrong path.
	notification := r.Method == http.MethodPost || r.Method == http.MethodPut
	code, reason := http.StatusTooManyRequests, limit.Overloaded
	switch {
	case errors.Is(err, errWrongPassword):
		code, reason = http.StatusUnauthorized, limit.Unauthorized
		w.Header().Set("WWW-Authenticate", "Basic")
	case notification:
		code = http.StatusServiceUnavailable // Alertmanager retries 5xx, but not 429
	default:
		w.Header().Set("Retry-After", "1")
	}
	if notification {
		s.rejected.Reject(r.Context(), r.RemoteAddr, code, reason, err.Error())
	}
	text := err.Error()
	if code == http.StatusUnauthorized {
		text = "the user or the password is missing or wrong"
	}
	reply.Refuse(w, r, code, text)
}

// isOpen reports whether a request is a probe. It compares the path as it is
// written, because the router treats an encoded path as a different path.
func (s *Server) isOpen(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && slices.Contains(s.opts.Open, r.URL.EscapedPath())
}

// Run listens and serves until the HTTP server is shut down.
func (s *Server) Run(ctx context.Context) error {
	listeners, err := s.listen(ctx)
	if err != nil {
		return err
	}
	return s.Serve(listeners...)
}

// Serve serves the listeners until the HTTP server is shut down.
func (s *Server) Serve(listeners ...net.Listener) error {
	useTLS := s.config.UsesTLS()
	if useTLS {
		s.http.TLSConfig = &tls.Config{
			MinVersion:         tls.VersionTLS12, // the config of GetConfigForClient has its own minimum
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.configForClient(), nil },
			// ServeTLS requires a certificate here, but the one of GetConfigForClient is used.
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &s.config.get().tls.Certificates[0], nil },
		}
	}
	var group errgroup.Group
	for _, l := range listeners {
		s.logger.Info("Listening", "address", l.Addr().String(), "tls", useTLS)
		group.Go(func() error {
			if useTLS {
				return s.http.ServeTLS(l, "", "")
			}
			return s.http.Serve(l)
		})
	}
	return group.Wait()
}

// configForClient returns the TLS config for a new connection. It offers HTTP/2
// only if the server supports it: GODEBUG can disable it.
func (s *Server) configForClient() *tls.Config {
	c := s.config.latest()
	if c.HTTPConfig.HTTP2 && s.http.TLSNextProto["h2"] == nil {
		without := c.tls.Clone()
		without.NextProtos = []string{"http/1.1"}
		return without
	}
	return c.tls
}

// listen listens on all addresses. If one fails, it closes the others.
func (s *Server) listen(ctx context.Context) (listeners []net.Listener, err error) {
	if s.opts.Systemd {
		listeners, err = activation.Listeners()
		if err == nil && len(listeners) == 0 {
			err = errors.New("--web.systemd-socket: systemd passed no socket")
		}
		return listeners, err
	}
	defer func() {
		if err != nil {
			for _, l := range listeners {
				_ = l.Close()
			}
		}
	}()
	for _, address := range s.opts.Addresses {
		var l net.Listener
		if port, ok := strings.CutPrefix(address, "vsock://"); ok {
			l, err = listenVsock(port)
		} else {
			l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		}
		if err != nil {
			return listeners, fmt.Errorf("--web.listen-address: %w", err)
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

func listenVsock(address string) (net.Listener, error) {
	u, err := url.Parse("vsock://" + address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(u.Port(), 10, 32)
	if err != nil {
		return nil, fmt.Errorf("vsock://%s: the port is missing or not a number", address)
	}
	return vsock.Listen(uint32(port), nil)
}

// errorLog forwards the HTTP server's log lines, and reports failed TLS
// handshakes as rejections. A sender whose handshake fails never reaches the
// handler, so Muster would not notice it otherwise.
type errorLog struct {
	server *Server
	next   *log.Logger
}

func (l *errorLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	if rest, ok := strings.CutPrefix(text, "http: TLS handshake error from "); ok {
		// An IPv6 address contains colons, but not ": ".
		remote, reason, _ := strings.Cut(rest, ": ")
		// A TCP probe, which only connects, ends like this. It is not a failure.
		if reason != "EOF" && !strings.HasSuffix(reason, "connection reset by peer") {
			l.server.rejected.Reject(context.Background(), remote, http.StatusBadRequest, limit.TLS, "TLS: "+reason)
		}
	}
	if l.next != nil {
		l.next.Print(text)
	}
	return len(line), nil
}
