package wire_test

import (
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"muster/internal/wire"
)

// requireSame compares what was read with the answer, field by field. The answer has more
// fields than are read.
func requireSame[T any](t *testing.T, answer []byte, read iter.Seq2[*T, error]) (n int) {
	t.Helper()
	var all []any
	require.NoError(t, json.Unmarshal(answer, &all))
	for element, err := range read {
		require.NoError(t, err)
		text, err := json.Marshal(element, json.Deterministic(true))
		require.NoError(t, err)
		var got any
		require.NoError(t, json.Unmarshal(text, &got))
		requireSubset(t, all[n], got)
		n++
	}
	require.Len(t, all, n)
	return n
}

func requireSubset(t *testing.T, whole, part any) {
	t.Helper()
	switch part := part.(type) {
	case map[string]any:
		require.IsType(t, part, whole)
		for name, value := range part {
			requireSubset(t, whole.(map[string]any)[name], value)
		}
	case []any:
		require.Len(t, whole, len(part))
		for i := range part {
			requireSubset(t, whole.([]any)[i], part[i])
		}
	case string:
		if at, err := time.Parse(time.RFC3339, part); err == nil { // Go writes fewer digits
			expected, err := time.Parse(time.RFC3339, whole.(string))
			require.NoError(t, err)
			require.True(t, at.Equal(expected))
			return
		}
		require.Equal(t, whole, part)
	default:
		require.Equal(t, whole, part)
	}
}

func TestRecordedAnswersAreRead(t *testing.T) {
	files, err := filepath.Glob(recorded + "/*/*-api-*.json")
	require.NoError(t, err)
	groups, silences, states := 0, 0, 0
	for _, file := range files {
		answer, err := os.ReadFile(file)
		require.NoError(t, err)
		open := func() io.Reader { return strings.NewReader(string(answer)) }
		t.Run(filepath.Base(filepath.Dir(file))+"/"+filepath.Base(file), func(t *testing.T) {
			switch {
			case strings.Contains(file, "groups"):
				groups += requireSame(t, answer, wire.ReadGroups(open()))
			case strings.Contains(file, "silences"):
				silences += requireSame(t, answer, wire.ReadSilences(open()))
			case strings.Contains(file, "status"):
				s, err := wire.ReadStatus(open())
				require.NoError(t, err)
				require.Contains(t, s.Config.Original, "route:")
				require.False(t, s.Uptime.IsZero())
				states++
			}
		})
	}
	require.Greater(t, groups, 50)
	require.Greater(t, silences, 20)
	require.Greater(t, states, 5)
}

func TestAnswersThatAreNoLists(t *testing.T) {
	const silence = `{"id":"a","status":{"state":"active"}}`
	for name, test := range map[string]struct {
		answer string
		good   int
	}{
		"nothing":            {"", 0},
		"HTML":               {"<!DOCTYPE html><title>Sign in</title>", 0},
		"an object":          {silence, 0},
		"cut":                {"[" + silence + "," + silence[:20], 1},
		"not ended":          {"[" + silence, 1},
		"more":               {"[" + silence + "]" + silence, 1},
		"a number":           {"[" + silence + ",7]", 1},
		"a name twice":       {`[{"id":"a","id":"b"}]`, 0},
		"an odd time":        {`[{"id":"a","startsAt":"noon"}]`, 0},
		"null":               {"null", 0},
		"an error as object": {`{"code":500,"message":"internal"}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			good, faults := 0, 0
			for s, err := range wire.ReadSilences(iotest.OneByteReader(strings.NewReader(test.answer))) {
				if err != nil {
					faults++
					require.Nil(t, s)
					continue
				}
				require.Zero(t, faults, "the error is last")
				good++
			}
			require.Equal(t, test.good, good)
			require.Equal(t, 1, faults)
		})
	}
}

// Of a long answer only what is being read is in memory.
func TestAnswersAreReadWhileTheyArrive(t *testing.T) {
	r, w := io.Pipe()
	defer func() { _ = r.Close() }()
	next, stop := iter.Pull2(wire.ReadGroups(r))
	defer stop()
	go func() { _, _ = io.WriteString(w, `[{"receiver":{"name":"first"}},`) }()
	g, err, ok := next()
	require.True(t, ok)
	require.NoError(t, err)
	require.Equal(t, "first", g.Receiver.Name)
}

func TestStatusOfSomethingElse(t *testing.T) {
	for _, answer := range []string{"", "{}", "<html>", `{"versionInfo":{}}`, `[]`, `{"versionInfo":{"version":"1"}}{}`} {
		_, err := wire.ReadStatus(strings.NewReader(answer))
		require.Error(t, err, answer)
	}
}

func TestMatchersOfTheAPI(t *testing.T) {
	for text, expected := range map[string]wire.MatcherType{
		`{"isRegex":false,"isEqual":true}`: "=", `{"isRegex":true,"isEqual":true}`: "=~", `{"isRegex":false,"isEqual":false}`: "!=",
		`{"isRegex":true,"isEqual":false}`: "!~", `{"isRegex":true}`: "=~", `{}`: "=",
	} {
		var m wire.APIMatcher
		require.NoError(t, json.Unmarshal(jsontext.Value(text), &m))
		require.Equal(t, expected, m.Type(), text)
	}
}
