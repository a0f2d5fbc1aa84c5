package zendesk

// Encode returns the payload of a token with these claims, and the claims' names.
func (c *Claims) Encode(issuedAt int64, id string, expiresAt int64) ([]byte, []string, error) {
	encoded, err := c.encode()
	if err != nil {
		return nil, nil, err
	}
	return encoded.payload(nil, issuedAt, id, expiresAt), encoded.names, nil
}
