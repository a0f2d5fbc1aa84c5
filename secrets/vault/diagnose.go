package vault

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/deskmint/deskmint/secrets"
)

const (
	// clockFault is the offset at which tokens begin to be refused.
	clockFault = 3 * time.Minute
	// shortLease is a lease that causes a login every few refreshes. Each login is a line in
	// Vault's audit log.
	shortLease = time.Minute
)

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
		d.failedLogin(ctx, err)
		d.clocks()
		return false
	}
	d.login()
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
