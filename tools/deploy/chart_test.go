// Package deploy tests the files under deploy/ with the types and tools that read them. The Helm
// chart is tested with Helm and the Go types of Kubernetes, the Dockerfile with BuildKit's parser,
// and the systemd unit with systemd-analyze. The tests need no cluster, no daemon and no network.
package deploy

import (
	"context"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
)

const chartFolder = "../../deploy/helm/deskmint"

var update = flag.Bool("update", false, "rewrite the golden files")

// cases are the values that all tests of the chart use.
var cases = []struct{ name, file string }{
	{"default", ""},
	{"all", chartFolder + "/ci/all-values.yaml"},
	{"plain", chartFolder + "/ci/plain-values.yaml"},
}

// TestLint runs `helm lint --strict`.
func TestLint(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			result := lint.RunAll(chartFolder, values(t, c.file), "support")
			for _, m := range result.Messages {
				if m.Severity >= support.WarningSev {
					t.Error(m)
				}
			}
		})
	}
}

// TestGolden compares the rendered chart with golden files, so that a review shows what a change
// does.
func TestGolden(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			rendered := render(t, values(t, c.file))
			var all strings.Builder
			for _, name := range slices.Sorted(maps.Keys(rendered)) {
				if text := strings.TrimSpace(rendered[name]); text != "" {
					all.WriteString("# Source: " + name + "\n" + text + "\n---\n")
				}
			}
			golden := filepath.Join("testdata", c.name+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(all.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := read(t, golden); all.String() != want {
				t.Errorf("%s differs from the rendered chart: see the difference after `go -C tools/deploy "+
					"test -run TestGolden -update`", golden)
			}
		})
	}
}

// TestRefusals checks that values that can't work are refused before the installation, with a
// helpful message.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct{ values, want string }{
		"a misspelt key":       {`replica: 2`, "replica"},
		"a misspelt key below": {`tls: {secretName: x}`, "secretName"},
		"the chart's own key":  {`config: {listen: {grpc: ":1"}}`, "listen"},
		"memory":               {`config: {secrets: {source: memory}}`, "source"},
		"no certificate":       {`tls: {secret: ""}`, "tls.secret is required"},
		"two authorities": {
			`vault: {ca: {configMap: a, secret: b}}`, "vault.ca: give a ConfigMap or a Secret",
		},
		"no service account": {`serviceAccount: {create: false}`, "serviceAccount.name is required"},
		"a budget without a number": {
			`podDisruptionBudget: {maxUnavailable: null}`, "give maxUnavailable or minAvailable",
		},
		"a budget that blocks":     {`podDisruptionBudget: {maxUnavailable: null, minAvailable: 3}`, "below that"},
		"an alert rule of nothing": {`prometheusRule: {enabled: true}`, "prometheusRule.rules is required"},
		"peers at no port": {
			`networkPolicy: {egress: {otlp: {peers: [{podSelector: {}}]}}}`, "peers need ports",
		},
		"a digest that is none":     {`image: {digest: latest}`, "digest"},
		"a token for a few minutes": {`vault: {token: {expirationSeconds: 60}}`, "expirationSeconds"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "values.yaml")
			if err := os.WriteFile(file, []byte(c.values), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := tryRender(t.Context(), values(t, file)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// TestMemoryLimit checks that GOMEMLIMIT is the container's limit, or the operator's value, and is
// never set twice.
func TestMemoryLimit(t *testing.T) {
	for name, c := range map[string]struct{ values, want string }{
		"the chart's":    {`{}`, "limits.memory"},
		"with others":    {`extraEnv: [{name: A, value: b}]`, "limits.memory"},
		"the operator's": {`extraEnv: [{name: GOMEMLIMIT, value: 100MiB}]`, "100MiB"},
		"none":           {`resources: {limits: null}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "values.yaml")
			write(t, file, c.values)
			o, err := decode(render(t, values(t, file)))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range o.pod(t).Containers[0].Env {
				switch {
				case e.Name != "GOMEMLIMIT":
				case e.ValueFrom != nil:
					got = append(got, e.ValueFrom.ResourceFieldRef.Resource)
				default:
					got = append(got, e.Value)
				}
			}
			if strings.Join(got, " and ") != c.want {
				t.Errorf("GOMEMLIMIT is %q, want %q", got, c.want)
			}
		})
	}
}

// tryRender runs `helm template`. It returns the output of each template by name, including
// NOTES.txt.
func tryRender(ctx context.Context, values map[string]any) (map[string]string, error) {
	chart, err := loader.LoadDir(chartFolder)
	if err != nil {
		return nil, err
	}
	release := common.ReleaseOptions{Name: "deskmint", Namespace: "support", IsInstall: true, Revision: 1}
	prepared, err := util.ToRenderValues(chart, values, release, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	return engine.Engine{Strict: true}.RenderWithContext(ctx, chart, prepared)
}

func render(t *testing.T, values map[string]any) map[string]string {
	t.Helper()
	rendered, err := tryRender(t.Context(), values)
	if err != nil {
		t.Fatal(err)
	}
	return rendered
}

// values reads a values file. If file is "", it returns the defaults of the chart.
func values(t *testing.T, file string) map[string]any {
	t.Helper()
	if file == "" {
		return map[string]any{}
	}
	read, err := common.ReadValuesFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
