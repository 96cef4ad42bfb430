package check

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
)

const composeFile = "examples/compose.yaml"

// loadCompose loads a file like `docker compose`: an unknown field is an error.
func loadCompose(ctx context.Context, path string) (*types.Project, error) {
	options, err := cli.NewProjectOptions([]string{path}, cli.WithName("muster"), cli.WithConsistency(true))
	if err != nil {
		return nil, err
	}
	return options.LoadProject(ctx)
}

func TestComposeIsValid(t *testing.T) {
	project, err := loadCompose(t.Context(), filepath.Join(root, composeFile))
	require.NoError(t, err)
	require.Equal(t, []string{"alertmanager", "muster", "prometheus", "redis"}, project.ServiceNames())

	muster := project.Services["muster"]
	knowsFlags(t, muster.Command...)
	folder, err := filepath.Abs(root)
	require.NoError(t, err)
	require.Equal(t, folder, filepath.Clean(muster.Build.Context), "the folder of the Dockerfile")

	t.Run("alertmanager.yml", func(t *testing.T) {
		acceptsAlertmanagerConfig(t, project.Configs["alertmanager"].Content)
	})
	t.Run("prometheus.yml", func(t *testing.T) {
		path := write(t, "prometheus.yml", project.Configs["prometheus"].Content)
		said, err := runTool(t, "promtool", "check", "config", "--syntax-only", path)
		require.NoError(t, err, said)
	})
	t.Run("rules.yml", func(t *testing.T) {
		rules := project.Configs["rules"].Content
		require.Contains(t, rules, "{{ $labels.job }}", "$$ is Compose's $")
		said, err := runTool(t, "promtool", "check", "rules", write(t, "rules.yml", rules))
		require.NoError(t, err, said)
	})
}

func TestComposeMistakesAreFound(t *testing.T) {
	for _, b := range []breakage{
		{"an unknown field", "read_only: true", "readonly: true", "services.muster.readonly false schema"},
		{"an unknown top-level field", "\nvolumes:\n", "\nvolume:\n", "additional properties 'volume' not allowed"},
		{"a wrong type", "cap_drop: [ALL]", "cap_drop: ALL", "services.muster.cap_drop must be a array"},
		{"an unknown service", "depends_on: [redis]", "depends_on: [valkey]", "valkey"},
		{"an unknown config", "source: rules", "source: rule", "rule"},
		{"an unknown volume", "redis:/data", "reddis:/data", "reddis"},
	} {
		t.Run(b.name, func(t *testing.T) {
			text := strings.ReplaceAll(string(read(t, composeFile)), "build: ..", "image: muster")
			_, err := loadCompose(t.Context(), write(t, "compose.yaml", b.apply(t, text)))
			require.ErrorContains(t, err, b.says)
		})
	}
}
