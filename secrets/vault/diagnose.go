package vault

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/deskmint/deskmint/secrets"
)

const (
	// clockFault is the offset at which tokens begin to be refused.
	clockFault = 3 * time.Minute
	// shortLease is a lease that causes a login every few refreshes. Each login is a line in
	// Vault's audit log.
	shortLease = time.Minute
	// pathsAtOnce is the maximum number of paths in one request for capabilities.
	pathsAtOnce = 100
)

// policyAdvice is the advice for tokens with too many permissions.
const policyAdvice = "take it out of the policies of the service's role: it needs read on its secrets' data and " +
	"metadata, and nothing else (deploy/vault/service.hcl)"

// Diagnose checks the access of the service to the secrets at refs, and reports its findings. It
// checks the servers, the login, the token, the permissions of the token's policies, and the
// clocks. It doesn't read the secrets. It changes nothing, except that it logs in as the service
// does.
//
// It returns false if no read can succeed, because no server is available or the login fails.
func (s *Source) Diagnose(ctx context.Context, refs []secrets.Ref, report func(secrets.Finding)) bool {
	d := diagnosis{source: s, report: report}
	if !d.servers(ctx) {
		return false
	}
	g, err := s.session.token(ctx)
	if err != nil {
		d.fault("secrets.vault.auth", "the login fails: "+err.Error(), "check auth.mount, role and the credential's "+
			"file; that Vault has the role; and, with a token, that it hasn't expired")
		d.clocks()
		return false
	}
	d.say(secrets.OK, "secrets.vault.auth", "the login by method "+s.session.auth.Method+" works", "")
	d.token(ctx, g)
	d.policies(ctx, g, refs)
	d.clocks()
	return true
}

// Begins reports whether the value of a version begins with prefix.
func (s *Source) Begins(ctx context.Context, ref secrets.Ref, v secrets.Version, prefix string) (bool, error) {
	return (&Writer{source: s}).Begins(ctx, ref, v, prefix)
}

// diagnosis is one run of Diagnose.
type diagnosis struct {
	source *Source
	report func(secrets.Finding)
}

func (d diagnosis) say(level secrets.Level, where, what, do string) {
	d.report(secrets.Finding{Level: level, Where: where, What: what, Do: do})
}

func (d diagnosis) fault(where, what, do string) { d.say(secrets.Fault, where, what, do) }
func (d diagnosis) warn(where, what, do string)  { d.say(secrets.Warning, where, what, do) }

// servers checks each server separately. It returns false if none of them is available.
func (d diagnosis) servers(ctx context.Context) bool {
	type silent struct{ where, what, do string }
	var out []silent
	serving := 0
	for _, server := range d.source.wire.servers {
		where := "secrets.vault.addresses: " + server.host
		if what, do := server.health(ctx, d.source.wire.timeout); what != "" {
			out = append(out, silent{where, what, do})
			continue
		}
		serving++
		d.say(secrets.OK, where, "the server answers and is unsealed", "")
	}
	level := secrets.Fault
	if serving > 0 { // the others are spare servers
		level = secrets.Warning
	}
	for _, s := range out {
		d.say(level, s.where, s.what, s.do)
	}
	return serving > 0
}

// health returns the reason why a server can't serve, and what to do. Both are empty if the server
// reports no fault.
func (s server) health(ctx context.Context, timeout time.Duration) (what, do string) {
	const act = "reading sys/health"
	one := &wire{servers: []server{s}, timeout: timeout}
	always := url.Values{} // 200, and the state in the body
	for _, state := range []string{"standbycode", "performancestandbycode", "drsecondarycode", "sealedcode",
		"uninitcode", "activecode"} {
		always.Set(state, "200")
	}
	a, err := one.read(ctx, act, "", "sys/health", always)
	if err != nil {
		return err.Error(), "check that Vault runs there, that this machine can reach it, and that ca has its authority"
	}
	var decoded struct {
		Initialized *bool `json:"initialized"`
		Sealed      *bool `json:"sealed"`
	}
	switch ok := a.status == http.StatusOK && a.decode(&decoded); {
	case a.status >= http.StatusInternalServerError || a.status == http.StatusTooManyRequests:
		return statusError(act, a.status, nil).Error(), "check the log of Vault, or of the proxy before it"
	case !ok: // in a namespace this request isn't permitted
		return "", ""
	case decoded.Initialized != nil && !*decoded.Initialized:
		return "the server is not initialised", "vault operator init, or take the address out"
	case decoded.Sealed != nil && *decoded.Sealed:
		return "the server is sealed", "vault operator unseal"
	}
	return "", ""
}

