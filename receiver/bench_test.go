package receiver_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

func BenchmarkWebhook(b *testing.B) {
	for _, n := range []int{1, 10, 1000, 10000} {
		b.Run(fmt.Sprintf("%d alerts", n), func(b *testing.B) {
			h := testserver.New(b, testserver.Options{})
			text := wiretest.Many(n)
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				require.Equal(b, http.StatusOK, h.Post(text).Code)
			}
		})
	}
}

// Events that say nothing new are most of what the event recorder sends.
func BenchmarkRepeatedEvents(b *testing.B) {
	for _, n := range []int{1, 100, 5000} {
		b.Run(fmt.Sprintf("%d events", n), func(b *testing.B) {
			h, _ := eventServer(b, testserver.Options{})
			text := wiretest.GroupedMany(n, 0)
			require.Equal(b, http.StatusOK, h.PostEvents(text).Code)
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				require.Equal(b, http.StatusOK, h.PostEvents(text).Code)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/event")
		})
	}
}
