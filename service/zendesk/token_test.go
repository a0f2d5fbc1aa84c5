package zendesk_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/zendesk"
)

// TestTokenByteForByte builds the same token with only the standard library and handwritten JSON.
func TestTokenByteForByte(t *testing.T) {
	p := testProfile(t, forBoth)
	token, _ := mint(t, p, testSignIn(func(r *zendesk.SignIn) {
		r.User.Name = "Zoë <王> & Co"
		r.User.ExternalID, r.User.Role, r.User.LocaleID = "0042", zendesk.RoleEndUser, 8
		r.User.OrganizationIDs = []string{"17"}
		r.User.Tags = []string{"vip"}
		r.User.UserFields = map[string]any{"seats": 12.0, "plan": nil}
	}))
	header := `{"typ":"JWT","alg":"HS256"}`
	claims := `{"iat":1767323045,"jti":"` + token.ID +
		`","email":"jo@example.com","name":"Zoë <王> & Co","external_id":"0042",` +
		`"role":"end_user","locale":8,"organization_id":"17","tags":["vip"],"user_fields":{"plan":null,"seats":12}}`
	b64 := base64.RawURLEncoding
	input := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(claims))
	mac := hmac.New(sha256.New, []byte(testSecret))
	mac.Write([]byte(input))
	if want := input + "." + b64.EncodeToString(mac.Sum(nil)); token.Value != want {
		t.Errorf("token\n got %s\nwant %s", token.Value, want)
	}
}

// TestSecretIsNotDecoded checks that a secret is not decoded, even if it is valid base64 or
// hexadecimal.
func TestSecretIsNotDecoded(t *testing.T) {
	for _, secret := range []string{
		"YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU2Nzg5YWJjZGVm",
		"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
	} {
		p := testProfile(t)
		checked, err := p.Check(p.Brand(""), testSignIn())
		if err != nil {
			t.Fatal(err)
		}
		token, err := checked.Sign(t.Context(), testKey(t, 1, secret), testTime)
		if err != nil {
			t.Fatal(err)
		}
		input, signature := token.Value[:strings.LastIndex(token.Value, ".")], segment(t, token.Value, 2)
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(input))
		if signature != string(mac.Sum(nil)) {
			t.Errorf("the signature is not under the bytes of %q", secret)
		}
	}
}

// TestTokenVerifiesWithAnotherLibrary verifies a token with another library, also after a change of
// the claims or the key.
func TestTokenVerifiesWithAnotherLibrary(t *testing.T) {
	token, payload := mint(t, testProfile(t), testSignIn())
	verify := func(token, secret string) ([]byte, error) {
		signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.HS256})
		if err != nil {
			return nil, err
		}
		return signed.Verify([]byte(secret))
	}
	got, err := verify(token.Value, testSecret)
	if err != nil || string(got) != payload {
		t.Fatalf("go-jose: %s, %v; want %s", got, err, payload)
	}
	if _, err := verify(token.Value, strings.Replace(testSecret, "u", "v", 1)); err == nil {
		t.Error("verifies under another secret")
	}
	parts := strings.Split(token.Value, ".")
	forged := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(payload, "jo@", "ceo@", 1)))
	if _, err := verify(parts[0]+"."+forged+"."+parts[2], testSecret); err == nil {
		t.Error("verifies with other claims")
	}
}

func TestTokenFields(t *testing.T) {
	p := testProfile(t)
	token, payload := mint(t, p, testSignIn(func(r *zendesk.SignIn) {
		r.User.Tags, r.User.UserFields = []string{}, map[string]any{"plan": "pro"}
	}))
	if got := segment(t, token.Value, 0); got != `{"typ":"JWT","alg":"HS256"}` {
		t.Errorf("header is %s", got)
	}
	if want := time.Unix(1767323045, 0); !token.IssueTime.Equal(want) || token.IssueTime.Location() != time.UTC {
		t.Errorf("IssueTime is %v, want %v in UTC", token.IssueTime, want)
	}
	if want := time.Unix(1767323045+180, 0); !token.ExpireTime.Equal(want) || token.ExpireTime.Location() != time.UTC {
		t.Errorf("ExpireTime is %v, want %v in UTC", token.ExpireTime, want)
	}

	if want := []string{"iat", "jti", "email", "name", "tags", "user_fields"}; !slices.Equal(token.Claims, want) {
		t.Errorf("Claims are %q, want %q", token.Claims, want)
	}
	if !strings.Contains(payload, `"jti":"`+token.ID+`"`) {
		t.Errorf("ID %q is not the jti of %s", token.ID, payload)
	}
}

