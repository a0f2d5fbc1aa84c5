package zendesk

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/deskmint/deskmint/secrets"
)

// Lifetime is how long after iat Zendesk takes a token: "up to three minutes clock
// skew" in its article.
const Lifetime = 3 * time.Minute

// header is the only one that is known to work: a token without typ or alg is
// answered as if its signature were wrong, and nothing else is documented. It is a
// constant so that no input can reach it.
const header = `{"typ":"JWT","alg":"HS256"}`

var encodedHeader = base64.RawURLEncoding.EncodeToString([]byte(header))

// Token is a signed token and what the record needs of it. Don't log the value.
type Token struct {
	// Value is the token itself (RFC 7515 section 7.1).
	Value string
	// ID is its jti.
	ID string
	// IssueTime is its iat, in whole seconds.
	IssueTime time.Time
	// ExpireTime is when Zendesk stops taking it.
	ExpireTime time.Time
	// Version is that of the secret it is signed with.
	Version secrets.Version
	// Claims names the claims it has.
	Claims []string
}

// Sign makes a token of a checked sign-in, with now as its iat and a jti of its own:
// two tokens are never the same, and neither can be guessed from the other.
func (c *Checked) Sign(key secrets.Key, now time.Time) (Token, error) {
	claims := c.claims
	claims.IssuedAt = now.Unix()
	claims.ID = rand.Text() // at least 128 random bits
	issued := time.Unix(claims.IssuedAt, 0).UTC()
	if c.emitExp {
		claims.ExpiresAt = issued.Add(Lifetime).Unix()
	}
	payload, err := claims.encode()
	if err != nil {
		return Token{}, fmt.Errorf("encoding the claims: %w", err)
	}
	input := encodedHeader + "." + base64.RawURLEncoding.EncodeToString(payload)
	signature, err := key.Sign(input)
	if err != nil {
		return Token{}, fmt.Errorf("signing with version %d: %w", key.Version(), err)
	}
	return Token{
		Value:      input + "." + base64.RawURLEncoding.EncodeToString(signature),
		ID:         claims.ID,
		IssueTime:  issued,
		ExpireTime: issued.Add(Lifetime),
		Version:    key.Version(),
		Claims:     claims.Names(),
	}, nil
}
