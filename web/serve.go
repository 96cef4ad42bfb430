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
	"strconv"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/mdlayher/vsock"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

// Options say what of the handler the edge has to know.
type Options struct {
	// Addresses are listened on, unless Systemd says that systemd passes sockets.
	Addresses []string
	Systemd   bool
	// Open are the paths that need no password: the probes.
	Open []string
	// Webhook is the path below which notifications are posted.
	Webhook string
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
	limiter   *rate.Limiter // nil: the config has no rate limit
	passwords *passwords
}

// New puts the server's handler behind the config. The server must not be used
// otherwise.
func New(config *Config, server *http.Server, logger *slog.Logger, opts Options) *Server {
	s := &Server{config: config, opts: opts, http: server, logger: logger, handler: server.Handler, passwords: newPasswords()}
	if s.opts.Refused == nil {
		s.opts.Refused = func(string, int, string, string) {}
	}
	if limit := config.get().RateLimiterConfig; limit.Interval != 0 {
		s.limiter = rate.NewLimiter(rate.Every(limit.Interval), limit.Burst)
	}
	server.Handler = http.HandlerFunc(s.serve)
	server.ErrorLog = log.New(&errorLog{server: s, next: server.ErrorLog}, "", 0)
	return s
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	c := s.config.get()
	if s.limiter != nil && !s.limiter.Allow() {
		http.Error(w, http.StatusText(http.StatusTooManyRequests), http.StatusTooManyRequests)
		return
	}
	for name, value := range c.HTTPConfig.Header {
		w.Header().Set(name, value)
	}
	if s.authorize(w, r, c) {
		s.handler.ServeHTTP(w, r)
	}
}

func (s *Server) isOpen(path string) bool {
	for _, open := range s.opts.Open {
		if path == open {
			return true
		}
	}
	return false
}

func (s *Server) isNotification(r *http.Request) bool {
	return (r.Method == http.MethodPost || r.Method == http.MethodPut) &&
		(r.URL.Path == s.opts.Webhook || strings.HasPrefix(r.URL.Path, s.opts.Webhook+"/"))
}

func (s *Server) refused(remote string, code int, reason, text string) {
	s.opts.Refused(remote, code, reason, text)
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
		if !s.config.get().HTTPConfig.HTTP2 {
			s.http.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
		}
		s.http.TLSConfig = &tls.Config{
			MinVersion:         tls.VersionTLS12, // of the config that follows, too
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.config.handshake().tls, nil },
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
		if reason != "EOF" { // a probe that only connects
			l.server.refused(remote, http.StatusBadRequest, "tls", "TLS: "+reason)
		}
	}
	if l.next != nil {
		l.next.Print(text)
	}
	return len(line), nil
}
