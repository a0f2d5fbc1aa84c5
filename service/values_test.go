package service_test

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/deskmint/deskmint/service/audit"
)

// person returns the body of a request with an email and a name, as JSON strings.
func person(email, name string) string {
	return `"user":{"email":"` + email + `","emailVerified":true,"name":"` + name + `"}`
}

// TestValues has values that real users send, and the token or refusal that both transports answer
// with. Here acme-customers accepts addresses of all forms and protects an international domain, and
// leaves out invalid values as by default. acme-both leaves out all of them.
func TestValues(t *testing.T) {
	yaml := strings.NewReplacer(
		"domains: [board.acme.com,", "domains: [xn--bcher-kva.example, board.acme.com,",
		`deny: [acme.com,`, `deny: [xn--mnchen-3ya.example, acme.com,`,
	).Replace(strings.Replace(configuration, "audiences: [end_user]\n", "audiences: [end_user]\n"+
		"      email_forms: [carrier_dots, underscored_domains, international_domains]\n", 1))
	s := start(t, settings{configuration: yaml})
	const anaClaims = `"email":"ana@customer.example","name":"Ana"`
	denied := signInCase{code: codes.PermissionDenied, http: 403}
	invalid := signInCase{reason: "INVALID_FIELD", code: codes.InvalidArgument, http: 400}
	for _, test := range []struct {
		name, caller, conf, body string
		claims, warned           string
		reason, field            string // of a denial, or of an invalid field if the reason is empty
		recorded                 string // in place of warned
	}{
		// Optional values that don't lock a person out.
		{name: "phone from an old users table", body: user(`,"phone":"0171/123456"`),
			claims: anaClaims, warned: "user.phone"},
		{name: "phone that isn't granted", caller: "dmk_slow", body: user(`,"phone":"0171/123456"`),
			reason: "CLAIM_NOT_ALLOWED", field: "user.phone"},
		{name: "photo over http", body: user(`,"remotePhotoUrl":"http://acme.com/a.png"`),
			claims: anaClaims, warned: "user.remote_photo_url"},
		{name: "locale below 1", body: user(`,"localeId":"-8"`), claims: anaClaims, warned: "user.locale_id"},
		{name: "locale of an end user where both are served", conf: "acme-both",
			body: user(`,"role":"ROLE_END_USER","localeId":"8"`), claims: anaClaims + `,"role":"end_user","locale":8`},
		{name: "locale without a role where both are served", conf: "acme-both",
			body: user(`,"localeId":"8"`), claims: anaClaims, warned: "user.locale_id"},
		{name: "tag with a space", body: user(`,"tags":{"values":["vip","a b"]}`), field: "user.tags.values[1]"},
		{name: "tag with a space left out", conf: "acme-both", body: user(`,"tags":{"values":["vip","a b"]}`),
			claims: anaClaims + `,"tags":["vip"]`, warned: "user.tags.values[1]"},
		{name: "every tag left out", conf: "acme-both", body: user(`,"tags":{"values":["a b"]}`),
			claims: anaClaims, warned: "user.tags.values[0]"},
		{name: "organisation left out", conf: "acme-both", body: user(`,"organizations":["Acme, Inc.","Beta"]`),
			claims: anaClaims + `,"organization":"Beta"`, warned: "user.organizations[0]"},

		// User fields.
		{name: "lines", body: user(`,"userFields":{"address":"Main St 1\nBerlin\r\nGermany\r"}`),
			claims: anaClaims + `,"user_fields":{"address":"Main St 1\nBerlin\r\nGermany\n"}`},
		{name: "joiners and emoji", body: user(`,"userFields":{"note":"👩\u200d🚀 ❤\ufe0f"}`),
			claims: anaClaims + ",\"user_fields\":{\"note\":\"👩\u200d🚀 ❤\ufe0f\"}"},
		{name: "soft hyphen in a field", body: user(`,"userFields":{"note":"a\u00adb"}`),
			claims: anaClaims + `,"user_fields":{"note":"ab"}`, warned: `user.user_fields["note"]`},
		{name: "options", body: user(`,"userFields":{"langs":["en","de"]}`),
			claims: anaClaims + `,"user_fields":{"langs":["en","de"]}`},
		{name: "options of a granted field", caller: "dmk_storefront", body: user(`,"userFields":{"plan":["a","b"]}`),
			claims: anaClaims + `,"user_fields":{"plan":["a","b"]}`},
		{name: "options of another field", caller: "dmk_storefront", body: user(`,"userFields":{"langs":["plan"]}`),
			reason: "CLAIM_NOT_ALLOWED", field: "user.user_fields"},
		{name: "no options", body: user(`,"userFields":{"langs":[]}`),
			claims: anaClaims + `,"user_fields":{"langs":[]}`},
		{name: "no options of a granted field", caller: "dmk_storefront", body: user(`,"userFields":{"plan":[]}`),
			reason: "CLAIM_NOT_ALLOWED", field: "user.user_fields"},
		{name: "every option left out", conf: "acme-both", body: user(`,"userFields":{"langs":[""]}`),
			claims: anaClaims, warned: `user.user_fields["langs"][0]`},
		{name: "list in a list", body: user(`,"userFields":{"langs":["en",["de"]]}`),
			field: `user.user_fields["langs"][1]`},
		{name: "null in a list", body: user(`,"userFields":{"langs":[null]}`), field: `user.user_fields["langs"][0]`},
		{name: "object in a list", body: user(`,"userFields":{"langs":[{}]}`), field: `user.user_fields["langs"][0]`},
		{name: "tab in a field", body: user(`,"userFields":{"note":"a\tb"}`), field: `user.user_fields["note"]`},
		{name: "override in a field", body: user(`,"userFields":{"note":"a\u202eb"}`),
			field: `user.user_fields["note"]`},
		{name: "id as a key", body: user(`,"userFields":{"360001":"x"}`), field: `user.user_fields["360001"]`},
		{name: "key with a space left out", conf: "acme-both", body: user(`,"userFields":{"the plan":"x","plan":"y"}`),
			claims: anaClaims + `,"user_fields":{"plan":"y"}`, warned: `user.user_fields["the plan"]`,
			recorded: "user.user_fields"},
		{name: "address as a key", conf: "acme-both", body: user(`,"userFields":{"ana@customer.example":"x"}`),
			claims: anaClaims, warned: `user.user_fields["ana@customer.example"]`, recorded: "user.user_fields"},

		// Names.
		{name: "name with white space around it", body: person("ana@customer.example", ` Ana\u00a0\r\n`),
			claims: anaClaims, warned: "user.name"},
		{name: "name with a byte order mark", body: person("ana@customer.example", `\ufeffA\u00adna\u200e`),
			claims: anaClaims, warned: "user.name"},
		{name: "invisible name", body: person("ana@customer.example", `\u200d\u2800`), field: "user.name"},
		{name: "name of fillers", body: person("ana@customer.example", `\u3164`), field: "user.name"},
		{name: "name with an isolate", body: person("ana@customer.example", `Ana\u2068`), field: "user.name"},

		// Addresses.
		{name: "address with white space around it", body: person(` Ana@customer.example\t\u3000`, "Ana"),
			claims: anaClaims, warned: "user.email"},
		{name: "protected address with white space around it", caller: "dmk_slow",
			body: person(` ceo@acme.com `, "X"), reason: "EMAIL_NOT_ALLOWED", field: "user.email"},
		{name: "denied address with white space around it", caller: "dmk_storefront",
			body: person(`\u00a0x@acme.com\n`, "X"), reason: "EMAIL_NOT_ALLOWED", field: "user.email"},
		{name: "protected address in full width", caller: "dmk_slow", body: person("ceo@ａcme.com", "X"),
			field: "user.email"},
		{name: "address with a byte order mark", body: person(`\ufeffana@customer.example`, "Ana"),
			field: "user.email"},
		{name: "accent before the @", body: person("josé@customer.example", "José"), field: "user.email"},
		{name: "carrier's address", body: person("a..b.@docomo.ne.jp", "Ana"),
			claims: `"email":"a..b.@docomo.ne.jp","name":"Ana"`},
		{name: "carrier's address without the setting", conf: "acme-both", body: person("a..b@docomo.ne.jp", "Ana"),
			field: "user.email"},
		{name: "underscored domain", body: person("jo@my_store.typepad.com", "Ana"),
			claims: `"email":"jo@my_store.typepad.com","name":"Ana"`},
		{name: "underscored domain without the setting", conf: "acme-both",
			body: person("jo@my_store.typepad.com", "Ana"), field: "user.email"},
		{name: "international domain", body: person("Jo@MÜNCHEN.example", "Ana"),
			claims: `"email":"jo@xn--mnchen-3ya.example","name":"Ana"`},
		{name: "international domain without the setting", conf: "acme-both", body: person("jo@münchen.example", "Ana"),
			field: "user.email"},
		{name: "denied international domain", caller: "dmk_storefront", body: person("jo@mu\u0308nchen.example", "X"),
			reason: "EMAIL_NOT_ALLOWED", field: "user.email"},
		{name: "protected international domain", caller: "dmk_slow", body: person("ceo@BÜCHER.example", "X"),
			reason: "EMAIL_NOT_ALLOWED", field: "user.email"},
		{name: "protected international domain in ASCII", caller: "dmk_slow",
			body: person("ceo@XN--BCHER-KVA.example", "X"), reason: "EMAIL_NOT_ALLOWED", field: "user.email"},
	} {
		c := signInCase{}
		switch {
		case test.reason != "":
			c = denied
			c.reason = test.reason
		case test.field != "":
			c = invalid
		}
		c.caller, c.conf, c.body, c.field = test.caller, test.conf, test.body, test.field
		c.claims, c.warned = test.claims, test.warned
		t.Run(test.name, func(t *testing.T) {
			s.Audit.take()
			c.run(t, s)
			if test.warned == "" {
				return
			}
			for line := range strings.Lines(s.Audit.take()) {
				var r audit.Record
				err := json.Unmarshal([]byte(line), &r)
				want := cmp.Or(test.recorded, test.warned)
				if err != nil || !slices.Equal(r.Warnings, []string{want}) {
					t.Errorf("recorded %s, %v; want a warning of %s", line, err, want)
				}
			}
		})
	}
}

