package redis

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// The client copies the texts of an answer with io.CopyN.
func TestReadARawAnswer(t *testing.T) {
	var a rawAnswer
	_, err := a.Write([]byte("$5\r\n"))
	require.NoError(t, err)
	from := iotest.OneByteReader(strings.NewReader("hello\r\n:1\r\n"))
	n, err := io.CopyN(&a, from, 7)
	require.NoError(t, err)
	require.EqualValues(t, 7, n)
	rest, err := io.ReadAll(from)
	require.NoError(t, err)
	require.Equal(t, ":1\r\n", string(rest), "what follows stays in the connection")
	require.Equal(t, "$5\r\nhello\r\n", string(a.text))

	n, err = io.CopyN(&a, strings.NewReader("cut"), 7)
	require.ErrorIs(t, err, io.EOF)
	require.EqualValues(t, 3, n)
	broken := errors.New("broken")
	n, err = io.CopyN(&a, io.MultiReader(strings.NewReader("off"), iotest.ErrReader(broken)), 7)
	require.ErrorIs(t, err, broken)
	require.EqualValues(t, 3, n)
	n, err = a.ReadFrom(strings.NewReader("whole"))
	require.NoError(t, err)
	require.EqualValues(t, 5, n)
	require.Equal(t, "$5\r\nhello\r\ncutoffwhole", string(a.text))
}
