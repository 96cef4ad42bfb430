package past

const (
	MaxDigestAge = maxDigestAge
	MaxReports   = maxReports
	MaxDigests   = maxDigests
)

// Digests returns the number of kept digests.
func (r *Reader) Digests() int {
	r.digests.mu.Lock()
	defer r.digests.mu.Unlock()
	return len(r.digests.kept)
}
