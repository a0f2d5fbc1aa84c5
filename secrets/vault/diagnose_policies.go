package vault

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/deskmint/deskmint/secrets"
)

// pathsAtOnce is the maximum number of paths in one request for capabilities.
const pathsAtOnce = 100

// policyAdvice is the advice for tokens with too many permissions.
const policyAdvice = "take it out of the policies of the service's role: it needs read on its secrets' data and " +
	"metadata, and nothing else (deploy/vault/service.hcl)"

// policies checks the permissions of the token for the secrets and for other paths.
func (d diagnosis) policies(ctx context.Context, g *tokenInfo, refs []secrets.Ref) {
	rules := d.rules(refs)
	var paths []string
	for _, r := range rules {
		paths = append(paths, r.path)
	}
	may := map[string][]string{}
	for some := range slices.Chunk(paths, pathsAtOnce) {
		if err := d.source.may(ctx, g, some, may); err != nil {
			d.warn("sys/capabilities-self", "the capabilities of the token can't be read: "+err.Error(),
				"let the role have Vault's policy default too")
			return
		}
	}
	wrong := 0
	for _, r := range rules {
		if finding, ok := d.judge(r, may[r.path]); !ok {
			wrong++
			d.report(finding)
		}
	}
	if wrong == 0 {
		d.say(secrets.OK, "sys/capabilities-self", "the token may read what the configuration names; it may neither "+
			"write there nor access any other path that was checked", "")
	}
}

// may reads the token's capabilities for paths and adds them to known. It omits "deny".
func (s *Source) may(ctx context.Context, g *tokenInfo, paths []string, known map[string][]string) error {
	const where = "sys/capabilities-self"
	const act = "reading " + where
	a, err := s.wire.write(ctx, act, g.token(), where, map[string][]string{"paths": paths})
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return statusError(act, a.status, capabilityErrors)
	}
	var decoded struct {
		Data map[string][]string `json:"data"`
	}
	if !a.decode(&decoded) {
		return fmt.Errorf("vault: %s: the answer has no capabilities", act)
	}
	for _, p := range paths {
		if decoded.Data[p] == nil {
			return errors.New("vault: " + act + ": the answer omits a path")
		}
		known[p] = slices.DeleteFunc(decoded.Data[p], func(c string) bool { return c == "deny" })
	}
	return nil
}

// rule is the set of capabilities that a token should have at a path.
type rule struct {
	path    string
	fine    []string // further capabilities that do no harm
	effects []string // the capabilities that have an effect there; nil: all
	mild    bool     // other capabilities are a warning, not a fault
	what    string   // a description of the path for operators
	secret  string   // the secret that the token must be able to read there; empty: none
}

// writes are the capabilities of a path that only accepts writes. A policy with a wildcard may
// grant others there, which have no effect.
var writes = []string{"create", "update", "sudo"}

// rules returns the rules for the secrets, for secrets that the configuration doesn't name, and for
// Vault itself. A random name represents all names that the configuration doesn't contain.
func (d diagnosis) rules(refs []secrets.Ref) []rule {
	mount, stranger := d.source.mount, "deskmint-doctor-"+strings.ToLower(rand.Text())
	at := func(kind, p string) string { return mount + "/" + kind + "/" + p }
	var own, folders []rule
	seen := map[string]bool{}
	for _, ref := range refs {
		if seen[ref.Path] {
			continue
		}
		seen[ref.Path] = true
		own = append(own,
			rule{path: at("metadata", ref.Path), secret: ref.Path, what: "a secret of the configuration"},
			rule{path: at("data", ref.Path), secret: ref.Path, what: "a secret of the configuration"},
			rule{path: at("delete", ref.Path), effects: writes, what: "deleting a secret of the configuration"},
			rule{path: at("destroy", ref.Path), effects: writes, what: "destroying a secret of the configuration"})
		folder := path.Dir(ref.Path) + "/"
		if folder == "./" || seen[folder] {
			continue
		}
		seen[folder] = true
		folders = append(folders,
			rule{path: at("metadata", folder), mild: true, fine: []string{"read"}, what: "a folder of the " +
				"configuration's secrets"},
			// The policy in Deskmint's documentation permits reads of the folder's other secrets.
			rule{path: at("data", folder+stranger), fine: []string{"read"}, what: "other secrets of a folder of the " +
				"configuration's"})
	}
	others := []rule{
		{path: at("data", stranger), what: "secrets that the configuration doesn't name"},
		{path: at("metadata", stranger), what: "secrets that the configuration doesn't name"},
		{path: mount + "/metadata/", mild: true, what: "the names of all secrets"},
		{path: mount + "/config", what: "the settings of the KV engine"},
		{path: stranger + "/data/" + stranger, what: "other mounts"},
	}
	others = append(others,
		rule{path: "sys/policies/acl/" + stranger, what: "Vault's policies"},
		rule{path: "sys/auth/" + stranger, what: "Vault's auth methods"},
		rule{path: "sys/mounts/" + stranger, what: "Vault's mounts"},
		rule{path: "sys/audit/" + stranger, what: "Vault's audit devices"},
		rule{path: "sys/seal", effects: writes, what: "sealing Vault"},
		rule{path: "sys/raw/" + stranger, what: "Vault's raw storage"},
		rule{path: "sys/storage/raft/snapshot", what: "snapshots of Vault's whole storage"},
		rule{path: "auth/token/create", effects: writes, what: "making tokens"},
		rule{path: "auth/approle/role/" + stranger, what: "the roles that applications log in with"},
		rule{path: "identity/entity", effects: writes, what: "making identities"})
	return slices.Concat(own, folders, others)
}

