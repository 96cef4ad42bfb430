package api

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
)

// csvMedia is the media type of CSV, as RFC 4180 defines it.
const csvMedia = "text/csv; charset=utf-8; header=present"

// csvStream writes a table as CSV to a client in parts. The format is that of RFC 4180:
// lines end with CR and LF, and a cell is in quotes if it needs them.
type csvStream struct {
	*textStream

	cells int // in the current row
}

// streamCSV answers with a table. The first row has the names of the columns, and the function
// write writes the others. name is the first part of the name of the file. Held is as in
// streamJSON.
func (d *Door) streamCSV(c *gin.Context, held int64, name string, columns []string, write func(*csvStream)) {
	head := answerHead{media: csvMedia, file: fileName(name, "csv", time.Now())}
	d.stream(c, held, head, func(text *textStream) {
		out := &csvStream{textStream: text}
		for _, column := range columns {
			out.writeText(column)
		}
		out.endRow()
		write(out)
	})
}

// fileName returns the name under which a browser saves an answer.
func fileName(name, extension string, at time.Time) string {
	return "muster-" + name + "-" + at.UTC().Format("20060102T150405Z") + "." + extension
}

// writeText writes a cell with a text of any origin. A spreadsheet would take a text that
// begins like a formula for one, so it gets a leading apostrophe, as OWASP advises.
func (o *csvStream) writeText(s string) {
	if o.err != nil {
		return
	}
	o.beginCell()
	formula := startsFormula(s)
	if !formula && !needsQuotes(s) {
		o.enc.raw(s)
		return
	}
	o.enc.raw(`"`)
	if formula {
		o.enc.raw("'")
	}
	o.appendQuoted(s)
	o.enc.raw(`"`)
}

// writeInt writes a cell with a whole number.
func (o *csvStream) writeInt(n int64) {
	if o.err == nil {
		o.beginCell()
		o.enc.text = strconv.AppendInt(o.enc.text, n, 10)
	}
}

// writeBool writes a cell with true or false.
func (o *csvStream) writeBool(is bool) { o.writeText(strconv.FormatBool(is)) }

// writeFloat writes a cell with a number.
func (o *csvStream) writeFloat(f float64) {
	if o.err == nil {
		o.beginCell()
		o.enc.text = strconv.AppendFloat(o.enc.text, f, 'f', -1, 64)
	}
}

// writeTime writes a cell with a time in UTC. The cell of a zero time is empty.
func (o *csvStream) writeTime(t time.Time) {
	if o.err == nil {
		o.beginCell()
		if !t.IsZero() {
			o.enc.text = t.UTC().AppendFormat(o.enc.text, time.RFC3339Nano)
		}
	}
}

// endRow ends the current row.
func (o *csvStream) endRow() {
	o.writeRaw("\r\n")
	o.cells = 0
	o.finishValue(o.err)
}

func (o *csvStream) beginCell() {
	if o.cells > 0 {
		o.enc.raw(",")
	}
	o.cells++
}

// appendQuoted appends a text for a cell in quotes. Some readers reject a file with a zero
// byte or with bytes that are not UTF-8, so the replacement character stands for them.
func (o *csvStream) appendQuoted(s string) {
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	for i := range len(s) {
		switch s[i] {
		case '"':
			o.enc.raw(`""`)
		case 0:
			o.enc.raw(string(utf8.RuneError))
		default:
			o.enc.text = append(o.enc.text, s[i])
		}
	}
}

// startsFormula reports whether a spreadsheet may take a text for a formula. Some also accept
// the wide forms of the signs, and skip spaces before them.
func startsFormula(s string) bool {
	if s = strings.TrimLeft(s, " \u00a0\ufeff"); s == "" {
		return false
	}
	r, _ := utf8.DecodeRuneInString(s)
	return strings.ContainsRune("=+-@\t\r\n＝＋－＠", r)
}

// needsQuotes reports whether a cell must be in quotes. A semicolon needs none by RFC 4180, but
// some spreadsheets separate cells with it.
func needsQuotes(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= utf8.RuneSelf || strings.IndexByte(`",;|`, c) >= 0 {
			return true
		}
	}
	return false
}
