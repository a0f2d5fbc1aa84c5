package zendesk

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	"github.com/deskmint/deskmint/secrets"
)

// Lifetime is how long after iat Zendesk accepts a token: "up to three minutes clock skew" in its
// article.
const Lifetime = 3 * time.Minute

// header is the only header that is known to work. Zendesk answers a token without typ or alg as if
// its signature were wrong, and documents nothing else. It is a constant, so that no input can
// change it.
const header = `{"typ":"JWT","alg":"HS256"}`

var encodedHeader = base64.RawURLEncoding.EncodeToString([]byte(header))

// Token is a signed token with the data for its audit record. Don't log the value.
type Token struct {
	// Value is the token itself (RFC 7515 section 7.1).
	Value string
	// ID is its jti.
	ID string
	// IssueTime is its iat, in whole seconds.
	IssueTime time.Time
	// ExpireTime is when Zendesk stops accepting it.
	ExpireTime time.Time
	// Claims names its claims.
	Claims []string
}

// Sign returns a token for a checked sign-in, with now as its iat and a new random jti. No two
// tokens are equal, and no one can guess a token from another.
func (c *Checked) Sign(ctx context.Context, key secrets.Key, now time.Time) (Token, error) {
	id := rand.Text() // at least 128 random bits
	issued := time.Unix(now.Unix(), 0).UTC()
	names, expires := c.claims.names, int64(0)
	if c.emitExp {
		names, expires = append(slices.Clip(names), "exp"), issued.Add(Lifetime).Unix()
	}
	var claims, token [1024]byte // enough for most tokens, so that they stay on the stack
	encoding := base64.RawURLEncoding
	input := append(append(token[:0], encodedHeader...), '.')
	input = encoding.AppendEncode(input, c.claims.payload(claims[:0], issued.Unix(), id, expires))
	signature, err := key.Sign(ctx, string(input)) // the signing input (RFC 7515 section 5.1)
	if err != nil {
		return Token{}, fmt.Errorf("signing with version %d: %w", key.Version(), err)
	}
	return Token{
		Value:      string(encoding.AppendEncode(append(input, '.'), signature)),
		ID:         id,
		IssueTime:  issued,
		ExpireTime: issued.Add(Lifetime),

		Claims: names,
	}, nil
}
