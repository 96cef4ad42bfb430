package past

const (
	MinDigestAge = minDigestAge
	MaxDigestAge = maxDigestAge
	MaxReports   = maxReports
	MaxDigests   = maxDigests
	MaxRecent    = maxRecent
)

// Digests returns the number of kept digests.
func (r *Reader) Digests() int {
	r.digests.mu.Lock()
	defer r.digests.mu.Unlock()
	return len(r.digests.kept)
}

// DigestBytes returns the size of the kept digests.
func (r *Reader) DigestBytes() (bytes int) {
	r.digests.mu.Lock()
	defer r.digests.mu.Unlock()
	for _, k := range r.digests.kept {
		bytes += k.size
	}
	return bytes
}

// MaxWanted is the maximum number of groups that wait to be read.
const MaxWanted = maxWanted
