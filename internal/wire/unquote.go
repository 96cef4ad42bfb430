package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"muster/grouping"
)

// quoted reads a string. The result is valid until the next string is read.
func (p *parser) quoted() (text []byte, ok bool) {
	if !p.next('"') {
		return nil, false
	}
	rest := p.text[p.at:]
	end := bytes.IndexByte(rest, '"')
	if end < 0 {
		return nil, false
	}
	if text = rest[:end]; grouping.IsPlain(text) {
		p.at += end + 1
		return text, true
	}
	return p.escaped()
}

// escaped is quoted for the rest of a string with escapes.
func (p *parser) escaped() (text []byte, ok bool) {
	p.unescaped = p.unescaped[:0]
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch {
		case c == '"':
			return p.unescaped, utf8.Valid(p.unescaped)
		case c < ' ', c == '\\' && !p.escape():
			return nil, false
		case c != '\\':
			p.unescaped = append(p.unescaped, c)
		}
	}
	return nil, false
}

// escape reads the rest of an escape, and adds its character to the string.
func (p *parser) escape() bool {
	if p.next('u') {
		return p.codePoint()
	}
	if p.at == len(p.text) {
		return false
	}
	at := strings.IndexByte(`"\/bfnrt`, p.text[p.at])
	if at < 0 {
		return false
	}
	p.unescaped = append(p.unescaped, "\"\\/\b\f\n\r\t"[at])
	p.at++
	return true
}

// codePoint reads four hexadecimal digits, and adds their character to the string.
func (p *parser) codePoint() bool {
	var code [2]byte
	if len(p.text)-p.at < 4 {
		return false
	}
	if _, err := hex.Decode(code[:], p.text[p.at:p.at+4]); err != nil {
		return false
	}
	r := rune(binary.BigEndian.Uint16(code[:]))
	p.unescaped = utf8.AppendRune(p.unescaped, r)
	p.at += 4
	return !utf16.IsSurrogate(r)
}