// judge returns false and a finding if the capabilities violate the rule.
func (d diagnosis) judge(r rule, may []string) (secrets.Finding, bool) {
	f := secrets.Finding{Level: secrets.Fault, Where: r.path}
	if r.secret != "" && !slices.Contains(may, "read") && !slices.Contains(may, "root") {
		f.What = "the token may not read " + r.what
		f.Do = d.source.permissionAdvice(r.secret, r.path)
		return f, false
	}
	var more []string
	for _, c := range may {
		if r.harmful(c) {
			if !capabilities[c] { // don't quote an unknown word
				c = "more"
			}
			more = append(more, c)
		}
	}
	if len(more) == 0 {
		return f, true
	}
	onlyList := !slices.ContainsFunc(more, func(c string) bool { return c != "list" })
	if onlyList || r.mild && !slices.Contains(more, "root") && !slices.Contains(more, "sudo") {
		f.Level = secrets.Warning
	}
	f.What = fmt.Sprintf("the token may %s here, more than it should: %s", strings.Join(more, ", "), r.what)
	f.Do = policyAdvice
	return f, false
}

// harmful reports whether a capability lets the token do something at the path that it shouldn't.
func (r rule) harmful(capability string) bool {
	switch {
	case r.secret != "" && capability == "read", slices.Contains(r.fine, capability):
		return false
	case capability == "root", !capabilities[capability]:
		return true
	}
	return r.effects == nil || slices.Contains(r.effects, capability)
}

// permissionAdvice says what to do about a secret that the token may not read at the given paths.
func (s *Source) permissionAdvice(secret string, paths ...string) string {
	if advice := s.mountAdvice(secret); advice != "" {
		return advice
	}
	return "give the policy of the service's role the capability read at " + strings.Join(paths, " and ") +
		" (deploy/vault/service.hcl), or correct secret.path, mount or namespace in the configuration"
}

// mountAdvice says what to write if the path of a secret begins with the mount, as the commands and
// the API of Vault have it. Otherwise it returns an empty string.
func (s *Source) mountAdvice(secret string) string {
	for _, prefix := range []string{s.mount + "/data/", s.mount + "/metadata/", s.mount + "/", "data/", "metadata/"} {
		if rest, ok := strings.CutPrefix(secret, prefix); ok && rest != "" {
			return fmt.Sprintf("secret.path is relative to the mount, without data or metadata: write path: %s in the "+
				"configuration, and not path: %s", rest, secret)
		}
	}
	return ""
}

// AdviseSecret returns what to do about a secret that can't be read because of err. It returns an
// empty string if it has no special advice.
func (s *Source) AdviseSecret(ref secrets.Ref, err error) string {
	switch {
	case errors.Is(err, secrets.ErrDenied):
		return s.permissionAdvice(ref.Path, s.mount+"/metadata/"+ref.Path, s.mount+"/data/"+ref.Path)
	case errors.Is(err, secrets.ErrNotFound):
		return cmp.Or(s.mountAdvice(ref.Path), "write it with `deskmint secret stage NAME`, or correct secret.path, "+
			"mount or namespace in the configuration")
	}
	return ""
}

// capabilities are the names of Vault's capabilities.
var capabilities = map[string]bool{
	"create": true, "read": true, "update": true, "patch": true, "delete": true, "list": true,
	"sudo": true, "root": true, "subscribe": true, "recover": true,
}
