package caller_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/caller"
)

var _ caller.Authenticator = (*caller.Callers)(nil)

// byKey returns callers that API keys identify. names maps hashes to caller names.
func byKey(t testing.TB, names map[string]string) (*caller.Callers, error) {
	t.Helper()
	callers := make(map[string][]caller.Identity)
	for hash, name := range names {
		callers[name] = append(callers[name], caller.Identity{APIKeySHA256: hash})
	}
	return caller.New(callers, nil, nil)
}

func TestBearer(t *testing.T) {
	for _, test := range []struct {
		name   string
		values []string
		want   string
		err    error
	}{
		{"good", []string{"Bearer dmk_abc"}, "dmk_abc", nil},
		{"scheme in lower case", []string{"bearer dmk_abc"}, "dmk_abc", nil},
		{"scheme in capitals", []string{"BEARER dmk_abc"}, "dmk_abc", nil},
		{"credential keeps its case", []string{"Bearer DMK_aBc"}, "DMK_aBc", nil},
		{"a JWT", []string{"Bearer aaa.bbb-_.ccc"}, "aaa.bbb-_.ccc", nil},
		{"all of token68", []string{"Bearer aZ09-._~+/=="}, "aZ09-._~+/==", nil},

		{"nothing", nil, "", caller.ErrMissing},
		{"no values", []string{}, "", caller.ErrMissing},
		{"an empty value", []string{""}, "", caller.ErrMissing},

		{"two values", []string{"Bearer a", "Bearer b"}, "", caller.ErrSeveral},
		{"the same twice", []string{"Bearer a", "Bearer a"}, "", caller.ErrSeveral},
		{"one and an empty", []string{"Bearer a", ""}, "", caller.ErrSeveral},
		{"an empty and one", []string{"", "Bearer a"}, "", caller.ErrSeveral},
		{"two empty ones", []string{"", ""}, "", caller.ErrSeveral},
		{"two schemes", []string{"Bearer a", "Basic b"}, "", caller.ErrSeveral},
		{"joined by a comma and a space", []string{"Bearer a, Bearer b"}, "", caller.ErrSeveral},
		{"joined by a comma", []string{"Bearer a,Bearer b"}, "", caller.ErrSeveral},
		{"joined with another scheme", []string{"Bearer a, Basic b"}, "", caller.ErrSeveral},
		{"two credentials", []string{"Bearer a,b"}, "", caller.ErrSeveral},
		{"a comma at the end", []string{"Bearer a,"}, "", caller.ErrSeveral},
		{"a comma alone", []string{"Bearer ,"}, "", caller.ErrSeveral},

		{"another scheme", []string{"Basic dXNlcjpwdw=="}, "", caller.ErrMalformed},
		{"another scheme with a comma", []string{`Digest username="a", realm="b"`}, "", caller.ErrMalformed},
		{"no scheme", []string{"dmk_abc"}, "", caller.ErrMalformed},
		{"scheme alone", []string{"Bearer"}, "", caller.ErrMalformed},
		{"scheme and a space", []string{"Bearer "}, "", caller.ErrMalformed},
		{"scheme and two spaces", []string{"Bearer  "}, "", caller.ErrMalformed},
		{"two spaces between", []string{"Bearer  a"}, "", caller.ErrMalformed},
		{"a tab between", []string{"Bearer\ta"}, "", caller.ErrMalformed},
		{"a tab after the space", []string{"Bearer \ta"}, "", caller.ErrMalformed},
		{"a space at the start", []string{" Bearer a"}, "", caller.ErrMalformed},
		{"a space at the end", []string{"Bearer a "}, "", caller.ErrMalformed},
		{"a tab at the end", []string{"Bearer a\t"}, "", caller.ErrMalformed},
		{"a space inside", []string{"Bearer a b"}, "", caller.ErrMalformed},
		{"a space alone", []string{" "}, "", caller.ErrMalformed},
		{"scheme that begins like it", []string{"Bearers a"}, "", caller.ErrMalformed},
		{"scheme that ends like it", []string{"XBearer a"}, "", caller.ErrMalformed},
		{"scheme with a colon", []string{"Bearer: a"}, "", caller.ErrMalformed},
		{"header's name too", []string{"Authorization: Bearer a"}, "", caller.ErrMalformed},
		{"quotes around all", []string{`"Bearer a"`}, "", caller.ErrMalformed},
		{"a no-break space", []string{"Bearer\u00a0a"}, "", caller.ErrMalformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := caller.Bearer(test.values)
			if got != test.want || !errors.Is(err, test.err) {
				t.Errorf("Bearer(%q) = %q, %v; want %q, %v", test.values, got, err, test.want, test.err)
			}
		})
	}
}

