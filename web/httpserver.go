package web

import (
	"log/slog"
	"net/http"
	"time"
)

// NewHTTPServer returns a server with all timeouts set, so that a slow client
// cannot keep a connection for long.
func NewHTTPServer(handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second, // a body of 64 MiB at 17 Mbit/s
		WriteTimeout:      30 * time.Second, // until the first byte; see deadlineWriter
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ConnContext:       limitSendBuffer,
		// Deadlines of streams alone do not close a connection whose client
		// reads none of its streams.
		HTTP2:    &http.HTTP2Config{WriteByteTimeout: writeTimeout},
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}
