package zendesk

// Encode is the payload of a token with these claims.
func (c *Claims) Encode(issuedAt int64, id string, expiresAt int64) ([]byte, []string, error) {
	m, err := c.members()
	return payload(nil, m, issuedAt, id, expiresAt), m.Names, err
}