func TestNewKey(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		key, hash := caller.NewKey()
		secret, ok := strings.CutPrefix(key, "dmk_")
		if b, err := base64.RawURLEncoding.DecodeString(secret); !ok || err != nil || len(b) != 32 {
			t.Fatalf("%q is not dmk_ and 256 bits in base64url", key)
		}
		sum := sha256.Sum256([]byte(key))
		if hash != hex.EncodeToString(sum[:]) || hash != caller.HashKey(key) {
			t.Fatalf("%q is not the SHA-256 of %q", hash, key)
		}
		if seen[key] {
			t.Fatalf("%q was made twice", key)
		}
		seen[key] = true

		keys, err := byKey(t, map[string]string{hash: "shop"})
		if err != nil {
			t.Fatal(err)
		}
		got, err := keys.Authenticate(context.Background(),
			caller.Credentials{Authorization: []string{"Bearer " + key}})
		if want := (caller.Caller{Name: "shop", Method: "api_key", Identity: "api_key:" + hash[:8]}); err != nil ||
			got != want {
			t.Fatalf("Authenticate returned %+v, %v", got, err)
		}
	}
}

// TestHashKey compares HashKey with the output of sha256sum, so that operators can make hashes with
// other tools.
func TestHashKey(t *testing.T) {
	// printf %s dmk_example | sha256sum
	const want = "eaae8c3a61a18e1c047a10383440ef74a9e37abfc1115009f0b34ab173580982"
	if got := caller.HashKey("dmk_example"); got != want {
		t.Errorf("HashKey is %s, want %s", got, want)
	}
}

