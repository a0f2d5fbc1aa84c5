package deploy

import (
	"context"
	"encoding/base64"
	"path/filepath"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// cluster has the data of ConfigMaps and Secrets, by kind, namespace and name. It is what `helm
// upgrade` can look up.
type cluster map[string]map[string]any

// GetClientFor implements engine.ClientProvider.
func (c cluster) GetClientFor(_, kind string) (dynamic.NamespaceableResourceInterface, bool, error) {
	return resource{cluster: c, at: kind}, true, nil
}

// resource implements the methods that Helm uses.
type resource struct {
	dynamic.NamespaceableResourceInterface
	cluster cluster
	at      string
}

// Namespace implements dynamic.NamespaceableResourceInterface.
func (r resource) Namespace(name string) dynamic.ResourceInterface {
	r.at += "/" + name
	return r
}

// Get implements dynamic.ResourceInterface.
func (r resource) Get(
	_ context.Context, name string, _ meta.GetOptions, _ ...string,
) (*unstructured.Unstructured, error) {
	data, ok := r.cluster[r.at+"/"+name]
	if !ok {
		return nil, apierrors.NewNotFound(schema.GroupResource{}, name)
	}
	return &unstructured.Unstructured{Object: map[string]any{"data": data}}, nil
}

// TestAuthoritiesRestart checks that `helm upgrade` makes new replicas if the authorities of Vault
// or of the cluster have changed, and only then.
func TestAuthoritiesRestart(t *testing.T) {
	checksum := func(yaml string, c cluster) string {
		t.Helper()
		file := filepath.Join(t.TempDir(), "values.yaml")
		write(t, file, yaml)
		chart, err := loader.LoadDir(chartFolder)
		if err != nil {
			t.Fatal(err)
		}
		release := common.ReleaseOptions{Name: "deskmint", Namespace: "support", IsUpgrade: true, Revision: 2}
		prepared, err := util.ToRenderValues(chart, values(t, file), release, common.DefaultCapabilities)
		if err != nil {
			t.Fatal(err)
		}
		rendered, err := engine.RenderWithClientProvider(chart, prepared, c)
		if err != nil {
			t.Fatal(err)
		}
		o, err := decode(rendered)
		if err != nil {
			t.Fatal(err)
		}
		return o.deployment(t).Spec.Template.Annotations["checksum/authorities"]
	}
	encoded := base64.StdEncoding.EncodeToString
	for name, c := range map[string]struct {
		values, at string
		key        string
	}{
		"a ConfigMap": {`vault: {ca: {configMap: vault-ca}}`, "ConfigMap/support/vault-ca", "ca.crt"},
		"a Secret":    {`vault: {ca: {secret: vault-ca, key: ca.pem}}`, "Secret/support/vault-ca", "ca.pem"},
		"the cluster": {`clusterIssuer: {enabled: true}`, "ConfigMap/support/kube-root-ca.crt", "ca.crt"},
	} {
		t.Run(name, func(t *testing.T) {
			before := checksum(c.values, cluster{c.at: {c.key: encoded([]byte("one")), "other": "one"}})
			if before == "" {
				t.Fatal("no checksum")
			}
			if checksum(c.values, cluster{c.at: {c.key: encoded([]byte("one")), "other": "two"}}) != before {
				t.Error("another key restarts every replica")
			}
			if checksum(c.values, cluster{c.at: {c.key: encoded([]byte("two")), "other": "one"}}) == before {
				t.Error("other authorities restart no replica")
			}
			if got := checksum(c.values, cluster{}); got != "" {
				t.Errorf("before the ConfigMap or Secret exists there is the checksum %s", got)
			}
		})
	}
	if got := checksum(`{}`, cluster{"ConfigMap/support/kube-root-ca.crt": {"ca.crt": "one"}}); got != "" {
		t.Errorf("without authorities of its own there is the checksum %s", got)
	}
}
