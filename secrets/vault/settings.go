package vault

import (
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/deskmint/deskmint/secrets"
)

// DefaultMount is the mount of the KV v2 engine if Settings.Mount is empty.
const DefaultMount = "secret"

// ServiceAccountToken is the file in which Kubernetes puts the token of a pod by default.
const ServiceAccountToken = "/var/run/secrets/kubernetes.io/serviceaccount/token"

// Settings is the block `secrets.vault` of the configuration file.
type Settings struct {
	// Addresses are the URLs of the servers of one cluster. They are tried in this order, beginning
	// with the one that answered last. Required. They must be https, or http on loopback (an agent,
	// a sidecar, a test). Redirects are not followed.
	Addresses []string `yaml:"addresses"`
	// CA is a PEM file of the authorities to trust. If it is empty, those of the system are
	// trusted.
	CA string `yaml:"ca"`
	// SkipVerify accepts any certificate. An attacker between the service and Vault then gets the
	// token, and with it the secrets. Use it only for trials. Unless it is set, New refuses
	// VAULT_SKIP_VERIFY in the environment.
	SkipVerify bool `yaml:"skip_verify"`
	// Namespace of Vault Enterprise and HCP. Empty means none.
	Namespace string `yaml:"namespace"`
	// Mount is the path of the KV v2 engine. If it is empty, it is DefaultMount.
	Mount string `yaml:"mount"`
	// Auth configures the login of the service. Required.
	Auth Auth `yaml:"auth"`
}

// Auth configures a login. Its files are read at each login, because their content is short-lived.
// White space around the content is ignored.
type Auth struct {
	// Method is token, approle, kubernetes or jwt. Required.
	Method string `yaml:"method"`
	// Mount is the path of the auth method. If it is empty, it is the method's name.
	Mount string `yaml:"mount"`
	// Role is the name of the role. Required for kubernetes and jwt.
	Role string `yaml:"role"`
	// TokenFile holds the token of method token. If it is empty, VAULT_TOKEN of the environment is
	// used. The token needs Vault's default policy for requests to lookup-self and renew-self.
	TokenFile string `yaml:"token_file"`
	// RoleID is the role id of method approle, which is not secret. RoleIDFile is a file that holds
	// it.
	RoleID     string `yaml:"role_id"`
	RoleIDFile string `yaml:"role_id_file"`
	// SecretIDFile holds the secret id of method approle. Required there.
	SecretIDFile string `yaml:"secret_id_file"`
	// JWTFile holds the token that methods kubernetes and jwt present. It is required for jwt. If
	// it is empty, kubernetes uses ServiceAccountToken.
	JWTFile string `yaml:"jwt_file"`
}

// Check reports every fault of the settings, by its key relative to the block. It opens no file and
// sends no request.
func (s Settings) Check(report func(key, message string)) {
	if len(s.Addresses) == 0 {
		report("addresses", "is required: the URL of each server, such as https://vault.internal:8200")
	}
	for _, address := range s.Addresses {
		if fault := addressFault(address); fault != "" {
			report("addresses", fault)
		}
	}
	if s.SkipVerify && s.CA != "" {
		report("skip_verify", "contradicts ca, which names the authorities to trust: remove one of them")
	}
	if s.Mount != "" && !isPath(s.Mount) {
		report("mount", "must be a path without outer slashes, empty or dot segments")
	}
	if strings.ContainsFunc(s.Namespace, unicode.IsControl) {
		report("namespace", "must not contain control characters")
	}
	s.Auth.check(report)
}

// addressFault returns the fault of an address, or an empty string. It doesn't quote the address,
// because that may contain a password.
func addressFault(address string) string {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return "must be URLs such as https://vault.internal:8200"
	case u.User != nil:
		return "must not contain a user or password: see auth"
	case u.RawQuery != "" || u.Fragment != "":
		return "must not contain a query or fragment"
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return "must begin with https: plain http is for loopback only, or the token travels in the clear"
	case u.Scheme != "https" && u.Scheme != "http":
		return "must begin with https"
	}
	return ""
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func isPath(path string) bool { return secrets.Ref{Path: path, Field: "-"}.Check() == nil }

// uses lists the keys of each method. The value is true if the key is required.
var uses = map[string]map[string]bool{
	"token":      {"token_file": false},
	"approle":    {"mount": false, "role_id": false, "role_id_file": false, "secret_id_file": true},
	"kubernetes": {"mount": false, "role": true, "jwt_file": false},
	"jwt":        {"mount": false, "role": true, "jwt_file": true},
}

func (a Auth) check(report func(key, message string)) {
	keys, ok := uses[a.Method]
	if !ok {
		report("auth.method", "must be token, approle, kubernetes or jwt")
		return
	}
	for _, field := range []struct{ key, value string }{
		{"mount", a.Mount}, {"role", a.Role}, {"token_file", a.TokenFile},
		{"role_id", a.RoleID}, {"role_id_file", a.RoleIDFile}, {"secret_id_file", a.SecretIDFile},
		{"jwt_file", a.JWTFile},
	} {
		required, used := keys[field.key]
		if !used && field.value != "" {
			report("auth."+field.key, "is not used by method "+a.Method)
		}
		if required && field.value == "" {
			report("auth."+field.key, "is required by method "+a.Method)
		}
	}
	if a.Method == "approle" && (a.RoleID == "") == (a.RoleIDFile == "") {
		report("auth.role_id", "method approle needs either role_id or role_id_file")
	}
	if a.Mount != "" && !isPath(a.Mount) {
		report("auth.mount", "must be a path without outer slashes, empty or dot segments")
	}
}

// Rebase makes relative file names relative to dir, the folder of the configuration file.
func (s *Settings) Rebase(dir string) {
	for _, name := range []*string{&s.CA, &s.Auth.TokenFile, &s.Auth.RoleIDFile, &s.Auth.SecretIDFile,
		&s.Auth.JWTFile} {
		if *name != "" && !filepath.IsAbs(*name) {
			*name = filepath.Join(dir, *name)
		}
	}
}
