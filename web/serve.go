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
)

// Options say what of the handler the edge has to know.
type Options struct {
	// Addresses are listened on, unless Systemd says that systemd passes sockets.
	Addresses []string
	Systemd   bool
	// Open are the paths that need no password: the probes.
	Open []string
	// Refused is told of each notification that is refused here.
	Refused func(remote string, code int, reason, text string)
}

// Server serves a handler behind the web config.
type Server struct {
	config    *Config
	opts      Options
	http      *http.Server
	logger    *slog.Logger
	handler   http.Handler
	passwords *passwords
}

// New puts the server's handler behind the config. The server must not be used
// otherwise.
func New(config *Config, server *http.Server, logger *slog.Logger, opts Options) *Server {
	s := &Server{config: config, opts: opts, http: server, logger: logger, handler: server.Handler, passwords: newPasswords()}
	if s.opts.Refused == nil {
		s.opts.Refused = func(string, int, string, string) {}
	}
	server.Handler = http.HandlerFunc(s.serve)
	server.ErrorLog = log.New(&errorLog{server: s, next: server.ErrorLog}, "", 0)
	return s
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	c := s.config.get()
	for name, value := range c.HTTPConfig.Header {
		w.Header().Set(name, value)
	}
	if !s.isOpen(r) {
		err := s.admit(r, c)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
	}
	s.handler.ServeHTTP(w, r)
}

var errRateLimit = errors.New("the rate limit of the web config file is reached, try again")

// admit reports as an error why a request may not come in now.
func (s *Server) admit(r *http.Request, c *settings) error {
	if c.limiter != nil && !c.limiter.Allow() {
		return errRateLimit
	}
	return s.authorize(r, c)
}

// refuse answers a request that may not come in.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	// Whoever posts may be a sender, also beside the webhook's path.
	notification := r.Method == http.MethodPost || r.Method == http.MethodPut
	code, reason := http.StatusTooManyRequests, "overloaded"
	switch {
	case errors.Is(err, errWrongPassword):
		code, reason = http.StatusUnauthorized, "unauthorized"
		w.Header().Set("WWW-Authenticate", "Basic")
	case notification:
		code = http.StatusServiceUnavailable // Alertmanager takes only this for "later"
	default:
		w.Header().Set("Retry-After", "1")
	}
	if notification {
		s.opts.Refused(r.RemoteAddr, code, reason, err.Error())
	}
	http.Error(w, http.StatusText(code), code)
}

// isOpen reports whether a request is a probe. The path counts as it is written:
// an encoded one is another one for the router.
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
			MinVersion:         tls.VersionTLS12, // the config for the client has its own
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.configForClient(), nil },
			// ServeTLS wants to see one, though the config for the client has its own.
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &s.config.get().tls.Certificates[0], nil },
		}
	}
	var group errgroup.Group
	for _, l := range listeners {
		s.logger.Info("Listening on", "address", l.Addr().String(), "tls", useTLS)
		group.Go(func() error {
			if useTLS {
				return s.http.ServeTLS(l, "", "")
			}
			return s.http.Serve(l)
		})
	}
	return group.Wait()
}

// configForClient is the TLS config of a new connection. HTTP/2 is offered only
// if it is spoken: GODEBUG can switch it off.
func (s *Server) configForClient() *tls.Config {
	c := s.config.handshake()
	if c.HTTPConfig.HTTP2 && s.http.TLSNextProto["h2"] == nil {
		without := c.tls.Clone()
		without.NextProtos = []string{"http/1.1"}
		return without
	}
	return c.tls
}

// listen opens every address, or none.
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
		return nil, fmt.Errorf("vsock://%s: the port is missing or no number", address)
	}
	return vsock.Listen(uint32(port), nil)
}

// errorLog passes the HTTP server's messages on, and counts the handshakes
// among them that failed: a sender that does not get that far sees it only in
// its own log.
type errorLog struct {
	server *Server
	next   *log.Logger
}

func (l *errorLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	if rest, ok := strings.CutPrefix(text, "http: TLS handshake error from "); ok {
		// An address of IPv6 has colons, but no space.
		remote, reason, _ := strings.Cut(rest, ": ")
		// A probe that only connects ends so.
		if reason != "EOF" && !strings.HasSuffix(reason, "connection reset by peer") {
			l.server.opts.Refused(remote, http.StatusBadRequest, "tls", "TLS: "+reason)
		}
	}
	if l.next != nil {
		l.next.Print(text)
	}
	return len(line), nil
}