func TestAuthenticate(t *testing.T) {
	shop, shopHash := caller.NewKey()
	shop2, shop2Hash := caller.NewKey()
	cron, cronHash := caller.NewKey()
	other, _ := caller.NewKey()
	keys, err := byKey(t, map[string]string{shopHash: "shop", shop2Hash: "shop", strings.ToUpper(cronHash): "cron"})
	if err != nil {
		t.Fatal(err)
	}
	none, err := byKey(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name          string
		keys          *caller.Callers
		authorization []string
		want          string
		err           error
	}{
		{"first key", keys, []string{"Bearer " + shop}, "shop", nil},
		{"second key of the same", keys, []string{"Bearer " + shop2}, "shop", nil},
		{"hash in capitals", keys, []string{"Bearer " + cron}, "cron", nil},
		{"unknown key", keys, []string{"Bearer " + other}, "", caller.ErrUnknown},
		{"the hash itself", keys, []string{"Bearer " + shopHash}, "", caller.ErrUnknown},
		{"part of a key", keys, []string{"Bearer " + shop[:len(shop)-1]}, "", caller.ErrUnknown},
		{"more than a key", keys, []string{"Bearer " + shop + "A"}, "", caller.ErrUnknown},
		{"a key in capitals", keys, []string{"Bearer " + strings.ToUpper(shop)}, "", caller.ErrUnknown},
		{"a key without its prefix", keys,
			[]string{"Bearer " + strings.TrimPrefix(shop, caller.KeyPrefix)}, "", caller.ErrUnknown},
		{"a caller's name", keys, []string{"Bearer shop"}, "", caller.ErrUnknown},
		{"two good keys", keys, []string{"Bearer " + shop, "Bearer " + cron}, "", caller.ErrSeveral},
		{"two good keys joined", keys, []string{"Bearer " + shop + ", Bearer " + cron}, "", caller.ErrSeveral},
		{"a good key twice", keys, []string{"Bearer " + shop, "Bearer " + shop}, "", caller.ErrSeveral},
		{"a good and a bad key", keys, []string{"Bearer " + shop, "Bearer " + other}, "", caller.ErrSeveral},
		{"good key, other scheme", keys, []string{"Basic " + shop}, "", caller.ErrMalformed},
		{"nothing", keys, nil, "", caller.ErrMissing},
		// A credential with additional bytes isn't accepted as a key.
		{"a newline behind a key", keys, []string{"Bearer " + shop + "\n"}, "", caller.ErrUnknown},
		{"a NUL behind a key", keys, []string{"Bearer " + shop + "\x00"}, "", caller.ErrUnknown},
		{"a zero width space behind a key", keys, []string{"Bearer " + shop + "\u200b"}, "", caller.ErrUnknown},
		{"bytes outside ASCII", keys, []string{"Bearer \xff"}, "", caller.ErrUnknown},
		{"no keys known", none, []string{"Bearer " + shop}, "", caller.ErrUnknown},
		{"no keys known, nothing sent", none, nil, "", caller.ErrMissing},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.keys.Authenticate(context.Background(),
				caller.Credentials{Authorization: test.authorization})
			if got.Name != test.want || !errors.Is(err, test.err) || (got == caller.Caller{}) != (err != nil) {
				t.Errorf("Authenticate returned %+v, %v; want %q, %v", got, err, test.want, test.err)
			}
			if err != nil && strings.Contains(err.Error(), shop[len(caller.KeyPrefix):]) {
				t.Errorf("the error %q contains the key", err)
			}
		})
	}
}

func TestHashFaults(t *testing.T) {
	good := strings.Repeat("0a", 32)
	for name, hash := range map[string]string{
		"empty":        "",
		"short":        good[:62],
		"odd":          good[:63],
		"long":         good + "0a",
		"no digits":    strings.Repeat("xy", 32),
		"with a space": " " + good[1:],
		"with a name":  "sha256:" + good,
		"base64":       "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
	} {
		if _, err := caller.ParseHash(hash); err == nil || !strings.Contains(err.Error(), "64 hexadecimal digits") {
			t.Errorf("%s: ParseHash says %v", name, err)
		}
		keys, err := byKey(t, map[string]string{good: "cron", hash: "shop"})
		if keys != nil || err == nil || !strings.Contains(err.Error(), "shop") {
			t.Errorf("%s: New returned %v, %v", name, keys, err)
		}
	}
	lower, err := caller.ParseHash(good)
	upper, err2 := caller.ParseHash(strings.ToUpper(good))
	if err != nil || err2 != nil || lower != upper || lower[0] != 0x0a {
		t.Errorf("ParseHash returned %x, %v and %x, %v", lower, err, upper, err2)
	}
}

// TestHashErrorsOmitKeys checks that an error doesn't contain the value, because operators often
// write the key in place of the hash.
func TestHashErrorsOmitKeys(t *testing.T) {
	key, _ := caller.NewKey()
	if _, err := byKey(t, map[string]string{key: "shop"}); err == nil || strings.Contains(err.Error(), key) {
		t.Errorf("New says %v", err)
	}
}

// TestOneKeyOneCaller checks that two spellings of one hash can't belong to two callers. Otherwise
// the order of a map would choose the caller.
func TestOneKeyOneCaller(t *testing.T) {
	_, hash := caller.NewKey()
	for strings.ToUpper(hash) == hash {
		_, hash = caller.NewKey()
	}
	for range 20 {
		keys, err := byKey(t, map[string]string{hash: "shop", strings.ToUpper(hash): "cron"})
		if keys != nil || err == nil || !strings.Contains(err.Error(), "shop") ||
			!strings.Contains(err.Error(), "cron") {
			t.Fatalf("New returned %v, %v", keys, err)
		}
	}
}
