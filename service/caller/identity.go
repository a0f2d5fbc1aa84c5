package caller

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"time"
)

// Identity is one way in which a caller is known. It has exactly one credential: MTLSURI,
// MTLSDNS, JWT or APIKeySHA256.
type Identity struct {
	// Name tells the identity from the caller's others in records and metrics. It is optional.
	Name string `yaml:"name"`
	// Owner says who is responsible for the credential. Deskmint only repeats it.
	Owner string `yaml:"owner"`
	// NotAfter is the last moment at which the identity is accepted. Zero: it does not end.
	NotAfter time.Time `yaml:"not_after"`

	// MTLSURI is a URI of the client certificate's subject alternative names, such as
	// a SPIFFE ID, compared as it stands. A certificate's common name is never read.
	MTLSURI string `yaml:"mtls_uri"`
	// MTLSDNS is a DNS name of the same, compared without regard to ASCII case
	// (RFC 4343). A wildcard in a certificate stands for nothing but itself.
	MTLSDNS string `yaml:"mtls_dns"`
	// JWT is what a bearer token must say.
	JWT *JWT `yaml:"jwt"`
	// APIKeySHA256 is [HashKey] of an API key.
	APIKeySHA256 string `yaml:"api_key_sha256"`
}

// JWT is what a verified token must say to be a caller's.
type JWT struct {
	// Issuer is the name of an [Issuer].
	Issuer string `yaml:"issuer"`
	// Subject is the claim sub; empty: any, where Claims tell the caller.
	Subject string `yaml:"subject"`
	// Claims are further ones, each with the text of its value: "true" and true are
	// one, as are "7" and 7. Only a single value equals another, no list or object.
	Claims map[string]any `yaml:"claims"`
}

// Label returns what records and metrics call the identity: its name, or where it has none
// its credential in a form that an operator can find in the configuration file.
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

// label is ISSUER/SUBJECT?CLAIM=VALUE&… without the parts that are not asked for. Subject and
// claims are escaped as in a URL, so that no two identities have the same label.
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

// EndedError reports a credential that is a caller's, by an identity whose NotAfter has
// passed. It is an [ErrExpired].
type EndedError struct {
	// Caller is the caller that the credential was of.
	Caller Caller
}

// Error implements error.
func (e *EndedError) Error() string {
	return fmt.Sprintf("identity %s of caller %s has ended", e.Caller.Identity, e.Caller.Name)
}

// Unwrap returns [ErrExpired].
func (*EndedError) Unwrap() error { return ErrExpired }

// known is a caller by one of its identities.
type known struct {
	Caller

	notAfter time.Time
}

func (id Identity) known(name, method string) known {
	return known{Caller{Name: name, Method: method, Identity: id.Label()}, id.NotAfter}
}

// add makes k the caller of another identity that the same credential matches. It is false
// where that one is another caller's. Of several identities it keeps the first that has not
// ended.
func (k *known) add(other known, now time.Time) bool {
	switch {
	case k.Name == "":
		*k = other
	case k.Name != other.Name:
		return false
	case ended(k.notAfter, now) && !ended(other.notAfter, now):
		*k = other
	}
	return true
}

// authenticated returns the caller, or an error where the identity has ended.
func (k *known) authenticated(now time.Time) (Caller, error) {
	if ended(k.notAfter, now) {
		return Caller{}, &EndedError{k.Caller}
	}
	return k.Caller, nil
}
