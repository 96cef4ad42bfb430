// Package negotiate reads what a client says that it accepts.
package negotiate

import (
	"strconv"
	"strings"
)

// Gzip reports whether a client wants gzip, by the values of its
// Accept-Encoding headers (RFC 9110, section 12.5.3). A coding with the weight 0
// is refused, the star stands for what is not named, and a weight that cannot be
// read counts as 0: every client can read plain text.
func Gzip(headers []string) bool {
	weights := map[string]float64{}
	for _, header := range headers {
		for part := range strings.SplitSeq(header, ",") {
			coding, params, _ := strings.Cut(part, ";")
			weights[strings.ToLower(strings.TrimSpace(coding))] = weight(params)
		}
	}
	q, named := weights["gzip"]
	if !named {
		q, named = weights["x-gzip"] // its old name
	}
	if !named {
		q = weights["*"]
	}
	return q > 0 && q >= weights["identity"]
}

func weight(params string) float64 {
	name, value, found := strings.Cut(params, "=")
	if !found && strings.TrimSpace(params) == "" {
		return 1
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil || !strings.EqualFold(strings.TrimSpace(name), "q") || !(q >= 0 && q <= 1) {
		return 0
	}
	return q
}
