package web_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"muster/internal/testserver"
	"muster/web"
)

// Scrapers that do not read do not block others.
func TestScrapersThatDoNotReadDoNotBlockOthers(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	long := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "long", Help: "Long labels."}, []string{"x"})
	for i := range 600 {
		long.WithLabelValues(fmt.Sprint(i, strings.Repeat("y", 1000))).Set(1)
	}
	h.Registry.MustRegister(long) // more than the buffers of a connection hold
	srv := h.Listen(t)
	for range web.MaxScrapes {
		testserver.OpenStalled(t, srv, "/metrics", 4096)
	}
	size := int64(h.Get("/metrics").Body.Len())
	require.Eventually(
		t,
		func() bool { return h.Limits.Limit("scrape_responses").Used() >= web.MaxScrapes*size*9/10 },
		20*time.Second,
		time.Millisecond,
	)
	require.Eventually(t, func() bool { return h.Limits.Limit("scrapes").Used() == 0 }, 20*time.Second, time.Millisecond)
	require.Equal(t, http.StatusOK, h.Get("/metrics").Code)
	require.Equal(t, http.StatusOK, h.Get("/metrics", "Accept-Encoding", "gzip").Code)
	var held int
	for h.Limits.Limit("scrapes").Used() < web.MaxScrapes {
		_, ok := h.Limits.Limit("scrapes").Take(1)
		require.True(t, ok)
		held++
	}
	require.Equal(t, web.MaxScrapes, held)
	require.Equal(t, http.StatusServiceUnavailable, h.Get("/metrics").Code)
}

func TestScrapesAreLimited(t *testing.T) {
	h := testserver.New(t, testserver.Options{})
	long := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "long", Help: "Long labels."}, []string{"x"})
	for i := range 5 {
		long.WithLabelValues(fmt.Sprint(i, strings.Repeat("y", web.MaxScrapeSize/4))).Set(1)
	}
	h.Registry.MustRegister(long)
	w := h.Get("/metrics")
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, "The metrics are larger than the limit of 4 MiB.\n", w.Body.String())
	require.Zero(t, h.Limits.Limit("scrapes").Used())
}
