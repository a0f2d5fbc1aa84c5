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
	// shortLease causes a login every few refreshes, each with a line in Vault's audit log.
	shortLease = time.Minute
	// pathsAtOnce is the greatest number of paths in one question about capabilities.
	pathsAtOnce = 100
)

// policyAdvice is for tokens that may do too much.
const policyAdvice = "take it out of the policies of the service's role: it needs read on its secrets' data and " +
	"metadata, and nothing else (deploy/vault/service.hcl)"

// Diagnose checks everything between the service and the secrets at refs, without reading the
// secrets, and reports what it finds: the servers, the login, the token, what its policies permit
// and should not permit, and the clocks. It changes nothing, except that it logs in as the service
// does.
//
// It returns false if no read can succeed, because no server serves or the login fails.
func (s *Source) Diagnose(ctx context.Context, refs []secrets.Ref, report func(secrets.Finding)) bool {
	d := diagnosis{source: s, report: report}
	if !d.servers(ctx) {
		return false
	}
	g, err := s.session.token(ctx)
	if err != nil {
		d.fault("secrets.vault.auth", "the login fails: "+err.Error(), "check auth.mount, role and the credential's "+
			"file; that Vault has the role; and, with a token, that it hasn't ended")
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

// servers asks each server separately. It returns false if none of them serves.
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

// health returns what keeps one server from serving. It is empty if the server reports nothing.
func (s server) health(ctx context.Context, timeout time.Duration) (what, do string) {
	const act = "asking sys/health"
	one := &wire{servers: []server{s}, timeout: timeout}
	always := url.Values{} // 200, and the state in the body
	for _, state := range []string{"standbycode", "performancestandbycode", "drsecondarycode", "sealedcode",
		"uninitcode", "activecode"} {
		always.Set(state, "200")
	}
	a, err := one.read(ctx, act, "", "sys/health", always)
	if err != nil {
		return err.Error(), "see that Vault runs there, that this machine may reach it, and that ca has its authority"
	}
	var decoded struct {
		Initialized *bool `json:"initialized"`
		Sealed      *bool `json:"sealed"`
	}
	switch ok := a.status == http.StatusOK && a.decode(&decoded); {
	case a.status >= http.StatusInternalServerError || a.status == http.StatusTooManyRequests:
		return statusError(act, a.status, nil).Error(), "see what Vault's log says, or that of the proxy before it"
	case !ok: // a namespace may not ask
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
				"without it the token can be neither renewed nor asked what it may do")
		return
	}
	t, ttl := *decoded.Data, time.Duration(decoded.Data.TTL)*time.Second
	readyMade := d.source.session.auth.Method == "token"
	switch {
	case slices.Contains(t.Policies, "root"):
		d.fault(
			where,
			"the token is a root token: whoever gets hold of this service has all of Vault",
			"log in by a role of the service's own, with deploy/vault/service.hcl for its policy, and revoke this token",
		)
	case ttl == 0:
		d.warn(where, "the token never ends",
			"give the role a token_ttl, so that a stolen token is good for an hour and not for ever")
	case readyMade && !t.Renewable:
		d.warn(where, fmt.Sprintf("the token ends in %s and can't be renewed: from max_stale after that nobody signs "+
			"in", ttl), "log in by approle, kubernetes or jwt, or make the token renewable and periodic")
	case readyMade && (t.Period == 0 || t.ExplicitMax > 0):
		d.warn(where, "the token is renewed only up to its maximum, and nothing here can get another",
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
	const where, do = "clock", "set whichever clock is wrong (NTP): Zendesk refuses tokens that are off by 3 minutes"
	offset, known := d.source.ClockOffset()
	what := fmt.Sprintf("Vault's clock is %s ahead of ours", offset.Round(time.Second))
	if offset < 0 {
		what = fmt.Sprintf("Vault's clock is %s behind ours", offset.Abs().Round(time.Second))
	}
	switch {
	case !known:
		d.warn(where, "Vault's answers have no date to compare our clock with",
			"look for a proxy that strips the header Date")
	case offset.Abs() >= clockFault:
		d.fault(where, what, do)
	case offset.Abs() > clockWarn:
		d.warn(where, what, do)
	default:
		d.say(secrets.OK, where, what, "")
	}
}

// policies asks what the token may do with the secrets, and elsewhere.
func (d diagnosis) policies(ctx context.Context, g *tokenInfo, refs []secrets.Ref) {
	rules := d.rules(refs)
	var paths []string
	for _, r := range rules {
		paths = append(paths, r.path)
	}
	may := map[string][]string{}
	for some := range slices.Chunk(paths, pathsAtOnce) {
		if err := d.source.may(ctx, g, some, may); err != nil {
			d.warn("sys/capabilities-self", "what the token may do can't be asked: "+err.Error(),
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
			"write there nor do anything elsewhere that was asked about", "")
	}
}

// may asks for capabilities and adds them to those that are known. "deny" counts as none.
func (s *Source) may(ctx context.Context, g *tokenInfo, paths []string, known map[string][]string) error {
	const asked = "sys/capabilities-self"
	const act = "asking " + asked
	a, err := s.wire.write(ctx, act, g.token(), asked, map[string][]string{"paths": paths})
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
		return fmt.Errorf("vault: %s: the answer tells nothing", act)
	}
	for _, p := range paths {
		if decoded.Data[p] == nil {
			return errors.New("vault: " + act + ": the answer leaves a path out")
		}
		known[p] = slices.DeleteFunc(decoded.Data[p], func(c string) bool { return c == "deny" })
	}
	return nil
}

// rule is what a token should be able to do at a path.
type rule struct {
	path string
	need bool     // it must be able to read
	fine []string // further capabilities that do no harm
	mild bool     // more than that is a warning
	what string   // the path, in an operator's words
}

// rules returns the rules for the secrets, for secrets that the configuration doesn't name, and for
// Vault itself. Invented names represent all others.
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
			// The policy in Deskmint's documentation permits reading the folder's other secrets.
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

// judge returns false if the capabilities aren't those of the rule.
func (r rule) judge(may []string) (secrets.Finding, bool) {
	f := secrets.Finding{Level: secrets.Fault, Where: r.path}
	if r.need && !slices.Contains(may, "read") && !slices.Contains(may, "root") {
		f.What = "the token may not read " + r.what
		f.Do = "give the policy of the service's role the capability read at " + r.path + ", or mend secret.path or " +
			"mount in the configuration"
		return f, false
	}
	var more []string
	for _, c := range may {
		if !capabilities[c] { // an unknown word isn't repeated
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

// capabilities are the words that Vault uses.
var capabilities = map[string]bool{
	"create": true, "read": true, "update": true, "patch": true, "delete": true, "list": true, "sudo": true, "root": true,
	"subscribe": true, "recover": true,
}
