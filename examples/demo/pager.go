package main

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// pager is a second receiver of Alertmanager. It fails if the story says so.
type pager struct {
	url    string
	server *http.Server
	fails  atomic.Bool
}

func startPager(ctx context.Context) (*pager, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &pager{url: "http://" + l.Addr().String()}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = p.server.Serve(l) }() // it ends with Close
	return p, nil
}

func (p *pager) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if p.fails.Load() {
		http.Error(w, "the pager is down", http.StatusServiceUnavailable)
	}
}
