package reply

import (
	"strconv"
	"strings"
)

// Gzip reports whether a client prefers gzip, by the values of its Accept-Encoding
// headers (RFC 9110, section 12.5.3). The weight 0 rejects a coding, and "*" stands
// for every coding that is not named. An invalid weight counts as 0, because every
// client can read plain text.
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
