// Muster-mcp lets assistants ask a Muster about alerts. It speaks the Model Context Protocol on
// its standard input and output, or over HTTP. It is a program of its own, because the SDK of the
// protocol has 1.9 MB, which every Muster would carry.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/oklog/run"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/common/version"

	"muster/assistant"
	"muster/internal/limit"
	"muster/web"
)

// drainWait is the maximum time for open requests at a stop.
const drainWait = 5 * time.Second

// maxLine is the maximum size of a message on the standard input.
const maxLine = 1 << 20

func main() {
	c, err := parseFlags(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: %s, try --help\n", err)
		os.Exit(1)
	}
	logger := promslog.New(&c.log) // it writes to the standard error
	if err := start(c, logger); err != nil {
		logger.Error("muster-mcp stopped", "err", err)
		os.Exit(1)
	}
}

// start serves until a signal, or until the client closes the standard input.
func start(c settings, logger *slog.Logger) error {
	client, err := httpClient(c.httpConfigFile)
	if err != nil {
		return err
	}
	tools := assistant.NewServer(assistant.NewClient(c.url, client, assistant.DefaultClientOptions()), version.Version, logger)
	if len(c.addresses) > 0 {
		return serve(c, tools, logger)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err = tools.Run(ctx, &mcp.StdioTransport{MaxLineLength: maxLine})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// httpClient returns a client with the credentials and the TLS settings of the file, as Prometheus
// and amtool read it.
func httpClient(file string) (*http.Client, error) {
	cfg := &config.DefaultHTTPClientConfig
	if file != "" {
		var err error
		if cfg, _, err = config.LoadHTTPConfigFile(file); err != nil {
			return nil, fmt.Errorf("--http.config.file: %w", err)
		}
	}
	client, err := config.NewClientFromConfig(*cfg, "muster", config.WithUserAgent("muster-mcp/"+version.Version))
	if err != nil {
		return nil, fmt.Errorf("--http.config.file: %w", err)
	}
	return client, nil
}

// serve serves the tools over HTTP until a signal.
func serve(c settings, tools *mcp.Server, logger *slog.Logger) error {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		versioncollector.NewCollector("muster_mcp"))
	limits, err := limit.NewRegistry(reg, logger)
	if err != nil {
		return err
	}
	webConfig, err := web.Load(c.webConfigFile, reg, logger)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle(assistant.Path, assistant.NewHandler(tools, limits, logger, c.handler))
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET "+web.HealthyPath, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "muster-mcp is healthy.") })
	server := web.NewHTTPServer(mux, logger)
	edge := web.New(webConfig, server, rejections{logger}, logger, web.Options{Addresses: c.addresses, Open: []string{web.HealthyPath}})

	var group run.Group
	group.Add(run.SignalHandler(context.Background(), syscall.SIGINT, syscall.SIGTERM))
	group.Add(func() error { return edge.Run(context.Background()) }, func(error) {
		ctx, cancel := context.WithTimeout(context.Background(), drainWait)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			logger.Warn("Open requests were aborted", "err", err)
		}
	})
	if err := group.Run(); !errors.Is(err, run.ErrSignal) && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	logger.Info("Stopped")
	return nil
}

// rejections logs the requests that the web config rejects.
type rejections struct{ logger *slog.Logger }

// Reject records one of them.
func (r rejections) Reject(ctx context.Context, remote string, code int, reason limit.Reason, text string) {
	r.logger.InfoContext(ctx, "Request rejected", "remote", remote, "code", code, "reason", reason, "err", text)
}
