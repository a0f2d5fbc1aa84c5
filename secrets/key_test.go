package secrets_test

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/secrets"
)

func mustKey(t testing.TB, v secrets.Version, secret string) secrets.Key {
	t.Helper()
	key, err := secrets.NewKey(v, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestKeySignsRFC7515A1 signs the example of RFC 7515, appendix A.1.
func TestKeySignsRFC7515A1(t *testing.T) {
	const encoded = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
	secret, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	const input = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." +
		"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
	const want = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

	key := mustKey(t, 7, string(secret))
	signature, err := key.Sign(t.Context(), input)
	if err != nil {
		t.Fatal(err)
	}
	if got := base64.RawURLEncoding.EncodeToString(signature); got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
	if err := key.Verify(input, signature); err != nil {
		t.Errorf("the signature doesn't verify: %v", err)
	}
	if err := key.Verify(input+"x", signature); !errors.Is(err, secrets.ErrSignature) {
		t.Errorf("other input: %v, want ErrSignature", err)
	}
	if err := key.Verify(input, signature[:31]); !errors.Is(err, secrets.ErrSignature) {
		t.Errorf("truncated signature: %v, want ErrSignature", err)
	}
	if key.Version() != 7 || key.IsZero() {
		t.Errorf("version %d, zero %v", key.Version(), key.IsZero())
	}
}

func TestKeyIsACopy(t *testing.T) {
	secret := []byte(canary)
	key, err := secrets.NewKey(1, secret)
	if err != nil {
		t.Fatal(err)
	}
	before, _ := key.Sign(t.Context(), "input")
	clear(secret)
	after, _ := key.Sign(t.Context(), "input")
	if !bytes.Equal(before, after) {
		t.Error("changing the caller's bytes changed the key")
	}
}

func TestZeroKey(t *testing.T) {
	var key secrets.Key
	if _, err := key.Sign(t.Context(), "input"); err == nil {
		t.Error("the zero Key signed")
	}
	if err := key.Verify("input", nil); err == nil || errors.Is(err, secrets.ErrSignature) {
		t.Errorf("the zero Key verified: %v", err)
	}
	if !key.IsZero() || key.Version() != 0 {
		t.Error("IsZero or Version of the zero Key is wrong")
	}
}

// TestKeyID checks that an identifier changes neither the key it is set on nor what is signed.
func TestKeyID(t *testing.T) {
	key := mustKey(t, 1, canary).WithMark(secrets.Mark{Staged: true})
	named := key.WithID("app_1")
	if key.ID() != "" || named.ID() != "app_1" {
		t.Errorf("identifiers %q and %q, want none and app_1", key.ID(), named.ID())
	}
	if named.Version() != key.Version() || named.Mark() != key.Mark() || named.String() != key.String() {
		t.Errorf("the identifier changed the key: %v, %v", named, named.Mark())
	}
	signature, err := named.Sign(t.Context(), "input")
	if err != nil || key.Verify("input", signature) != nil {
		t.Errorf("the signature of the named key doesn't verify: %v", err)
	}
}

func TestNewKeyErrors(t *testing.T) {
	for _, tc := range []struct {
		name, secret, says string
		version            secrets.Version
	}{
		{"no version", canary, "numbered from 1", 0},
		{"empty", "", "empty", 1},
		{"only white space", " \t\n ", "empty or only white space", 1},
		{"far too short", "abcdefgh1234567", "under 16 bytes", 1},
		{"too short", canary[:31], "16 to 31 bytes", 1},
		{"newline at the end", canary + "\n", "white space", 1},
		{"carriage return and newline", canary + "\r\n", "white space", 1},
		{"space before", " " + canary, "white space", 1},
		{"no-break space", canary + "\u00a0", "white space", 1},
		{"byte order mark", "\ufeff" + canary, "white space", 1},
		{"white space doesn't make it long enough", canary[:31] + "\n", "white space", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			key, err := secrets.NewKey(tc.version, []byte(tc.secret))
			if !errors.Is(err, secrets.ErrUnusable) || !key.IsZero() {
				t.Fatalf("got %v, %v, want ErrUnusable", key, err)
			}
			if !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %q doesn't contain %q", err, tc.says)
			}
			if len(tc.secret) >= 8 && strings.Contains(err.Error(), tc.secret[:8]) {
				t.Errorf("error %q leaks the secret", err)
			}
		})
	}
	if _, err := secrets.NewKey(1, []byte(canary[:32])); err != nil {
		t.Errorf("32 bytes: %v", err)
	}
}

