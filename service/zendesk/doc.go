// Package zendesk knows what Zendesk's JWT single sign-on wants: it turns a
// person into the claims of a sign-in token, signs it, says where it is to be
// posted, and judges tokens that others made.
//
// The rules come from Zendesk's article "Enabling JWT single sign-on" and, where
// that is silent, from the stricter of the readings that are possible: what leaves
// here is either what Zendesk documents or not sent at all. Everything that varies
// from one Zendesk configuration to another is a [Profile], which is checked once,
// when it is made, and never changes.
//
// The package does no I/O and holds no secret: a token is signed by the
// [secrets.Key] it is given.
package zendesk
