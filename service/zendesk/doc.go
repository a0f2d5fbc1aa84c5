// Package zendesk implements Zendesk's JWT single sign-on. It turns a user into the claims of a
// sign-in token, signs the token, returns the URL to post it to, and inspects tokens from other
// programs.
//
// The rules come from Zendesk's article "Enabling JWT single sign-on". If the article doesn't
// answer a question, the stricter of the possible answers applies. The package therefore sends only
// what Zendesk documents. A [Profile] contains everything that differs between Zendesk
// configurations. It is checked when it is made, and never changes.
//
// The package does no I/O and holds no secret. The [secrets.Key] that the caller passes signs the
// token.
package zendesk
