package deploy

import (
	"strings"
	"testing"
)

// brokenCharts are changes of the rendered chart, and the fault that each must cause.
var brokenCharts = map[string]struct{ old, new, want string }{
	"a misspelt field": {
		"readOnlyRootFilesystem:", "readOnlyRootFileSystem:",
		`unknown field "spec.template.spec.containers[0].securityContext.readOnlyRootFileSystem"`,
	},
	"a misspelt field of a CRD": {
		"scrapeTimeout:", "scrapeTimeOut:", `unknown field "spec.endpoints[0].scrapeTimeOut"`,
	},
	"a doubled field":    {"minReadySeconds: 5", "minReadySeconds: 5\n  minReadySeconds: 6", "already set"},
	"an unknown version": {"apiVersion: autoscaling/v2\n", "apiVersion: autoscaling/v9\n", "no kind"},
	"a string for a number": {
		"progressDeadlineSeconds: 900", `progressDeadlineSeconds: "900"`, "cannot unmarshal",
	},
	"root":              {"runAsNonRoot: true", "runAsNonRoot: false", "may run as root"},
	"root, by omission": {"        runAsNonRoot: true\n", "", "may run as root"},
	"root, by number":   {"runAsUser: 65532", "runAsUser: 0", "runs as root"},
	"any system call":   {"RuntimeDefault", "Unconfined", "any system call"},
	"the default token": {"      automountServiceAccountToken: false\n", "", "default token"},
	"a root that can be written": {
		"readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "may write to its root",
	},
	"capabilities": {"drop: [ALL]", "drop: [NET_RAW]", "has capabilities"},
	"a capability": {"drop: [ALL]", "drop: [ALL], add: [NET_ADMIN]", "has capabilities"},
	"privileges to gain": {
		"allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "may gain privileges",
	},
	"a folder of the host's": {
		"emptyDir:\n            sizeLimit: 16Mi", "hostPath: {path: /}", "is the host's",
	},
	"any image": {
		"@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", ":latest", "may be any",
	},
	"no memory limit": {
		"limits:\n              memory: 512Mi\n            ", "", "may use up the node's memory",
	},
	"no readiness":          {"readinessProbe:", "livenessProbe2:", "unknown field"},
	"liveness by the store": {"/healthz", "/readyz", "the liveness probe requests /readyz"},
	"killed within the drain": {
		"terminationGracePeriodSeconds: 25", "terminationGracePeriodSeconds: 20", "its end takes 20s",
	},
	"a single file": {
		"mountPath: /etc/deskmint/config,", "mountPath: /etc/deskmint/config, subPath: deskmint.yaml,",
		"as a single file",
	},
	"a mount of nothing": {"{name: tls, mountPath", "{name: tlss, mountPath", "has no volume"},
	"the wrong pods": {
		"clusterIP: None\n  selector:\n    app.kubernetes.io/name: deskmint",
		"clusterIP: None\n  selector:\n    app.kubernetes.io/name: desk", "selects other pods",
	},
	"an unknown port": {
		"targetPort: grpc", "targetPort: grcp", "port grcp, which isn't the container's",
	},
	"ops in the public Service": {
		"{name: http, port: 8443, targetPort: http,", "{name: ops, port: 8443, targetPort: ops,",
		"apart from the public API",
	},
	"a headless port mapped": {"{name: grpc, port: 9090,", "{name: grpc, port: 443,", "which nothing does"},
	"metrics of no Service": {
		"component: ops\n  endpoints", "component: op\n  endpoints", "scrapes 0 Services",
	},
	"replicas with an autoscaler": {
		"  revisionHistoryLimit", "  replicas: 2\n  revisionHistoryLimit", "the autoscaler has chosen",
	},
	"a budget that blocks":      {"minAvailable: 2", "minAvailable: 3", "keeps 3 of 3"},
	"a budget without effect":   {"minAvailable: 2", "maxUnavailable: 3", "lets 3 of 3 replicas go"},
	"a rollout that takes away": {"maxUnavailable: 0", "maxUnavailable: 1", "takes replicas away first"},
	"every peer": {
		"      from:\n        - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: \"monitoring\"}}\n",
		"", "allows every peer",
	},
	"no DNS": {"port: 53}", "port: 54}", "doesn't allow DNS"},
}

// TestRulesReportFaults changes the rendered chart, and checks that a rule reports each change. A
// rule that no change can break is useless.
func TestRulesReportFaults(t *testing.T) {
	for name, c := range brokenCharts {
		t.Run(name, func(t *testing.T) {
			rendered := render(t, values(t, chartFolder+"/ci/all-values.yaml"))
			changed := false
			for file, text := range rendered {
				rendered[file] = strings.ReplaceAll(text, c.old, c.new)
				changed = changed || rendered[file] != text
			}
			if !changed {
				t.Fatalf("nothing rendered has %q", c.old)
			}
			o, err := decode(rendered)
			found := ""
			if err != nil {
				found = err.Error()
			} else {
				found = strings.Join(faults(t, o), "\n")
			}
			if !strings.Contains(found, c.want) {
				t.Errorf("found %q, want %q", found, c.want)
			}
		})
	}
}
