package grouping

import (
	"regexp"
	"strings"
)

// UnquoteReceiver reverses regexp.QuoteMeta. Alertmanager quotes the receiver's name
// with it, in notifications and in their templates.
func UnquoteReceiver(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && regexp.QuoteMeta(s[i+1:i+2]) != s[i+1:i+2] {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
