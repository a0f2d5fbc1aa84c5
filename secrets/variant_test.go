package secrets_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/secrets"
)

// zendeskSecret has the form of Zendesk's secrets.
const zendeskSecret = "mT4kQ9vXb2LrW7cYp0ZsJ6hNd8FgA1uEqKxRtO3iBySlVwM5"

// hmacOf signs with a text that needs not be usable as a key.
func hmacOf(secret, input string) []byte {
	state := hmac.New(sha256.New, []byte(secret))
	state.Write([]byte(input))
	return state.Sum(nil)
}

func base64Of(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// TestVerifyVariant stores one text and signs with another. The variant names the difference, and
// no text of the answer contains a part of the secret.
func TestVerifyVariant(t *testing.T) {
	decoded, err := base64.StdEncoding.DecodeString(zendeskSecret)
	if err != nil {
		t.Fatal(err)
	}
	const real = zendeskSecret
	digits := strings.Repeat("0123456789abcdef", 4)
	fromDigits, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	decodedURL, err := base64.RawURLEncoding.DecodeString(strings.Repeat("-_", 24))
	if err != nil {
		t.Fatal(err)
	}
	const odd = "one+two/three%four=five&six-seven_eight~"
	for name, test := range map[string]struct{ stored, signer, want string }{
		// The stored value is wrong, and the signer is right.
		"stored in double quotes":      {`"` + real + `"`, real, "without its quotation marks"},
		"stored in single quotes":      {`'` + real + `'`, real, "without its quotation marks"},
		"stored in typographic quotes": {"“" + real + "”", real, "without its quotation marks"},
		"stored with one quote":        {real + `"`, real, "without its quotation marks"},
		"stored from a line of JSON":   {`"` + real + `",`, real, "without its quotation marks"},
		"stored KEY=VALUE":             {"ZENDESK_SECRET=" + real, real, "without the name before it"},
		"stored export KEY=VALUE": {`export ZENDESK_SECRET="` + real + `"`, real,
			"without the name before it and without its quotation marks"},
		"stored YAML":        {"shared_secret: " + real, real, "without the name before it"},
		"stored words":       {"Shared secret: " + real, real, "without the name before it"},
		"stored JSON member": {`"shared_secret": "` + real + `",`, real, "without the name before it and without"},
		"stored JSON":        {`{"note":"x","shared_secret":"` + real + `"}`, real, "that its JSON contains"},
		"stored JSON of Vault": {`{"data":{"shared_secret":"` + real + `"},"n":1}`, real,
			"that its JSON contains"},
		"stored JSON array":         {`["` + real + `"]`, real, "that its JSON contains"},
		"stored line break as text": {real + `\n`, real, "without the line break that is written out"},
		"stored both as text":       {`\t` + real + `\r\n`, real, "without the line break that is written out"},
		"stored base64":             {base64Of(real), real, "base64-decoded"},
		"stored base64 of a line":   {base64Of(real + "\n"), real, "base64-decoded"},
		"stored base64 in quotes": {`"` + base64Of(real) + `"`, real,
			"without its quotation marks and base64-decoded"},
		"stored hexadecimal":     {hex.EncodeToString([]byte(real)), real, "hex-decoded"},
		"stored percent-encoded": {"one%2Btwo%2Fthree%25four%3Dfive%26six-seven_eight~", odd, "percent-decoded"},

		// The stored value is right, and the signer is wrong.
		"signer decodes base64":        {real, string(decoded), "base64-decoded"},
		"signer decodes 45 characters": {real[:45], string(decoded[:33]), "base64-decoded"},
		"signer decodes base64url": {strings.Repeat("-_", 24), string(decodedURL),
			"base64-decoded"},
		"signer decodes digits":         {digits, string(fromDigits), "hex-decoded"},
		"signer has a line break":       {real, real + "\n", "with a line break behind it"},
		"signer has two line ends":      {real, real + "\r\n", "with a line break behind it"},
		"signer has a space":            {real, real + " ", "with a space behind it"},
		"signer has a space before":     {real, " " + real, "with a space before it"},
		"signer has a line break in it": {real, real + `\n`, `with the characters \n behind it`},
		"signer has double quotes":      {real, `"` + real + `"`, "in quotes"},
		"signer has single quotes":      {real, `'` + real + `'`, "in quotes"},
		"signer encodes base64":         {real, base64Of(real), "base64-encoded"},
		"signer encodes a line":         {real, base64Of(real + "\n"), "base64-encoded with a line break"},
		"signer encodes hexadecimal":    {real, hex.EncodeToString([]byte(real)), "hex-encoded"},
		"signer percent-encodes":        {odd, "one%2Btwo%2Fthree%25four%3Dfive%26six-seven_eight~", "percent-encoded"},

		// Nothing fits, or what fits could be guessed.
		"the same":           {real, real, ""},
		"another":            {real, strings.ToLower(real), ""},
		"short text in JSON": {`{"shared_secret":"short","comment":"` + real + `"}`, "short", ""},
		"a part":             {real, real[:32], ""},
		"too deep in JSON":   {`{"a":{"b":{"c":"` + real + `"}}}`, real, ""},
		"empty":              {real, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			stored, err := secrets.NewKey(1, []byte(test.stored))
			if err != nil {
				t.Fatal(err)
			}
			const input = "header.payload"
			variant, ok := stored.VerifyVariant(input, hmacOf(test.signer, input))
			if ok != (test.want != "") || !strings.HasPrefix(variant.Difference, test.want) {
				t.Errorf("got %+v %v, want %q", variant, ok, test.want)
			}
			if ok && variant.Advice == "" {
				t.Error("no advice")
			}
			for _, text := range []string{variant.Difference, variant.Advice} {
				if strings.Contains(text, real[:6]) || strings.Contains(text, digits[:6]) {
					t.Errorf("the answer has a part of the secret: %q", text)
				}
			}
		})
	}
}

