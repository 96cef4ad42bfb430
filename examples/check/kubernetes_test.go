package check

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

const manifests = "examples/kubernetes/"

// validate checks a manifest against the schemas of Kubernetes and of the Prometheus
// operator. An unknown field is an error.
func validate(t *testing.T, text string) (string, error) {
	t.Helper()
	return runTool(t, tool(t, "KUBECTL_VALIDATE"), "--version=1.30", "--local-crds="+tool(t, "CRDS"), write(t, "manifest.yaml", text))
}

// operatedAlertmanager returns the Alertmanager resource of the Prometheus operator that
// the chart makes from its values.
func operatedAlertmanager(t *testing.T) string {
	t.Helper()
	var spec any = readValues(t).Alertmanager.AlertmanagerSpec
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": "monitoring.coreos.com/v1", "kind": "Alertmanager",
		"metadata": map[string]any{"name": "main", "namespace": "monitoring"}, "spec": spec,
	})
	require.NoError(t, err)
	return string(text)
}

// values are the values of the chart that the example sets.
type values struct {
	Alertmanager struct {
		AlertmanagerSpec map[string]any `json:"alertmanagerSpec"`
		Config           map[string]any `json:"config"`
	} `json:"alertmanager"`
}

func readValues(t *testing.T) (v values) {
	t.Helper()
	require.NoError(t, yaml.UnmarshalStrict(read(t, manifests+"kube-prometheus-stack-values.yaml"), &v))
	return v
}

func TestManifestsAreValid(t *testing.T) {
	for name, tc := range map[string]struct {
		text      string
		breakages []breakage
	}{
		"sidecar.yaml": {
			string(read(t, manifests+"sidecar.yaml")),
			[]breakage{
				{"an unknown field", "serviceName:", "service:", "spec.service: Invalid value: value provided for unknown field"},
				{
					"an unknown nested field", "containerPort: 9095", "containerPrt: 9095",
					"containerPrt: Invalid value: value provided for unknown field",
				},
				{
					"a missing field", "  selector:\n    matchLabels: {app.kubernetes.io/name: alertmanager}\n", "",
					"spec.selector: Required value",
				},
				{"a wrong type", "replicas: 2", "replicas: two", "spec.replicas: Invalid value"},
				{"an unknown version", "apiVersion: apps/v1", "apiVersion: apps/v3", "apps/v3"},
			},
		},
		"alertmanagerconfig.yaml": {
			string(read(t, manifests+"alertmanagerconfig.yaml")),
			[]breakage{
				{"an unknown field", "sendResolved", "send_resolved", "send_resolved: Invalid value: value provided for unknown field"},
				{
					"a missing field", "    - name: muster\n      webhookConfigs:", "    - webhookConfigs:",
					"spec.receivers[0].name: Required value",
				},
				{"a wrong type", "continue: true", "continue: 1", "spec.route.continue: Invalid value"},
			},
		},
		"kube-prometheus-stack-values.yaml": {
			operatedAlertmanager(t),
			[]breakage{
				{"an unknown field", "readinessProbe:", "readyProbe:", "readyProbe: Invalid value: value provided for unknown field"},
				{"a missing field", "name: muster\n    ports", "ports", "spec.containers[0].name: Required value"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			said, err := validate(t, tc.text)
			require.NoError(t, err, said)
			require.Contains(t, said, "OK")
			for _, b := range tc.breakages {
				t.Run(b.name, func(t *testing.T) {
					said, err := validate(t, b.apply(t, tc.text))
					require.Error(t, err, said)
					require.Contains(t, said, b.says)
				})
			}
		})
	}
}

// container has the fields of a container that the tests need.
type container struct {
	Name           string
	Args           []string
	Ports          []struct{ Name string }
	ReadinessProbe probe
	LivenessProbe  probe
}

type probe struct {
	HTTPGet struct{ Path, Port string }
}

// musterContainers returns the containers of Muster in all manifests.
func musterContainers(t *testing.T) map[string]container {
	t.Helper()
	found := map[string]container{}
	find := func(name, text string) {
		var pod struct {
			Spec struct {
				Containers []container
				Template   struct {
					Spec struct{ Containers []container }
				}
			}
		}
		require.NoError(t, yaml.Unmarshal([]byte(text), &pod))
		for _, c := range append(pod.Spec.Containers, pod.Spec.Template.Spec.Containers...) {
			if c.Name == "muster" {
				found[name] = c
			}
		}
	}
	for part := range strings.SplitSeq(string(read(t, manifests+"sidecar.yaml")), "\n---\n") {
		find("sidecar", part)
	}
	find("kube-prometheus-stack", operatedAlertmanager(t))
	require.Len(t, found, 2)
	return found
}

// Muster has the flags of the containers, and answers the paths of their probes, also
// while Redis is down.
func TestContainersFitMuster(t *testing.T) {
	url := startMuster(t)
	for name, c := range musterContainers(t) {
		t.Run(name, func(t *testing.T) {
			knowsFlags(t, c.Args...)
			require.Equal(t, "muster", c.Ports[0].Name)
			for _, p := range []probe{c.ReadinessProbe, c.LivenessProbe} {
				require.Equal(t, "muster", p.HTTPGet.Port)
				res, err := http.Get(url + p.HTTPGet.Path)
				require.NoError(t, err)
				require.NoError(t, res.Body.Close())
				require.Equal(t, http.StatusOK, res.StatusCode, p.HTTPGet.Path)
			}
		})
	}
}

// The Alertmanager configurations inside the manifests are valid.
func TestManifestsConfigureAlertmanager(t *testing.T) {
	t.Run("sidecar", func(t *testing.T) {
		var found bool
		for part := range strings.SplitSeq(string(read(t, manifests+"sidecar.yaml")), "\n---\n") {
			var m struct {
				Data map[string]string `json:"data"`
			}
			require.NoError(t, yaml.Unmarshal([]byte(part), &m))
			if text, ok := m.Data["alertmanager.yml"]; ok {
				acceptsAlertmanagerConfig(t, text)
				found = true
			}
		}
		require.True(t, found)
	})
	t.Run("kube-prometheus-stack", func(t *testing.T) {
		text, err := yaml.Marshal(readValues(t).Alertmanager.Config)
		require.NoError(t, err)
		acceptsAlertmanagerConfig(t, string(text))
	})
}

// All examples and the Makefile use the same version of Alertmanager.
func TestOneVersionOfAlertmanager(t *testing.T) {
	version := regexp.MustCompile(`(?m)^ALERTMANAGER_VERSION := (.+)$`).FindSubmatch(read(t, "Makefile"))
	require.NotNil(t, version)
	for _, name := range []string{manifests + "sidecar.yaml", "examples/compose.yaml"} {
		images := regexp.MustCompile(`prometheus/alertmanager:v(\S+)`).FindAllSubmatch(read(t, name), -1)
		require.NotEmpty(t, images, name)
		for _, image := range images {
			require.Equal(t, string(version[1]), string(image[1]), name)
		}
	}
}
