package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// rules is a configuration whose grants refuse something in each part of a request.
const rules = `
secrets:
  source: vault
  vault: {addresses: ["https://vault.invalid"], auth: {method: approle, role_id: r, secret_id_file: nowhere}}
include: [staff.yaml]
configurations:
  - name: acme-customers
    secret: {path: sso/acme-customers}
    protected: {emails: [ceo@acme.example], external_ids: [Shop-1]}
    zendesk_sso:
      audiences: [end_user]
      brands:
        - {id: "360001", name: Acme, subdomain: acme, hosts: [help.acme.example], default: true}
        - {id: "360002", name: Labs, subdomain: labs}
callers:
  - name: storefront
    identities: [{api_key_sha256: 6b4e6018651c66e7871295049da6a8472a5632e64e11c329d44979b6ac885df3}]
    grants:
      - configurations: [acme-customers]
        brands: ["360001"]
        actions: [sign_in]
        roles: [unset, end_user]
        claims: {phone: any, external_id: {prefix: shop-}, tags: [vip]}
        email_domains: {allow: ["*"], deny: [rival.example, "*.rival.example"]}
        return_to_hosts: [acme.zendesk.com]
      - configurations: [acme-staff]
        brands: ["*"]
        actions: [sign_in]
        roles: [agent]
        email_domains: {allow: [acme.example]}
  - name: nobody
    identities: [{api_key_sha256: 5bd9e670cdb973aa0f64d36137698dd31b87a5ab5817042e3718be39168fef0c}]
`

const staffRules = `
configurations:
  - name: acme-staff
    secret: {path: sso/acme-staff}
    zendesk_sso:
      audiences: [team_member]
      ip_ranges: [192.0.2.0/24]
      brands:
        - {id: "360001", name: Acme, subdomain: acme}
callers:
  - name: intranet
    identities: [{api_key_sha256: 91a9acd95e34a499af42f13fde84e3a09c70916ef7f9d2165525c2fcfdf39f92}]
    grants:
      - configurations: [acme-staff]
        brands: ["*"]
        actions: [sign_in, stage]
        roles: [agent]
        email_domains: {allow: ["*"]}
`

// explainTest is a command line of explain and its output.
type explainTest struct {
	target  string // caller and configuration
	flags   string // in addition to those of a valid person
	request string
	// want has the printed lines. A last line that ends in … is only the beginning. DIR is the
	// folder of the configuration.
	want []string
}

// The caller and the configuration of most requests.
const (
	explainCustomers = "storefront acme-customers"
	explainStaff     = "storefront acme-staff"
)

