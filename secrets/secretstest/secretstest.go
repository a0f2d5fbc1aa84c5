// Package secretstest has the fixtures and assertions that the tests of package secrets and of the
// packages below it share.
package secretstest

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/deskmint/deskmint/secrets"
)

// Canary is a secret for tests. Tests use [Leaks] to search for it where no secret may appear.
const Canary = "kLm9QwErTyUiOpAsDfGhJkLzXcVbNm1234567890AbCdEfGh"

// First, Second and Third are secrets for versions of a secret in tests.
const (
	First  = "FirstFirstFirstFirstFirstFirstFirstFirstFirst123"
	Second = "SecondSecondSecondSecondSecondSecondSecondSecond"
	Third  = "ThirdThirdThirdThirdThirdThirdThirdThirdThird123"
)

// Leaks returns the forms in which text contains the secret.
func Leaks(text, secret string) []string {
	b := []byte(secret)
	var found []string
	for name, form := range map[string]string{
		"raw":           secret,
		"hex":           hex.EncodeToString(b),
		"spaced hex":    fmt.Sprintf("% x", b),
		"Go hex":        strings.Trim(fmt.Sprintf("%#v", b), "[]byte{}"),
		"decimal":       strings.Trim(fmt.Sprint(b), "[]"),
		"base64":        base64.RawStdEncoding.EncodeToString(b),
		"base64url":     base64.RawURLEncoding.EncodeToString(b),
		"a part of raw": secret[8:20],
	} {
		if strings.Contains(strings.ToLower(text), strings.ToLower(form)) {
			found = append(found, name)
		}
	}
	return found
}

// created is the time of version 1, long before a testing/synctest bubble begins.
var created = time.Date(1999, 12, 27, 21, 0, 0, 0, time.UTC)

// Versions returns n versions that were created an hour apart. The versions in gone have no value.
func Versions(n int, gone ...secrets.Version) []secrets.VersionStatus {
	var list []secrets.VersionStatus
	for v := secrets.Version(1); int(v) <= n; v++ {
		list = append(list, secrets.VersionStatus{
			Version: v, Created: created.Add(time.Duration(v-1) * time.Hour), Gone: slices.Contains(gone, v),
		})
	}
	return list
}

// Latest returns the status of a secret without a pointer.
func Latest(n int, gone ...secrets.Version) secrets.Status {
	return secrets.Status{Active: secrets.Version(n), Latest: secrets.Version(n), Versions: Versions(n, gone...)}
}

// Unpinned returns the status of a secret without a pointer, with the previous version that a
// source fills in.
func Unpinned(n int, gone ...secrets.Version) secrets.Status {
	s := Latest(n, gone...)
	s.Previous = s.Before(s.Active)
	return s
}

// Pinned returns the status of a secret whose pointer was moved serial times.
func Pinned(active secrets.Version, n int, serial uint64, gone ...secrets.Version) secrets.Status {
	s := Latest(n, gone...)
	s.Active, s.Serial, s.Pinned = active, serial, true
	return s
}
