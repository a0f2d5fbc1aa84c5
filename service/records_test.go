package service_test

import (
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/api/httpbody"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config"
)

// records returns the records since the last call.
func records(t *testing.T, s *server) (all []audit.Record) {
	t.Helper()
	text := s.Audit.String()
	fresh := text[s.seen:]
	s.seen = len(text)
	for line := range strings.Lines(fresh) {
		var r audit.Record
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, r)
	}
	return all
}

func discardAudit(snapshot *config.Snapshot) *audit.Log {
	return audit.New(io.Discard, snapshot.Audit, nil)
}

// tokenIDs returns the jti and the hash of the token in an answer, as its record must have them.
func tokenIDs(t *testing.T, r reply) (id, hash string) {
	t.Helper()
	switch m := r.message.(type) {
	case *pb.MintTokenResponse:
		return m.GetJti(), audit.Hash(m.GetToken())
	case *pb.RenderFormResponse:
		return m.GetJti(), audit.Hash(tokenPattern.FindString(m.GetHtml()))
	case *httpbody.HttpBody:
		return r.header.Get("Deskmint-Jti"), audit.Hash(string(tokenPattern.Find(m.GetData())))
	}
	t.Fatalf("a %T never has a token", r.message)
	return "", ""
}

// TestRecords checks the record of each kind of decision. It has all inputs of the decision but no
// token. The records of both transports are the same except for the transport.
func TestRecords(t *testing.T) {
	const grant, everything = "callers[0].grants[0]", "callers[1].grants[0]"
	ana := audit.Record{
		Caller:        "everything",
		Authenticated: "api_key",
		Configuration: "acme-customers",
		Brand:         "360001",
		Decision:      "allow",
		Rule:          everything,
		Email:         "ana@customer.example",
	}
	with := func(base audit.Record, change func(*audit.Record)) audit.Record {
		change(&base)
		return base
	}
	signed := with(ana, func(r *audit.Record) {
		r.SecretVersion, r.ID, r.TokenHash, r.Claims = 1, "*", "*", []string{"iat", "jti", "email", "name"}
	})
	refused := func(reason string, change func(*audit.Record)) audit.Record {
		return with(ana, func(r *audit.Record) {
			r.Decision, r.Reason, r.Rule, r.Brand = "deny", reason, "", ""
			change(r)
		})
	}
	cases := []struct {
		name string
		call call
		want audit.Record
	}{
		{"mint", call{method: "MintToken", body: user("")}, signed},
		{"form", call{method: "RenderForm", body: user("")}, signed},
		{"page", call{method: "RenderPage", body: user("")}, signed},
		{
			"with claims",
			call{
				method: "MintToken",
				body: user(
					`,"role":"ROLE_END_USER","externalId":"9","tags":{"values":["vip"]},"userFields":{"plan":"gold"}`,
				) + `,"brandId":"360002"`,
			},
			with(signed, func(r *audit.Record) {
				r.Brand, r.Role, r.ExternalID = "360002", "end_user", "9"
				r.Claims = []string{"iat", "jti", "email", "name", "external_id", "role", "tags", "user_fields"}
			}),
		},
		{"with a warning", call{method: "MintToken", name: "acme-both", body: user(`,"phone":"1"`)},
			with(signed, func(r *audit.Record) {
				r.Configuration, r.Brand, r.Warnings = "acme-both", "360009", []string{"user.phone"}
			})},
		{"a trial run", call{method: "MintToken", body: user("") + `,"validateOnly":true`},
			with(ana, func(r *audit.Record) { r.SecretVersion, r.ValidateOnly = 1, true })},
		{
			"no credential",
			call{method: "MintToken", keys: []string{}, body: user("")},
			audit.Record{Decision: "deny", Reason: "CALLER_UNAUTHENTICATED", Credential: "missing"},
		},
		{
			"unknown credential",
			call{method: "ListConfigurations", keys: []string{"dmk_other"}},
			audit.Record{Decision: "deny", Reason: "CALLER_UNAUTHENTICATED", Credential: "unknown"},
		},
		{"no grant", call{method: "MintToken", keys: []string{"dmk_nobody"}, body: user("")},
			refused("CALLER_NOT_ALLOWED", func(r *audit.Record) { r.Caller, r.Rule = "nobody", "*" })},
		{"a missing configuration", call{method: "MintToken", name: "acme-nowhere", body: user("")},
			refused("CALLER_NOT_ALLOWED", func(r *audit.Record) { r.Configuration, r.Rule = "acme-nowhere", "*" })},
		{
			"a version without the action stage",
			call{method: "MintToken", keys: []string{"dmk_storefront"}, body: user("") + `,"secretVersion":1`},
			refused("CALLER_NOT_ALLOWED", func(r *audit.Record) {
				r.Caller, r.Brand, r.Rule = "storefront", "360001", "*"
			}),
		},
		{"a claim", call{method: "RenderPage", keys: []string{"dmk_storefront"}, body: user(`,"organizations":["A"]`)},
			refused("CLAIM_NOT_ALLOWED", func(r *audit.Record) {
				r.Caller, r.Brand, r.Rule = "storefront", "360001", grant+".claims.organizations"
			})},
		{
			"a claim as a page",
			call{
				method: "RenderPage",
				keys:   []string{"dmk_storefront"},
				body:   user(`,"organizations":["A"]`) + `,"onError":"ON_ERROR_PAGE"`,
			},
			refused("CLAIM_NOT_ALLOWED", func(r *audit.Record) {
				r.Caller, r.Brand, r.Rule = "storefront", "360001", grant+".claims.organizations"
			}),
		},
		{
			"an external id that isn't granted",
			call{method: "MintToken", keys: []string{"dmk_storefront"}, body: user(`,"externalId":"Staff-7"`)},
			refused("CLAIM_NOT_ALLOWED", func(r *audit.Record) {
				r.Caller, r.Brand, r.ExternalID, r.Rule = "storefront", "360001", "Staff-7", grant+".claims.external_id"
			}),
		},
		{"an external id and no address", call{method: "MintToken", body: `"user":{"email":"ana","externalId":"9"}`},
			refused("INVALID_FIELD",
				func(r *audit.Record) { r.Rule, r.Brand, r.Email, r.ExternalID = "*", "360001", "", "9" })},
		{"what can't be an external id", call{method: "MintToken", body: user(`,"externalId":"a\nb"`)},
			refused("INVALID_FIELD", func(r *audit.Record) { r.Rule, r.Brand = everything, "360001" })},
		{
			"an external id of a trial run",
			call{method: "RenderForm", body: user(`,"externalId":"9"`) + `,"validateOnly":true`},
			with(ana, func(r *audit.Record) { r.SecretVersion, r.ValidateOnly, r.ExternalID = 1, true, "9" }),
		},
		{"a field", call{method: "MintToken", body: user(`,"organizations":[""]`)},
			refused("INVALID_FIELD", func(r *audit.Record) { r.Rule, r.Brand = everything, "360001" })},
		{"a secret", call{method: "MintToken", name: "acme-broken", body: user("")},
			refused("SECRET_UNUSABLE",
				func(r *audit.Record) { r.Configuration, r.Rule, r.Brand = "acme-broken", everything, "1" })},
		{"inspect", call{method: "InspectToken", body: `"token":"x"`},
			with(ana, func(r *audit.Record) { r.Brand, r.Email, r.TokenHash = "", "", audit.Hash("x") })},
		{"inspect not granted", call{method: "InspectToken", keys: []string{"dmk_storefront"}, body: `"token":"x"`},
			refused("CALLER_NOT_ALLOWED", func(r *audit.Record) { r.Caller, r.Email, r.Rule = "storefront", "", "*" })},
		{
			"list",
			call{method: "ListConfigurations"},
			audit.Record{Caller: "everything", Authenticated: "api_key", Decision: "allow"},
		},
		{"get", call{method: "GetConfiguration"}, with(ana, func(r *audit.Record) { r.Brand, r.Email = "", "" })},
		{"refresh", call{method: "RefreshSecret"}, with(ana, func(r *audit.Record) { r.Brand, r.Email = "", "" })},
		{
			"report",
			call{method: "ReportSignInFailure", body: `"kind":"error","message":"x"`},
			with(ana, func(r *audit.Record) { r.Brand, r.Email = "", "" }),
		},
		{
			"a trial run refused",
			call{
				method: "RenderPage",
				body:   user(`,"organizations":[""]`) + `,"validateOnly":true,"onError":"ON_ERROR_PAGE"`,
			},
			refused("INVALID_FIELD",
				func(r *audit.Record) { r.Rule, r.Brand, r.ValidateOnly = everything, "360001", true }),
		},
		{
			"resolve",
			call{method: "ResolveConfiguration", body: `"brandId":"360002"`},
			audit.Record{
				Caller:        "everything",
				Authenticated: "api_key",
				Decision:      "allow",
				Configuration: "acme-customers",
				Brand:         "360002",
			},
		},
		{
			"resolve nothing",
			call{method: "ResolveConfiguration", body: `"brandId":"1234"`},
			audit.Record{
				Caller:        "everything",
				Authenticated: "api_key",
				Decision:      "deny",
				Reason:        "CONFIGURATION_NOT_RESOLVED",
			},
		},
	}
	actions := map[string]string{
		"MintToken": "sign_in", "RenderForm": "sign_in", "RenderPage": "sign_in",
		"InspectToken": "inspect", "RefreshSecret": "refresh", "ReportSignInFailure": "report",
		"ListConfigurations": "read", "GetConfiguration": "read", "ResolveConfiguration": "read",
	}
	s, digest := start(t, settings{configuration: configuration}), parse(t, configuration).Digest
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			eachTransport(t, func(t *testing.T, tr transport) {
				r := tr.send(t.Context(), t, s, c.call)
				got := records(t, s)
				if len(got) != 1 {
					t.Fatalf("%d records: %+v", len(got), got)
				}
				want := c.want
				want.Schema, want.Time, want.Digest = audit.Schema, now, digest
				want.Transport, want.Method = tr.name, c.call.method
				want.Action, want.RequestID = actions[c.call.method], r.header.Get("X-Request-Id")
				if want.Caller != "" {
					want.Identity = "api_key:" + caller.HashKey("dmk_" + want.Caller)[:8]
				}
				if want.RecordID = got[0].RecordID; len(want.RecordID) != 26 {
					t.Errorf("the record's id is %q", want.RecordID)
				}
				if want.Rule == "*" && got[0].Rule != "" {
					want.Rule = got[0].Rule
				}
				if want.ID == "*" {
					want.ID, want.TokenHash = tokenIDs(t, r)
				}
				if !reflect.DeepEqual(got[0], want) {
					t.Errorf("recorded\n%+v, want\n%+v", got[0], want)
				}
			})
		})
	}
}
