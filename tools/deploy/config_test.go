package deploy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
)

// TestConfiguration runs `deskmint config check` on the configuration that a pod reads, with the
// files that its volumes have. It checks that the chart's part of the configuration is valid, and
// that every path in it is mounted.
func TestConfiguration(t *testing.T) {
	deskmint := binary(t)
	certificate, key := newCertificate(t)
	contents := func(file string) string {
		switch path.Base(file) {
		case "tls.key":
			return key
		case "audit.key":
			return strings.Repeat("k", 32)
		case "token":
			return "the service account's token"
		}
		return certificate
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := decodeCase(t, c.name)
			root := t.TempDir()
			files := mount(t, o, root, contents)
			if strings.Contains(files["/etc/deskmint/config/deskmint.yaml"], "/includes/") {
				write(t, root+"/etc/deskmint/includes/deskmint-team-shop/shop.yaml", included)
			}
			main := root + "/etc/deskmint/config/deskmint.yaml"
			// The absolute paths of the pod are below root here.
			for _, file := range absolutePaths.FindAllString(files["/etc/deskmint/config/deskmint.yaml"], -1) {
				if !strings.Contains(file, "*") && files[file] == "" {
					t.Errorf("%s is in the configuration, and no volume has it", file)
				}
			}
			write(t, main, absolutePaths.ReplaceAllString(files["/etc/deskmint/config/deskmint.yaml"], root+"$0"))
			out, err := exec.Command(deskmint, "config", "check", main).CombinedOutput()
			// The chart's own configuration is an example without callers, so it has a warning.
			unexpected := strings.Count(string(out), "warning: ") - strings.Count(string(out), "callers: is empty")
			if err != nil || unexpected > 0 {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// binary builds deskmint from the checkout. It runs the go command, so that this module doesn't
// need the requirements of the product.
func binary(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "deskmint")
	build := exec.Command("go", "build", "-o", out, "./cmd/deskmint")
	build.Dir = "../.."
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return out
}

// absolutePaths matches the absolute paths in a configuration.
var absolutePaths = regexp.MustCompile(`/(etc|var)/[\w./*-]+`)

// included is the file of one team.
const included = `configurations:
  - name: shop
    secret: {path: sso/shop}
    zendesk_sso:
      audiences: [end_user]
      origins: [https://shop.acme.example]
      brands: [{id: "360009", name: Shop, subdomain: acme-shop}]
`

// TestTokens checks the audience and the lifetime of the service account's tokens.
func TestTokens(t *testing.T) {
	for name, want := range map[string]map[string]string{
		"default": {"vault-token": "vault"},
		"all":     {"vault-token": "vault", "cluster": ""}, // no audience means the API server
		"plain":   {},
	} {
		t.Run(name, func(t *testing.T) {
			got := map[string]string{}
			for _, v := range decodeCase(t, name).pod(t).Volumes {
				if v.Projected == nil {
					continue
				}
				for _, s := range v.Projected.Sources {
					if s.ServiceAccountToken == nil {
						continue
					}
					got[v.Name] = s.ServiceAccountToken.Audience
					if e := s.ServiceAccountToken.ExpirationSeconds; e == nil || *e > 3600 {
						t.Errorf("%s: a token for more than an hour", v.Name)
					}
				}
			}
			if len(got) != len(want) {
				t.Errorf("tokens %v, want %v", got, want)
			}
			for volume, audience := range want {
				if a, ok := got[volume]; !ok || a != audience {
					t.Errorf("%s: audience %q, want %q", volume, a, audience)
				}
			}
		})
	}
}

// TestOnlySettingsRestart checks that a change that replicas reload doesn't restart them.
func TestOnlySettingsRestart(t *testing.T) {
	checksum := func(yaml string) string {
		file := filepath.Join(t.TempDir(), "values.yaml")
		write(t, file, yaml)
		o, err := decode(render(t, values(t, file)))
		if err != nil {
			t.Fatal(err)
		}
		return o.deployment(t).Spec.Template.Annotations["checksum/settings"]
	}
	before := checksum(`{}`)
	if checksum(`config: {callers: [{name: storefront}]}`) != before ||
		checksum(`clusterIssuer: {enabled: true}`) == "" {
		t.Error("another caller restarts every replica")
	}
	if checksum(`config: {secrets: {refresh: 1m}}`) == before ||
		checksum(`tls: {clientCA: {secret: callers}}`) == before {
		t.Error("other settings of the store or of TLS restart no replica")
	}
}

// mount writes the files of the container's volumes below root. contents returns the text of files
// in Secrets, and in ConfigMaps that aren't the chart's.
func mount(t *testing.T, o objects, root string, contents func(file string) string) map[string]string {
	t.Helper()
	pod := o.pod(t)
	files := map[string]string{}
	own := only[*core.ConfigMap](t, o)
	for _, m := range pod.Containers[0].VolumeMounts {
		for _, v := range pod.Volumes {
			if v.Name != m.Name {
				continue
			}
			if v.ConfigMap != nil && v.ConfigMap.Name == own.Name {
				for key, text := range own.Data {
					files[path.Join(m.MountPath, key)] = text
				}
			}
			for _, item := range items(v) {
				file := path.Join(m.MountPath, item)
				files[file] = contents(file)
			}
		}
	}
	for file, text := range files {
		write(t, root+file, text)
	}
	return files
}

// items returns the files that a volume lists.
func items(v core.Volume) (out []string) {
	add := func(keys []core.KeyToPath) {
		for _, k := range keys {
			out = append(out, k.Path)
		}
	}
	if v.Secret != nil {
		add(v.Secret.Items)
		if v.Secret.Items == nil {
			out = append(out, "secrets.yaml") // of the case `plain`
		}
	}
	if v.Projected != nil {
		for _, s := range v.Projected.Sources {
			switch {
			case s.Secret != nil:
				add(s.Secret.Items)
			case s.ConfigMap != nil:
				add(s.ConfigMap.Items)
			case s.ServiceAccountToken != nil:
				out = append(out, s.ServiceAccountToken.Path)
			}
		}
	}
	return out
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// newCertificate returns a certificate, which can also be an authority's, and its key, in PEM form.
func newCertificate(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "deskmint"},
		DNSNames:              []string{"deskmint.support.svc"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(30 * 24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", pkcs8)
}