// TestIssuedAt checks that iat has whole seconds, rounded down, in every time zone.
func TestIssuedAt(t *testing.T) {
	p := testProfile(t)
	for _, test := range []struct {
		now  time.Time
		want string
	}{
		{time.Unix(1767323045, 0), `{"iat":1767323045,`},
		{time.Unix(1767323045, 999_999_999), `{"iat":1767323045,`},
		{time.Date(2026, 1, 2, 5, 4, 5, 0, time.FixedZone("", 2*3600)), `{"iat":1767323045,`},
	} {
		checked, err := p.Check(p.Brand(""), testSignIn())
		if err != nil {
			t.Fatal(err)
		}
		token, err := checked.Sign(t.Context(), testKey(t, 1, testSecret), test.now)
		if err != nil {
			t.Fatal(err)
		}
		if got := segment(t, token.Value, 1); !strings.HasPrefix(got, test.want) {
			t.Errorf("at %v: claims %s, want %s…", test.now, got, test.want)
		}
	}
}

// TestTokenIDs signs the same sign-in at the same time, in several goroutines.
func TestTokenIDs(t *testing.T) {
	p := testProfile(t)
	checked, err := p.Check(p.Brand(""), testSignIn())
	if err != nil {
		t.Fatal(err)
	}
	key := testKey(t, 1, testSecret)
	const goroutines, each = 8, 500
	var mu sync.Mutex
	var wg sync.WaitGroup
	seen := map[string]bool{}
	first := map[byte]bool{}
	for range goroutines {
		wg.Go(func() {
			for range each {
				token, err := checked.Sign(t.Context(), key, testTime)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				seen[token.ID], first[token.ID[0]] = true, true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != goroutines*each {
		t.Errorf("%d ids for %d tokens", len(seen), goroutines*each)
	}
	// A character of base32 encodes 5 bits, so 128 bits need 26 characters.
	for id := range seen {
		if len(id) < 26 || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
			t.Fatalf("jti %q is not 26 base32 characters or more", id)
		}
	}
	// The first character takes every value, so it isn't padding.
	if len(first) != 32 {
		t.Errorf("the first character of %d ids takes %d values of 32", len(seen), len(first))
	}
}

func TestSignRefusesNoKey(t *testing.T) {
	p := testProfile(t)
	checked, err := p.Check(p.Brand(""), testSignIn())
	if err != nil {
		t.Fatal(err)
	}
	if token, err := checked.Sign(t.Context(), secrets.Key{}, testTime); err == nil || token.Value != "" {
		t.Errorf("the zero Key signed: %v, %v", token, err)
	}
}

func TestCheckedEmail(t *testing.T) {
	p := testProfile(t)
	checked, err := p.Check(p.Brand(""), testSignIn(func(r *zendesk.SignIn) { r.User.Email = "Jo@Example.COM" }))
	if err != nil || checked.Email() != "jo@example.com" {
		t.Errorf("Email() is %q, %v", checked.Email(), err)
	}
}

func BenchmarkCheckAndSign(b *testing.B) {
	p, key := testProfile(b, forBoth), testKey(b, 1, testSecret)
	small := testSignIn(func(r *zendesk.SignIn) { r.User.Role = zendesk.RoleEndUser })
	large := testSignIn(func(r *zendesk.SignIn) {
		r.User.Role = zendesk.RoleEndUser
		r.User.ExternalID = "shop-0042"
		r.User.LocaleID = 8
		r.User.Phone = "+15551234567"
		r.User.Organizations = []string{"Acme", "Initech GmbH"}
		r.User.UserFields = map[string]any{}
		for i := range 20 {
			r.User.Tags = append(r.User.Tags, fmt.Sprintf("tag_%d", i))
			r.User.UserFields[fmt.Sprintf("field_%d", i)] = "some text that a person typed"
		}
		r.ReturnTo = "https://acme.zendesk.com/hc/en-us/requests/42?from=shop"
	})
	for name, r := range map[string]zendesk.SignIn{"small": small, "large": large} {
		b.Run(name+"/sign", func(b *testing.B) {
			checked, err := p.Check(p.Brand(""), r)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := checked.Sign(b.Context(), key, testTime); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				checked, err := p.Check(p.Brand(""), r)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := checked.Sign(b.Context(), key, testTime); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
