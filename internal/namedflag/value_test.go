package namedflag_test

import (
	"testing"

	"github.com/alecthomas/kingpin/v2"
	"github.com/stretchr/testify/require"

	"muster/internal/namedflag"
)

func TestAnErrorNamesItsFlag(t *testing.T) {
	app := kingpin.New("app", "")
	limit := app.Flag("limit", "")
	var n int
	limit.IntVar(&n)
	number := app.GetFlag("limit").Model().Value
	named := namedflag.Value{Value: number, Name: "limit"}
	require.NoError(t, named.Set("7"))
	require.ErrorContains(t, named.Set("seven"), "--limit: ")
	require.Equal(t, 7, n)
}