// TestRecordedAddress checks that records have the address that grants are compared with, whether
// the sign-in is allowed, refused, or not granted at all.
func TestRecordedAddress(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport) {
		s := start(t, settings{configuration: configuration})
		for _, c := range []struct {
			key, sent, recorded string
		}{
			{"dmk_everything", ` Ana@Customer.example\n`, "ana@customer.example"},
			{"dmk_slow", `\u00a0CEO@acme.com`, "ceo@acme.com"},
			{"dmk_nobody", ` x@customer.example`, "x@customer.example"},
			{"dmk_everything", "jo@BÜCHER.example", "jo@xn--bcher-kva.example"},
			{"dmk_nobody", "jo@BÜCHER.example", "jo@xn--bcher-kva.example"},
		} {
			s.Audit.take()
			tr.send(t.Context(), t, s, call{method: "MintToken", keys: []string{c.key}, body: person(c.sent, "A")})
			if record := s.Audit.take(); !strings.Contains(record, `"`+c.recorded+`"`) {
				t.Errorf("%s of %q: the record is %s", c.key, c.sent, record)
			}
		}
	})
}

// TestWarningsMetric checks that the metric counts a sign-in once for each field with a warning, and
// that no label has a key of the request.
func TestWarningsMetric(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	eachTransport(t, func(t *testing.T, tr transport) {
		mint(t, s, tr, call{body: user(`,"phone":"1"`)})
		mint(t, s, tr, call{body: user(`,"phone":"1","userFields":{"a":"\u00ad","zq7_echo":"x\u00ad"}`)})
		mint(t, s, tr, call{name: "acme-both", body: user(`,"tags":{"values":[""," "]},"userFields":{"zq7-echo":"x"}`)})
		tr.send(t.Context(), t, s, call{method: "MintToken", body: user(`,"phone":"1","organizations":[""]`)})
	})
	text := s.ops(t, "/metrics")
	for _, line := range []string{
		`deskmint_sign_in_warnings_total{configuration="acme-customers",field="user.phone"} 4`,
		`deskmint_sign_in_warnings_total{configuration="acme-customers",field="user.user_fields"} 2`,
		`deskmint_sign_in_warnings_total{configuration="acme-both",field="user.tags"} 2`,
		`deskmint_sign_in_warnings_total{configuration="acme-both",field="user.user_fields"} 2`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	if strings.Contains(text, "echo") {
		t.Error("a key of a request is in the metrics")
	}
}
