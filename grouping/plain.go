package grouping

// IsPlain reports whether the text is its own JSON: ASCII without control characters,
// quotes and backslashes. It reads eight bytes at a time, because most of the bytes of a
// notification pass here several times.
func IsPlain[T ~string | ~[]byte](text T) bool {
	n := len(text)
	if n < 8 {
		for i := range n {
			if c := text[i]; c < ' ' || c >= 0x80 || c == '"' || c == '\\' {
				return false
			}
		}
		return true
	}
	for i := 0; i+8 < n; i += 8 {
		if isSpecial(eightBytes(text, i)) {
			return false
		}
	}
	return !isSpecial(eightBytes(text, n-8))
}

// eightBytes returns the bytes from the index on as a number. The compiler makes one load of
// it.
func eightBytes[T ~string | ~[]byte](text T, i int) uint64 {
	b := text[i : i+8]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

// isSpecial reports whether one of eight bytes is not plain. A subtraction of n from each
// byte sets the highest bit of a byte that is less than n, if it was not set.
func isSpecial(w uint64) bool {
	const each, highest = 0x0101010101010101, 0x8080808080808080
	quote, backslash := w^('"'*each), w^('\\'*each)
	less := (w-' '*each)&^w | (quote-each)&^quote | (backslash-each)&^backslash
	return (less|w)&highest != 0
}
