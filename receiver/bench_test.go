package receiver

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// manyAlerts returns a body with n alerts of realistic size.
func manyAlerts(n int) string {
	var alerts []string
	for i := range n {
		alerts = append(alerts, fmt.Sprintf(`{"status":"firing","labels":{"alertname":"Down","instance":"10.42.%d.%d:8080","job":"node",`+
			`"namespace":"payments","severity":"warning","cluster":"prod-eu-1","service":"kube-state-metrics","container":"ledger-api"},`+
			`"annotations":{"summary":"Pod is crash looping.","description":"Pod payments/ledger-api-%d is in waiting state.",`+
			`"runbook_url":"https://runbooks.example.net/crash"},"startsAt":"2026-11-23T03:00:00Z","endsAt":"0001-01-01T00:00:00Z",`+
			`"generatorURL":"http://prometheus.example.net/graph?g0.expr=up","fingerprint":"%016x"}`, i/250, i%250, i, i))
	}
	whole := body()
	return whole[:strings.Index(whole, "[{")+1] + strings.Join(alerts, ",") + whole[strings.Index(whole, "}]")+1:]
}

func BenchmarkWebhook(b *testing.B) {
	for _, n := range []int{1, 10, 1000, 10000} {
		b.Run(fmt.Sprintf("%d alerts", n), func(b *testing.B) {
			h := newTestServer(b, Options{})
			text := manyAlerts(n)
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				require.Equal(b, http.StatusOK, h.post(text).Code)
			}
		})
	}
}

// Renders the first page of 10,000 groups with ten alerts each.
func BenchmarkFirstPage(b *testing.B) {
	h := newTestServer(b, Options{})
	for i := range 10_000 {
		text := strings.NewReplacer(wireKey, fmt.Sprintf(`"groupKey":"k%d"`, i), `"groupLabels":{}`,
			fmt.Sprintf(`"groupLabels":{"alertname":"Down%d"}`, i),
			`"severity":"warning"`, fmt.Sprintf(`"severity":"%s"`, []string{"critical", "warning", "info"}[i%3]),
			"03:00:00Z", fmt.Sprintf("03:%02d:%02dZ", i/60%60, i%60)).Replace(manyAlerts(10))
		require.Equal(b, http.StatusOK, h.post(text).Code)
	}
	for _, path := range []string{"/", "/api/v1/groups", "/?filter=severity%3Dwarning"} {
		b.Run(path, func(b *testing.B) {
			for b.Loop() {
				h.pages.put("none", "", renderedPage{}) // disables the cache
				require.Equal(b, http.StatusOK, h.get(path).Code)
			}
		})
	}
	b.Run("after a change", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			require.Equal(b, http.StatusOK, h.post(body(`"status":"firing"`, fmt.Sprintf(`"status":%q`, []string{"firing", "resolved"}[i%2]))).Code)
			require.Equal(b, http.StatusOK, h.get("/").Code)
		}
	})
}