func TestKeyCantBePrinted(t *testing.T) {
	key := mustKey(t, 3, canary)
	type holder struct {
		Name string
		key  secrets.Key
	}
	type exported struct {
		Key secrets.Key
		Ptr *secrets.Key
	}
	values := map[string]any{
		"Key":              key,
		"*Key":             &key,
		"unexported field": holder{"h", key},
		"*unexported":      &holder{"h", key},
		"exported field":   exported{key, &key},
		"slice":            []secrets.Key{key},
		"map":              map[string]secrets.Key{"k": key},
		"any in any":       []any{[]any{key}, holder{"h", key}},
	}
	for name, v := range values {
		t.Run(name, func(t *testing.T) {
			outputs := map[string]string{}
			for _, verb := range []string{
				"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d",
				"%o", "%b", "%t", "%c", "%U", "%e", "%T", "%p",
			} {
				outputs[verb] = fmt.Sprintf(verb, v)
			}
			outputs["error"] = fmt.Errorf("signing with %v: %+v", v, v).Error()
			outputs["panic"] = panicText(v)
			if b, err := json.Marshal(v); err == nil {
				outputs["json"] = string(b)
			} else {
				outputs["json error"] = err.Error()
			}
			var buf bytes.Buffer
			if err := gob.NewEncoder(&buf).Encode(v); err != nil {
				outputs["gob error"] = err.Error()
			}
			outputs["gob"] = buf.String()
			for handler, h := range map[string]func(*bytes.Buffer) slog.Handler{
				"slog text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
				"slog json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
			} {
				var buf bytes.Buffer
				slog.New(h(&buf)).With("with", v).Info("message", "value", v, slog.Group("group", "value", v))
				outputs[handler] = buf.String()
			}
			for how, out := range outputs {
				if found := leaks(out, canary); found != nil {
					t.Errorf("%s shows the secret (%v): %s", how, found, out)
				}
			}
		})
	}
	if got := fmt.Sprint(key); got != "secret version 3" {
		t.Errorf("a key prints as %q", got)
	}
}

func panicText(v any) (text string) {
	defer func() { text = fmt.Sprint(recover()) }()
	panic(v)
}

// TestLeaksAreFound checks secretstest.Leaks.
func TestLeaksAreFound(t *testing.T) {
	type open struct{ secret []byte }
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X"} {
		if out := fmt.Sprintf(verb, open{[]byte(canary)}); leaks(out, canary) == nil {
			t.Errorf("a plain struct under %s was not found: %s", verb, out)
		}
	}
	for _, out := range []string{
		base64.StdEncoding.EncodeToString([]byte(canary)),
		base64.URLEncoding.EncodeToString([]byte(canary)),
		strings.ToUpper(hex.EncodeToString([]byte(canary))),
		"… " + canary + " …",
	} {
		if leaks(out, canary) == nil {
			t.Errorf("not found: %s", out)
		}
	}
}

func TestRefCheck(t *testing.T) {
	for _, ref := range []secrets.Ref{{"sso/acme", "shared_secret"}, {"acme", "k"}, {"a/b/c d/é", "k"}} {
		if err := ref.Check(); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
	}
	for _, ref := range []secrets.Ref{
		{
			"",
			"k"}, {"p", ""}, {"/p", "k"}, {"p/", "k"}, {"a//b", "k"}, {"a/../b", "k"}, {"./a", "k"}, {"..",
			"k"}, {"a\nb", "k"}, {"a", "k\x00"},
	} {
		if ref.Check() == nil {
			t.Errorf("%q passed", ref)
		}
	}
}

func FuzzKey(f *testing.F) {
	f.Add([]byte(canary), "input")
	f.Add([]byte(" "+canary), "")
	f.Add([]byte(""), "input")
	f.Add([]byte("\u0680"), "input")
	f.Fuzz(func(t *testing.T, secret []byte, input string) {
		key, err := secrets.NewKey(1, secret)
		if err != nil {
			if !errors.Is(err, secrets.ErrUnusable) || !key.IsZero() {
				t.Fatalf("%v, %v", key, err)
			}
			return
		}
		if len(secret) < secrets.MinKeyBytes {
			t.Fatalf("accepted %d bytes", len(secret))
		}
		signature, err := key.Sign(t.Context(), input)
		if err != nil {
			t.Fatal(err)
		}
		if err := key.Verify(input, signature); err != nil {
			t.Fatal(err)
		}
		signature[0] ^= 1
		if key.Verify(input, signature) == nil {
			t.Fatal("a wrong signature verified")
		}
	})
}
