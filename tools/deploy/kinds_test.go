package deploy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
)

// objects are all that a chart renders, decoded into the types of the Kubernetes API. The decoder
// is strict, so an unknown or duplicate field is an error, as with `kubectl apply
// --validate=strict`.
type objects []runtime.Object

// TestKinds checks that every rendered document is a known kind, and that no kind is missing.
func TestKinds(t *testing.T) {
	always := []string{"ConfigMap", "Deployment", "Service"}
	for name, want := range map[string][]string{
		"default": append(always, "NetworkPolicy", "PodDisruptionBudget", "ServiceAccount"),
		"all": append(always, "HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget", "PrometheusRule",
			"ServiceAccount", "ServiceMonitor"),
		"plain": always,
	} {
		t.Run(name, func(t *testing.T) {
			got := map[string]bool{}
			for _, o := range decodeCase(t, name) {
				got[o.GetObjectKind().GroupVersionKind().Kind] = true
			}
			slices.Sort(want)
			if kinds := slices.Sorted(maps.Keys(got)); !slices.Equal(kinds, want) {
				t.Errorf("rendered %v, want %v", kinds, want)
			}
		})
	}
}

// decodeCase returns the objects of one of the cases.
func decodeCase(t *testing.T, name string) objects {
	t.Helper()
	i := slices.IndexFunc(cases, func(c struct{ name, file string }) bool { return c.name == name })
	all, err := decode(render(t, values(t, cases[i].file)))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func decode(rendered map[string]string) (objects, error) {
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, monitoring.AddToScheme} {
		if err := add(known); err != nil {
			return nil, err
		}
	}
	decoder := serializer.NewCodecFactory(known, serializer.EnableStrict).UniversalDeserializer()
	delete(rendered, "deskmint/templates/NOTES.txt")
	var out objects
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		documents := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewBufferString(rendered[name])))
		for text := make([]byte, 1<<20); ; {
			n, err := documents.Read(text)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if len(bytes.TrimSpace(text[:n])) == 0 {
				continue
			}
			object, _, err := decoder.Decode(text[:n], nil, nil)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			out = append(out, object)
		}
	}
	return out, nil
}

// objectsOf returns the objects of one type.
func objectsOf[T runtime.Object](o objects) (out []T) {
	for _, object := range o {
		if typed, ok := object.(T); ok {
			out = append(out, typed)
		}
	}
	return out
}

// only returns the only object of its type.
func only[T runtime.Object](t *testing.T, o objects) (single T) {
	t.Helper()
	found := objectsOf[T](o)
	if len(found) != 1 {
		t.Fatalf("%d objects of type %T, want 1", len(found), single)
	}
	return found[0]
}

func (o objects) deployment(t *testing.T) *apps.Deployment { return only[*apps.Deployment](t, o) }

func (o objects) pod(t *testing.T) core.PodSpec { return o.deployment(t).Spec.Template.Spec }
