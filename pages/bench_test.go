package pages_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/internal/testserver"
	"muster/internal/wire/wiretest"
)

// Renders the first page of 10,000 groups with ten alerts each.
func BenchmarkFirstPage(b *testing.B) {
	h := testserver.New(b, testserver.Options{})
	for i := range 10_000 {
		text := strings.NewReplacer(wiretest.Key, fmt.Sprintf(`"groupKey":"k%d"`, i), `"groupLabels":{}`,
			fmt.Sprintf(`"groupLabels":{"alertname":"Down%d"}`, i),
			`"severity":"warning"`, fmt.Sprintf(`"severity":"%s"`, []string{"critical", "warning", "info"}[i%3]),
			"03:00:00Z", fmt.Sprintf("03:%02d:%02dZ", i/60%60, i%60)).Replace(wiretest.Many(10))
		require.Equal(b, http.StatusOK, h.Post(text).Code)
	}
	for _, path := range []string{"/", "/api/v1/groups", "/?filter=severity%3Dwarning"} {
		b.Run(path, func(b *testing.B) {
			for b.Loop() {
				h.Pages.ClearCache() // disables the cache
				require.Equal(b, http.StatusOK, h.Get(path).Code)
			}
		})
	}
	b.Run("after a change", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			require.Equal(
				b,
				http.StatusOK,
				h.Post(wiretest.Body(`"status":"firing"`, fmt.Sprintf(`"status":%q`, []string{"firing", "resolved"}[i%2]))).Code,
			)
			require.Equal(b, http.StatusOK, h.Get("/").Code)
		}
	})
}
