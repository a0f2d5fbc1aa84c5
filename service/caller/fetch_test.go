package caller_test

import (
	"crypto/rsa"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/deskmint/deskmint/service/caller"
)

// TestSources checks that the keys can come from every kind of source.
func TestSources(t *testing.T) {
	dir := t.TempDir()
	document := func(f *fixture, iss, keys string) {
		f.put("/.well-known/openid-configuration",
			[]byte(fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q,"more":[1]}`, iss, keys)))
	}
	for _, test := range []struct {
		name   string
		change func(*fixture)
		err    error
		says   string // in the log
	}{
		{"URL", nil, nil, ""},
		{"discovery", func(f *fixture) { f.issuer.JWKS = ""; document(f, f.URL, f.URL+"/keys") }, nil, ""},
		{"discovery, issuer with a slash", func(f *fixture) {
			f.issuer.JWKS, f.issuer.Issuer = "", f.URL+"/"
			document(f, f.URL+"/", f.URL+"/keys")
		}, nil, ""},
		{"discovery of another issuer", func(f *fixture) { f.issuer.JWKS = ""; document(f, f.URL+"/", f.URL+"/keys") },
			caller.ErrIssuerUnavailable, "another issuer"},
		{
			"discovery of plaintext keys",
			func(f *fixture) { f.issuer.JWKS = ""; document(f, f.URL, "http://a.example/keys") },
			caller.ErrIssuerUnavailable, "no https URL",
		},
		{"discovery without keys", func(f *fixture) { f.issuer.JWKS = ""; document(f, f.URL, "") },
			caller.ErrIssuerUnavailable, "no https URL"},
		{
			"no discovery document",
			func(f *fixture) { f.issuer.JWKS = ""; f.put("/.well-known/openid-configuration", []byte("<p>")) },
			caller.ErrIssuerUnavailable, "no discovery document",
		},
		{"file", func(f *fixture) {
			f.issuer.JWKS = filepath.Join(dir, "good")
			write(t, f.issuer.JWKS, setOf(published("e1", ecKey())))
		}, nil, ""},
		{"no file", func(f *fixture) { f.issuer.JWKS = filepath.Join(dir, "none") },
			caller.ErrIssuerUnavailable, "no such file"},
		{"file too long", func(f *fixture) {
			f.issuer.JWKS = filepath.Join(dir, "long")
			write(t, f.issuer.JWKS, append(setOf(published("e1", ecKey())), make([]byte, 1<<20)...))
		}, caller.ErrIssuerUnavailable, "longer than"},
		{"no such page", func(f *fixture) { f.issuer.JWKS += "x" }, caller.ErrIssuerUnavailable, "answers 503"},
		{"wrong authority", func(f *fixture) { f.issuer.CA = "" }, caller.ErrIssuerUnavailable, "certificate"},
		{"no authority's file", func(f *fixture) { f.issuer.CA = filepath.Join(dir, "none") },
			caller.ErrIssuerUnavailable, "no such file"},
		{"authority that is none", func(f *fixture) {
			f.issuer.CA = filepath.Join(dir, "ca")
			write(t, f.issuer.CA, []byte("x"))
		}, caller.ErrIssuerUnavailable, "holds no certificate"},
		{
			"another host's name",
			func(f *fixture) { f.issuer.JWKS = strings.Replace(f.issuer.JWKS, "127.0.0.1", "localhost", 1) },
			caller.ErrIssuerUnavailable, "certificate",
		},
		{
			"answer too long",
			func(f *fixture) { f.put("/keys", append(setOf(published("e1", ecKey())), make([]byte, 1<<20)...)) },
			caller.ErrIssuerUnavailable, "longer than",
		},
		{"no JWK set", func(f *fixture) { f.put("/keys", []byte(`{"secret":"MARKER"}`)) },
			caller.ErrIssuerUnavailable, "no JWK set"},
		{"no JSON", func(f *fixture) { f.put("/keys", []byte(`MARKER`)) }, caller.ErrIssuerUnavailable, "no JWK set"},
		{"keys of no use", func(f *fixture) {
			symmetric := jose.JSONWebKey{Key: []byte("0123456789abcdef0123456789abcdef"), KeyID: "e1"}
			private := jose.JSONWebKey{Key: ecKey(), KeyID: "e1"}
			f.put("/keys", setOf(symmetric, private))
		}, caller.ErrIssuerUnavailable, "no JWK set"},
		{"a good key among others", func(f *fixture) {
			good := strings.TrimPrefix(string(setOf(published("e1", ecKey()))), `{"keys":[`)
			f.put("/keys", []byte(`{"keys":[{"kty":"x"},7,{"kty":"EC","kid":"e1","crv":"P-256","x":"AA","y":"AA"},`+
				`{"kty":"RSA","n":"AQAB","e":"AQAB"},`+good))
		}, nil, "keys[3] has 17 bits"},
		{"key for other operations", func(f *fixture) {
			set := string(setOf(published("e1", ecKey())))
			f.put("/keys", []byte(strings.Replace(set, `{"keys":[{`, `{"keys":[{"key_ops":["sign"],`, 1)))
		}, caller.ErrIssuerUnavailable, "no JWK set"},
		{"key for verifying", func(f *fixture) {
			set := string(setOf(published("e1", ecKey())))
			f.put("/keys", []byte(strings.Replace(set, `{"keys":[{`, `{"keys":[{"key_ops":["verify"],`, 1)))
		}, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, test.change)
			want := "shop/jwt"
			if test.err != nil {
				want = ""
			}
			wantCaller(t, f, f.shop(), want, test.err) // without Warm
			if log := f.log.String(); !strings.Contains(log, test.says) || (log == "") != (test.says == "") ||
				strings.Contains(log, "MARKER") {
				t.Errorf("the log is %q, want %q in it", log, test.says)
			}
			if test.err == nil { // after Warm
				f.warm(t)
				wantCaller(t, f, f.shop(), "shop/jwt", nil)
			}
		})
	}
}

// TestRedirects checks that redirects are followed, but not away from https.
func TestRedirects(t *testing.T) {
	plain := newSite(t)
	open := httptest.NewServer(http.HandlerFunc(plain.serve)) // the same, without TLS
	defer open.Close()
	plain.put("/keys", setOf(published("e1", ecKey())))
	for _, test := range []struct {
		name, to string
		from     string // replaces the issuer's URL
		err      error
		says     string
	}{
		{"within https", "/moved", "", nil, ""},
		{"endless", "/keys", "", caller.ErrIssuerUnavailable, "too many redirects"},
		{"off https", open.URL + "/keys", "", caller.ErrIssuerUnavailable, "away from https"},
		{"off loopback", "http://192.0.2.1/keys", open.URL + "/elsewhere",
			caller.ErrIssuerUnavailable, "away from https"},
		{"to a file", "file:///etc/passwd", "", caller.ErrIssuerUnavailable, "away from https"},
	} {
		t.Run(test.name, func(t *testing.T) {
			move := func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/moved" {
					_, _ = w.Write(setOf(published("e1", ecKey())))
					return
				}
				http.Redirect(w, r, test.to, http.StatusFound)
			}
			before := plain.count()
			f := newFixture(t, func(f *fixture) {
				f.handler(move)
				if test.from != "" {
					f.issuer.JWKS = test.from
					plain.handler(move)
				}
			})
			defer plain.handler(nil)
			want := "shop/jwt"
			if test.err != nil {
				want = ""
			}
			wantCaller(t, f, f.shop(), want, test.err)
			if n := f.count() + plain.count() - before; n > 4 || test.from == "" && plain.count() != before {
				t.Errorf("%d requests, %d of them in plaintext", n, plain.count()-before)
			}
			if log := f.log.String(); !strings.Contains(log, test.says) || (log == "") != (test.says == "") {
				t.Errorf("the log is %q, want %q in it", log, test.says)
			}
		})
	}
}

// TestTokenFile checks that the issuer receives the token, as an API server requires, and that no
// other host does.
func TestTokenFile(t *testing.T) {
	other := newSite(t)
	other.put("/keys", setOf(published("e1", ecKey())))
	document := func(f *fixture, keys string) {
		f.issuer.JWKS = ""
		f.put("/.well-known/openid-configuration", []byte(fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, f.URL, keys)))
	}
	for _, test := range []struct {
		name      string
		change    func(*fixture)
		here      string // the last authorization that the issuer received
		elsewhere bool
	}{
		{"URL", func(*fixture) {}, "Bearer MARKER-token", false},
		{"discovery", func(f *fixture) { document(f, f.URL+"/keys") }, "Bearer MARKER-token", false},
		{"discovery elsewhere", func(f *fixture) { document(f, other.URL+"/keys") }, "Bearer MARKER-token", true},
		{"redirect elsewhere", func(f *fixture) {
			f.handler(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, other.URL+"/keys", http.StatusFound)
			})
		}, "Bearer MARKER-token", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := other.count()
			f := newFixture(t, func(f *fixture) {
				f.issuer.TokenFile = filepath.Join(t.TempDir(), "token")
				write(t, f.issuer.TokenFile, []byte("MARKER-token\n"))
				test.change(f)
			})
			wantCaller(t, f, f.shop(), "shop/jwt", nil) // httptest's servers share one certificate
			if got := f.seen("Authorization"); got != test.here {
				t.Errorf("the issuer received %q, want %q", got, test.here)
			}
			if test.elsewhere && (other.count() != before+1 || other.seen("Authorization") != "") {
				t.Errorf("the other host received %d requests, the last with %q",
					other.count()-before, other.seen("Authorization"))
			}
			if strings.Contains(f.log.String(), "MARKER") {
				t.Errorf("the log %q contains the token", f.log.String())
			}
		})
	}
	t.Run("empty", func(t *testing.T) {
		f := newFixture(t, func(f *fixture) {
			f.issuer.TokenFile = filepath.Join(t.TempDir(), "token")
			write(t, f.issuer.TokenFile, []byte("\n"))
		})
		wantCaller(t, f, f.shop(), "", caller.ErrIssuerUnavailable)
		if f.count() != 0 {
			t.Error("the keys were requested without the token")
		}
	})
}

func TestCheckKeySet(t *testing.T) {
	for text, good := range map[string]bool{
		string(setOf(published("e1", ecKey()))): true, `{"keys":[]}`: false, `{}`: false, ``: false, `[]`: false,
		`null`:      false,
		rsaOf(2047): false, rsaOf(2048): true, rsaOf(4096): true, rsaOf(4097): false,
		string(setOf(jose.JSONWebKey{Key: []byte("0123456789abcdef0123456789abcdef")})): false,
	} {
		if err := caller.CheckKeySet([]byte(text)); (err == nil) != good {
			t.Errorf("%.40s: %v", text, err)
		}
	}
}

// rsaOf returns a set of one RSA key of this length. The modulus is no product of two primes, but
// the check can't detect that.
func rsaOf(bits uint) string {
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	n.SetBit(n, 0, 1)
	return string(setOf(jose.JSONWebKey{Key: &rsa.PublicKey{N: n, E: 65537}, KeyID: "r1"}))
}

// TestClockOffsets checks that the dates of the issuers' answers are compared with our clock, and
// that a fetch can be asked for.
func TestClockOffsets(t *testing.T) {
	f := newFixture(t, nil)
	if all := f.sets.ClockOffsets(); len(all) != 0 {
		t.Errorf("before the first fetch: %v", all)
	}
	f.warm(t)
	behind := time.Until(f.Now()) // the test's clock has another date than the server
	all := f.sets.ClockOffsets()
	if len(all) != 1 || !strings.HasSuffix(f.issuer.Issuer, all[0].Host) ||
		(all[0].Ahead+behind).Abs() > time.Minute {
		t.Errorf("offsets %v, want one of %v", all, -behind)
	}
	f.add(time.Hour)
	f.sets.MeasureClocks(t.Context())
	if all := f.sets.ClockOffsets(); len(all) != 1 || (all[0].Ahead+behind+time.Hour).Abs() > time.Minute {
		t.Errorf("offsets %v after an hour", all)
	}
}
