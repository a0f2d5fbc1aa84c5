package caller

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"time"
)

// Identity is one way to identify a caller. It has exactly one credential: MTLSURI, MTLSDNS, JWT or
// APIKeySHA256.
type Identity struct {
	// Name distinguishes the identity from the caller's others in records and metrics. It is
	// optional.
	Name string `yaml:"name"`
	// Owner names the people responsible for the credential. Deskmint only repeats it.
	Owner string `yaml:"owner"`
	// NotAfter is the last time at which the identity is accepted. Zero: it doesn't expire.
	NotAfter time.Time `yaml:"not_after"`

	// MTLSURI is a URI in the subject alternative names of the client certificate, such as a SPIFFE
	// ID. The comparison is exact. The common name of a certificate is never read.
	MTLSURI string `yaml:"mtls_uri"`
	// MTLSDNS is a DNS name in the subject alternative names. The comparison ignores ASCII case
	// (RFC 4343). A wildcard in a certificate matches only itself.
	MTLSDNS string `yaml:"mtls_dns"`
	// JWT describes the bearer token.
	JWT *JWT `yaml:"jwt"`
	// APIKeySHA256 is [HashKey] of an API key.
	APIKeySHA256 string `yaml:"api_key_sha256"`
}

// JWT describes the verified tokens that identify a caller.
type JWT struct {
	// Issuer is the name of an [Issuer].
	Issuer string `yaml:"issuer"`
	// Subject is the claim sub. If it is empty, any subject matches and Claims identify the caller.
	Subject string `yaml:"subject"`
	// Claims are further claims with the text of their values: "true" equals true, and "7" equals
	// 7. Only single values match, not lists or objects.
	Claims map[string]any `yaml:"claims"`
}

// Label returns the name of the identity for records and metrics. An identity without a name is
// called by its credential, in a form that an operator can find in the configuration file.
func (id Identity) Label() string {
	switch {
	case id.Name != "":
		return id.Name
	case id.MTLSURI != "":
		return MethodMTLSURI + ":" + id.MTLSURI
	case id.MTLSDNS != "":
		return MethodMTLSDNS + ":" + lower(id.MTLSDNS)
	case id.JWT != nil:
		return MethodJWT + ":" + id.JWT.label()
	}
	sum, err := ParseHash(id.APIKeySHA256)
	if err != nil {
		return MethodAPIKey // New refuses this identity
	}
	return MethodAPIKey + ":" + hex.EncodeToString(sum[:4])
}

// label returns ISSUER/SUBJECT?CLAIM=VALUE&… without the parts that aren't set. Subject and claims
// are escaped as in a URL, so that no two identities have the same label.
func (j JWT) label() string {
	label := j.Issuer + "/" + url.PathEscape(j.Subject)
	claims := url.Values{}
	for claim, value := range j.Claims {
		claims.Set(claim, fmt.Sprint(value))
	}
	if len(claims) > 0 {
		label += "?" + claims.Encode()
	}
	return label
}

// EndedAt reports whether the identity's NotAfter has passed at the time now.
func (id Identity) EndedAt(now time.Time) bool { return ended(id.NotAfter, now) }

func ended(notAfter, now time.Time) bool { return !notAfter.IsZero() && now.After(notAfter) }

// EndedError reports the credential of an identity whose NotAfter has passed. It is an
// [ErrExpired].
type EndedError struct {
	// Caller is the caller of the identity.
	Caller Caller
}

// Error implements error.
func (e *EndedError) Error() string {
	return fmt.Sprintf("identity %s of caller %s has ended", e.Caller.Identity, e.Caller.Name)
}

// Unwrap returns [ErrExpired].
func (*EndedError) Unwrap() error { return ErrExpired }

// match is a caller with the identity that matched.
type match struct {
	Caller

	notAfter time.Time
}

func (id Identity) match(name, method string) match {
	return match{Caller{Name: name, Method: method, Identity: id.Label()}, id.NotAfter}
}

// add adds another identity that the same credential matches. It returns false if that identity
// belongs to another caller. Of several identities it keeps the first that hasn't ended.
func (m *match) add(other match, now time.Time) bool {
	switch {
	case m.Name == "":
		*m = other
	case m.Name != other.Name:
		return false
	case ended(m.notAfter, now) && !ended(other.notAfter, now):
		*m = other
	}
	return true
}

// caller returns the caller, or an error if the identity has ended.
func (m *match) caller(now time.Time) (Caller, error) {
	if ended(m.notAfter, now) {
		return Caller{}, &EndedError{m.Caller}
	}
	return m.Caller, nil
}
