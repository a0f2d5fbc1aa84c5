package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/audit"
)

// FuzzRecord checks that a record with any content is one line, and that decoding the line returns
// the same values.
func FuzzRecord(f *testing.F) {
	f.Add("callers[0].grants[1]", "ana@customer.example", "acme", false)
	f.Add("a\nb\r\n", `"},{"decision":"allow`, "\u2028\x00\xff", true)
	f.Add("</script>", "\ufeff", strings.Repeat("x", 70_000), false)
	f.Fuzz(func(t *testing.T, rule, email, name string, plain bool) {
		want := audit.Record{
			Rule:          rule,
			Configuration: name,
			Caller:        "shop",
			Decision:      audit.Deny,
			Claims:        []string{name, rule},
		}
		var b bytes.Buffer
		log := audit.New(&b, audit.Settings{PlainEmail: plain}, emailKey)
		if err := log.Write(context.Background(), want, audit.Person{Email: email, ExternalID: name}); err != nil {
			t.Fatal(err)
		}
		line, ok := strings.CutSuffix(b.String(), "\n")
		if !ok || strings.ContainsAny(line, "\n\r\x00") {
			t.Fatalf("not one line: %q", b.String())
		}
		var got audit.Record
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		// encoding/json replaces each invalid byte with U+FFFD.
		valid := func(s string) string { return string([]rune(s)) }
		if got.Decision != audit.Deny || got.Caller != "shop" || got.Rule != valid(rule) ||
			got.Configuration != valid(name) ||
			len(got.Claims) != 2 || got.Claims[0] != valid(name) || got.Claims[1] != valid(rule) {
			t.Errorf("%+v became %+v", want, got)
		}
		if (got.Email != "") != (plain && email != "") || plain && got.Email != valid(email) ||
			(len(got.EmailHash) == 64) != (email != "") {
			t.Errorf("the address %q is recorded as %q, %q", email, got.Email, got.EmailHash)
		}
		if (got.ExternalID != "") != (plain && name != "") || plain && got.ExternalID != valid(name) ||
			(len(got.ExternalHash) == 64) != (name != "") {
			t.Errorf("the external id %q is recorded as %q, %q", name, got.ExternalID, got.ExternalHash)
		}
	})
}
