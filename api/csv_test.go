package api_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"muster/api"
	"muster/storage/storagetest"
)

// csvCells are texts that break careless writers and readers of CSV, and how a reader gets
// them back.
var csvCells = []struct{ text, read string }{
	{"plain", "plain"},
	{"", ""},
	{"a,b;c|d", "a,b;c|d"},
	{`say "hi"`, `say "hi"`},
	{`"`, `"`},
	{"two\nlines", "two\nlines"},
	{"ends\n", "ends\n"},
	{"日本 é \u2028", "日本 é \u2028"},
	{"=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"},
	{"+1", "'+1"},
	{"-1", "'-1"},
	{"@SUM(1)", "'@SUM(1)"},
	{"\t=1", "'\t=1"},
	{"\n=1", "'\n=1"},
	{"  =1", "'  =1"},
	{"\u00a0=1", "'\u00a0=1"},
	{"＝1", "'＝1"},
	{"＠1", "'＠1"},
	{"a=1", "a=1"},
	{"'=1", "'=1"},
	{"zero\x00byte", "zero\ufffdbyte"},
	{"bad\xffbyte", "bad\ufffdbyte"},
	{`{"alertname":"A \"b\""}`, `{"alertname":"A \"b\""}`},
}

// csvFile returns a file with one row per text and some rows with all of them, and what a
// reader gets.
func csvFile() (file string, want [][]string) {
	var all, read []string
	for _, cell := range csvCells {
		all, read = append(all, cell.text), append(read, cell.read)
	}
	for range 3 {
		file += api.CSVRow(all...)
		want = append(want, read)
	}
	return file, want
}

func TestCSVIsReadByGo(t *testing.T) {
	file, want := csvFile()
	got, err := csv.NewReader(strings.NewReader(file)).ReadAll()
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// pythonCSV reads CSV from standard input and writes its rows as JSON.
const pythonCSV = `
import csv, io, json, sys
text = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", newline="")
json.dump(list(csv.reader(text, strict=True)), sys.stdout)
`

// readByPython returns the rows that Python reads.
func readByPython(t *testing.T, file string) (rows [][]string) {
	t.Helper()
	if storagetest.Short() {
		t.Skip("SHORT=1: without Python")
	}
	path, err := exec.LookPath("python3")
	require.NoError(t, err,
		"python3 is not installed: run scripts/install.sh python3 python3 (Debian: apt-get install python3), or set SHORT=1")
	cmd := exec.CommandContext(t.Context(), path, "-c", pythonCSV)
	var out, errors bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(file), &out, &errors
	require.NoError(t, cmd.Run(), "%s", &errors)
	require.NoError(t, json.Unmarshal(out.Bytes(), &rows))
	return rows
}

func TestCSVIsReadByPython(t *testing.T) {
	file, want := csvFile()
	require.Equal(t, want, readByPython(t, file))
}

// A carriage return is kept, but readers may take it for the end of a line. So the cell is in
// quotes, and it never begins a cell unguarded.
func TestCSVKeepsCarriageReturns(t *testing.T) {
	require.Equal(t, "\"'\r=1\",\"a\rb\"\r\n", api.CSVRow("\r=1", "a\rb"))
	require.Equal(t, [][]string{{"'\r=1", "a\rb"}}, readByPython(t, api.CSVRow("\r=1", "a\rb")))
}