func TestVerifyVariantOfZeroKey(t *testing.T) {
	var key secrets.Key
	if v, ok := key.VerifyVariant("input", nil); ok || v != (secrets.Variant{}) {
		t.Errorf("got %+v", v)
	}
	if fault := key.PasteFault(); fault != "" {
		t.Errorf("got %q", fault)
	}
}

// TestPasteFault checks which values are suspected, and that no text has a part of the value.
func TestPasteFault(t *testing.T) {
	const real = zendeskSecret
	for value, want := range map[string]string{
		`"` + real + `"`:                                   "quotation mark",
		`'` + real:                                         "quotation mark",
		"„" + real + "“":                                   "quotation mark",
		"SECRET=" + real:                                   "KEY=VALUE",
		"secret: " + real:                                  "KEY=VALUE",
		"Shared secret: " + real:                           "KEY=VALUE",
		`ZENDESK_JWT_SECRET="` + real + `"`:                "KEY=VALUE",
		`{"shared_secret":"` + real + `"}`:                 "is JSON",
		`["` + real + `"]`:                                 "is JSON",
		`{"shared_secret":12345678901234567890123}`:        "is JSON",
		real + `\n`:                                        "written out",
		strings.Replace(real, "m", "%6D", 1):               "percent-encoded",
		base64Of(real):                                     "is base64",
		base64Of(real + "\n"):                              "is base64",
		base64Of(`"` + real + `"`):                         "is base64",
		base64.RawURLEncoding.EncodeToString([]byte(real)): "is base64",
		base64Of(strings.Repeat("\xf0\x01", 20)):           "is base64", // by its padding
		hex.EncodeToString([]byte(real)):                   "hexadecimal",
		real[:20] + " " + real[20:]:                        "white space",
		real + "\u200b":                                    "outside ASCII",
		"abc123" + strings.Repeat("*", 30):                 "shown in part",
		"abc123" + strings.Repeat("•", 30):                 "shown in part",

		real:                     "",
		real[:32]:                "",
		strings.Repeat("0a", 32): "", // hexadecimal, but of no text
		strings.Repeat("A", 48):  "",
		"other-kinds_of.secrets+have/signs~and!more": "",
	} {
		key, err := secrets.NewKey(1, []byte(value))
		if err != nil {
			t.Fatal(err)
		}
		got := key.PasteFault()
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", value, got, want)
		}
		if strings.Contains(got, real[:6]) {
			t.Errorf("the text has a part of the value: %q", got)
		}
	}
}

// TestPasteFaultOfNormalSecrets checks that random letters and digits are never suspected, although
// most of them can be decoded from base64.
func TestPasteFaultOfNormalSecrets(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		value := make([]byte, 32+random.IntN(33))
		for i := range value {
			value[i] = alphabet[random.IntN(len(alphabet))]
		}
		key, err := secrets.NewKey(1, value)
		if err != nil {
			t.Fatal(err)
		}
		if fault := key.PasteFault(); fault != "" {
			t.Fatalf("%s: %s", value, fault)
		}
	}
}

// TestVariantsAreNoKeys checks that Verify itself accepts none of the variants.
func TestVariantsAreNoKeys(t *testing.T) {
	key := mustKey(t, 1, zendeskSecret)
	for _, other := range []string{zendeskSecret + "\n", `"` + zendeskSecret + `"`, base64Of(zendeskSecret)} {
		if err := key.Verify("input", hmacOf(other, "input")); !errors.Is(err, secrets.ErrSignature) {
			t.Errorf("%q verifies: %v", other, err)
		}
	}
}

// TestPasteFaultsAreLogged checks that the log has one warning for each suspected value that signs
// or is staged, however often the secret is refreshed. The log has no part of the value. newKeyring
// checks that.
func TestPasteFaultsAreLogged(t *testing.T) {
	f := &fake{
		status: map[string]secrets.Status{acme.Path: pinned(2, 3, 4)},
		secret: map[secrets.Version]string{1: "A=" + canary, 2: "B=" + canary, 3: `"` + canary + `"`},
	}
	k, log := newKeyring(t, f, secrets.Options{MaxRate: 1e6})
	if err := k.Warm(t.Context(), acme); err != nil {
		t.Fatal(err)
	}
	if _, _, err := k.Refresh(t.Context(), acme); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Get(acme, 0); err != nil {
		t.Errorf("a suspected value is not used: %v", err)
	}
	text := log.String()
	if n := strings.Count(text, "may have been pasted wrongly"); n != 2 {
		t.Errorf("%d warnings, want 2", n)
	}
	for _, want := range []string{"KEY=VALUE", "quotation mark", "version=2", "version=3"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the log:\n%s", want, text)
		}
	}
}