// token reports how long the service can use its token.
func (d diagnosis) token(ctx context.Context, g *tokenInfo) {
	const where = "auth/token/lookup-self"
	var decoded struct {
		Data *struct {
			TTL         int64    `json:"ttl"` // seconds
			Period      int64    `json:"period"`
			ExplicitMax int64    `json:"explicit_max_ttl"`
			Renewable   bool     `json:"renewable"`
			Policies    []string `json:"policies"`
		} `json:"data"`
	}
	a, err := d.source.wire.read(ctx, "looking up the token at "+where, g.token(), where, nil)
	switch {
	case err != nil:
		d.fault(where, err.Error(), "try again")
		return
	case a.status != http.StatusOK || !a.decode(&decoded) || decoded.Data == nil:
		d.warn(where, fmt.Sprintf("the token can't be looked up (%d)", a.status),
			"let the role have Vault's policy default too: "+
				"without it neither renewing the token nor reading its capabilities is possible")
		return
	}
	t, ttl := *decoded.Data, time.Duration(decoded.Data.TTL)*time.Second
	readyMade := d.source.session.auth.Method == "token"
	switch {
	case slices.Contains(t.Policies, "root"):
		d.fault(where, "the token is a root token: an attacker who controls this service controls all of Vault",
			"log in with a separate role for the service, with deploy/vault/service.hcl as its policy, and revoke "+
				"this token")
	case ttl == 0:
		d.warn(where, "the token never ends",
			"give the role a token_ttl, so that a stolen token is valid for an hour and not for ever")
	case readyMade && !t.Renewable:
		d.warn(where, fmt.Sprintf("the token ends in %s and can't be renewed: from max_stale after that no user can "+
			"sign in", ttl), "log in by approle, kubernetes or jwt, or make the token renewable and periodic")
	case readyMade && (t.Period == 0 || t.ExplicitMax > 0):
		d.warn(where, "the token is renewed only up to its maximum, and the service can't get another one",
			"make it periodic (-period), or log in by approle, kubernetes or jwt")
	case ttl < shortLease:
		d.warn(where, fmt.Sprintf("the token lasts for %s only: each login is a line in Vault's audit log", ttl),
			"give the role a token_ttl of an hour or so")
	default:
		d.say(secrets.OK, where, fmt.Sprintf("the token lasts for %s, renewable: %t", ttl, t.Renewable), "")
	}
}

// clocks compares Vault's clock with the local one.
func (d diagnosis) clocks() {
	const where, do = "clock", "set the wrong clock (NTP): Zendesk refuses tokens that are off by 3 minutes"
	offset, known := d.source.ClockOffset()
	what := fmt.Sprintf("Vault's clock is %s ahead of ours", offset.Round(time.Second))
	if offset < 0 {
		what = fmt.Sprintf("Vault's clock is %s behind ours", offset.Abs().Round(time.Second))
	}
	switch {
	case !known:
		d.warn(where, "Vault's answers have no date to compare our clock with",
			"check for a proxy that removes the header Date")
	case offset.Abs() >= clockFault:
		d.fault(where, what, do)
	case offset.Abs() > clockWarn:
		d.warn(where, what, do)
	default:
		d.say(secrets.OK, where, what, "")
	}
}

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
		if finding, ok := r.judge(may[r.path]); !ok {
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
	path string
	need bool     // the token must be able to read
	fine []string // further capabilities that do no harm
	mild bool     // other capabilities are a warning, not a fault
	what string   // a description of the path for operators
}

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
			rule{path: at("metadata", ref.Path), need: true, what: "a secret of the configuration"},
			rule{path: at("data", ref.Path), need: true, what: "a secret of the configuration"},
			rule{path: at("delete", ref.Path), what: "deleting a secret of the configuration"},
			rule{path: at("destroy", ref.Path), what: "destroying a secret of the configuration"})
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
	for _, p := range []string{"sys/policies/acl/" + stranger, "sys/auth/" + stranger, "sys/mounts/" + stranger,
		"sys/audit/" + stranger, "sys/seal", "sys/raw/" + stranger, "sys/storage/raft/snapshot"} {
		others = append(others, rule{path: p, what: "the rule over Vault itself"})
	}
	for _, p := range []string{"auth/token/create", "auth/approle/role/" + stranger, "identity/entity"} {
		others = append(others, rule{path: p, what: "making credentials"})
	}
	return slices.Concat(own, folders, others)
}

// judge returns false and a finding if the capabilities violate the rule.
func (r rule) judge(may []string) (secrets.Finding, bool) {
	f := secrets.Finding{Level: secrets.Fault, Where: r.path}
	if r.need && !slices.Contains(may, "read") && !slices.Contains(may, "root") {
		f.What = "the token may not read " + r.what
		f.Do = "give the policy of the service's role the capability read at " + r.path + ", or correct secret.path " +
			"or mount in the configuration"
		return f, false
	}
	var more []string
	for _, c := range may {
		if !capabilities[c] { // don't quote an unknown word
			c = "more"
		}
		if !(r.need && c == "read") && !slices.Contains(r.fine, c) {
			more = append(more, c)
		}
	}
	if len(more) == 0 {
		return f, true
	}
	if r.mild && !slices.Contains(more, "root") && !slices.Contains(more, "sudo") {
		f.Level = secrets.Warning
	}
	f.What = fmt.Sprintf("the token may %s here, more than it should: %s", strings.Join(more, ", "), r.what)
	f.Do = policyAdvice
	return f, false
}

// capabilities are the names of Vault's capabilities.
var capabilities = map[string]bool{
	"create": true, "read": true, "update": true, "patch": true, "delete": true, "list": true,
	"sudo": true, "root": true, "subscribe": true, "recover": true,
}