// explainTests has a request for each part of a decision.
var explainTests = map[string]explainTest{
	"allowed": {explainCustomers, "", "", []string{"allowed by callers[0].grants[0]"}},
	"with all that is there": {
		explainCustomers,
		"--role end_user --return-to https://acme.zendesk.com/hc",
		`{"user":{"phone":"+4930123456","external_id":"shop-7","tags":{"values":["vip"]}}}`, []string{
			"allowed by callers[0].grants[0]",
		},
	},
	"by an included grant": {
		"intranet acme-staff", "--role agent", `{"client_ip":"192.0.2.1","secret_version":2}`, []string{
			"allowed by DIR/staff.yaml: callers[0].grants[0]",
		},
	},
	"brand": {
		explainCustomers, "--brand 360002", "", []string{
			"refused: BRAND_NOT_ALLOWED", "  rule: callers[0].grants[0].brands", "  brand_id …",
		},
	},
	"role": {
		explainCustomers, "--role admin", "", []string{
			"refused: ROLE_NOT_ALLOWED", "  rule: callers[0].grants[0].roles", "  user.role …",
		},
	},
	"role left out": {
		explainStaff, "--email a@acme.example", "", []string{
			"refused: ROLE_NOT_ALLOWED", "  rule: callers[0].grants[1].roles", "  user.role …",
		},
	},
	"claim": {
		explainCustomers, "", `{"user":{"organizations":["Acme"]}}`, []string{
			"refused: CLAIM_NOT_ALLOWED", "  rule: callers[0].grants[0].claims.organizations",
			"  user.organizations …",
		},
	},
	"claim's prefix": {
		explainCustomers, "", `{"user":{"external_id":"crm-7"}}`, []string{
			"refused: CLAIM_NOT_ALLOWED", "  rule: callers[0].grants[0].claims.external_id", "  user.external_id …",
		},
	},
	"protected external id": {
		explainCustomers, "", `{"user":{"external_id":"shop-1"}}`, []string{
			"refused: CLAIM_NOT_ALLOWED", "  rule: callers[0].grants[0].protected", "  user.external_id …",
		},
	},
	"claim's value": {
		explainCustomers, "", `{"user":{"tags":{"values":["vip","root"]}}}`, []string{
			"refused: CLAIM_NOT_ALLOWED", "  rule: callers[0].grants[0].claims.tags", "  user.tags …",
		},
	},
	"tags cleared": {
		explainCustomers, "", `{"user":{"tags":{}}}`, []string{
			"refused: CLAIM_NOT_ALLOWED", "  rule: callers[0].grants[0].claims.clear_tags", "  user.tags …",
		},
	},
	"domain": {
		explainCustomers, "--email a@rival.example", "", []string{
			"refused: EMAIL_NOT_ALLOWED", "  rule: callers[0].grants[0].email_domains", "  user.email …",
		},
	},
	"protected": {
		explainCustomers, "--email CEO@acme.example", "", []string{
			"refused: EMAIL_NOT_ALLOWED", "  rule: callers[0].grants[0].protected", "  user.email …",
		},
	},
	"return_to's host": {
		explainCustomers, "--return-to https://help.acme.example/hc", "", []string{
			"refused: RETURN_TO_NOT_ALLOWED", "  rule: callers[0].grants[0].return_to_hosts", "  return_to …",
		},
	},
	"return_to at large": {
		explainCustomers, "--return-to https://rival.example/", "", []string{
			"refused: RETURN_TO_NOT_ALLOWED", "  rule: …", "  return_to …",
		},
	},
	"action": {
		explainCustomers, "", `{"secret_version":2}`, []string{
			"refused: CALLER_NOT_ALLOWED",
			"  rule: no grant of caller storefront names the configuration and the actions sign_in and stage",
		},
	},
	"no grants": {
		"nobody acme-customers", "", "", []string{
			"refused: CALLER_NOT_ALLOWED",
			"  rule: no grant of caller nobody names the configuration and the action sign_in",
		},
	},
	"another's configuration": {
		"intranet acme-customers", "", "", []string{
			"refused: CALLER_NOT_ALLOWED", "  rule: no grant of caller intranet …",
		},
	},
	"no such configuration": {
		"storefront acme-nowhere", "", "", []string{"refused: CALLER_NOT_ALLOWED", "  rule: no such configuration"},
	},
	"the person": {
		explainCustomers, "--email nonsense", `{"user":{"external_id":"shop-7 "}}`, []string{
			"refused: INVALID_FIELD", "  rule: …", "  user.email …", "  user.external_id …",
		},
	},
	"browser's address": {
		explainStaff, "--email a@acme.example --role agent", `{"client_ip":"198.51.100.1"}`, []string{
			"refused: CLIENT_IP_NOT_ALLOWED", "  rule: …",
		},
	},
	"no browser's address": {
		explainStaff, "--email a@acme.example --role agent", "", []string{
			"refused: INVALID_FIELD", "  rule: …", "  client_ip …",
		},
	},
}

func TestExplain(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"deskmint.yaml": rules, "staff.yaml": staffRules})
	for name, c := range explainTests {

		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := strings.Fields(c.target)
			args := []string{
				"explain", "--config", filepath.Join(dir, "deskmint.yaml"), "--caller", target[0],
				"--configuration", target[1],
			}
			args = append(append(args, "--email", "ana@customer.example", "--name", "Ana"), strings.Fields(c.flags)...)
			if c.request != "" {
				args = append(args, "--request", "-")
			}
			out, logged, err := invoke(t, c.request, args...)
			if allowed := strings.HasPrefix(c.want[0], "allowed"); allowed && err != nil || !allowed &&
				!errors.Is(err, errRefused) || logged != "" {
				t.Errorf("%v %s", err, logged)
			}
			lines := strings.Split(strings.TrimSuffix(strings.ReplaceAll(out, dir, "DIR"), "\n"), "\n")
			same := len(lines) == len(c.want)
			for i := range min(len(lines), len(c.want)) {
				start, open := strings.CutSuffix(c.want[i], "…")
				same = same && (lines[i] == c.want[i] || open && strings.HasPrefix(lines[i], start))
			}
			if !same {
				t.Errorf("printed\n%s\nwant\n%s", out, strings.Join(c.want, "\n"))
			}
		})
	}
	if _, _, err := invoke(t, "", "explain", "--config", filepath.Join(dir, "nowhere.yaml"), "--caller", "storefront",
		"--configuration", "acme-customers"); err == nil ||
		!strings.Contains(err.Error(), "nowhere.yaml: can't be read") {
		t.Errorf("no file: %v", err)
	}
}
